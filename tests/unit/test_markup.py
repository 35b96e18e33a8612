"""markup.py: what of Markdown is understood, what is shown as it was typed, and what never comes out."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import markup
from comment import MAX_COMMENT, WHITE_SPACE
from markup import REL, TAGS, render

from support.html import Document
from support.markdown import LONG, REPLY, is_kept, is_safe
from support.processes import ROOT

DOCUMENT = (ROOT / "docs" / "markdown.md").read_text()
LINK = f'<a href="%s" rel="{REL}">%s</a>'


def link(href: str, text: str | None = None) -> str:
    return LINK % (href, text or href)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("*a* _b_", "<p><em>a</em> <em>b</em></p>"),
        ("**a** __b__", "<p><strong>a</strong> <strong>b</strong></p>"),
        ("~~a~~ ~b~", "<p><s>a</s> ~b~</p>"),
        ("`a` ``b ` *c*``", "<p><code>a</code> <code>b ` *c*</code></p>"),
        ("snake_case_name", "<p>snake_case_name</p>"),
        ("a\nb\n\nc  \nd\\\ne", "<p>a<br>\nb</p>\n<p>c<br>\nd<br>\ne</p>"),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>"),
        ("* a\n\n* b", "<ul>\n<li><p>a</p>\n</li>\n<li><p>b</p>\n</li>\n</ul>"),
        ("1. a\n2. b", "<ol>\n<li>a</li>\n<li>b</li>\n</ol>"),
        ("1986. What a year", '<ol start="1986">\n<li>What a year</li>\n</ol>'),
        ("> a\nb", "<blockquote>\n<p>a<br>\nb</p>\n</blockquote>"),
        ("```\n*a*\n\n<b>\n```", "<pre><code>*a*\n\n&lt;b&gt;\n</code></pre>"),
        ("~~~ python\na\n~~~", "<pre><code>a\n</code></pre>"),
        ("    a\n\tb", "<pre><code>a\nb</code></pre>"),
        ("a\n\n---\n\n* * *", "<p>a</p>\n<hr>\n<hr>"),
        ("\\*a\\* \\[b](c)", "<p>*a* [b](c)</p>"),
        ("&copy; &#233; &lt;b&gt;", "<p>© é &lt;b&gt;</p>"),
        ("[a *b*](http://c.de)", "<p>" + link("http://c.de", "a <em>b</em>") + "</p>"),
        ('[a](<http://c.de/d e> "f")', "<p>" + link("http://c.de/d e", "a") + "</p>"),
        ("<http://a.de> <ada@a.de>", f"<p>{link('http://a.de')} {link('mailto:ada@a.de', 'ada@a.de')}</p>"),
    ],
)
def test_what_is_understood(text: str, html: str) -> None:
    assert render(text) == html


@pytest.mark.parametrize(
    "text",
    [
        "std::vector<int> a; if (a < b && c > d) \"e\" 'f'",
        "<b>a</b><!-- c --><?d?><![CDATA[e]]></b>",
        "# a",
        "a\n===",
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "[a]: b 'c'",
        "[a][b] [c][] [d]",
        "&nosuch; &copy &#xffffffff;",
        "C:\\Users\\ada",
        "2 * 3 * 4, a*b, 5 ~ 6",
        "[a](b) [c](/d) [e](//f.de) [g](#h) [i](?j)",
        "[a](javascript:b) [c](data:text/html,d) [e](vbscript:f) [g](ftp://h) [i](JaVaScRiPt:j) [k](tel:1)",
        "<javascript:a> <data:b> <ftp://c>",
        "ftp://a.de www.a.de ada@a.de mailto:ada@a.de javascript://a.de xhttp://a.de ://a http:// http://.",
    ],
)
def test_what_is_shown_as_it_was_typed(text: str) -> None:
    document = Document(render(text))
    assert document.text == text
    assert document.tags <= {"p", "br"}


@pytest.mark.parametrize(
    ("text", "href"),
    [
        ("(http://a.de)", "http://a.de"),
        ("HTTPS://A.DE/B", "HTTPS://A.DE/B"),
        ("see http://a.de/b, c", "http://a.de/b"),
        ("http://a.de/b?!.,:;*_~'", "http://a.de/b"),
        ("http://a.de/b_(c)", "http://a.de/b_(c)"),
        ("(see http://a.de/b_(c).)", "http://a.de/b_(c)"),
        ("http://a.de/b)c", "http://a.de/b)c"),
        ("**http://a.de/**", "http://a.de/"),
        ("[see http://a.de/]", "http://a.de/"),
        ('"http://a.de/"', "http://a.de/"),
        ("http://a.de/_b_*c*", "http://a.de/_b_*c"),
        ("é https://docs.a.de/__init__/m.html", "https://docs.a.de/__init__/m.html"),
        ("__é__ (http://a.de/_é_?~~b~~) __c__", "http://a.de/_é_?~~b"),
        ("http://a.de/?b=c&amp=d#e%20f", "http://a.de/?b=c&amp=d#e%20f"),
        ("http://ada:secret@a.de:8080/", "http://ada:secret@a.de:8080/"),
        ("http://täst.de/ü", "http://täst.de/ü"),
        ("http://例え.jp/、と", "http://例え.jp/"),
        ("（http://a.de）", "http://a.de"),
        ("http://a.de/\nb", "http://a.de/"),
        ("http://localhost", "http://localhost"),
        ("\\_http://a.de", "http://a.de"),
    ],
)
def test_a_url_in_the_text_is_a_link(text: str, href: str) -> None:
    document = Document(render(text))
    assert document.hrefs == [href]
    assert link(href.replace("&", "&amp;")) in render(text)


def test_a_url_in_code_or_in_a_link_is_no_link_of_its_own() -> None:
    assert Document(render("`http://a.de`\n\n    http://a.de")).hrefs == []
    assert Document(render("[http://a.de](http://b.de)")).hrefs == ["http://b.de"]


@pytest.mark.parametrize(
    "text", ["![a](http://b.de/c.png)", "![a *b*](http://c.de)", "![![a](http://b.de)](http://c.de)"]
)
def test_an_image_is_a_link(text: str) -> None:
    document = Document(render(text))
    assert document.hrefs
    assert "!" in document.text
    assert "img" not in document.tags


@pytest.mark.parametrize(
    "href",
    [
        "java\nscript:a",
        "java\tscript:a",
        "&#106;avascript:a",
        "javascript&colon;a",
        "&#x6A;avascript&#58;a",
        "java&Tab;script:a",
        "java&NewLine;script:a",
        "\\javascript:a",
        "%6Aavascript:a",
        "<javascript:a>",
        "< javascript:a>",
        "&#1;javascript:a",
        "data&colon;text/html;base64,PHNjcmlwdD4=",
        "http\u200b://a.de",
        "ｊavascript:a",
        "/\\a.de",
        "\\/\\/a.de",
        "http&#9;:a",
        "http:a.de",
        "https:/a.de",
        "https:///a.de",
        "HTTP:",
        "mailto:",
    ],
)
def test_no_other_scheme_gets_into_a_link(href: str) -> None:
    document = Document(render(f"[text]({href})"))
    assert document.hrefs == []
    assert "text" in document.text


@pytest.mark.parametrize(
    "text", ["[a]()", "[a](<>)", "[a](http://)", "[a](https:)", "[a](http://[)", "[](http://a.de)"]
)
def test_a_link_to_nowhere_goes_nowhere(text: str) -> None:
    document = Document(render(text))
    assert all(href == "http://a.de" for href in document.hrefs)
    assert "a" in document.text or text[1] == "]"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("~~~hello~~~\nthere", "hello~~~\nthere"),
        ("~~~ how nice", "how nice\n"),
        ("```hello", "hello\n"),
        ("```not a *language*\ncode\n```", "not a *language*\ncode\n"),
        ("```c++\ncode\n```", "code\n"),
    ],
)
def test_what_follows_a_fence_is_kept_unless_it_names_a_language(text: str, shown: str) -> None:
    assert Document(render(text)).text == shown


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_line_breaks_of_every_kind(newline: str) -> None:
    assert render(newline.join(["a", "b", "", "c"])) == "<p>a<br>\nb</p>\n<p>c</p>"
    assert render(newline.join(["*a*", "b", "", "c"])) == "<p><em>a</em><br>\nb</p>\n<p>c</p>"


def test_white_space_is_as_the_parser_has_it() -> None:
    assert render("a\u00a0b\n\u3000\nc") == "<p>a&nbsp;b<br>\n\u3000<br>\nc</p>"


PROSE = [
    "Hello, world",
    "It's \"typical\" (really) -- isn't it? Yes! 12 of 13 well-known people do; 3.5 % don't: e.g. me & you...",
    "A line.\nAnother line.\n\n\nA paragraph.",
    "7 is more",
    "naïve café, 你好。 שלום 👩‍💻 a/b #1 $5 a@b.c {x} | y ^ z = ~5",
    "AT&T < 3",
]


@pytest.mark.parametrize("text", PROSE)
def test_prose_needs_no_parser(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = by_the_parser(text)
    monkeypatch.delattr(markup, "_parse")
    assert render(text) == expected


def by_the_parser(text: str) -> str:
    return markup._CLEANER.clean(markup._parse(text)).rstrip("\n")


# Texts of what may be markup, and of words; also of any characters that a comment may have.
CHARACTERS = st.characters(exclude_categories=["Cs", "Cc"], include_characters="\t\n\r")
MARKS = [*"\\`*_[]()<>#+-=~!&|:/.;'\"\t \n\r1a", "\n\n", "    ", "\n> ", "\n- ", "\n2. ", "\n```", "~~~"]
LINKS = ["&amp;", "&#9;", "](http://a.de)", "http://b.de/", "<http://c.de>", "<d@e.f>", "<b>", "](javascript:g)"]
PARTS = st.sampled_from([*MARKS, *LINKS, *PROSE, "\u00a0", "\u2028", "\ufeff"])
TEXTS = (
    st.lists(st.one_of(PARTS, CHARACTERS), min_size=1, max_size=40)
    .map(lambda parts: "".join(parts).strip(WHITE_SPACE))
    .filter(bool)
)


@given(TEXTS)
def test_the_short_cut_gives_what_the_parser_gives(text: str) -> None:
    text = re.sub("\r\n?", "\n", text)
    if not markup._may_have_markup(text):
        assert render(text) == by_the_parser(text)


@given(
    st.lists(st.sampled_from([*"-+.)(=#!&~<1 \n\u00a0\u3000'\"?,;:/", "a", "word", "\n\n"]), min_size=1, max_size=12)
)
def test_the_short_cut_is_right_about_what_begins_and_ends_lines(parts: list[str]) -> None:
    text = "".join(parts).strip(WHITE_SPACE)
    if text and not markup._may_have_markup(text):
        assert render(text) == by_the_parser(text)


@given(TEXTS)
def test_only_these_tags_attributes_and_schemes_come_out(text: str) -> None:
    assert is_safe(Document(render(text)))


@given(TEXTS)
def test_no_letter_and_no_digit_is_lost(text: str) -> None:
    assert is_kept(text, Document(render(text)))


def test_the_documentation_shows_what_comes_out() -> None:
    """The rows of its two tables: what is typed, in as many backticks as it needs, and the HTML. ⏎ is a line break."""
    rows = re.findall(r"^\| (`+) ?(.+?) ?\1 \| `(.+?)` \|", DOCUMENT, re.MULTILINE)
    assert len(rows) == 17
    for _, text, html in rows:
        assert render(text.replace("⏎", "\n")) == html.replace("⏎", "\n")


def test_a_long_comment_has_its_markup() -> None:
    assert len(LONG) == MAX_COMMENT
    document = Document(render(LONG))
    assert is_safe(document)
    assert document.tags == TAGS - {"hr"}
    assert render(REPLY).count("<pre><code>") == 1

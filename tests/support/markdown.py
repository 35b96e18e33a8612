"""Texts for markup.py: typical ones, long ones, and those that cost the parser most."""

import re

import markup
from markup import ATTRIBUTES, REL, SCHEMES, TAGS, render

from support.html import Document

PROSE = """\
I think you're right (mostly), and I wouldn't have said it better: it's not the 3.5 % that matter, but what people do
with them afterwards. "Measure first" - who doesn't know that one? - is well-known advice; yet in 9 of 10 projects
nobody does. We didn't, for years! Thanks for writing this down, I'll send it to everybody in our office & beyond.
"""

# A reply as a reader of an engineering blog writes it; about 1,000 characters.
REPLY = """\
> The pool gives out the connection that was used *last*.

I don't think that is **quite** right. With `pool_size = 4` I see two connections that do all the work, and the other
two are closed by the server after ten minutes. See https://example.com/docs/pool.html#order (the second paragraph).

What I tried:

1. `max_idle = 60`, which changes nothing
2. a smaller pool:

   ```python
   def connections(limit: int = 2) -> list[Connection]:
       # why "+ 1"?
       return [open_one(timeout=5 * i) for i in range(limit + 1) if i < 8 and not is_full()]
   ```

3. [the patch of last week](https://example.com/patches/17?format=raw&full=1), with ~~no~~ little success

So my questions are:

- Is the order a promise, or does it *happen* to be so?
- Would you take a change that makes it `fifo`?
- How do I use `std::vector<int>` with it?

Thanks a lot for the article, it's the clearest that I've read (and I've read many). The part about slow clients has
helped us to find a bug that we had for years: our proxy kept 10,000 connections open & nobody noticed.
"""

# The longest comment, of such replies.
LONG = "\n".join([REPLY] * 10)[:10_000]

# What is repeated to a comment of 10,000 characters: openers without closers, closers without openers, both, much of
# everything, and what costs the most for its length. Some are from CommonMark's own tests of such texts:
# https://github.com/commonmark/cmark/blob/master/test/pathological_tests.py
UNITS = [
    *("[", "![", "[a](", "[](", "[[](", "[a](<b", "[a][", "[ a_", "a]", "[a](b) ", "![[]()", "[a](http://b.c)"),
    *("[*a* ",),
    *("*", "_", "*_", "*a ", "_a ", "a_ ", "*a_ ", "*a **a ", "**a* ", "*a**a ", "a**b c* ", "a *b* c"),
    *("****a", "*\n"),
    *("~~", "~~a ", "~~a", "a~~ ", "`", "`a", "``a`", "`a` ", "\\", "\\*", "\\\n", "&", "&a;", "&amp;", "&#1;"),
    *("&ngE;",),
    *("<", "<a", "<a>", "<a:b>", "<http://a> ", "<a@b.c>", "<a@", "<a@a.", "http://", "http://a ", "http://("),
    *("://", "http://a) ", "http://a.,", "http://a@b:1/ ", "https://a.b/c?d=e&f ", "x://a", "http://é ", "!"),
    *(":", "$", "a-", "=", "\\1)", "é](\\a"),
    *(">", "> ", ">a\n", "> a\n\n", ">>a\n", "> > > > > > > > > a\n", ">>>>>>>>>>>a\n", "> - a\n", "- > a\n"),
    *("> ```\n",),
    *("- ", "- a\n", "- a\n\n", "-\n", "-\ta\n", "- a\n+ a\n", "- - - - a\n", "* a\n", "1. ", "1. a\n"),
    *("1) a\n2. a\n", "- a\n  - b\n", "- a\n  b\n", "- *a*\n", "- [a](b)\n", "- `a`\n", "- ```\n  a\n  ```\n"),
    *("- ---\n", "* * *\n"),
    *("a\n", "a\n\n", "a  \n", "*a*\n", "*a*\n\n", "\ta\n", "\ta\n\n", "a\n    ", "```\n", "```\na\n```\n"),
    *(
        "a\n>-\n",
        "a  \n>-\n",
        ">-\na\n",
        "a\n> b\n",
        "a\n1. b\n",
        "~~~\n",
        "---\n",
        "=\n",
        "# a\n",
        "|a|\n|-|\n",
        "<b>\n",
    ),
    *("\r", " \n", '"', "(", ")", "1", "é", "\u00a0", "\u2028", "ẞ", "\ufb03", "\U0001f600"),
    *(
        "*https> //a.b/c?d=e&f a *b* c{",
        "x://a [*a**a <b;\n",
        "~~~\n[a](http://x.yz)*a_ - a\n  -http://a@b:1/ b\n>",
        "*a [b](http://c) `d` ~~e~~ &lt; <http://f>*\n",
    ),
]


def repeated(unit: str) -> str:
    return (unit * 10_000)[:10_000]


GROWING = [
    "".join("e" + "`" * n for n in range(1, 140))[:10_000],
    "".join("*" * n + "a" for n in range(1, 140))[:10_000],
    "".join("  " * n + "* a\n" for n in range(95))[:10_000],
    "".join(">" * n + " a\n" for n in range(1, 135))[:10_000],
    "[" * 4_999 + "a" + "]" * 5_000,
    "*a **a " * 600 + "b" + " a** a*" * 600,
    "".join(f"[{n}]: u\n" for n in range(500)) + "[0] " * 1_000,
]
HOSTILE = [*map(repeated, UNITS), *GROWING]


def is_parsed(text: str) -> bool:
    """Whether it has markup."""
    return render(text) != markup.plain(text)


def is_safe(document: Document) -> bool:
    """Whether it has no other tags, attributes and schemes than it may."""
    allowed = {(tag, name) for tag, names in ATTRIBUTES.items() for name in names} | {("a", "rel")}
    return (
        document.tags <= TAGS
        and {(tag, name) for tag, name, _ in document.attributes} <= allowed
        and all(value == REL for _, name, value in document.attributes if name == "rel")
        and document.schemes <= SCHEMES
    )


def is_kept(text: str, document: Document) -> bool:
    """Whether the document shows all letters and digits of the text in their order, but for syntax.

    Letters and digits are syntax in an entity, in the title of a link, in the number of an item, and in the name of a
    language behind a fence.
    """
    item = r"(?:[>*+-]|\d{1,9}[.)](?=\s|$))[ \t]*"
    text = re.sub("\r\n?", "\n", text)
    text = re.sub(r"&#?\w{1,32};", "", text)
    text = re.sub(r"""\s("[^"]*"|'[^']*'|\([^()]*\))\s*\)""", "", text)
    text = re.sub(rf"(?m)^[ \t]*(?:{item})+", "", text)
    text = re.sub(r"(?m)^([ \t]*(?:`{3,}|~{3,})[ \t]*)[\w+#.\\-]+[ \t]*$", r"\1", text)
    shown = iter(document.shown)
    return all(character in shown for character in text if character.isalnum())

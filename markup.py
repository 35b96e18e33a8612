"""Markdown to safe HTML: the only file that knows Markdown. docs/markdown.md says which Markdown is understood."""

import re
from collections.abc import Iterator
from contextlib import suppress
from html import escape
from typing import Any

import nh3
import pyromark

TAGS = {"a", "blockquote", "br", "code", "em", "hr", "li", "ol", "p", "pre", "s", "strong", "ul"}
ATTRIBUTES = {"a": {"href"}, "ol": {"start"}, "*": set[str]()}  # without "*", nh3 would let lang and title through
SCHEMES = {"http", "https", "mailto"}
REL = "nofollow ugc noopener noreferrer"

# A text without any of these needs no parser: most comments are such texts. Within a line ("://" too):
INLINE = re.compile(r"[\\`*_\[]|~~|<\S|&#?\w+;")
# What INLINE begins with: looking for that first is six times faster.
SPECIAL = re.compile(r"[\\`*_\[~<&]")
# At the start of a line: a quote, a heading, an item, white space. At its end: white space.
FIRST_LINE = re.compile(r"[>+-]|#{1,6}(?:\s|\Z)|\d+[.)]|\s")
OTHER_LINES = re.compile(r"\n(?:[>+=-]|#{1,6}(?:\s|\Z)|\d+[.)]|[^\S\n])|[^\S\n]\n")
BLANK_LINES = re.compile(r"\n\s*\n")

# A text that exceeds one of these has no markup: quotes and lists in each other, and events of the parser. Each event
# takes some microseconds, here and in the cleaner. The aim is 20 ms for any text.
MAX_DEPTH = 50
MAX_EVENTS = 3_000

# How the target of a link begins. A host is needed: on a page with https, browsers take "https:a" for a path.
LINK = re.compile(r"(?i)https?://[^\s/?#]+(?:[/?#]|\Z)|mailto:\S")
# A URL in a text. It ends at a character that RFC 3986 does not allow, or at the punctuation of Chinese and Japanese.
URL = re.compile(r"(?i)(?<![^\W_])https?://(?=[^\W_])[^\s<>\"\\^`{|}\[\]\u3000-\u303f\uff00-\uffef]+")
MARK = re.compile(r"[*_~]")
LANGUAGE = re.compile(r"[\w+#.-]*")

# The elements that the parser's blocks and spans of text become.
ELEMENTS = {
    "Paragraph": ("<p>", "</p>\n"),
    "HtmlBlock": ("<p>", "</p>\n"),
    "BlockQuote": ("<blockquote>\n", "</blockquote>\n"),
    "Item": ("<li>", "</li>\n"),
    "Emphasis": ("<em>", "</em>"),
    "Strong": ("<strong>", "</strong>"),
    "Strikethrough": ("<s>", "</s>"),
}
NESTED = {"BlockQuote", "List"}

# The second line of defence: it knows nothing of what the parser meant.
_CLEANER = nh3.Cleaner(tags=TAGS, attributes=ATTRIBUTES, url_schemes=SCHEMES, url_relative="deny", link_rel=REL)


class _TooMuch(Exception):
    """The text exceeds MAX_DEPTH or MAX_EVENTS."""


def render(text: str) -> str:
    """The HTML of a comment, which a page may show as it is: TAGS with ATTRIBUTES, and links with SCHEMES only.

    The text is one that Comment.from_json() has taken. For its 10,000 characters the HTML has at most 150,000. What is
    not understood as Markdown is shown as it was typed.
    """
    text = _lines(text)
    if _may_have_markup(text):
        with suppress(_TooMuch):
            return _CLEANER.clean(_parse(text)).rstrip("\n")
    return plain(text)


def plain(text: str) -> str:
    """Paragraphs and line breaks only. It is what the parser and the cleaner make of a text without markup."""
    html = escape(_lines(text), quote=False).replace("\u00a0", "&nbsp;")
    return "\n".join("<p>" + part.replace("\n", "<br>\n") + "</p>" for part in BLANK_LINES.split(html))


def _parse(text: str) -> str:
    """The HTML of what the parser finds, which is not cleaned yet. Raises _TooMuch."""
    if "://" in text and any(map(MARK.search, URL.findall(text))):
        text = _with_quiet_urls(text)
    writer = _Writer(text.encode())
    for event, start, end in _events(text):
        writer.write(event, start, end)
    return writer.html()


def _events(text: str) -> Iterator[tuple[Any, int, int]]:
    """What the parser finds, with the bytes that each event covers. Raises _TooMuch."""
    events = pyromark.events_with_range(text, options=pyromark.Options.ENABLE_STRIKETHROUGH)
    for count, (event, span) in enumerate(events):
        if count == MAX_EVENTS:
            raise _TooMuch
        yield event, span["start"], span["end"]


def _with_quiet_urls(text: str) -> str:
    """A text whose URLs have a backslash before each *, _ and ~: there it is no markup. Not in code, nor in links."""
    found, done, place = [], 0, 0  # `place` is the byte of the character `done`
    words = _words(text)
    start, end = next(words, (0, 0))
    for match in URL.finditer(text):
        url = _without_punctuation(match[0])
        found.append(text[done : match.start()])
        place += len(found[-1].encode())
        while end <= place and end:
            start, end = next(words, (0, 0))
        found.append(MARK.sub(r"\\\g<0>", url) if start <= place < end else url)
        place += len(url.encode())
        done = match.start() + len(url)
    return "".join([*found, text[done:]])


def _words(text: str) -> Iterator[tuple[int, int]]:
    """The bytes of a text that are no code, and not in a link."""
    inside = 0
    for event, start, end in _events(text):
        kind, value = _parts(event)
        if kind in ("Start", "End") and _parts(value)[0] in ("CodeBlock", "Image", "Link"):
            inside += 1 if kind == "Start" else -1
        elif kind == "Text" and not inside:
            yield start, end


def _parts(event: Any) -> tuple[str, Any]:
    """The name of an event, and what it has: the parser gives {name: value}, or the name alone."""
    return next(iter(event.items())) if isinstance(event, dict) else (event, None)


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _may_have_markup(text: str) -> bool:
    if "://" in text or FIRST_LINE.match(text) or (SPECIAL.search(text) and INLINE.search(text)):
        return True
    return "\n" in text and OTHER_LINES.search(text) is not None


class _Writer:
    """Writes the HTML of the parser's events, which come one after another.

    An event is the start or the end of an element, a piece of text, or something single, such as a line break. `start`
    and `end` say which bytes of the source it covers.
    """

    def __init__(self, source: bytes) -> None:
        self._source = source
        self._out: list[str] = []
        self._ends: list[str | None] = []  # what closes each open element; None: the source, as it was typed
        self._text = ""  # not written yet, because the parser gives a text in pieces
        self._info = ""  # what stands behind the fence of a block of code
        self._links = self._depth = 0
        self._seen = 0  # so many bytes of the source are written, or mean nothing
        self._is_typed = False  # what stands before the next event is written as it was typed

    def write(self, event: Any, start: int, end: int) -> None:
        kind, value = _parts(event)
        if self._is_typed:
            self._is_typed = False
            self._text += self._between(start)
        if kind == "Text" or kind == "Html":
            self._text += value
        elif kind == "Start":
            self._open(*_parts(value), start)
            return
        elif kind == "End":
            self._close(value, end)
        else:
            self._flush()
            self._out.append(self._single(kind, value))
        self._seen = end

    def html(self) -> str:
        self._definitions(len(self._source))
        return "".join(self._out)

    def _single(self, kind: str, value: Any) -> str:
        if kind == "Code":
            return f"<code>{escape(value, quote=False)}</code>"
        return {"SoftBreak": "<br>\n", "HardBreak": "<br>\n", "Rule": "<hr>\n"}.get(kind) or _as_text(value)

    def _open(self, kind: str, value: Any, start: int) -> None:
        self._flush()
        if kind == "Strikethrough" and not self._source.startswith(b"~~", start):
            self._open_typed(start)
        elif kind in ("Link", "Image"):
            self._open_link(value, "!" if kind == "Image" else "", start)
        elif kind == "Heading":
            self._definitions(start)
            self._out.append("<p>")
            self._open_typed(start)
        elif kind == "CodeBlock":
            self._definitions(start)
            self._info = value["Fenced"].strip() if isinstance(value, dict) else ""
            self._ends.append("")
        else:
            self._open_element(kind, value, start)

    def _open_element(self, kind: str, value: Any, start: int) -> None:
        if kind not in ("Emphasis", "Strong", "Strikethrough"):
            self._definitions(start)
        self._depth += kind in NESTED
        if self._depth > MAX_DEPTH:
            raise _TooMuch
        number = "" if value == 1 else f' start="{value}"'
        lists = ("<ul>\n", "</ul>\n") if value is None else (f"<ol{number}>\n", "</ol>\n")
        begin, end = lists if kind == "List" else ELEMENTS[kind]
        self._out.append(begin)
        self._ends.append(end)

    def _open_link(self, link: dict[str, str], before: str, start: int) -> None:
        """A link with another scheme, without a host or in a link is shown as it was typed."""
        target = ("mailto:" if link["link_type"] == "Email" else "") + link["dest_url"]
        if self._links or not LINK.match(target):
            self._open_typed(start)
        else:
            self._out.append(f'{before}<a href="{escape(target)}">')
            self._ends.append("</a>")
            self._links += 1
            self._seen = start

    def _open_typed(self, start: int) -> None:
        self._ends.append(None)
        self._seen, self._is_typed = start, True

    def _close(self, kind: Any, end: int) -> None:
        name, _ = _parts(kind)
        closing = self._ends.pop()
        if name == "CodeBlock":
            self._write_code()
            return
        if name in ("BlockQuote", "Item", "List"):
            self._definitions(end)
        self._depth -= name in NESTED
        if closing is None:
            self._text += self._between(end).rstrip("\n")
            closing = "</p>\n" if name == "Heading" else ""
        elif name == "HtmlBlock":
            self._out.append(_as_text(self._text.strip("\n")))
            self._text = ""
        self._flush()
        self._links -= closing == "</a>"
        self._out.append(closing)

    def _write_code(self) -> None:
        """The name of a language is not shown. Anything else behind the fence is text."""
        code, self._text = self._text, ""
        if self._info and not (code and LANGUAGE.fullmatch(self._info)):
            code = f"{self._info}\n{code}"
        self._out.append(f"<pre><code>{escape(code, quote=False)}</code></pre>\n")

    def _definitions(self, end: int) -> None:
        """Definitions of links, which the parser leaves out, are shown: nobody hides a text in a comment."""
        typed = self._between(end).strip(" \t\n>")
        if "]:" in typed:
            self._out.append(f"<p>{_with_links(typed)}</p>\n")
        self._seen = end

    def _between(self, end: int) -> str:
        return self._source[self._seen : end].decode()

    def _flush(self) -> None:
        if self._text:
            self._out.append(_as_text(self._text) if self._links else _with_links(self._text))
            self._text = ""


def _as_text(text: str) -> str:
    return escape(text, quote=False).replace("\n", "<br>\n")


def _with_links(text: str) -> str:
    """Make links of the URLs in a text: https://github.github.com/gfm/#autolinks-extension- has the rules."""
    if "://" not in text:
        return _as_text(text)
    html, done = [], 0
    for found in URL.finditer(text):
        url = _without_punctuation(found[0])
        html += [_as_text(text[done : found.start()]), f'<a href="{escape(url)}">{escape(url)}</a>']
        done = found.start() + len(url)
    return "".join([*html, _as_text(text[done:])])


def _without_punctuation(url: str) -> str:
    """A URL does not end with punctuation, nor with a ")" that belongs to a "(" before it."""
    surplus = url.count(")") - url.count("(")
    end = len(url)
    while url[end - 1] in "?!.,:;*_~'" or (url[end - 1] == ")" and surplus > 0):
        surplus -= url[end - 1] == ")"
        end -= 1
    return url[:end]

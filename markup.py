"""Markdown to safe HTML: the only file that knows Markdown. docs/markdown.md says which Markdown is understood."""

import logging
import re
from collections.abc import Sequence
from html import escape

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

TAGS = {"a", "blockquote", "br", "code", "em", "hr", "li", "ol", "p", "pre", "s", "strong", "ul"}
ATTRIBUTES = {"a": {"href"}, "ol": {"start"}, "*": set[str]()}  # without "*", nh3 would let lang and title through
SCHEMES = {"http", "https", "mailto"}
REL = "nofollow ugc noopener noreferrer"

# A text without any of these needs no parser: most comments are such texts.
INLINE = re.compile(r"[\\`*_\[]|~~|<\S|&#?\w+;")  # and "://"
FIRST_LINE = re.compile(r"[>+-]|\d+[.)]|\s")  # it begins with a quote, an item or white space
OTHER_LINES = re.compile(r"\n(?:[>+-]|\d+[.)]|[^\S\n])|[^\S\n]\n")  # one does, or ends with white space
SPECIAL = re.compile(r"[\\`*_\[~<&]")  # what INLINE begins with: looking for that first is six times faster
BLANK_LINES = re.compile(r"\n\s*\n")

# Limits on the parser's work: the aim is 20 ms for any text. A comment that exceeds a limit has no markup.
MAX_LINES = 500
MAX_DEPTH = 10  # a quote is one level, a list is two
MAX_WORK = 9_000  # about microseconds, as bench/rendering.py measured them; _limit_work() adds them up
# The work for each of these in the text of a paragraph.
COSTS = (
    {"<": 15, "\n": 10, "[": 10, "://": 20}
    | dict.fromkeys("*_~", 13)
    | dict.fromkeys("&\\`", 5)
    | dict.fromkeys("!#$%+-:=>@]^{}", 2)
)

# What stands before and after the ":" of a URL. The URL ends at a character that RFC 3986 does not allow, or at the
# punctuation of Chinese and Japanese.
URL_START = re.compile(r"(?i)(?:^|[\W_])(https?)$")
URL_REST = re.compile(r"://(?=[^\W_])[^\s<>\"\\^`{|}\[\]\u3000-\u303f\uff00-\uffef]+")
# How the target of a link begins. A host is needed: on a page with https, browsers take "https:a" for a path.
LINK = re.compile(r"(?i)https?://[^\s/?#]+(?:[/?#]|\Z)|mailto:\S")
LANGUAGE = re.compile(r"[\w+#.-]*")


class _TooMuch(Exception):
    """The text exceeds a limit."""


def render(text: str) -> str:
    """The HTML of a comment, which a page may show as it is: TAGS with ATTRIBUTES, and links with SCHEMES only.

    The text is one that Comment.from_json() has taken. For its 10,000 characters the HTML has at most 100,000. What is
    not understood as Markdown is shown as it was typed. So is a text that would take the parser too long.
    """
    text = _lines(text)
    if not _may_have_markup(text) or text.count("\n") > MAX_LINES:
        return plain(text)
    try:
        html = _PARSER.render(text)
    except _TooMuch:
        return plain(text)
    return _CLEANER.clean(html).rstrip("\n")


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _may_have_markup(text: str) -> bool:
    if "://" in text or FIRST_LINE.match(text) or (SPECIAL.search(text) and INLINE.search(text)):
        return True
    return "\n" in text and OTHER_LINES.search(text) is not None


def plain(text: str) -> str:
    """Paragraphs and line breaks only. It is what the parser and the cleaner make of a text without markup."""
    html = escape(_lines(text), quote=False).replace("\u00a0", "&nbsp;")
    return "\n".join("<p>" + part.replace("\n", "<br>\n") + "</p>" for part in BLANK_LINES.split(html))


class _Parser(MarkdownIt):
    """Keeps a link as it was typed, because browsers encode it. A link with another scheme, or none, is text."""

    def validateLink(self, url: str) -> bool:  # noqa: N802
        return LINK.match(url) is not None

    def normalizeLink(self, url: str) -> str:  # noqa: N802
        return url

    def normalizeLinkText(self, link: str) -> str:  # noqa: N802
        return link


def _limit_blocks(state: StateBlock, line: int, end: int, silent: bool) -> bool:
    """A rule that matches no block. The parser tries it first on each line, so it can count the looks at lines."""
    state.env["work"] = state.env.get("work", 0) + 4
    if state.level > MAX_DEPTH or _work(state) > MAX_WORK:  # at its own limit (maxNesting), the parser drops text
        raise _TooMuch
    return False


def _work(state: StateBlock | StateCore) -> int:
    """What the blocks have cost: the looks at lines, and the starts and ends of blocks."""
    return int(state.env.get("work", 0)) + 9 * len(state.tokens)


def _limit_work(state: StateCore) -> None:
    """A rule after the blocks and before their text. The parser may read a paragraph to its end for each "[" in it."""
    work = _work(state)
    for text in (token.content for token in state.tokens if token.type == "inline"):
        counts = {part: text.count(part) for part in COSTS}
        work += sum(COSTS[part] * count for part, count in counts.items())
        work += sum(counts.values()) * counts["["] // 3
    if work > MAX_WORK:
        raise _TooMuch


def _link_url(state: StateInline, silent: bool) -> bool:
    """Make a link of a URL in the text: https://github.github.com/gfm/#autolinks-extension- has the rules."""
    if silent or state.linkLevel or not state.src.startswith("://", state.pos):
        return False
    start = URL_START.search(state.pending[-6:])
    rest = start and URL_REST.match(state.src, state.pos)
    if not start or not rest:
        return False
    scheme, behind = start[1], _without_punctuation(rest[0])
    state.pending = state.pending[: -len(scheme)]
    state.push("link_open", "a", 1).attrs = {"href": scheme + behind}
    state.push("text", "", 0).content = scheme + behind
    state.push("link_close", "a", -1)
    state.pos += len(behind)
    return True


def _without_punctuation(url: str) -> str:
    """A URL does not end with punctuation, nor with a ")" that belongs to a "(" before it."""
    surplus = url.count(")") - url.count("(")
    end = len(url)
    while url[end - 1] in "?!.,:;*_~'" or (url[end - 1] == ")" and surplus > 0):
        surplus -= url[end - 1] == ")"
        end -= 1
    return url[:end]


def _fence(self: RendererHTML, tokens: Sequence[Token], i: int, options: OptionsDict, env: EnvType) -> str:
    """A block of code. The name of a language after the fence is left out; any other text there is kept."""
    info, code = tokens[i].info.strip(), tokens[i].content
    if info and not (code and LANGUAGE.fullmatch(info)):
        code = f"{info}\n{code}"
    return f"<pre><code>{escape(code)}</code></pre>\n"


_OFF = ["heading", "html_block", "html_inline", "image", "lheading", "reference"]
_PARSER = _Parser("commonmark", {"html": False, "breaks": True}).disable(_OFF).enable("strikethrough")
_PARSER.block.ruler.before("code", "limit_blocks", _limit_blocks, {"alt": ["paragraph", "blockquote", "list"]})
_PARSER.core.ruler.before("inline", "limit_work", _limit_work)
_PARSER.inline.ruler.before("linkify", "link_url", _link_url)
_PARSER.add_render_rule("fence", _fence)
logging.getLogger("markdown_it").setLevel(logging.INFO)  # at DEBUG it would log every rule that it tries

# The second line of defence: it knows nothing of what the parser meant.
_CLEANER = nh3.Cleaner(tags=TAGS, attributes=ATTRIBUTES, url_schemes=SCHEMES, url_relative="deny", link_rel=REL)

"""judge(): which status a comment gets, and why. It depends only on its arguments."""

import re
from collections.abc import Iterable
from typing import NamedTuple
from unicodedata import category, combining, normalize
from urllib.parse import unquote

from comment import IGNORABLE, Comment, InvalidInput, with_html

PUBLISHED, PENDING, SPAM = "published", "pending", "spam"

MAX_WORD = 100  # Unicode code points of a word or phrase, as it is stored

# Scripts that put no space between words, or write endings onto them: Thai to Myanmar, Khmer, Tai Le and New Tai Lue,
# Tai Tham, Chinese, Japanese, Korean. In them, a rule is found anywhere.
UNSPACED = (
    "\u0e00-\u109f\u1100-\u11ff\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u2e80-\u9fff\ua960-\ua97f\uaa60-\uaadf"
    "\uac00-\ud7ff\uf900-\ufaff\U0001b000-\U0001b2ff\U00020000-\U0003ffff"
)
# Vowel signs and points. They are part of a word, though \w does not match them.
MARKS = "".join(char for char in map(chr, range(0x300, 0x2000)) if category(char)[0] == "M")
# A word, or any other character by itself.
LETTERS = f"[^\\W_{UNSPACED}]"
TOKEN = re.compile(f"{LETTERS}+(?:[{re.sub(f'[{UNSPACED}]', '', MARKS)}]+{LETTERS}*)*|.", re.DOTALL)

# IGNORABLE, and more characters that browsers do not show: the byte order mark, annotations, object replacements.
IGNORED = re.compile(f"[{IGNORABLE}\ufeff\ufff9-\ufffc]")
# Marks that are still there after NFKC has composed letters: they only decorate, as in text that is struck out.
DECORATION = re.compile("[\u0300-\u036f\u0488\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")
# Sorting the marks of one letter takes quadratic time: 0.2 s for 10,000. No language has more than 30 in a row:
# https://www.unicode.org/reports/tr15/#Stream_Safe_Text_Format
LONG_RUN = re.compile(r"(?:[^\w\s]|[\uff9e\uff9f]){31,}")
TAG = re.compile(r'<(?:[^<>"]|"[^"]*")*>')
TARGET = re.compile(r'<a href="([^"]*)"')
# In a domain, browsers take these for dots: https://www.unicode.org/reports/tr46/#Notation
DOT = re.compile("[\u3002\uff61]")
# What markup.py writes for characters that mean something in HTML. html.unescape() takes 10 ms for 10,000 of them.
ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&nbsp;": " ", "&amp;": "&"}


class Verdict(NamedTuple):
    """`status` is published, pending or spam. `reason` is None for published."""

    status: str
    reason: str | None


class Rules:
    """The rules of the moderators, prepared once for many comments.

    A row is (kind, value, effect, author_hash). `kind` is word, which has a value, or author, which has the hash of the
    author's key. `effect` is pending or spam; where several rules apply, spam outweighs pending.

    Words are compared as _folded() makes them, in the name, in the text that readers see, and in the targets of links.
    Punctuation and emoji are compared too; a space stands for any white space. A rule is found where its words are
    whole words: `casino` not in `casinos`, but in `casino-bonus`. Where a script has no spaces, it is found anywhere.
    """

    def __init__(self, rows: Iterable[tuple[str, str | None, str, bytes | None]] = ()) -> None:
        self._authors: dict[bytes, str] = {}
        self._words: dict[str, list[tuple[str, str]]] = {}  # by the longest word of each: few comments have it
        for kind, value, effect, author_hash in rows:
            if kind == "author" and author_hash is not None:
                author = bytes(author_hash)
                self._authors[author] = _outweighing({effect, self._authors.get(author)}) or effect
            elif kind == "word" and value is not None:
                tokens = TOKEN.findall(_folded(value))
                self._words.setdefault(max(tokens, key=len, default=""), []).append((_padded(tokens), effect))

    def on_author(self, author_hash: bytes | None) -> str | None:
        """The effect of the rules on this author; None: there is none."""
        return None if author_hash is None else self._authors.get(author_hash)

    def on_words(self, comment: Comment) -> str | None:
        """The effect of the rules on words in this comment; None: none is found.

        For 1,000 rules and any comment, it takes at most some 20 ms; for a short one 0.1 ms.
        """
        if not self._words:
            return None
        parts = [TOKEN.findall(_folded(part)) for part in _shown(comment)]
        text = "".join(map(_padded, parts))  # a rule is not found across two parts: there are two \0 between them
        words = set[str]().union(*parts) & self._words.keys()
        return _outweighing({effect for word in words for rule, effect in self._words[word] if rule in text})


class Facts(NamedTuple):
    """What judge() must know besides the comment. The default: nothing is configured.

    `moderation` is none, first or all. `max_links` is None for any number. `has_published`: a comment of this author is
    published. `is_over_limit`: the site gets more comments than SITE_LIMIT. `author_hash` identifies the author.
    """

    moderation: str = "none"
    max_links: int | None = None
    has_published: bool = False
    is_over_limit: bool = False
    rules: Rules = Rules()
    author_hash: bytes | None = None
    is_moderator: bool = False


def judge(comment: Comment, facts: Facts) -> Verdict:
    """The status and reason of a new or edited comment: the first line of the table that applies.

    Lines for spam come before lines for pending: a rule that holds an author must not protect that author from a rule
    that says spam. Of the reasons for pending, the first is the one that tells a moderator most. `comment.reason` is
    what Comment.from_json() found, or the reason of the stored comment before the edit: no edit undoes the decision of
    a moderator or of the honeypot.
    """
    by_author, by_words = facts.rules.on_author(facts.author_hash), facts.rules.on_words(comment)
    has_many_links = facts.max_links is not None and links(comment) > facts.max_links
    table = [
        (facts.is_moderator, PUBLISHED, None),
        (comment.reason == "honeypot", SPAM, "honeypot"),
        (comment.reason == "moderator", comment.status, "moderator"),
        (by_author == SPAM, SPAM, "author"),
        (by_words == SPAM, SPAM, "words"),
        (by_author == PENDING, PENDING, "author"),
        (by_words == PENDING, PENDING, "words"),
        (has_many_links, PENDING, "links"),
        (facts.is_over_limit, PENDING, "limit"),
        (facts.moderation == "all", PENDING, "all"),
        (facts.moderation == "first" and not facts.has_published, PENDING, "first"),
    ]
    return next((Verdict(status, reason) for applies, status, reason in table if applies), Verdict(PUBLISHED, None))


def links(comment: Comment) -> int:
    """How many links readers see. What Markdown does not make a link (example.com, HTML, code) is not counted."""
    return _html(comment).count("<a ")


def normalize_word(value: object) -> str:
    """A word or phrase of a rule as it is stored. Rules that find the same have the same text. Raises InvalidInput."""
    if not isinstance(value, str):
        raise InvalidInput("Value must be a string.")
    word = _folded(value[: 100 * MAX_WORD])
    if not word:
        raise InvalidInput("Value is required.")
    if len(word) > MAX_WORD or len(value) > 100 * MAX_WORD:
        raise InvalidInput(f"Value must not be longer than {MAX_WORD} characters.")
    if any(category(char) in ("Cc", "Cs") for char in word):
        raise InvalidInput("Value must not contain control characters or lone surrogates.")
    if all(category(char)[0] in "PZCM" for char in word):
        raise InvalidInput("Value must contain a letter, a digit or a symbol.")
    return word


def _html(comment: Comment) -> str:
    return with_html([comment])[0].html or ""


def _shown(comment: Comment) -> list[str]:
    """The name, the text as readers see it, and the targets of links. Markup inside a word does not split the word."""
    html = _html(comment)
    shown = [TAG.sub("", html), *(DOT.sub(".", unquote(target)) for target in TARGET.findall(html))]
    for entity, char in ENTITIES.items():
        shown = [text.replace(entity, char) for text in shown]
    return [comment.name, *shown]


def _folded(text: str) -> str:
    """A text in a form that is equal for texts that look alike: NFKC, no upper case, no invisible characters.

    Like Unicode's NFKC_Casefold (https://www.unicode.org/versions/latest/core-spec/chapter-3/#G34944). In addition, any
    white space becomes one space, and U+2019 an apostrophe.
    """
    if not text.isascii():
        text = IGNORED.sub("", text).replace("\ufdfa", " ")  # one character, which is a sentence of 18 in NFKC
        text = LONG_RUN.sub(_without_marks, text)
        text = DECORATION.sub("", normalize("NFKC", normalize("NFKC", text).casefold()))
    return " ".join(text.casefold().replace("\u2019", "'").split())


def _without_marks(run: re.Match[str]) -> str:
    return "".join(char for char in run[0] if not combining(normalize("NFKD", char)[0]))


def _padded(tokens: list[str]) -> str:
    """The tokens as one text. A rule's text is part of a comment's text if its tokens stand there in a row."""
    return "\0" + "\0".join(tokens) + "\0"


def _outweighing(effects: Iterable[str | None]) -> str | None:
    effects = set(effects)
    return SPAM if SPAM in effects else PENDING if PENDING in effects else None

"""What a comment is: the rules that input must meet, and its JSON shape."""

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple, NoReturn, Self

from markup import plain, render

# In Unicode code points, after white space at both ends is trimmed. migrations/ holds the same.
MAX_NAME = 100
MAX_COMMENT = 10_000
MAX_THREAD = 512

MAX_ID = 2**63 - 1  # PostgreSQL's bigint
HELD = ("pending", "spam")  # the states of a comment that is not shown
MAX_RENDERED = 50_000  # characters of a page whose Markdown is rendered when it is read

# What is trimmed: the white space of JavaScript's trim(), so that the patterns of openapi.yaml can say it as \s.
# https://tc39.es/ecma262/#prod-WhiteSpace
WHITE_SPACE = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)

# What a name must not contain, and what the client is told. Each would let a name change the page around it.
NOT_IN_NAMES = {
    "line breaks": re.compile("[\n\v\f\r\u0085\u2028\u2029]"),
    "control characters": re.compile("[\x00-\x1f\x7f-\x9f]"),
    # https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters: embeddings, overrides and isolates
    "characters that change the direction of text": re.compile("[\u202a-\u202e\u2066-\u2069]"),
}
NOT_IN_COMMENTS = {
    "control characters other than tabs and line breaks": re.compile("[\x00-\x08\v\f\x0e-\x1f\x7f-\x9f]"),
}

# Characters that show nothing and are no white space: Unicode's Default_Ignorable_Code_Point, and the blank Braille
# pattern. https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt
IGNORABLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
VISIBLE = re.compile(f"[^{WHITE_SPACE}{IGNORABLE}]")


class InvalidInput(ValueError):
    """Input that breaks a rule; its text is the sentence that the client gets."""


class Comment(NamedTuple):
    """Somebody's words under a page. `id` and the times are None until it is stored.

    The times are in UTC, to the microsecond, as RFC 3339 writes them: 2026-11-23T08:10:00.123456Z. `edited_at` is None
    if it was never edited. `parent_id` is the id of the comment that it answers, in the same thread, or None. markup.py
    makes `html` of `comment`; a comment that is stored without HTML gets it when it is read.

    `status` is published, pending, spam or deleted. Nobody but its author and the moderators sees a pending comment or
    spam: it is held, for a `reason` (moderation/judge.py). A deleted comment has an empty name and text: it is kept
    because it has replies. `verified` says that the site vouches for the name.
    """

    id: int | None
    name: str
    comment: str
    thread: str = ""
    created_at: str | None = None
    parent_id: int | None = None
    html: str | None = None
    status: str = "published"
    edited_at: str | None = None
    verified: bool = False
    reason: str | None = None

    @classmethod
    def from_json(cls, body: bytes, name: str | None = None) -> Self:
        """Read what a client posted: an object with `name`, `comment` and perhaps `thread` and `parent_id`.

        With `name`, a name for which the site vouches, the name in the object is ignored. So are other keys: nobody can
        set an id or a date. A comment with `fax` is spam: only bots see that field. Raises InvalidInput.
        """
        fields = read_object(body)
        is_verified = name is not None
        name = name or clean_name(fields.get("name"))
        comment, thread = clean_comment(fields.get("comment")), clean_thread(fields.get("thread"))
        parent_id = _clean_parent_id(fields.get("parent_id"))
        found = cls(None, name, comment, thread, parent_id=parent_id, html=render(comment), verified=is_verified)
        return found if _is_blank(fields.get("fax")) else found._replace(status="spam", reason="honeypot")

    def edited(self, edit: "Edit") -> Self:
        """The comment after this edit, but with the old `edited_at`."""
        changed = {name: value for name, value in edit._asdict().items() if value is not None}
        return self._replace(**changed)

    @property
    def is_held(self) -> bool:
        """Whether only its author and the moderators see it."""
        return self.status in HELD

    @classmethod
    def from_row(cls, row: Iterable[Any]) -> Self:
        """Make a comment of a row, whose values are in the order of the fields. Makes the HTML that is missing."""
        comment = cls(*row)
        return comment if comment.html is not None else comment._replace(html=render(comment.comment))

    def to_dict(self) -> dict[str, object]:
        """The comment as the API shows it: these fields and no others. Nobody is told that it is spam."""
        return {
            "id": self.id,
            "name": self.name,
            "comment": self.comment,
            "thread": self.thread,
            "created_at": self.created_at,
            "parent_id": self.parent_id,
            "html": self.html,
            "status": "pending" if self.status == "spam" else self.status,
            "edited_at": self.edited_at,
            "verified": self.verified,
        }

    def for_moderators(self) -> dict[str, object]:
        """The comment as moderators see it."""
        return self.to_dict() | {"status": self.status, "reason": self.reason}


def with_html(comments: list[Comment]) -> list[Comment]:
    """Make the HTML that is missing in these comments, which are shown together. Changes the list, and returns it.

    Markdown takes time, and nobody else is served meanwhile: beyond MAX_RENDERED characters, comments have no markup.
    """
    left = MAX_RENDERED
    for place, comment in enumerate(comments):
        if comment.html is None:
            left -= len(comment.comment)
            make_html = render if left >= 0 else plain
            comments[place] = comment._replace(html=make_html(comment.comment))
    return comments


class Edit(NamedTuple):
    """What an author changes. None means: no change. `html` is made of `comment`."""

    name: str | None = None
    comment: str | None = None
    html: str | None = None

    @classmethod
    def from_json(cls, body: bytes, name: str | None = None) -> Self:
        """Read what a client sent: an object with `name`, `comment` or both. Other keys are ignored.

        With `name`, a name for which the site vouches, the name in the object is ignored. Raises InvalidInput.
        """
        fields = read_object(body)
        if not fields.keys() & {"name", "comment"}:
            raise InvalidInput("Name or comment is required.")
        if name is None and "name" in fields:
            name = clean_name(fields["name"])
        comment = clean_comment(fields["comment"]) if "comment" in fields else None
        return cls(name, comment, render(comment) if comment else None)


def clean_thread(value: object) -> str:
    """Check the name of a thread, from a body or a query; None is the thread "". Raises InvalidInput."""
    return clean_text("Thread", value, MAX_THREAD)


def clean_name(value: object) -> str:
    """Check the name of an author. Raises InvalidInput."""
    text = _required("Name", value, MAX_NAME, NOT_IN_NAMES)
    if not VISIBLE.search(text):
        raise InvalidInput("Name must contain a visible character.")
    return text


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def clean_comment(value: object) -> str:
    """Check the text of a comment. Raises InvalidInput."""
    return _required("Comment", value, MAX_COMMENT, NOT_IN_COMMENTS)


def _clean_parent_id(value: object) -> int | None:
    if value is None or (type(value) is int and 1 <= value <= MAX_ID):
        return value
    raise InvalidInput(f"Parent_id must be a whole number from 1 to {MAX_ID}.")


def _required(label: str, value: object, limit: int, forbidden: dict[str, re.Pattern[str]]) -> str:
    text = clean_text(label, value, limit)
    if not text:
        raise InvalidInput(f"{label} is required.")
    for what, pattern in forbidden.items():
        if pattern.search(text):
            raise InvalidInput(f"{label} must not contain {what}.")
    return text


def clean_text(label: str, value: object, limit: int) -> str:
    """The text without the white space at its ends; "" for None. Raises InvalidInput, beginning with the label."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidInput(f"{label} must be a string.")
    text = value.strip(WHITE_SPACE)
    if len(text) > limit:
        raise InvalidInput(f"{label} must not be longer than {limit:,} characters.")
    if "\0" in text:
        raise InvalidInput(f"{label} must not contain the character NUL.")
    if not _is_unicode(text):
        raise InvalidInput(f"{label} must be Unicode text: it contains a lone surrogate.")
    return text


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def read_object(body: bytes) -> dict[str, object]:
    """Read an object in JSON. Raises InvalidInput."""
    value = _parse(body)
    if not isinstance(value, dict):
        raise InvalidInput("The body must be a JSON object.")
    return value


def _parse(body: bytes) -> object:
    """JSON as RFC 8259 has it: UTF-8 without a byte order mark, no NaN; of two equal names the last counts."""
    try:
        return _DECODER.decode(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise InvalidInput("The body must be JSON in UTF-8.") from None


def _not_json(name: str) -> NoReturn:
    """Refuse NaN, Infinity and -Infinity, which Python reads and RFC 8259 (section 6) does not know."""
    raise ValueError(name)


def _whole_number(digits: str) -> float:
    """An int that may be an id. A longer number is JSON too, but int() takes long for it, or refuses it: a float."""
    return int(digits) if len(digits) <= 19 else float(digits)


_DECODER = json.JSONDecoder(parse_constant=_not_json, parse_int=_whole_number)

"""What a comment is: the rules that input must meet, and its JSON shape."""

import json
import re
from typing import NamedTuple, NoReturn, Self

# In Unicode code points, after white space at both ends is trimmed. migrations/0001_comments.sql holds the same.
MAX_NAME = 100
MAX_COMMENT = 10_000
MAX_THREAD = 512

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

# A character that shows something. Those that do not: white space, Unicode's Default_Ignorable_Code_Point, and the
# blank Braille pattern. https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt
VISIBLE = re.compile(
    f"[^{WHITE_SPACE}\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


class InvalidInput(ValueError):
    """Input that breaks a rule; its text is the sentence that the client gets."""


class Comment(NamedTuple):
    """Somebody's words under a page. `id` and `created_at` are None until it is stored.

    `created_at` is in UTC, to the microsecond, as RFC 3339 writes it: 2026-11-23T08:10:00.123456Z.
    """

    id: int | None
    name: str
    comment: str
    thread: str = ""
    created_at: str | None = None

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """Read what a client posted: a JSON object with `name`, `comment` and perhaps `thread`.

        Other keys are ignored, so that nobody sets an id or a date. Raises InvalidInput.
        """
        fields = _parse(body)
        if not isinstance(fields, dict):
            raise InvalidInput("The body must be a JSON object.")
        return cls(
            id=None,
            name=_clean_name(fields.get("name")),
            comment=_required("Comment", fields.get("comment"), MAX_COMMENT, NOT_IN_COMMENTS),
            thread=clean_thread(fields.get("thread")),
        )

    def to_dict(self) -> dict[str, object]:
        """The comment as the API shows it: these fields and no others."""
        return {
            "id": self.id,
            "name": self.name,
            "comment": self.comment,
            "thread": self.thread,
            "created_at": self.created_at,
        }


def clean_thread(value: object) -> str:
    """Check the name of a thread, from a body or a query; None is the thread "". Raises InvalidInput."""
    return _clean("Thread", value, MAX_THREAD)


def _clean_name(value: object) -> str:
    text = _required("Name", value, MAX_NAME, NOT_IN_NAMES)
    if not VISIBLE.search(text):
        raise InvalidInput("Name must contain a visible character.")
    return text


def _required(label: str, value: object, limit: int, forbidden: dict[str, re.Pattern[str]]) -> str:
    text = _clean(label, value, limit)
    if not text:
        raise InvalidInput(f"{label} is required.")
    for what, pattern in forbidden.items():
        if pattern.search(text):
            raise InvalidInput(f"{label} must not contain {what}.")
    return text


def _clean(label: str, value: object, limit: int) -> str:
    """The text without the white space at its ends; "" for None."""
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


def _parse(body: bytes) -> object:
    """JSON as RFC 8259 has it: UTF-8 without a byte order mark, no NaN; of two equal names the last counts."""
    try:
        return _DECODER.decode(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise InvalidInput("The body must be JSON in UTF-8.") from None


def _not_json(name: str) -> NoReturn:
    """Refuse NaN, Infinity and -Infinity, which Python reads and RFC 8259 (section 6) does not know."""
    raise ValueError(name)


# Integers are read as floats, because int() refuses those of more than 4,300 digits, which are JSON. None is used.
_DECODER = json.JSONDecoder(parse_constant=_not_json, parse_int=float)

"""What a comment is: the rules that input must meet, and its JSON shape."""

import json
from typing import NamedTuple, NoReturn, Self

# In Unicode code points, after white space at both ends is trimmed. migrations/0001_comments.sql holds the same.
MAX_NAME = 100
MAX_COMMENT = 10_000
MAX_THREAD = 512


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
            name=_required("Name", fields.get("name"), MAX_NAME),
            comment=_required("Comment", fields.get("comment"), MAX_COMMENT),
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


def _required(label: str, value: object, limit: int) -> str:
    text = _clean(label, value, limit)
    if not text:
        raise InvalidInput(f"{label} is required.")
    return text


def _clean(label: str, value: object, limit: int) -> str:
    """The text without the white space at its ends; "" for None."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidInput(f"{label} must be a string.")
    text = value.strip()
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

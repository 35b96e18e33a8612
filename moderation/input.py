"""What moderators send, checked: decisions, rules and searches."""

from typing import NamedTuple, Self

from comment import MAX_ID, InvalidInput, clean_text, read_object
from moderation.judge import normalize_word
from moderation.rules import Rule

STATUSES = ("published", "pending", "spam", "deleted")
EFFECTS = ("pending", "spam")
MAX_IDS = 200  # comments that one call changes
MAX_SEARCH = 100  # Unicode code points


class Decision(NamedTuple):
    """The new status of comments, and their ids; None if the path names the comment."""

    status: str
    ids: list[int] | None = None

    @classmethod
    def from_json(cls, body: bytes, needs_ids: bool) -> Self:
        """Read an object with `status`, and `ids` if they are needed. Other keys are ignored. Raises InvalidInput."""
        fields = read_object(body)
        status, ids = fields.get("status"), fields.get("ids")
        if status not in STATUSES:
            raise InvalidInput("Status must be published, pending, spam or deleted.")
        if not needs_ids:
            return cls(str(status))
        if not isinstance(ids, list) or not 1 <= len(ids) <= MAX_IDS or not all(map(_is_id, ids)):
            raise InvalidInput(f"Ids must be a list of 1 to {MAX_IDS} whole numbers from 1 to {MAX_ID}.")
        return cls(str(status), ids)


class NewRule(NamedTuple):
    """A rule as it was sent. `value` is a word, or the id of one of the author's comments."""

    kind: str
    value: str | int
    effect: str

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """Read an object with `kind`, `value` and `effect`. Other keys are ignored. Raises InvalidInput."""
        fields = read_object(body)
        kind, value, effect = fields.get("kind"), fields.get("value"), fields.get("effect")
        if effect not in EFFECTS:
            raise InvalidInput("Effect must be pending or spam.")
        if kind == "word":
            return cls(kind, normalize_word(value), str(effect))
        if kind != "author":
            raise InvalidInput("Kind must be word or author.")
        if not isinstance(value, int) or not _is_id(value):
            raise InvalidInput(f"Value must be the id of a comment: a whole number from 1 to {MAX_ID}.")
        return cls(kind, value, str(effect))

    def rule(self, author_hash: bytes | None) -> Rule:
        """The rule to store. A rule on an author needs the author's hash. Raises InvalidInput."""
        if self.kind == "word":
            return Rule(None, self.kind, str(self.value), str(self.value), self.effect)
        if author_hash is None:
            raise InvalidInput("There is no comment with this id, or it was posted without a key.")
        return Rule(None, self.kind, str(self.value), author_hash.hex(), self.effect)


def clean_search(value: str) -> str:
    """A part of a name or a text to look for. Raises InvalidInput."""
    text = clean_text("Q", value, MAX_SEARCH)
    if not text:
        raise InvalidInput("Q is required.")
    return text


def _is_id(value: object) -> bool:
    return type(value) is int and 1 <= value <= MAX_ID

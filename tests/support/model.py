"""A model in memory of what openapi.yaml promises, and a check of the table."""

from dataclasses import dataclass, field
from typing import Any

from support.postgres import sql

# Few of each, so that they meet.
THREADS = ["", "/a post"]
NAMES = ["Ada", "Grace"]
TEXTS = {"Hello": "<p>Hello</p>", "*Bye*": "<p><em>Bye</em></p>", "1 < 2": "<p>1 &lt; 2</p>"}  # and their HTML
KEYS = ["the-key-of-the-first-author", "the-key-of-another-author"]
IDEMPOTENCY_KEYS = ["one", "two"]
NEVER = 10**9  # an id that no comment has


@dataclass(frozen=True)
class Sent:
    """A POST, with its headers."""

    name: str
    comment: str
    thread: str
    parent_id: int | None
    author: str | None
    idempotency_key: str | None

    @property
    def body(self) -> dict[str, object]:
        return {"name": self.name, "comment": self.comment, "thread": self.thread, "parent_id": self.parent_id}

    @property
    def headers(self) -> dict[str, str]:
        key = {"Idempotency-Key": self.idempotency_key} if self.idempotency_key else {}
        return bearer(self.author) | key


def bearer(author: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {author}"} if author else {}


@dataclass
class Entry:
    """A comment in the model: the JSON that the API shows, and the keys that it hides."""

    shown: dict[str, Any]
    author: str | None
    idempotency_key: str | None

    @property
    def is_published(self) -> bool:
        return bool(self.shown["status"] == "published")

    def is_sent_again_by(self, sent: Sent) -> bool:
        """Whether this POST is a retry of the one that stored it."""
        was_edited = self.shown["edited_at"] is not None
        has_content = (self.shown["name"], self.shown["comment"]) == (sent.name, sent.comment)
        return (self.shown["parent_id"], self.author) == (sent.parent_id, sent.author) and (was_edited or has_content)

    def erase(self) -> None:
        self.shown |= {"name": "", "comment": "", "html": "", "status": "deleted", "edited_at": None}
        self.author = self.idempotency_key = None


@dataclass
class Model:
    """The comments that are there, by id."""

    entries: dict[int, Entry] = field(default_factory=dict)

    def with_key(self, sent: Sent) -> Entry | None:
        """The comment that has the thread and the Idempotency-Key of this POST."""
        key = (sent.thread, sent.idempotency_key)
        has_key = (entry for entry in self.entries.values() if (entry.shown["thread"], entry.idempotency_key) == key)
        return next(has_key, None) if sent.idempotency_key else None

    def can_be_answered(self, sent: Sent) -> bool:
        parent = self.entries.get(sent.parent_id or 0)
        return sent.parent_id is None or (parent is not None and parent.shown["thread"] == sent.thread)

    def replies(self, comment_id: int | None) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.shown["parent_id"] == comment_id]

    def why_not(self, comment_id: int, author: str | None) -> int | None:
        """The status of the error if this author may not change the comment, or else None."""
        entry = self.entries.get(comment_id)
        if author is None:
            return 401
        if entry is None or not entry.is_published:
            return 404
        return None if entry.author == author else 403

    def delete(self, comment_id: int) -> None:
        entry = self.entries[comment_id]
        if self.replies(comment_id):
            entry.erase()
            return
        del self.entries[comment_id]
        above = self.entries.get(entry.shown["parent_id"])
        if above and not above.is_published and not self.replies(above.shown["id"]):
            self.delete(above.shown["id"])

    def page(self, thread: str | None, is_newest_first: bool = False, after: int | None = None) -> list[dict[str, Any]]:
        """The comments of such a page and of all pages after it."""
        shown = [entry.shown for entry in self.entries.values() if thread in (None, entry.shown["thread"])]
        ordered = sorted(shown, key=lambda comment: int(comment["id"]), reverse=is_newest_first)
        if after is None:
            return ordered
        return [comment for comment in ordered if (comment["id"] < after if is_newest_first else comment["id"] > after)]


def check_table(url: str) -> None:
    """Every reply has its parent. Every deleted comment has a reply, and nothing of its author."""
    replies = "FROM comments AS reply WHERE (reply.thread, reply.parent_id) = (comments.thread, comments.id)"
    parents = "FROM comments AS parent WHERE (parent.thread, parent.id) = (comments.thread, comments.parent_id)"
    person = "(name, comment, html) IS DISTINCT FROM ('', '', '')"
    person += " OR num_nonnulls(author_hash, idempotency_key, edited_at) > 0"
    for wrong in (
        f"parent_id IS NOT NULL AND NOT EXISTS (SELECT {parents})",
        f"status = 'deleted' AND NOT EXISTS (SELECT {replies})",
        f"status = 'deleted' AND ({person})",
    ):
        assert sql(url, f"SELECT id FROM comments WHERE {wrong}") == [], wrong  # noqa: S608

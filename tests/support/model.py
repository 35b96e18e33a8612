"""A model in memory of what openapi.yaml promises, and a check of the table."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from support.postgres import sql

# Few of each, so that they meet.
THREADS = ["", "/a post"]
NAMES = ["Ada", "Grace"]
TEXTS = {  # and their HTML
    "Hello": "<p>Hello</p>",
    "*Bye*": "<p><em>Bye</em></p>",
    "1 < 2": "<p>1 &lt; 2</p>",
    "A *casino*": "<p>A <em>casino</em></p>",
}
SPAM = "casino"  # what a rule of the moderators says
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
    """A comment in the model: the JSON that the API shows, and what it hides.

    `reason` is why the comment is held, and `is_spam` what its author is not told.
    """

    shown: dict[str, Any]
    author: str | None
    idempotency_key: str | None
    is_spam: bool = False
    reason: str | None = None

    @property
    def status(self) -> str:
        return "spam" if self.is_spam else str(self.shown["status"])

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
    """The comments that are there, by id: those that everybody sees, and those that are held.

    With `is_moderated`, the first comment of an author waits, and what has the word SPAM is spam.
    """

    is_moderated: bool = False
    entries: dict[int, Entry] = field(default_factory=dict)
    held: dict[int, Entry] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        """A new comment, which the service shows, or holds."""
        status, entry.reason = self.judge(entry)
        entry.is_spam = status == "spam"
        (self.entries if status == "published" else self.held)[entry.shown["id"]] = entry

    def judge(self, entry: Entry) -> tuple[str, str | None]:
        """The status of a comment by itself, and the reason."""
        if self.is_moderated and SPAM in entry.shown["comment"]:
            return "spam", "words"
        known = {other.author for other in self.entries.values() if other.is_published} - {None}
        return ("pending", "first") if self.is_moderated and entry.author not in known else ("published", None)

    def own(self, comment_id: int) -> Entry | None:
        """A comment as its author sees it. What is held may have a tombstone that the others see."""
        return self.held.get(comment_id) or self.entries.get(comment_id)

    def edit(self, comment_id: int, shown: dict[str, Any]) -> None:
        """The author has edited a comment. An edit may hold it, and never publishes it."""
        entry = self.own(comment_id)
        assert entry
        is_held = comment_id in self.held
        entry.shown = shown | {"status": entry.shown["status"]}
        status, reason = self.judge(entry)
        if not is_held and status != "published":
            self.hold(comment_id, status, reason)
        elif is_held and status == "spam" and entry.reason != "moderator":
            entry.is_spam, entry.reason = True, reason

    def decide(self, ids: Iterable[int], status: str) -> int:
        """A moderator gives comments this status; how many had another one."""
        found = {id: entry for id in ids if (entry := self.own(id)) and status != entry.status != "deleted"}
        for id, entry in sorted(found.items()):
            if status == "published":
                self.publish(id, found.keys())
            elif status == "deleted":
                self.delete(id)
            elif id in self.held:
                entry.is_spam, entry.reason = status == "spam", "moderator"
            else:
                self.hold(id, status, "moderator")
        return len(found)

    def hold(self, comment_id: int, status: str, reason: str | None) -> None:
        entry = self.entries[comment_id]
        shown = entry.shown | {"status": "pending"}
        self.held[comment_id] = Entry(shown, entry.author, entry.idempotency_key, status == "spam", reason)
        self._remove(comment_id)

    def publish(self, comment_id: int, together: Iterable[int]) -> None:
        entry = self.held.pop(comment_id)
        parent_id = entry.shown["parent_id"]
        is_there = parent_id in self.entries or parent_id in together
        entry.shown |= {"status": "published", "parent_id": parent_id if is_there else None}
        entry.is_spam, entry.reason = False, None
        self.entries[comment_id] = entry

    def with_key(self, sent: Sent) -> Entry | None:
        """The comment that has the thread and the Idempotency-Key of this POST."""
        key = (sent.thread, sent.idempotency_key)
        every = [*self.entries.values(), *self.held.values()]
        has_key = (entry for entry in every if (entry.shown["thread"], entry.idempotency_key) == key)
        return next(has_key, None) if sent.idempotency_key else None

    def can_be_answered(self, sent: Sent) -> bool:
        parent = self.entries.get(sent.parent_id or 0)
        return sent.parent_id is None or (parent is not None and parent.shown["thread"] == sent.thread)

    def replies(self, comment_id: int | None) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.shown["parent_id"] == comment_id]

    def why_not(self, comment_id: int, author: str | None) -> int | None:
        """The status of the error if this author may not change the comment, or else None."""
        entry = self.own(comment_id)
        if author is None:
            return 401
        if entry is None or entry.status == "deleted":
            return 404
        return None if entry.author == author else 404 if comment_id in self.held else 403

    def delete(self, comment_id: int) -> None:
        if not self.held.pop(comment_id, None):
            self._remove(comment_id)

    def _remove(self, comment_id: int) -> None:
        entry = self.entries[comment_id]
        if self.replies(comment_id):
            entry.erase()
            return
        del self.entries[comment_id]
        above = self.entries.get(entry.shown["parent_id"])
        if above and not above.is_published and not self.replies(above.shown["id"]):
            self._remove(above.shown["id"])

    def count(self, thread: str) -> int:
        """How many published comments a thread has."""
        return sum(entry.is_published for entry in self.entries.values() if entry.shown["thread"] == thread)

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

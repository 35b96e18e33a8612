"""Moderation in PostgreSQL: searches and decisions of moderators, rules, closed threads, limits."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import NamedTuple, TypeVar

import statements
from comment import Comment
from config import Limit
from db import CommentDatabase
from moderation import facts, finding, held, limits, rules, threads
from moderation.facts import Asked, Known
from moderation.finding import Search, SearchPage
from moderation.judge import Rules
from moderation.rules import Rule
from postgres.deadline import Connection, new_deadline

ATTEMPTS = 3  # to change the status of comments, which others may change meanwhile
SPAM_AT_ONCE = 1_000  # comments that one statement removes
QUEUE = 1_000  # the most waiting comments that are counted

Result = TypeVar("Result")


class Prepared(NamedTuple):
    """The rules, and their version."""

    version: int
    rules: Rules


class Purged(NamedTuple):
    """How many rows were removed, of each kind."""

    spam: int
    limits: int
    daily_keys: int


class ModerationDatabase:
    """What moderators see and change.

    Each method runs one statement, unless its docstring says otherwise. What it returns is committed. Every method may
    raise DatabaseUnavailable. It takes at most CALL_TIMEOUT (postgres/deadline.py), or ends at the `deadline` that it
    is given: all that a request needs before it stores a comment shares one.
    """

    def __init__(self, comments: CommentDatabase) -> None:
        """It uses the connections of `comments`, and connects to nothing."""
        self._comments = comments
        self._pool = comments.pool
        self._prepared = Prepared(0, Rules())
        self._daily_key: tuple[date, bytes] | None = None

    def facts(self, asked: Asked, deadline: float | None = None) -> tuple[Known, Rules]:
        """What the database knows of a new comment, and the rules. A second statement reads rules that changed."""
        with self._pool.connection(deadline=deadline) as connection:
            known = facts.read(connection, asked)
            prepared = self._prepared
            if prepared.version != known.rules_version:
                version, found = rules.read(connection)
                prepared = self._prepared = Prepared(version, _prepare(found))
        return known, prepared.rules

    def search(self, what: Search, limit: int, after: int | None = None, newest_first: bool = False) -> SearchPage:
        """A page of at most `limit` comments (moderation/finding.py). It runs three statements at most."""
        return self._read(partial(finding.search, what=what, limit=limit, after=after, newest_first=newest_first))

    def find_comments(self, ids: Sequence[int]) -> list[Comment]:
        """The comments with these ids that are there, held or not, and not deleted."""
        return self._read(partial(finding.find_several, ids=ids))

    def count_pending(self) -> int:
        """How many comments wait, up to QUEUE."""
        return self._read(partial(held.count_pending, limit=QUEUE))

    def set_status(self, ids: Sequence[int], status: str, seen: Mapping[int, str | None] | None = None) -> int:
        """Publish, hold or delete the comments with these ids, by a moderator; how many it has changed.

        `status` is published, pending, spam or deleted. `seen` has the `edited_at` of each id when the moderator read
        it. A comment that was edited since is not changed: nobody publishes a text that they have not read.

        One statement finds the comments. One more changes all that are held, and one each changes a published comment.
        This is repeated, up to ATTEMPTS times, for comments that others have changed meanwhile.
        """
        deadline = new_deadline()
        changed = 0
        for _ in range(ATTEMPTS):
            with self._pool.connection(deadline=deadline) as connection:
                found = finding.find_several(connection, ids)
            left = [
                each
                for each in found
                if each.status != status and (seen is None or (each.id, each.edited_at) in seen.items())
            ]
            if not left:
                break
            if is_held := [each for each in left if each.is_held]:
                change = partial(_decide_held, comments=is_held, status=status)
                changed += self._comments.change(change, is_held[0].thread, deadline)
            for each in left:
                if not each.is_held:
                    change = partial(_decide, comment=each, status=status)
                    changed += self._comments.change(change, each.thread, deadline)
        return changed

    def author_of(self, comment_id: int) -> bytes | None:
        """The hash of the author of this comment; None if it was posted without a key, or is not there."""
        return self._read(partial(finding.author, comment_id=comment_id))

    def with_author(self, ids: Sequence[int]) -> set[int]:
        """The ids of those comments that were posted with a key or a token."""
        return self._read(partial(finding.with_author, ids=ids))

    def rules(self) -> list[Rule]:
        """All rules, by ascending id."""
        return self._read(lambda connection: rules.read(connection)[1])

    def add_rule(self, rule: Rule) -> Rule | None:
        """Store a rule, or give the one that matches the same the new effect. None if there are MAX_RULES already."""
        return self._write(partial(rules.add, rule=rule))

    def delete_rule(self, rule_id: int) -> bool:
        """Delete a rule; False if it is not there."""
        return self._write(partial(rules.delete, rule_id=rule_id))

    def close_thread(self, thread: str) -> None:
        """Close a thread; a closed one stays closed."""
        self._write(partial(threads.close, thread=thread))

    def open_thread(self, thread: str) -> None:
        """Open a thread; an open one stays open."""
        self._write(partial(threads.open_again, thread=thread))

    def closed_threads(self, limit: int, after: str | None = None) -> list[str]:
        """At most `limit` closed threads by name, those after the thread `after`."""
        return self._read(partial(threads.read, limit=limit, after=after))

    def take_limit(self, kind: str, address: str | None, limit: Limit, deadline: float | None = None) -> int:
        """Take one request from the limit that this address has on requests of a kind, for example "post".

        0: it is allowed. Otherwise, in how many seconds one is allowed (1 or more). All clients without an address
        share a limit. The first call of a day in UTC runs a second statement. A new day begins with full limits.
        """
        with self._pool.connection(to_write=True, deadline=deadline) as connection:
            daily_key = self._key_of(today(), connection)
            return limits.take(connection, limits.client_key(daily_key, kind, address, limit), limit)

    def _key_of(self, day: date, connection: Connection) -> bytes:
        cached = self._daily_key
        if cached is None or cached[0] != day:
            cached = self._daily_key = (day, limits.daily_key(connection, day))
        return cached[1]

    def purge(self, spam_days: int) -> Purged:
        """Remove comments that have been spam for `spam_days`, and limits and daily keys that are over.

        It runs as many short statements as it takes.
        """
        spam = self._all(partial(held.purge, days=spam_days, limit=SPAM_AT_ONCE), SPAM_AT_ONCE)
        removed = self._all(limits.purge, limits.PURGED_AT_ONCE)
        return Purged(spam, limits=removed, daily_keys=self._write(limits.purge_keys))

    def _all(self, purge: Callable[[Connection], int], at_once: int) -> int:
        """Run a statement until it removes fewer than `at_once` rows; how many it has removed in all."""
        removed = batch = self._write(purge)
        while batch == at_once:
            removed += (batch := self._write(purge))
        return removed

    def _read(self, statement: Callable[[Connection], Result]) -> Result:
        with self._pool.connection() as connection:
            return statement(connection)

    def _write(self, statement: Callable[[Connection], Result]) -> Result:
        with self._pool.connection(to_write=True) as connection:
            return statement(connection)


def today() -> date:
    """The day in UTC."""
    return datetime.now(UTC).date()


def _prepare(found: Sequence[Rule]) -> Rules:
    return Rules(
        (rule.kind, rule.matches, rule.effect, bytes.fromhex(rule.matches) if rule.kind == "author" else None)
        for rule in found
    )


def _decide(connection: Connection, comment: Comment, status: str) -> int:
    """Hold or delete a published comment as it was read; how many were changed."""
    if status == "deleted":
        return statements.delete(connection, comment, if_unchanged=True)
    held_comment = comment._replace(status=status, reason="moderator")
    return held.hold(connection, held_comment, None, if_unchanged=True)


def _decide_held(connection: Connection, comments: Sequence[Comment], status: str) -> int:
    """Publish or delete held comments, or give them another status; how many were changed."""
    ids = [comment.id or 0 for comment in comments]
    if status == "published":
        return held.publish(connection, comments)
    if status == "deleted":
        return held.delete_several(connection, ids)
    return held.set_status(connection, ids, status, "moderator")

"""The comments in PostgreSQL: which connection a call takes, which calls share a statement, and what is cached."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import psycopg2
from psycopg2.errors import ForeignKeyViolation

import inserts
import statements
from comment import Comment, Edit, InvalidInput
from inserts import NewRow
from markup import render
from moderation import finding, held
from moderation.finding import Found
from moderation.judge import Verdict
from postgres import migrations
from postgres.batches import Batches
from postgres.connections import ConnectionPool
from postgres.deadline import Connection, new_deadline
from postgres.errors import SchemaNotCurrent, is_rolled_back
from postgres.hosts import Hosts
from postgres.page_cache import SNAPSHOT, PageCache
from statements import Count, Page

# The bounds of a batch of comments.
MAX_ROWS = 64
MAX_CHARACTERS = 100_000

RENDERED_AT_ONCE = 100  # comments, by `flask render`

PUBLISHED = Verdict("published", None)

Change = Callable[[Connection], Any]
PageKey = tuple[int, int | None, str | None, bool]  # limit, after, thread, newest_first


class KeyReused(Exception):
    """The idempotency key belongs to another comment of the thread."""


class Rendered(NamedTuple):
    """The id of the last comment that was rendered, how many were rendered, and the HTML of how many has changed."""

    last_id: int
    comments: int
    changed: int


class CommentDatabase:
    """The comments in one PostgreSQL database.

    Each method runs one statement, unless its docstring says otherwise. What it returns is committed. Every method may
    raise DatabaseUnavailable. It takes at most CALL_TIMEOUT (postgres/deadline.py), or ends at the `deadline` that it
    is given.
    """

    def __init__(
        self,
        database_url: str,
        connections: int = 6,
        caches_pages: bool = True,
        shares: bool = True,
        may_hold: bool = False,
    ) -> None:
        """Takes a postgresql:// URL with any of libpq's parameters, and how many connections there may be at once.

        With `may_hold`, one retry may be held and another one published, so both lock their idempotency key. With
        `shares`, calls that wait at the same time share a statement (postgres/batches.py), and pages are cached if
        `caches_pages`. Connects to nothing. Raises InvalidDatabaseURL.
        """
        hosts = Hosts(database_url)
        caches = shares and caches_pages
        has_prover = caches and connections > 1
        self.pool = ConnectionPool(hosts, connections - has_prover)
        self._prover = ConnectionPool(hosts, 1) if has_prover else self.pool
        self._cache: PageCache[Page] | None = PageCache(self._prover) if caches else None
        self._page_batches = Batches(self._get_page)
        self._insert_batches = Batches(self._insert, MAX_ROWS, MAX_CHARACTERS)
        self._change_batches: Batches[Change, Any] = Batches(self._change, max_items=1)
        self._shares = shares
        self._may_hold = may_hold

    def create_comment(
        self,
        comment: Comment,
        idempotency_key: str | None = None,
        author_hash: bytes | None = None,
        deadline: float | None = None,
    ) -> Comment:
        """Store a comment; returns it with its id and time. One that is pending or spam is held.

        Comments that come at the same time are one statement. More statements follow if the key is taken, or if the
        statement fails: then each comment is tried by itself, so one that fails harms no other. For a reply that is
        tried by itself, a statement looks for its parent first. If the foreign key refused the reply instead,
        PostgreSQL would log it, with its text, its name and the hash of its author's key.

        A comment with an idempotency key (1 to 255 characters) is stored once in its thread, however many callers store
        it at once, and each gets the one that is stored, published or held. Raises KeyReused if that one has other
        content or another author.

        `author_hash` (32 bytes) identifies the author. Raises InvalidInput if `parent_id` is not a comment of the
        thread.
        """
        deadline = deadline or new_deadline()
        values = (comment.thread, comment.name, comment.comment, comment.parent_id, comment.html)
        row = NewRow(*values, author_hash, idempotency_key, comment.verified)
        size = sum(len(value) for value in row if isinstance(value, str))
        is_batched = self._shares and not comment.is_held
        stored = self._insert_batches.submit(row, deadline, size=size) if is_batched else None
        return stored or self._insert_alone(row, comment, deadline)

    def _insert(self, new: list[NewRow], deadline: float) -> list[Comment | None]:
        """Insert rows by one statement. None stands for a row that is not stored: it is then tried by itself."""
        with self.pool.connection(to_write=True, deadline=deadline) as connection:
            if len(new) > 1 and connection.is_distributed:
                return [None] * len(new)
            try:
                if len(new) == 1:
                    return [inserts.insert(connection, new[0], self._may_hold)]
                return inserts.insert_several(connection, new, self._may_hold)
            except psycopg2.Error as error:
                if is_rolled_back(error) and (len(new) > 1 or isinstance(error, ForeignKeyViolation)):
                    return [None] * len(new)
                raise

    def _insert_alone(self, row: NewRow, comment: Comment, deadline: float) -> Comment:
        """Raises KeyReused and InvalidInput, both at the end: an error inside would close the connection."""
        outcome: Comment | Exception | None = None
        with self.pool.connection(to_write=True, deadline=deadline) as connection:
            while outcome is None:
                # Two statements: an INSERT that has waited for another transaction can't see what that has committed.
                # Again, if no row was found and none inserted: the comment with the key was deleted in between.
                found = finding.find_by_key(connection, row) if row.idempotency_key else None
                if found:
                    stored, is_same = found
                    outcome = stored if is_same else KeyReused()
                elif not inserts.has_parent(connection, row):
                    outcome = InvalidInput("The comment that this answers does not exist.")
                elif comment.is_held:
                    outcome = held.insert(connection, row, comment.status, comment.reason or "")
                else:
                    with suppress(ForeignKeyViolation):  # it was deleted meanwhile
                        outcome = inserts.insert(connection, row, self._may_hold)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def get_comment(self, comment_id: int) -> Comment | None:
        """The comment with this id (0 to 2^63-1) as everybody sees it, or None."""
        with self.pool.connection() as connection:
            return statements.get(connection, comment_id)

    def find_comment(self, comment_id: int, author_hash: bytes | None = None) -> Found | None:
        """The comment with this id, held or not, and whether `author_hash` is its author's.

        None if it is deleted or not there, or if it is held and `author_hash` is another author's. Without
        `author_hash`, held comments of all authors are found.
        """
        with self.pool.connection() as connection:
            return finding.find(connection, comment_id, author_hash)

    def edit_comment(
        self,
        comment: Comment,
        edit: Edit,
        if_unchanged: bool = False,
        verdict: Verdict = PUBLISHED,
        deadline: float | None = None,
    ) -> Comment | None:
        """Change what `edit` has, and set `edited_at`; returns the edited comment.

        `comment` is what find_comment() returned. None if it was deleted, published or held since, if a moderator gave
        a held comment another status or reason or, with `if_unchanged`, if it was edited. Neither the author nor the
        age is checked here. If `verdict` holds a published comment, a second statement reads it.
        """
        change: Change
        judged = comment._replace(status=verdict.status, reason=verdict.reason)
        if comment.is_held:
            change = partial(held.edit, comment=comment, verdict=verdict, new=edit, if_unchanged=if_unchanged)
        elif judged.is_held:
            change = partial(_hold_edited, comment=judged, new=edit, if_unchanged=if_unchanged)
        else:
            change = partial(statements.edit, comment=comment, new=edit, if_unchanged=if_unchanged)
        edited: Comment | None = self.change(change, comment.thread, deadline or new_deadline())
        return edited

    def delete_comment(self, comment: Comment, if_unchanged: bool = False) -> bool:
        """Delete a comment for good; False if it is deleted already or, with `if_unchanged`, was edited since.

        A comment with replies becomes a tombstone: a row without name, text or key. A tombstone is deleted with its
        last reply, and so is a tombstone above it. The statement runs again if a reply has come meanwhile, or if there
        are very many tombstones.
        """
        delete = held.delete if comment.is_held else statements.delete
        change = partial(delete, comment=comment, if_unchanged=if_unchanged)
        return bool(self.change(change, comment.thread, new_deadline()))

    def change(self, change: Change, thread: str, deadline: float) -> Any:
        """Run an edit or a deletion. Those of a thread wait for each other before, so that they hold no connections."""
        return self._change_batches.submit(change, deadline, lane=thread)

    def _change(self, changes: list[Change], deadline: float) -> list[Any]:
        with self.pool.connection(to_write=True, deadline=deadline) as connection:
            return [change(connection) for change in changes]

    def get_page(
        self, limit: int, after: int | None = None, thread: str | None = None, newest_first: bool = False
    ) -> Page:
        """At most `limit` comments, of all threads or of one, by ascending id or by descending id.

        With `after` (0 to 2^63-1), only those that come after this id in that order. It runs two statements if the page
        was cached and may have changed (postgres/page_cache.py).
        """
        key = (limit, after, thread, newest_first)
        if not self._shares:
            return self._get_page([key], new_deadline())[0]
        return self._page_batches.submit(key, new_deadline(), lane=key)

    def _get_page(self, keys: list[PageKey], deadline: float) -> list[Page]:
        """The same page for all that ask for it."""
        key = keys[0]
        proof, page = self._cache.get(key, deadline) if self._cache else (None, None)
        if page is None:
            with self.pool.connection(deadline=deadline) as connection:
                snapshot, page = statements.read_page(connection, f"({SNAPSHOT})" if proof else "NULL", *key)
            if self._cache and proof:
                page = self._cache.store(key, proof, snapshot, page)
        return [page] * len(keys)

    def count_comments(self, threads: Sequence[str]) -> dict[str, Count]:
        """How many published comments each of these threads has, in their order (statements.Count)."""
        with self.pool.connection() as connection:
            return statements.count(connection, threads)

    def render(self, after: int) -> Rendered | None:
        """Make the HTML of the next comments again; None if there are none with an id above `after`.

        It takes at most RENDERED_AT_ONCE. One statement reads them, and another one stores the HTML that differs.
        """
        with self.pool.connection() as connection:
            texts = statements.read_texts(connection, after, RENDERED_AT_ONCE)
        if not texts:
            return None
        new = [text._replace(html=render(text.comment)) for text in texts]
        changed = [text for text, before in zip(new, texts, strict=True) if text != before]
        with self.pool.connection(to_write=True) as connection:
            return Rendered(texts[-1].id, len(texts), statements.store_html(connection, changed))

    def last_id(self) -> int:
        """The highest id of a comment; 0 if there is none."""
        with self.pool.connection() as connection:
            return statements.last_id(connection)

    def check_ready(self) -> None:
        """Return if every migration of this release is applied, and comments can be read: two statements.

        Raises SchemaNotCurrent.
        """
        with self.pool.connection() as connection:
            is_current = migrations.is_current(connection)
            if is_current:
                statements.read_page(connection, "NULL", 1)
        if not is_current:
            raise SchemaNotCurrent

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self.pool.close()
        self._prover.close()


def _hold_edited(connection: Connection, comment: Comment, new: Edit, if_unchanged: bool) -> Comment | None:
    """Edit and hold a published comment. None if it is not published any more or, with `if_unchanged`, was edited."""
    is_held = held.hold(connection, comment, new, if_unchanged)
    found = finding.find(connection, comment.id or 0, None) if is_held else None
    return found and found.comment

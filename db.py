"""The table comments: every SQL statement on it."""

from dataclasses import dataclass, field
from typing import Any

import psycopg2

from comment import Comment
from postgres import migrations
from postgres.batches import Batches
from postgres.connections import ConnectionPool
from postgres.deadline import Connection, Rows, new_deadline
from postgres.errors import SchemaNotCurrent, is_rolled_back
from postgres.hosts import Hosts
from postgres.page_cache import SNAPSHOT, PageCache

MAX_ID = 2**63 - 1  # PostgreSQL's bigint

# In the order of Comment's fields. PostgreSQL formats the time: in Python that took half of the time of a page.
COLUMNS = (
    "id, name, comment, thread,"
    """ to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS created_at"""
)

# The columns that a client decides, and their types. Two comments with the same key must agree in them.
WRITTEN = {"thread": "text", "name": "text", "comment": "text"}

STORED = WRITTEN | {"idempotency_key": "text"}
NAMES = ", ".join(STORED)
INSERT = (
    f"INSERT INTO comments ({NAMES}) VALUES ({', '.join(['%s'] * len(STORED))})"
    f" ON CONFLICT (thread, idempotency_key) DO NOTHING RETURNING {COLUMNS}"
)

# Several comments, an array for each column. `number` is the place of a row in the batch, and the ids ascend with it.
# The rows are inserted in the order of their keys: else two batches with the same keys could wait for each other.
INSERT_SEVERAL = f"""
    WITH given AS MATERIALIZED (
        SELECT nextval('comments_id_seq') AS id, {NAMES}, number
        FROM unnest({", ".join(f"%s::{kind}[]" for kind in STORED.values())}) WITH ORDINALITY AS given ({NAMES}, number)
        ORDER BY number
    ), stored AS (
        INSERT INTO comments (id, {NAMES}) SELECT id, {NAMES} FROM given ORDER BY thread, idempotency_key
        ON CONFLICT (thread, idempotency_key) DO NOTHING RETURNING {COLUMNS}
    )
    SELECT number, stored.* FROM given JOIN stored USING (id)"""

FIND = f"SELECT {COLUMNS} FROM comments WHERE thread = %s AND idempotency_key = %s"

# The bounds of a batch of comments.
MAX_ROWS = 64
MAX_CHARACTERS = 100_000
LOCK_TIMEOUT = 100  # milliseconds that all of it waits for another transaction, for instance one with the same key

NewRow = tuple[Any, ...]  # in the order of STORED
PageKey = tuple[int, int | None, str | None, bool]  # limit, after, thread, newest_first


class KeyReused(Exception):
    """The idempotency key belongs to another comment of the thread."""


@dataclass
class Page:
    """Comments in the order of their ids, and whether there are more behind them.

    As long as nothing has changed, a cached page is the same object. The web side puts its answer into `rendered`. That
    answer must depend on the page and on the arguments of get_page() only.
    """

    comments: list[Comment]
    has_more: bool
    rendered: object = field(default=None, compare=False, repr=False)

    @property
    def size(self) -> int:
        """The number of its characters."""
        return sum(len(value) for comment in self.comments for value in comment if isinstance(value, str))


class CommentDatabase:
    """The comments in one PostgreSQL database.

    Each method runs one statement, unless its docstring says otherwise. What it returns is committed. Every method may
    raise DatabaseUnavailable. It takes at most CALL_TIMEOUT (postgres/deadline.py).
    """

    def __init__(self, database_url: str, connections: int = 6, caches_pages: bool = True, shares: bool = True) -> None:
        """Takes a postgresql:// URL with any of libpq's parameters, and how many connections there may be at once.

        With `shares`, calls that wait at the same time share a statement (postgres/batches.py), and pages are cached if
        `caches_pages`. Connects to nothing. Raises InvalidDatabaseURL.
        """
        hosts = Hosts(database_url)
        caches = shares and caches_pages
        has_prover = caches and connections > 1
        self._pool = ConnectionPool(hosts, connections - has_prover)
        self._prover = ConnectionPool(hosts, 1) if has_prover else self._pool
        self._cache: PageCache[Page] | None = PageCache(self._prover) if caches else None
        self._page_batches = Batches(self._get_page)
        self._insert_batches = Batches(self._insert, MAX_ROWS, MAX_CHARACTERS)
        self._shares = shares

    def create_comment(self, comment: Comment, idempotency_key: str | None = None) -> Comment:
        """Store a comment; returns it with its id and time.

        Comments that come at the same time are one statement. More statements follow if the key is taken, or if the
        statement fails: then each comment is tried by itself, so one that fails harms no other.

        A comment with a key (1 to 255 characters) is stored once in its thread, however many callers store it at once,
        and each gets the one that is stored. Raises KeyReused if that has another content.
        """
        deadline = new_deadline()
        row = (*(getattr(comment, column) for column in WRITTEN), idempotency_key)
        size = sum(len(value) for value in row if isinstance(value, str))
        stored = self._insert_batches.submit(row, deadline, size=size) if self._shares else None
        stored = stored or self._insert_alone(row, deadline)
        if any(getattr(stored, column) != getattr(comment, column) for column in WRITTEN):
            raise KeyReused
        return stored

    def _insert(self, new: list[NewRow], deadline: float) -> list[Comment | None]:
        """Insert rows by one statement. None stands for a row that is not stored: it is then tried by itself."""
        with self._pool.connection(to_write=True, deadline=deadline) as connection:
            if len(new) > 1 and connection.is_distributed:
                return [None] * len(new)
            try:
                return insert_together(connection, new)
            except psycopg2.Error as error:
                if len(new) == 1 or not is_rolled_back(error):
                    raise
                return [None] * len(new)

    def _insert_alone(self, row: NewRow, deadline: float) -> Comment:
        thread, *_, key = row
        with self._pool.connection(to_write=True, deadline=deadline) as connection:
            rows: Rows = []
            while not rows:
                # Two statements: an INSERT that has waited for another transaction can't see what that has committed.
                # And the comment may be deleted in between: then the key is free again.
                rows = connection.fetch(FIND, (thread, key)) if key else []
                rows = rows or connection.fetch(INSERT, row)
        return Comment(*rows[0])

    def get_comment(self, comment_id: int) -> Comment | None:
        """The comment with this id (0 to 2^63-1), or None."""
        with self._pool.connection() as connection:
            rows = connection.fetch(f"SELECT {COLUMNS} FROM comments WHERE id = %s", (comment_id,))
        return Comment(*rows[0]) if rows else None

    def get_page(
        self, limit: int, after: int | None = None, thread: str | None = None, newest_first: bool = False
    ) -> Page:
        """At most `limit` comments, of all threads or of one, by ascending id or by descending id.

        With `after` (0 to 2^63-1), only those behind this id in that order. It runs two statements if the page was
        cached and may have changed (postgres/page_cache.py).
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
            with self._pool.connection(deadline=deadline) as connection:
                snapshot, page = read_page(connection, f"({SNAPSHOT})" if proof else "NULL", *key)
            if self._cache and proof:
                page = self._cache.store(key, proof, snapshot, page)
        return [page] * len(keys)

    def delete_comment(self, comment_id: int) -> bool:
        """Delete a comment for good; False if there was none with this id."""
        with self._pool.connection(to_write=True) as connection:
            return bool(connection.fetch("DELETE FROM comments WHERE id = %s RETURNING id", (comment_id,)))

    def check_ready(self) -> None:
        """Return if every migration of this release is applied, and comments can be read: two statements.

        Raises SchemaNotCurrent.
        """
        with self._pool.connection() as connection:
            is_current = migrations.is_current(connection)
            if is_current:
                read_page(connection, "NULL", 1)
        if not is_current:
            raise SchemaNotCurrent

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._pool.close()
        self._prover.close()


def insert_together(connection: Connection, new: list[NewRow]) -> list[Comment | None]:
    """Insert rows: for each the comment that is stored, or None where its key is taken."""
    if len(new) == 1:
        numbered = [(1, *row) for row in connection.fetch(INSERT, new[0])]
    else:
        statement = f"SET LOCAL lock_timeout = {LOCK_TIMEOUT}; {INSERT_SEVERAL}"
        numbered = connection.fetch(statement, [list(column) for column in zip(*new, strict=True)])
    stored = {number: Comment(*row) for number, *row in numbered}
    return [stored.get(number) for number in range(1, len(new) + 1)]


def read_page(
    connection: Connection,
    snapshot: str,
    limit: int,
    after: int | None = None,
    thread: str | None = None,
    newest_first: bool = False,
) -> tuple[str | None, Page]:
    """Read a page, and the value of the SQL expression `snapshot` with it (None for an empty page).

    For one thread, pairs are compared, so that PostgreSQL uses the primary key. With `thread = … ORDER BY id` it may
    use the index of ids instead, and skip every comment of the other threads.
    """
    above, up_to = after or 0, MAX_ID
    if newest_first:
        above, up_to = 0, MAX_ID if after is None else after - 1
    order = "DESC" if newest_first else "ASC"
    columns = f"{snapshot}, {COLUMNS}"
    if thread is None:
        rows = connection.fetch(
            f"SELECT {columns} FROM comments WHERE id > %s AND id <= %s ORDER BY id {order} LIMIT %s",
            (above, up_to, limit + 1),
        )
    else:
        rows = connection.fetch(
            f"SELECT {columns} FROM comments WHERE (thread, id) > (%s, %s) AND (thread, id) <= (%s, %s)"
            f" ORDER BY thread {order}, id {order} LIMIT %s",
            (thread, above, thread, up_to, limit + 1),
        )
    comments = [Comment._make(row[1:]) for row in rows[:limit]]
    return (rows[0][0] if rows else None), Page(comments, has_more=len(rows) > limit)

"""The table comments: every SQL statement on it."""

from dataclasses import dataclass, field

from comment import Comment
from postgres import migrations
from postgres.connections import ConnectionPool
from postgres.deadline import Connection, Rows
from postgres.errors import SchemaNotCurrent
from postgres.hosts import Hosts
from postgres.page_cache import SNAPSHOT, PageCache

MAX_ID = 2**63 - 1  # PostgreSQL's bigint

# In the order of Comment's fields. PostgreSQL writes the time: Python took as long for those of a page as for the rest.
COLUMNS = (
    "id, name, comment, thread,"
    """ to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS created_at"""
)

# The columns that a client decides. Two comments with the same key must agree in them.
WRITTEN = ("thread", "name", "comment")

INSERT = (
    f"INSERT INTO comments ({', '.join(WRITTEN)}, idempotency_key) VALUES ({'%s, ' * len(WRITTEN)}%s)"
    f" ON CONFLICT (thread, idempotency_key) DO NOTHING RETURNING {COLUMNS}"
)


class KeyReused(Exception):
    """The idempotency key belongs to another comment of the thread."""


@dataclass
class Page:
    """Comments by ascending id, and whether there are more behind them.

    As long as nothing has changed, the same page is the same object. The web side puts its answer into `rendered`. That
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

    def __init__(self, database_url: str, connections: int = 6, keeps_pages: bool = True) -> None:
        """Takes a postgresql:// URL with any of libpq's parameters, and how many connections there may be at once.

        Connects to nothing. Raises InvalidDatabaseURL.
        """
        self._pool = ConnectionPool(Hosts(database_url), connections)
        self._pages: PageCache[Page] = PageCache()
        self._snapshot = f"({SNAPSHOT})" if keeps_pages else "NULL"

    def create_comment(self, comment: Comment, idempotency_key: str | None = None) -> Comment:
        """Store a comment; returns it with its id and time. With a key it may be two statements.

        A comment with a key (1 to 255 characters) is stored once in its thread, however many callers store it at once,
        and each gets the one that is stored. Raises KeyReused if that has another content.
        """
        with self._pool.connection(to_write=True) as connection:
            rows = insert(connection, comment, idempotency_key)
            while not rows:
                # A statement of its own: the INSERT has waited for the other transaction, but can't see what that
                # committed.
                rows = connection.fetch(
                    f"SELECT {COLUMNS} FROM comments WHERE thread = %s AND idempotency_key = %s",
                    (comment.thread, idempotency_key),
                )
                # Deleted in between: the key is free again.
                rows = rows or insert(connection, comment, idempotency_key)
        stored = Comment(*rows[0])
        if any(getattr(stored, column) != getattr(comment, column) for column in WRITTEN):
            raise KeyReused
        return stored

    def get_comment(self, comment_id: int) -> Comment | None:
        """The comment with this id (0 to 2^63-1), or None."""
        with self._pool.connection() as connection:
            rows = connection.fetch(f"SELECT {COLUMNS} FROM comments WHERE id = %s", (comment_id,))
        return Comment(*rows[0]) if rows else None

    def get_page(self, limit: int, after: int = 0, thread: str | None = None) -> Page:
        """At most `limit` comments behind the id `after` (0 to 2^63-1), of all threads or of one.

        It runs two statements if the page was cached and may have changed (postgres/page_cache.py).
        """
        key = (limit, after, thread)
        with self._pool.connection() as connection:
            page = self._pages.get_fresh(connection, key)
            if page is None:
                snapshot, page = read_page(connection, self._snapshot, *key)
                page = self._pages.store(connection, key, snapshot, page)
        return page

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
                read_page(connection, "NULL", 1, 0, None)
        if not is_current:
            raise SchemaNotCurrent

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._pool.close()


def insert(connection: Connection, comment: Comment, idempotency_key: str | None) -> Rows:
    """Insert a comment: the row that is stored, or none where the key is taken."""
    return connection.fetch(INSERT, (*(getattr(comment, column) for column in WRITTEN), idempotency_key))


def read_page(
    connection: Connection, snapshot: str, limit: int, after: int, thread: str | None
) -> tuple[str | None, Page]:
    """Read a page, and the value of the SQL expression `snapshot` with it (None for an empty page).

    For one thread, pairs are compared, so that PostgreSQL uses the primary key. With `thread = … ORDER BY id` it may
    use the index of ids instead, and skip every comment of the other threads.
    """
    columns = f"{snapshot}, {COLUMNS}"
    if thread is None:
        rows = connection.fetch(
            f"SELECT {columns} FROM comments WHERE id > %s ORDER BY id LIMIT %s",
            (after, limit + 1),
        )
    else:
        rows = connection.fetch(
            f"SELECT {columns} FROM comments"
            " WHERE (thread, id) > (%s, %s) AND (thread, id) <= (%s, %s) ORDER BY thread, id LIMIT %s",
            (thread, after, thread, MAX_ID, limit + 1),
        )
    comments = [Comment._make(row[1:]) for row in rows[:limit]]
    return (rows[0][0] if rows else None), Page(comments, has_more=len(rows) > limit)

"""The database: every SQL statement."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from psycopg2 import Error
from psycopg2.extensions import connection as Connection  # noqa: N812

from comment import Comment
from connections import CALL_TIMEOUT, Connections, Gate, OutOfTime, SchemaNotCurrent, deadline_in, explain
from pages import SNAPSHOT, Page, fresh_page

MIGRATIONS = Path(__file__).with_name("migrations")

# Seconds that a migration waits for a table that is in use: everybody else who uses it waits behind the migration.
MIGRATION_LOCK_TIMEOUT = 5

# The key of the advisory lock that one migration at a time holds: any number that never changes.
MIGRATION_LOCK = 4_158_042_001

MAX_ID = 2**63 - 1  # PostgreSQL's bigint

# In the order of Comment's fields. PostgreSQL writes the time: Python took as long for those of a page as for the rest.
COLUMNS = (
    "id, name, comment, thread,"
    """ to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS created_at"""
)


class KeyReused(Exception):
    """The idempotency key belongs to another comment of the thread."""


class MigrationFailed(Exception):
    """The schema can't be made, or not brought up to date, in this database. The text is a sentence."""


class Migration(NamedTuple):
    """One file of migrations/: its name without the ending, and when it was applied (None: not yet)."""

    name: str
    applied_at: datetime | None


class CommentDatabase:
    """The comments in one PostgreSQL database.

    Each method is one statement, but where it says otherwise, and what it returns is committed. Every method that asks
    the database raises connections.DatabaseUnavailable; its statements have the time of one call together.
    """

    def __init__(self, database_url: str, keeps_pages: bool = True) -> None:
        """Takes a postgresql:// URL with any of libpq's parameters; connects to nothing. Raises InvalidDatabaseURL."""
        self._keeps_pages = keeps_pages
        self._connections = Connections(database_url)
        self._reading, self._writing = Gate(), Gate()

    @deadline_in(CALL_TIMEOUT)
    def create_comment(self, comment: Comment, idempotency_key: str | None = None) -> Comment:
        """Store a comment; returns it with its id and time.

        With a key (1 to 255 characters), for which it may ask again, it is stored once in its thread, however many
        store it at once, and each gets the one that is stored. Raises KeyReused if that has another content.
        """
        rows = self._write(
            "INSERT INTO comments (thread, name, comment, idempotency_key) VALUES (%s, %s, %s, %s)"
            f" ON CONFLICT (thread, idempotency_key) DO NOTHING RETURNING {COLUMNS}",
            (comment.thread, comment.name, comment.comment, idempotency_key),
        )
        # A statement of its own: the INSERT has waited for the other transaction, but can't see what that committed.
        rows = rows or self._read(
            f"SELECT {COLUMNS} FROM comments WHERE thread = %s AND idempotency_key = %s",
            (comment.thread, idempotency_key),
        )
        if not rows:  # deleted in between: the key is free again
            return self.create_comment(comment, idempotency_key)
        stored = Comment(*rows[0])
        if (stored.name, stored.comment) != (comment.name, comment.comment):
            raise KeyReused
        return stored

    def get_comment(self, comment_id: int) -> Comment | None:
        """The comment with this id (0 to 2^63-1), or None."""
        rows = self._read(f"SELECT {COLUMNS} FROM comments WHERE id = %s", (comment_id,))
        return Comment(*rows[0]) if rows else None

    def get_comments(self, limit: int, after: int = 0, thread: str | None = None) -> list[Comment]:
        """At most `limit` comments behind the id `after` (0 to 2^63-1), by ascending id: of all threads, or of one."""
        return list(map(Comment._make, self._read(*_page(limit, after, thread))))

    @deadline_in(CALL_TIMEOUT)
    def get_page(self, limit: int, after: int, thread: str | None, render: Callable[[list[Comment]], Page]) -> Page:
        """What `render` makes of these comments, or has made of the same comments before: one statement, or two.

        See pages.py. It must make the same of the same limit, id, thread and comments, always.
        """
        if not self._keeps_pages:
            return render(self.get_comments(limit, after, thread))
        statement, parameters = _page(limit, after, thread, f"({SNAPSHOT}), {COLUMNS}")

        def render_rows(rows: list[tuple[Any, ...]]) -> Page:
            return render(list(map(Comment._make, rows)))

        return fresh_page(self._connections, self._read, statement, parameters, render_rows)

    def delete_comment(self, comment_id: int) -> bool:
        """Delete a comment for good; False if there was none with this id."""
        return bool(self._write("DELETE FROM comments WHERE id = %s RETURNING id", (comment_id,)))

    @deadline_in(CALL_TIMEOUT)
    def check_ready(self) -> None:
        """Return if comments can be read, and every migration of this release is applied: two statements.

        Newer migrations, that it does not know after a roll-back, are fine. Raises SchemaNotCurrent.
        """
        self.get_comments(limit=1)
        applied = {name for (name,) in self._read("SELECT name FROM schema_migrations")}
        if not applied.issuperset(migration_names()):
            raise SchemaNotCurrent

    def migrations(self) -> list[Migration]:
        """Every migration of this release, in order, and when it was applied."""
        has_table = self._read("SELECT to_regclass('schema_migrations') IS NOT NULL")[0][0]
        rows = self._read("SELECT name, applied_at FROM schema_migrations") if has_table else []
        applied = dict(rows)
        return [Migration(name, applied.get(name)) for name in migration_names()]

    def migrate(self) -> list[str]:
        """Apply, in order, the migrations that are not applied yet; returns their names.

        Any number of callers may do so at once. One that ends half-way leaves the schema between two migrations, never
        within one. Raises MigrationFailed.
        """
        connection = self._connections.connect()
        try:
            _refuse_other_encodings(connection)
            return [name for name in migration_names() if _apply(connection, name)]
        except Error as error:
            raise explain(error) or MigrationFailed("A migration failed and is undone.") from error
        finally:
            connection.close()  # and with it the transaction that did not come to its COMMIT

    def close(self) -> None:
        """Close the calling thread's connection; its next call opens another."""
        self._connections.close()

    def _read(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._reading.passed():
            return self._execute(statement, parameters)

    def _write(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Reads go on where only writes have to wait: for a lock, say, or for a standby that confirms them."""
        with self._writing.passed():
            return self._execute(statement, parameters)

    def _execute(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._connections.execute(statement, parameters)
        except OutOfTime:
            # Both, lest others find out by themselves about the other one; where that is well, its next call opens it.
            self._reading.close()
            self._writing.close()
            raise


def _page(limit: int, after: int, thread: str | None, columns: str = COLUMNS) -> tuple[str, Sequence[object]]:
    """The statement that reads a page.

    Compared as pairs, the page of a thread can be read off the primary key only. For `thread = … ORDER BY id`
    PostgreSQL may take the index of ids instead, and pass by every comment of the other threads.
    """
    if thread is None:
        return f"SELECT {columns} FROM comments WHERE id > %s ORDER BY id LIMIT %s", (after, limit)
    return (
        f"SELECT {columns} FROM comments"
        " WHERE (thread, id) > (%s, %s) AND (thread, id) <= (%s, %s) ORDER BY thread, id LIMIT %s",
        (thread, after, thread, MAX_ID, limit),
    )


def migration_names() -> list[str]:
    """The names of this release's migrations, in the order of their numbers."""
    return sorted(path.stem for path in MIGRATIONS.glob("*.sql"))


def _apply(connection: Connection, name: str) -> bool:
    """Apply a migration and record it, in one transaction; False if it was applied before.

    The advisory lock is the transaction's (a session's is none behind PgBouncer) and waits for as long as it takes;
    only then is there a bound on waiting for the locks of tables that are in use.
    """
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
        cursor.execute(f"SET LOCAL lock_timeout = '{MIGRATION_LOCK_TIMEOUT}s'")
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations"
            " (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        cursor.execute("INSERT INTO schema_migrations (name) VALUES (%s) ON CONFLICT DO NOTHING", (name,))
        is_new = cursor.rowcount == 1
        if is_new:
            cursor.execute((MIGRATIONS / f"{name}.sql").read_text(encoding="utf-8"))
        cursor.execute("COMMIT")
    return is_new


def _refuse_other_encodings(connection: Connection) -> None:
    """In another encoding than UTF8 some comments could not be stored, and lengths might not count code points."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise MigrationFailed(f"The database must have the encoding UTF8, not {encoding}.")

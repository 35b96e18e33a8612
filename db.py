"""The database: connections, and every SQL statement.

The only file that knows psycopg2; what goes wrong leaves it as one of the exceptions below or, where the program itself
is at fault, as psycopg2's own.
"""

import re
import select
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812
from psycopg2.extensions import parse_dsn

from comment import Comment

MIGRATIONS = Path(__file__).with_name("migrations")

# Seconds; together less than the five within which a request is answered. The second is kept by the server.
CONNECT_TIMEOUT = 2
STATEMENT_TIMEOUT = 2

# Seconds that a migration waits for a table that is in use: everybody else who uses it waits behind the migration.
MIGRATION_LOCK_TIMEOUT = 5

# The key of the advisory lock that one migration at a time holds: any number that never changes.
MIGRATION_LOCK = 4_158_042_001

MAX_ID = 2**63 - 1  # PostgreSQL's bigint

# In the order of Comment's fields.
COLUMNS = "id, name, comment, thread, created_at"

# SQLSTATEs, https://www.postgresql.org/docs/current/errcodes-appendix.html
CONNECTION_EXCEPTION = "08000"
UNDEFINED_TABLE = "42P01"

# What passes by itself: the beginning of its SQLSTATE, and the sentence for clients.
UNAVAILABLE = {
    "08": "The database does not answer; try again later.",  # connection exception
    "57P": "The database does not answer; try again later.",  # shut down, crashed or starting up
    "53": "The database is full or has no connection left; try again later.",  # insufficient resources
    "57014": "The database took too long; try again later.",  # query canceled, by the timeout
    "55P03": "The database took too long; try again later.",  # lock not available
    "25006": "The database is read-only for now; try again later.",  # read-only SQL transaction
    "42501": "The service lacks a right in the database; the log says which.",  # insufficient privilege
}


class InvalidDatabaseURL(ValueError):
    """libpq can't read the URL. It says nothing more: libpq's own words repeat the URL, and so its password."""


class DatabaseUnavailable(Exception):
    """The database can't do it now and may do it later. The text is for clients, the cause for the log."""


class SchemaNotCurrent(DatabaseUnavailable):
    """A migration that this release needs is not applied."""

    def __init__(self) -> None:
        super().__init__("The database schema is not current: run `flask migrate`.")


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

    Each thread that calls it has one connection of its own, opened by its first call: nothing is shared, not even by
    processes that fork, and there are never more connections than threads. A statement is one round trip, in
    autocommit: what a method returns is committed. Every method that asks the database raises DatabaseUnavailable.
    """

    def __init__(self, database_url: str) -> None:
        """Takes a postgresql:// URL with any of libpq's parameters; connects to nothing. Raises InvalidDatabaseURL."""
        try:
            parameters = parse_dsn(database_url)
        except (psycopg2.ProgrammingError, UnicodeError):
            raise InvalidDatabaseURL from None
        # What a password with a / or @ that is not percent-encoded leads to: part of it would be shown as host or port.
        # A host that begins with a slash is the directory of a socket.
        is_host = re.fullmatch("/.*|[^@]*", parameters.get("host", ""))
        if not is_host or not re.fullmatch("[0-9,]*", parameters.get("port", "")):
            raise InvalidDatabaseURL
        self.database_url = database_url
        self._local = threading.local()

    def create_comment(self, comment: Comment, idempotency_key: str | None = None) -> Comment:
        """Store a comment; returns it with its id and time.

        With a key (1 to 255 characters) it is stored once in its thread, however many store it at once, and each gets
        the one that is stored. Raises KeyReused if that has another content.
        """
        rows = self._execute(
            "INSERT INTO comments (thread, name, comment, idempotency_key) VALUES (%s, %s, %s, %s)"
            f" ON CONFLICT (thread, idempotency_key) DO NOTHING RETURNING {COLUMNS}",
            (comment.thread, comment.name, comment.comment, idempotency_key),
        )
        # A statement of its own: the INSERT has waited for the other transaction, but can't see what that committed.
        rows = rows or self._execute(
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
        rows = self._execute(f"SELECT {COLUMNS} FROM comments WHERE id = %s", (comment_id,))
        return Comment(*rows[0]) if rows else None

    def get_comments(self, limit: int, after: int = 0, thread: str | None = None) -> list[Comment]:
        """At most `limit` comments behind the id `after` (0 to 2^63-1), by ascending id: of all threads, or of one.

        Compared as pairs, the page of a thread can be read off the primary key only. For `thread = … ORDER BY id`
        PostgreSQL may take the index of ids instead, and pass by every comment of the other threads.
        """
        if thread is None:
            rows = self._execute(
                f"SELECT {COLUMNS} FROM comments WHERE id > %s ORDER BY id LIMIT %s",
                (after, limit),
            )
        else:
            rows = self._execute(
                f"SELECT {COLUMNS} FROM comments"
                " WHERE (thread, id) > (%s, %s) AND (thread, id) <= (%s, %s) ORDER BY thread, id LIMIT %s",
                (thread, after, thread, MAX_ID, limit),
            )
        return [Comment(*row) for row in rows]

    def delete_comment(self, comment_id: int) -> bool:
        """Delete a comment for good; False if there was none with this id."""
        return bool(self._execute("DELETE FROM comments WHERE id = %s RETURNING id", (comment_id,)))

    def check_ready(self) -> None:
        """Return if the database answers and every migration of this release is applied.

        Newer ones, that it does not know after a roll-back, are fine. Raises SchemaNotCurrent.
        """
        applied = {name for (name,) in self._execute("SELECT name FROM schema_migrations")}
        if not applied.issuperset(migration_names()):
            raise SchemaNotCurrent

    def migrations(self) -> list[Migration]:
        """Every migration of this release, in order, and when it was applied."""
        has_table = self._execute("SELECT to_regclass('schema_migrations') IS NOT NULL")[0][0]
        rows = self._execute("SELECT name, applied_at FROM schema_migrations") if has_table else []
        applied = dict(rows)
        return [Migration(name, applied.get(name)) for name in migration_names()]

    def migrate(self) -> list[str]:
        """Apply, in order, the migrations that are not applied yet; returns their names.

        Any number of callers may do so at once. One that ends half-way leaves the schema between two migrations, never
        within one. Raises MigrationFailed.
        """
        connection = self._connect()
        try:
            _refuse_other_encodings(connection)
            return [name for name in migration_names() if _apply(connection, name)]
        except psycopg2.Error as error:
            raise _unavailable(error) or MigrationFailed("A migration failed and is undone.") from error
        finally:
            connection.close()  # and with it the transaction that did not come to its COMMIT

    def close(self) -> None:
        """Close the calling thread's connection; its next call opens another."""
        connection: Connection | None = getattr(self._local, "connection", None)
        self._local.connection = None
        if connection is not None:
            connection.close()

    def _execute(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement that returns rows.

        The two that are sent together are one transaction, so that the timeout is this statement's only: behind
        PgBouncer in transaction mode a setting of the session would be another client's next.
        """
        connection = self._connection()
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}s'; {statement}", parameters)
                return cursor.fetchall()
        except psycopg2.Error as error:
            self.close()
            if error.pgcode == UNDEFINED_TABLE:
                raise SchemaNotCurrent from error
            if unavailable := _unavailable(error):
                raise unavailable from error
            raise

    def _connection(self) -> Connection:
        """The calling thread's connection; a new one where the server has closed the old one meanwhile."""
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None or _is_hung_up(connection):
            self.close()
            connection = self._local.connection = self._connect()
        return connection

    def _connect(self) -> Connection:
        try:
            connection = psycopg2.connect(self.database_url, connect_timeout=CONNECT_TIMEOUT, client_encoding="UTF8")
        except psycopg2.Error as error:
            if unavailable := _unavailable(error):
                raise unavailable from error
            raise
        connection.autocommit = True
        return connection


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


def _is_hung_up(connection: Connection) -> bool:
    """Whether the server has closed an idle connection: only then is there something to read on it.

    It takes microseconds, where a `SELECT 1` would be a second round trip. select() would fail above descriptor 1,023.
    """
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _unavailable(error: psycopg2.Error) -> DatabaseUnavailable | None:
    """What an error means that passes by itself, by its SQLSTATE; None for any other."""
    # libpq gives none to a connection that it could not open, or lost.
    state = error.pgcode or (CONNECTION_EXCEPTION if isinstance(error, psycopg2.OperationalError) else "")
    sentences = (sentence for prefix, sentence in UNAVAILABLE.items() if state.startswith(prefix))
    return next(map(DatabaseUnavailable, sentences), None)

"""The schema: the numbered SQL files of migrations/, applied in order, each recorded in the table schema_migrations.

The service runs meanwhile. So no migration keeps a request waiting for longer than LOCK_TIMEOUT.
"""

import math
import time
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from psycopg2 import Error
from psycopg2.errors import DeadlockDetected, InternalError_, LockNotAvailable

from postgres.deadline import CALL_TIMEOUT, Connection, Rows
from postgres.errors import translate
from postgres.hosts import Hosts

DIRECTORY = Path(__file__).resolve().parents[1] / "migrations"

# Seconds that a migration waits for a table that is in use. Meanwhile, new requests to it wait too.
LOCK_TIMEOUT = 0.5
# Then it lets the others pass for PAUSE seconds, and tries again. It gives up after this many attempts.
ATTEMPTS = 60
PAUSE = 1

# The key of the advisory lock, which one `flask migrate` at a time holds: any number, but not 4158042001. Earlier
# releases wait for that key in a statement, and an index that is built CONCURRENTLY would wait for that statement.
ADVISORY_LOCK = 4_158_042_002
POLL_INTERVAL = 0.1  # seconds between two attempts to get it


class MigrationFailed(Exception):
    """The schema can't be made, or not brought up to date, in this database. The text is a sentence."""


class Migration(NamedTuple):
    """One file of migrations/: its name without the ending, and when it was applied (None: not yet)."""

    name: str
    applied_at: datetime | None


def names() -> list[str]:
    """The names of this release's migrations, in the order of their numbers."""
    return sorted(path.stem for path in DIRECTORY.glob("*.sql"))


def is_current(connection: Connection) -> bool:
    """Whether every migration of this release is applied. Raises psycopg2.Error.

    After a roll-back the database knows newer migrations too, which this release does not have: that is fine.
    """
    return {name for (name,) in connection.fetch("SELECT name FROM schema_migrations")}.issuperset(names())


def status(database_url: str) -> list[Migration]:
    """Every migration of this release, in order. Raises DatabaseUnavailable."""
    connection = _connect(database_url)
    try:
        has_table = connection.fetch("SELECT to_regclass('schema_migrations') IS NOT NULL")[0][0]
        rows = connection.fetch("SELECT name, applied_at FROM schema_migrations") if has_table else []
    finally:
        connection.close()
    applied: dict[str, datetime] = dict(rows)
    return [Migration(name, applied.get(name)) for name in names()]


def migrate(database_url: str) -> list[str]:
    """Apply, in order, the migrations that are not applied yet; returns their names.

    Any number of callers may do so at once. If a caller ends half-way, the schema is between two migrations, never
    within one. Only an index that is built CONCURRENTLY may stay without its record: the next call builds it again.

    Raises DatabaseUnavailable and MigrationFailed.
    """
    connection = _connect(database_url)
    try:
        _refuse_other_encodings(connection)
        return [name for name in names() if _apply_patiently(connection, database_url, name)]
    except Error as error:
        raise translate(error) or MigrationFailed("A migration failed. It is not applied.") from error
    finally:
        connection.close()  # and with it the transaction that did not come to its COMMIT


def _connect(database_url: str) -> Connection:
    """A connection whose statements may take as long as they like."""
    try:
        connection = Hosts(database_url).connect(time.monotonic() + CALL_TIMEOUT)
    except Error as error:
        if translated := translate(error):
            raise translated from error
        raise
    connection.deadline = math.inf
    return connection


def _apply_patiently(connection: Connection, database_url: str, name: str) -> bool:
    """Apply a migration, in at most ATTEMPTS attempts to get the locks; False if it was applied before."""
    for _ in range(ATTEMPTS - 1):
        try:
            return _apply(connection, database_url, name)
        except (LockNotAvailable, DeadlockDetected, InternalError_):
            _execute(connection, "ROLLBACK")
            time.sleep(PAUSE)
    return _apply(connection, database_url, name)


def _apply(connection: Connection, database_url: str, name: str) -> bool:
    """Apply a migration and record it, in one transaction; False if it was applied before.

    An index that is built CONCURRENTLY can't be in a transaction. Its file is run by another connection, before this
    one commits the record.
    """
    _begin(connection)
    _execute(connection, f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}s'")
    _execute(
        connection,
        "CREATE TABLE IF NOT EXISTS schema_migrations"
        " (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())",
    )
    record = "INSERT INTO schema_migrations (name) VALUES (%s) ON CONFLICT DO NOTHING RETURNING name"
    is_new = bool(_execute(connection, record, name))
    if is_new:
        statements = (DIRECTORY / f"{name}.sql").read_text(encoding="utf-8")
        if "INDEX CONCURRENTLY" in statements:
            _run_one_by_one(database_url, statements)
        else:
            _execute(connection, statements)
    _execute(connection, "COMMIT")
    return is_new


def _begin(connection: Connection) -> None:
    """Begin a transaction that holds the advisory lock, as soon as no other migration holds it.

    The lock belongs to the transaction, because PgBouncer may give the session to another client. Nobody waits for the
    lock in a statement, because an index that is built CONCURRENTLY waits for the end of all statements.
    """
    while True:
        _execute(connection, "BEGIN")
        _execute(connection, "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
        if _execute(connection, "SELECT pg_try_advisory_xact_lock(%s)", ADVISORY_LOCK) == [(True,)]:
            return
        _execute(connection, "ROLLBACK")
        time.sleep(POLL_INTERVAL)


def _run_one_by_one(database_url: str, statements: str) -> None:
    """Run statements that end with a semicolon and a line break, each in a transaction of its own."""
    connection = _connect(database_url)
    try:
        _execute(connection, "SET statement_timeout = 0")
        for statement in statements.split(";\n"):
            if statement.strip():
                _execute(connection, statement)
    finally:
        connection.close()


def _execute(connection: Connection, statement: str, *parameters: object) -> Rows:
    """Run a statement as it is; returns its rows, if it has any."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)
        return cursor.fetchall() if cursor.description else []


def _refuse_other_encodings(connection: Connection) -> None:
    """In another encoding than UTF8 some comments could not be stored, and lengths might not count code points."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise MigrationFailed(f"The database must have the encoding UTF8, not {encoding}.")

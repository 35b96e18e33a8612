"""The schema: the numbered SQL files of migrations/, applied in order, each recorded in the table schema_migrations."""

import math
import time
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from psycopg2 import Error

from postgres.deadline import CALL_TIMEOUT, Connection
from postgres.errors import translate
from postgres.hosts import Hosts

DIRECTORY = Path(__file__).resolve().parents[1] / "migrations"

# Seconds that a migration waits for a table that is in use: everybody else who uses it waits behind the migration.
LOCK_TIMEOUT = 5

# The key of the advisory lock that one migration at a time holds: any number that never changes.
ADVISORY_LOCK = 4_158_042_001


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

    Any number of callers may do so at once. One that ends half-way leaves the schema between two migrations, never
    within one. Raises DatabaseUnavailable and MigrationFailed.
    """
    connection = _connect(database_url)
    try:
        _refuse_other_encodings(connection)
        return [name for name in names() if _apply(connection, name)]
    except Error as error:
        raise translate(error) or MigrationFailed("A migration failed and is undone.") from error
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


def _apply(connection: Connection, name: str) -> bool:
    """Apply a migration and record it, in one transaction; False if it was applied before.

    The advisory lock is the transaction's, since behind PgBouncer a session's lock is none. Its wait has no bound; only
    then is there one on waiting for the locks of tables that are in use.
    """
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (ADVISORY_LOCK,))
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}s'")
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations"
            " (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        cursor.execute("INSERT INTO schema_migrations (name) VALUES (%s) ON CONFLICT DO NOTHING", (name,))
        is_new = cursor.rowcount == 1
        if is_new:
            cursor.execute((DIRECTORY / f"{name}.sql").read_text(encoding="utf-8"))
        cursor.execute("COMMIT")
    return is_new


def _refuse_other_encodings(connection: Connection) -> None:
    """In another encoding than UTF8 some comments could not be stored, and lengths might not count code points."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise MigrationFailed(f"The database must have the encoding UTF8, not {encoding}.")

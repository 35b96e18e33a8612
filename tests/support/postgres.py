"""The database as somebody else sees it."""

from contextlib import closing
from typing import Any

import psycopg2

TABLES = ("comments", "held_comments", "rules", "closed_threads", "limits", "daily_keys")


def empty(url: str) -> None:
    """Delete all that the service has stored. The first comment that is stored then has the id 1."""
    # TRUNCATE takes three times as long for a few rows: it makes a new file for each table and index.
    deletions = [f"DELETE FROM {table}" for table in TABLES]  # noqa: S608
    version = "UPDATE rules_version SET version = version + 1"
    sequences = "SELECT setval('comments_id_seq', 1, false), setval('rules_id_seq', 1, false)"
    sql(url, "; ".join([*deletions, version, sequences]))


def sql(url: str, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Run a statement on a connection of its own, as somebody else would."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

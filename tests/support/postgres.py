"""The database as somebody else sees it."""

from contextlib import closing
from typing import Any

import psycopg2


def empty(url: str) -> None:
    """Delete all that the service has stored. The first comment that is stored then has the id 1."""
    sql(url, "TRUNCATE comments, held_comments, rules, closed_threads, limits, daily_keys RESTART IDENTITY")
    sql(url, "UPDATE rules_version SET version = version + 1")


def sql(url: str, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Run a statement on a connection of its own, as somebody else would."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

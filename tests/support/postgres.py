"""The database as somebody else sees it."""

from contextlib import closing
from typing import Any

import psycopg2


def sql(url: str, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Run a statement on a connection of its own, as somebody else would."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

"""The statements on closed_threads. Each is a function of a connection, and raises psycopg2.Error."""

from postgres.deadline import Connection


def close(connection: Connection, thread: str) -> None:
    """Close a thread; a closed one stays closed."""
    connection.fetch("INSERT INTO closed_threads VALUES (%s) ON CONFLICT DO NOTHING RETURNING thread", (thread,))


def open_again(connection: Connection, thread: str) -> None:
    """Open a thread; an open one stays open."""
    connection.fetch("DELETE FROM closed_threads WHERE thread = %s RETURNING thread", (thread,))


def read(connection: Connection, limit: int, after: str | None) -> list[str]:
    """At most `limit` closed threads by name, those after the thread `after`."""
    statement = "SELECT thread FROM closed_threads WHERE thread > %s OR %s ORDER BY thread LIMIT %s"
    return [thread for (thread,) in connection.fetch(statement, (after or "", after is None, limit))]

"""The statement that finds what judge() must know of a new comment."""

from typing import NamedTuple

from postgres.deadline import Connection

# In the order of Known. CASE does not look up what is not asked for.
FACTS = """SELECT
    EXISTS (SELECT FROM closed_threads WHERE thread = %(thread)s),
    CASE WHEN %(close_after_days)s IS NOT NULL THEN coalesce((
        SELECT created_at < now() - make_interval(days => %(close_after_days)s) FROM comments
        WHERE (thread, id) >= (%(thread)s, 0) AND (thread, id) <= (%(thread)s, 9223372036854775807)
        ORDER BY thread, id LIMIT 1
    ), false) ELSE false END,
    CASE WHEN %(author_hash)s IS NOT NULL THEN EXISTS (
        SELECT FROM comments WHERE author_hash = %(author_hash)s AND status = 'published'
    ) ELSE false END,
    CASE WHEN %(idempotency_key)s IS NOT NULL THEN EXISTS (
        SELECT FROM comments WHERE thread = %(thread)s AND idempotency_key = %(idempotency_key)s
    ) OR EXISTS (
        SELECT FROM held_comments WHERE thread = %(thread)s AND idempotency_key = %(idempotency_key)s
    ) ELSE false END,
    (SELECT version FROM rules_version)"""


class Asked(NamedTuple):
    """What is asked about. None: not asked for."""

    thread: str
    close_after_days: int | None = None
    author_hash: bytes | None = None
    idempotency_key: str | None = None


class Known(NamedTuple):
    """The answers: whether the thread is closed, or older than `close_after_days`; whether the author has a published
    comment; whether the thread has a comment with the key; and which version the rules have."""

    is_closed: bool
    is_old: bool
    has_published: bool
    is_retry: bool
    rules_version: int


def read(connection: Connection, asked: Asked) -> Known:
    """One statement; it reads a row of each table at most. Raises psycopg2.Error."""
    [row] = connection.fetch(FACTS, asked._asdict())
    return Known(*row)

"""The SQL statements on the table comments that read, change and delete. Each is a function that takes a connection.

They raise psycopg2.Error. db.py chooses the connection and handles the errors.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from psycopg2.errors import ForeignKeyViolation

from comment import MAX_ID, Comment, Edit, with_html
from postgres.deadline import Connection, Rows


def utc(column: str) -> str:
    """PostgreSQL formats the times: in Python that took half of the time of a page."""
    return f"""to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS {column}"""


# In the order of Comment's fields.
COLUMNS = f"id, name, comment, thread, {utc('created_at')}, parent_id, html, status, {utc('edited_at')}, verified"
# The most tombstones that one statement deletes.
LEVELS = 1_000
# Milliseconds that an edit or a deletion waits for another one.
CHANGE_LOCK_TIMEOUT = 500

# Edits and deletions in a thread run one after another, so that a deletion sees which replies others have deleted. Each
# takes this advisory lock: its first key is any number, its second a hash of the thread. Threads with the same hash
# wait for each other too. With READ COMMITTED, the next statement sees what the holder before has committed. The
# server's default may be another level.
LOCK = (
    "SET LOCAL transaction_isolation = 'read committed'; SET LOCAL lock_timeout = %(lock_timeout)s;"
    " SELECT pg_advisory_xact_lock(20261128, %(lock)s)"
)
# `html` is not compared: `flask render` may have made it again.
UNCHANGED = (
    "(NOT %(if_unchanged)s OR (name, comment, edited_at) IS NOT DISTINCT FROM (%(name)s, %(comment)s, %(edited_at)s))"
)

EDIT = f"""{LOCK}; UPDATE comments
    SET name = coalesce(%(new_name)s, name), comment = coalesce(%(new_comment)s, comment),
        html = coalesce(%(new_html)s, html), edited_at = clock_timestamp()
    WHERE thread = %(thread)s AND id = %(id)s AND status <> 'deleted' AND {UNCHANGED} RETURNING {COLUMNS}"""

# `target` is the comment. `gone` are the rows to delete: the comment, if it has no replies, and each tombstone above it
# that has no other reply, in all LEVELS at most. If `gone` is empty, the comment becomes a tombstone. What is returned
# is the tombstone to go on with, as the next `target`, or NULL.
#
# LATERAL with LIMIT, arrays, and pairs with ORDER BY: so PostgreSQL uses both columns of an index. Without them it
# reads the whole thread for each level, while its statistics do not know the thread. And it reads the whole table for
# a comment with very many replies.
REPLY = """
    SELECT reply.id FROM comments AS reply
    WHERE (reply.thread, reply.parent_id) >= (%(thread)s, {0}.id)
        AND (reply.thread, reply.parent_id) <= (%(thread)s, {0}.id) AND reply.parent_id IS NOT NULL"""
FIRST = "ORDER BY reply.thread, reply.parent_id LIMIT 1"


def removing(kept: str) -> str:
    """The statement that deletes a comment. `kept` is another part of it, which may read `target`."""
    return f"""{LOCK}; WITH RECURSIVE target AS (
        SELECT id, parent_id FROM comments
        WHERE thread = %(thread)s AND id = %(id)s AND (status = 'deleted') = %(is_tombstone)s AND {UNCHANGED}
    ), gone AS (
        SELECT id, parent_id, 1 AS level FROM target WHERE ({REPLY.format("target")} {FIRST}) IS NULL
    UNION ALL
        SELECT above.id, above.parent_id, level + 1
        FROM gone CROSS JOIN LATERAL (
            SELECT id, parent_id FROM comments
            WHERE thread = %(thread)s AND id = gone.parent_id AND status = 'deleted' LIMIT 1
        ) AS above
        WHERE level < {LEVELS} AND ({REPLY.format("above")} AND reply.id <> gone.id {FIRST}) IS NULL
    ), deleted AS (
        DELETE FROM comments WHERE thread = %(thread)s AND id = ANY (ARRAY(SELECT id FROM gone))
    ), emptied AS (
        UPDATE comments SET status = 'deleted', name = '', comment = '', html = '', verified = false,
            edited_at = NULL, author_hash = NULL, idempotency_key = NULL
        WHERE thread = %(thread)s AND id = ANY (ARRAY(SELECT id FROM target WHERE NOT EXISTS (SELECT FROM gone)))
    ) {kept}
    SELECT (SELECT parent_id FROM gone WHERE level = {LEVELS}) FROM target"""


DELETE = removing("")

# Skips a comment that was edited meanwhile: its text differs, and its HTML is already new.
STORE_HTML = """
    UPDATE comments SET html = new.html FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::text[]) AS new (
        thread, id, comment, html
    )
    WHERE comments.thread = new.thread AND comments.id = new.id AND comments.comment = new.comment
        AND status <> 'deleted'
    RETURNING comments.id"""


class Text(NamedTuple):
    """The text of a comment, and its stored HTML or None."""

    thread: str
    id: int
    comment: str
    html: str | None


@dataclass
class Page:
    """Comments by ascending or descending id, and whether more follow.

    As long as nothing has changed, a cached page is the same object. The web side puts its answer into `rendered`. That
    answer must depend on the page and on the arguments of get_page() only.
    """

    comments: list[Comment]
    has_more: bool
    rendered: object = field(default=None, compare=False, repr=False)

    @property
    def size(self) -> int:
        """The number of its characters."""
        return sum(len(value) for comment in self.comments for value in comment if isinstance(value, str))


# The most rows of a thread that are counted.
COUNTED = 1_000

# Only the primary key has the order of the pairs, so without sorts PostgreSQL reads it, up to the LIMIT. Otherwise it
# takes another index on `thread`, and sorts the whole thread: when it plans, it does not know which threads are asked
# for. `status` is not in that index: a filter before the LIMIT would read all the tombstones of a thread.
COUNT = f"""
    SET LOCAL enable_sort = off; SET LOCAL enable_incremental_sort = off; SET LOCAL jit = off;
    SELECT asked.thread, counted.published, counted.rows
    FROM unnest(%s::text[]) AS asked (thread) CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE status = 'published') AS published, count(*) AS rows
        FROM (
            SELECT status FROM comments
            WHERE (thread, id) >= (asked.thread, 0) AND (thread, id) <= (asked.thread, {MAX_ID})
            ORDER BY thread, id LIMIT {COUNTED + 1}
        ) AS first
    ) AS counted"""


class Count(NamedTuple):
    """How many published comments a thread has, up to COUNTED.

    With `has_more`, the thread has more than COUNTED rows, tombstones among them: then it has as many or more.
    """

    comments: int
    has_more: bool


def get(connection: Connection, comment_id: int) -> Comment | None:
    """The comment with this id, or None."""
    rows = connection.fetch(f"SELECT {COLUMNS} FROM comments WHERE id = %s", (comment_id,))
    return next(map(Comment.from_row, rows), None)


def count(connection: Connection, threads: Sequence[str]) -> dict[str, Count]:
    """The count of each of these threads, in their order. It reads at most COUNTED + 1 rows of each."""
    found = {
        thread: Count(min(published, COUNTED), rows > COUNTED)
        for thread, published, rows in connection.fetch(COUNT, (list(threads),))
    }
    return {thread: found[thread] for thread in threads}


def edit(connection: Connection, comment: Comment, new: Edit, if_unchanged: bool) -> Comment | None:
    """Edit a comment, and return it. None if it is deleted or, with `if_unchanged`, was edited meanwhile."""
    given = {f"new_{name}": value for name, value in new._asdict().items()}
    return next(map(Comment.from_row, connection.fetch(EDIT, given | change_of(comment, if_unchanged))), None)


def delete(connection: Connection, comment: Comment, if_unchanged: bool) -> bool:
    """Delete a comment, or make it a tombstone, and delete the tombstones above it that lose their last reply.

    False if the comment does not exist any more or, with `if_unchanged`, was edited meanwhile. Each statement is
    committed by itself: the first one has deleted the comment.
    """
    return remove(connection, DELETE, change_of(comment, if_unchanged))


def remove(connection: Connection, statement: str, parameters: dict[str, object]) -> bool:
    """Run what removing() has made, and go on as long as there are tombstones to delete. False if it found nothing."""
    rows = _remove(connection, statement, parameters | {"is_tombstone": False})
    is_removed = bool(rows)
    while rows and (above := rows[0][0]):
        tombstone = {"id": above, "if_unchanged": False, "is_tombstone": True}
        rows = _remove(connection, DELETE, parameters | tombstone)
    return is_removed


def _remove(connection: Connection, statement: str, parameters: dict[str, object]) -> Rows:
    while True:
        try:
            return connection.fetch(statement, parameters)
        except ForeignKeyViolation:
            pass  # a reply has come meanwhile: the next attempt sees it


def read_texts(connection: Connection, after: int, limit: int) -> list[Text]:
    """At most `limit` texts of all threads with ids above `after`, by ascending id."""
    statement = "SELECT thread, id, comment, html FROM comments WHERE id > %s ORDER BY id LIMIT %s"
    return list(map(Text._make, connection.fetch(statement, (after, limit))))


def store_html(connection: Connection, texts: list[Text]) -> int:
    """Store the HTML of these texts; returns how many were stored. Skips texts that have changed meanwhile."""
    columns = [list(column) for column in zip(*texts, strict=True)]
    return len(connection.fetch(STORE_HTML, columns)) if texts else 0


def last_id(connection: Connection) -> int:
    """The highest id; 0 if there is no comment."""
    [(found,)] = connection.fetch("SELECT max(id) FROM comments")
    return found or 0


def change_of(comment: Comment, if_unchanged: bool) -> dict[str, object]:
    """The parameters of a statement that changes a comment."""
    own = {"lock": lock_of(comment.thread), "lock_timeout": CHANGE_LOCK_TIMEOUT, "if_unchanged": if_unchanged}
    return comment._asdict() | own


def lock_of(text: str) -> int:
    """The second key of an advisory lock, an int of PostgreSQL: of a thread, for instance."""
    return zlib.crc32(text.encode()) - 2**31


def read_page(
    connection: Connection,
    snapshot: str,
    limit: int,
    after: int | None = None,
    thread: str | None = None,
    newest_first: bool = False,
) -> tuple[str | None, Page]:
    """Read a page, and the value of the SQL expression `snapshot` with it (None for an empty page).

    For one thread, pairs are compared, so that PostgreSQL uses the primary key. With `thread = … ORDER BY id` it may
    use the index of ids instead, and skip every comment of the other threads.
    """
    above, up_to = after or 0, MAX_ID
    if newest_first:
        above, up_to = 0, MAX_ID if after is None else after - 1
    order = "DESC" if newest_first else "ASC"
    columns = f"{snapshot}, {COLUMNS}"
    if thread is None:
        rows = connection.fetch(
            f"SELECT {columns} FROM comments WHERE id > %s AND id <= %s ORDER BY id {order} LIMIT %s",
            (above, up_to, limit + 1),
        )
    else:
        rows = connection.fetch(
            f"SELECT {columns} FROM comments WHERE (thread, id) > (%s, %s) AND (thread, id) <= (%s, %s)"
            f" ORDER BY thread {order}, id {order} LIMIT %s",
            (thread, above, thread, up_to, limit + 1),
        )
    comments = with_html([Comment(*row[1:]) for row in rows[:limit]])
    return (rows[0][0] if rows else None), Page(comments, has_more=len(rows) > limit)

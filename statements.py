"""Every SQL statement on the table comments. Each is a function that takes a connection.

They raise psycopg2.Error. db.py chooses the connection and handles the errors.
"""

import zlib
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from psycopg2.errors import ForeignKeyViolation

from comment import MAX_ID, Comment, Edit, with_html
from markup import render
from postgres.deadline import Connection, Rows


def utc(column: str) -> str:
    """PostgreSQL formats the times: in Python that took half of the time of a page."""
    return f"""to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS {column}"""


# In the order of Comment's fields.
COLUMNS = f"id, name, comment, thread, {utc('created_at')}, parent_id, html, status, {utc('edited_at')}, verified"
# What PostgreSQL decides of a new comment. The rest is known.
DECIDED = f"id, {utc('created_at')}"


class NewRow(NamedTuple):
    """What is stored of a new comment."""

    thread: str
    name: str
    comment: str
    parent_id: int | None
    html: str | None
    author_hash: bytes | None
    idempotency_key: str | None
    verified: bool = False

    def stored(self, comment_id: int, created_at: str) -> Comment:
        """The comment that this row is in the table."""
        html = render(self.comment) if self.html is None else self.html
        known = (comment_id, self.name, self.comment, self.thread, created_at, self.parent_id, html)
        return Comment(*known, verified=self.verified)


# The columns of NewRow, and their types. Those that are not in ALWAYS are sent only if a row has a value there: so a
# batch costs PostgreSQL a third less.
TYPES = dict(zip(NewRow._fields, ("text", "text", "text", "bigint", "text", "bytea", "text", "boolean"), strict=True))
ALWAYS = ("thread", "name", "comment")

# `columns` are names of columns, `values` their parameters, `which` are conditions.
INSERT = (
    "INSERT INTO comments ({columns}) SELECT * FROM (VALUES ({values})) AS given ({columns}) {which}"
    f" ON CONFLICT (thread, idempotency_key) DO NOTHING RETURNING {DECIDED}"
)

# Several comments, an array for each column. `number` is the place of a row in the batch, and the ids ascend with it.
# The rows are inserted in the order of their keys: otherwise two batches with the same keys could deadlock.
INSERT_SEVERAL = f"""
    WITH given AS MATERIALIZED (
        SELECT nextval('comments_id_seq') AS id, {{columns}}, number
        FROM unnest({{values}}) WITH ORDINALITY AS given ({{columns}}, number) ORDER BY number
    ), stored AS (
        INSERT INTO comments (id, {{columns}}) SELECT id, {{columns}} FROM given {{which}} ORDER BY {{order}}
        ON CONFLICT (thread, idempotency_key) DO NOTHING RETURNING {DECIDED}
    )
    SELECT number, stored.* FROM given JOIN stored USING (id)"""

# A row is left out if the comment that it answers is not there, or if the comment with its key is held. Each condition
# is sent only if a row needs it: otherwise it would only make PostgreSQL plan for longer.
WITH_PARENT = """(parent_id IS NULL OR EXISTS (
    SELECT FROM comments AS parent WHERE parent.thread = given.thread AND parent.id = given.parent_id
))"""
NOT_HELD = """NOT EXISTS (
    SELECT FROM held_comments AS held
    WHERE held.thread = given.thread AND held.idempotency_key = given.idempotency_key
)"""

# Where comments may be held, those with a key take an advisory lock each: otherwise one retry could be stored while
# another one is held. Its first key is any number, its second a hash of thread and key.
LOCK_KEYS = """
    SELECT pg_advisory_xact_lock(20261129, lock) FROM (
        SELECT DISTINCT unnest(%s::int[]) AS lock ORDER BY lock
    ) AS locks;"""

# Milliseconds that several comments wait for other transactions, for instance for one with the same key.
LOCK_TIMEOUT = 100

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


def has_parent(connection: Connection, row: NewRow) -> bool:
    """Whether the comment that this row answers is there; True if it answers none."""
    statement = "SELECT 1 FROM comments WHERE thread = %s AND id = %s"
    return row.parent_id is None or bool(connection.fetch(statement, (row.thread, row.parent_id)))


def insert(connection: Connection, row: NewRow, locks_keys: bool = False) -> Comment | None:
    """Insert a row; None if its key is taken or its parent does not exist. May raise ForeignKeyViolation."""
    lock, locks = lock_keys([row] if locks_keys else [])
    columns = _used([row])
    values = ", ".join(f"%s::{TYPES[name]}" for name in columns)
    statement = INSERT.format(columns=", ".join(columns), values=values, which=_which(columns))
    rows = connection.fetch(f"{lock} {statement}", [*locks, *(value for [value] in columns.values())])
    return next((row.stored(*decided) for decided in rows), None)


def insert_several(connection: Connection, new: list[NewRow], locks_keys: bool = False) -> list[Comment | None]:
    """Insert rows; for each, the stored comment, or None if its key is taken or its parent does not exist."""
    lock, locks = lock_keys(new if locks_keys else [])
    columns = _used(new)
    statement = INSERT_SEVERAL.format(
        columns=", ".join(columns),
        values=", ".join(f"%s::{TYPES[name]}[]" for name in columns),
        which=_which(columns),
        order="thread, idempotency_key, number" if "idempotency_key" in columns else "number",
    )
    numbered = connection.fetch(
        f"SET LOCAL lock_timeout = {LOCK_TIMEOUT}; {lock} {statement}", [*locks, *columns.values()]
    )
    decided = {number: values for number, *values in numbered}
    return [row.stored(*decided[number]) if number in decided else None for number, row in enumerate(new, start=1)]


def _used(new: list[NewRow]) -> dict[str, list[object]]:
    """The values of each column that these rows have."""
    columns = zip(NewRow._fields, map(list, zip(*new, strict=True)), strict=True)
    return {name: values for name, values in columns if name in ALWAYS or any(values)}


def lock_keys(rows: list[NewRow]) -> tuple[str, list[object]]:
    """What locks the idempotency keys of these rows: a statement and its parameters, or nothing."""
    locks = [_hash(row.thread + row.idempotency_key) for row in rows if row.idempotency_key]
    return (LOCK_KEYS, [locks]) if locks else ("", [])


def _which(columns: Collection[str]) -> str:
    conditions = [WITH_PARENT] if "parent_id" in columns else []
    conditions += [NOT_HELD] if "idempotency_key" in columns else []
    return f"WHERE {' AND '.join(conditions)}" if conditions else ""


def get(connection: Connection, comment_id: int) -> Comment | None:
    """The comment with this id, or None."""
    rows = connection.fetch(f"SELECT {COLUMNS} FROM comments WHERE id = %s", (comment_id,))
    return next(map(Comment.from_row, rows), None)


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


def lock_of(thread: str) -> int:
    """The second key of the advisory lock of a thread."""
    return _hash(thread)


def _hash(text: str) -> int:
    """An int of PostgreSQL."""
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

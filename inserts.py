"""The SQL statements that insert into the table comments. Each is a function that takes a connection.

They raise psycopg2.Error. db.py chooses the connection and handles the errors.
"""

from collections.abc import Collection
from typing import NamedTuple

from comment import Comment
from markup import render
from postgres.deadline import Connection
from statements import lock_of, utc

# The columns of a new comment that PostgreSQL sets.
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
        """The comment of this row, with the id and the time that PostgreSQL has set."""
        html = render(self.comment) if self.html is None else self.html
        known = (comment_id, self.name, self.comment, self.thread, created_at, self.parent_id, html)
        return Comment(*known, verified=self.verified)


# The columns of NewRow, and their types. A column that is not in ALWAYS is sent only if a row has a value for it: this
# costs PostgreSQL a third less for a batch.
TYPES = dict(zip(NewRow._fields, ("text", "text", "text", "bigint", "text", "bytea", "text", "boolean"), strict=True))
ALWAYS = ("thread", "name", "comment")

# `columns` are names of columns, `values` their parameters, `which` a WHERE clause or nothing.
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
    """The statement that locks the idempotency keys of these rows, and its parameters; "" and [] if they have none."""
    locks = [lock_of(row.thread + row.idempotency_key) for row in rows if row.idempotency_key]
    return (LOCK_KEYS, [locks]) if locks else ("", [])


def _which(columns: Collection[str]) -> str:
    conditions = [WITH_PARENT] if "parent_id" in columns else []
    conditions += [NOT_HELD] if "idempotency_key" in columns else []
    return f"WHERE {' AND '.join(conditions)}" if conditions else ""

"""The statements that find comments, published or held. Each is a function of a connection.

They raise psycopg2.Error. db.py and database.py choose the connection and handle the errors.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import statements
from comment import HELD as HELD_STATES
from comment import MAX_ID, Comment, with_html
from inserts import NewRow
from postgres.deadline import Connection

# The comments of both tables.
COMMON = "thread, id, name, comment, created_at, parent_id, edited_at, verified, author_hash, idempotency_key"
STORED = f"SELECT {COMMON}, html, status, NULL AS reason FROM comments"
HELD = f"SELECT {COMMON}, NULL AS html, status, reason FROM held_comments"
EVERY = f"({STORED} WHERE status <> 'deleted' UNION ALL {HELD}) AS every"
# Where the comments of each status are.
SOURCES = {"published": STORED, "deleted": STORED, "pending": HELD, "spam": HELD, None: f"{STORED} UNION ALL {HELD}"}

# In the order of Comment's fields.
COLUMNS = f"{statements.COLUMNS}, reason"

# The comment with an idempotency key, and whether a new one has the same content. After an edit, name and text are not
# compared.
FIND_BY_KEY = f"""
    SELECT {COLUMNS}, (parent_id, author_hash) IS NOT DISTINCT FROM (%s, %s)
        AND (edited_at IS NOT NULL OR (name, comment) = (%s, %s))
    FROM {EVERY} WHERE thread = %s AND idempotency_key = %s"""

# The comments that one search reads. More would take too long if all of them are long.
SCANNED = 5_000


class Found(NamedTuple):
    """A comment, whether the given `author_hash` is its author's, and its age in seconds."""

    comment: Comment
    is_own: bool
    age: float


class Search(NamedTuple):
    """Which comments a moderator searches for; None: any.

    `status` is published, pending, spam or deleted. `text` is a part of the name or the text, in any case. `author_of`
    is the id of one of the author's comments.
    """

    status: str | None = None
    text: str | None = None
    author_of: int | None = None
    thread: str | None = None


class SearchPage(NamedTuple):
    """Comments, and the id after which to go on, or None at the end. A page may be short and have more behind it."""

    comments: list[Comment]
    next: int | None


def find_by_key(connection: Connection, row: NewRow) -> tuple[Comment, bool] | None:
    """The comment with the idempotency key of this row, and whether it has the content of this row; or None."""
    content = (row.parent_id, row.author_hash, row.name, row.comment)
    rows = connection.fetch(FIND_BY_KEY, (*content, row.thread, row.idempotency_key))
    return next(((Comment.from_row(row), is_same) for *row, is_same in rows), None)


def find(connection: Connection, comment_id: int, author_hash: bytes | None) -> Found | None:
    """The comment with this id, unless it is deleted, and whether `author_hash` is its author's; or None.

    With an `author_hash`, held comments of other authors are None too. The statement leaves them out: making their HTML
    would take time, and this time would reveal that they exist.
    """
    # It compares hashes, so the time that it takes reveals nothing about a key.
    extra = "coalesce(author_hash = %(author_hash)s, false), extract(epoch FROM now() - created_at)::float"
    is_seen = "(%(author_hash)s IS NULL OR author_hash = %(author_hash)s OR status = 'published')"
    statement = f"SELECT {extra}, {COLUMNS} FROM {EVERY} WHERE id = %(id)s AND {is_seen}"
    rows = connection.fetch(statement, {"author_hash": author_hash, "id": comment_id})
    return next((Found(Comment.from_row(row), is_own, age) for is_own, age, *row in rows), None)


def find_several(connection: Connection, ids: Sequence[int]) -> list[Comment]:
    """The comments with these ids that are there and not deleted."""
    rows = connection.fetch(f"SELECT {COLUMNS} FROM {EVERY} WHERE id = ANY(%s)", (list(ids),))
    return with_html([Comment(*row) for row in rows])


def search(connection: Connection, what: Search, limit: int, after: int | None, newest_first: bool) -> SearchPage:
    """A page of a moderator's search, by ascending or descending id: three statements at most.

    It reads SCANNED comments at most, so a page may be short, or empty, and have more behind it.
    """
    author_hash = author(connection, what.author_of) if what.author_of is not None else None
    order = "DESC" if newest_first else "ASC"
    values = {
        **what._asdict(),
        "author_hash": author_hash,
        "pattern": f"%{_escape(what.text or '')}%",
        "low": 0 if after is None or newest_first else after + 1,
        "high": after - 1 if after is not None and newest_first else MAX_ID,
    }
    # With `column = …`, PostgreSQL may walk through the index of ids, and skip all others. For a range of pairs it has
    # only one index.
    if author_hash is not None:
        column = "author_hash"
    elif what.thread is not None:
        column = "thread"
    else:
        column = "status" if what.status in HELD_STATES else ""
    if column:
        pair, value = f"({column}, id)", f"%({column})s"
        where = f"{column} IS NOT NULL AND {pair} >= ({value}, %(low)s) AND {pair} <= ({value}, %(high)s)"
        order = f"{column} {order}, id {order}"
    else:
        where, order = "id BETWEEN %(low)s AND %(high)s", f"id {order}"
    matches = ["status <> 'deleted'" if what.status is None else "status = %(status)s"]
    if what.thread is not None:
        matches.append("thread = %(thread)s")
    if what.author_of is not None and author_hash is None:
        where += " AND id = %(author_of)s"
    if what.text is not None:
        matches.append("(name ILIKE %(pattern)s OR comment ILIKE %(pattern)s)")
    statement = (
        f"SELECT id, {' AND '.join(matches)} FROM ({SOURCES[what.status]}) AS source"
        f" WHERE {where} ORDER BY {order} LIMIT {SCANNED}"
    )
    scanned = connection.fetch(statement, values)
    found = [comment_id for comment_id, is_match in scanned if is_match][: limit + 1]
    comments = _get(connection, found[:limit], what.status, newest_first)
    if len(found) > limit:
        return SearchPage(comments, found[limit - 1])
    return SearchPage(comments, scanned[-1][0] if len(scanned) == SCANNED else None)


def _get(connection: Connection, ids: list[int], status: str | None, newest_first: bool) -> list[Comment]:
    """The comments with these ids, in order, if they still have this status."""
    wanted = "status <> 'deleted'" if status is None else "status = %(status)s"
    statement = f"SELECT {COLUMNS} FROM ({SOURCES[status]}) AS source WHERE id = ANY(%(ids)s) AND {wanted}"
    rows = connection.fetch(statement, {"ids": ids, "status": status}) if ids else []
    return with_html(sorted((Comment(*row) for row in rows), reverse=newest_first))


def author(connection: Connection, comment_id: int) -> bytes | None:
    """The hash of the author of this comment; None if it was posted without a key, or is not there."""
    rows = connection.fetch(f"SELECT author_hash FROM {EVERY} WHERE id = %s", (comment_id,))
    return next((found and bytes(found) for (found,) in rows), None)


def with_author(connection: Connection, ids: Sequence[int]) -> set[int]:
    """The ids of those comments that were posted with a key or a token."""
    rows = connection.fetch(f"SELECT id FROM {EVERY} WHERE id = ANY(%s) AND author_hash IS NOT NULL", (list(ids),))
    return {comment_id for (comment_id,) in rows}


def _escape(text: str) -> str:
    """The pattern of LIKE that matches this text and no other."""
    return re.sub(r"([\\%_])", r"\\\1", text)

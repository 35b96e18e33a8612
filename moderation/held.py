"""The statements on held_comments: comments that wait for a moderator, and spam. Each is a function of a connection.

They raise psycopg2.Error. db.py and database.py choose the connection and handle the errors. A comment is in one of the
two tables. If it is held while it has replies, the table comments keeps a tombstone in its place.
"""

from collections.abc import Sequence
from time import monotonic

from comment import Comment, Edit
from inserts import DECIDED, NewRow, lock_keys
from markup import render
from moderation.judge import Verdict
from postgres.deadline import Connection
from statements import (
    CHANGE_LOCK_TIMEOUT,
    LOCK,
    UNCHANGED,
    change_of,
    lock_of,
    remove,
    removing,
    utc,
)

# In the order of Comment's fields. There is no HTML in this table: it is made when the comment is read or published.
COLUMNS = (
    f"id, name, comment, thread, {utc('created_at')}, parent_id, NULL AS html, status, {utc('edited_at')},"
    " verified, reason"
)

RENDER_SECONDS = 0.25  # nobody else is served meanwhile, and the statement still has to meet its deadline

# What a comment has in both tables.
KEPT = "thread, id, comment, name, created_at, parent_id, edited_at, author_hash, idempotency_key, verified"

INSERT = f"""
    INSERT INTO held_comments (
        id, thread, name, comment, parent_id, author_hash, idempotency_key, verified, status, reason
    )
    SELECT nextval('comments_id_seq'), given.* FROM (
        VALUES (%s::text, %s::text, %s::text, %s::bigint, %s::bytea, %s::text, %s::boolean, %s::text, %s::text)
    ) AS given (thread, name, comment, parent_id, author_hash, idempotency_key, verified, status, reason)
    WHERE NOT EXISTS (
        SELECT FROM comments WHERE comments.thread = given.thread AND comments.idempotency_key = given.idempotency_key
    )
    ON CONFLICT (thread, idempotency_key) DO NOTHING RETURNING {DECIDED}"""

EDIT = f"""{LOCK}; UPDATE held_comments
    SET name = coalesce(%(new_name)s, name), comment = coalesce(%(new_comment)s, comment),
        edited_at = clock_timestamp(), status = %(new_status)s, reason = %(new_reason)s
    WHERE thread = %(thread)s AND id = %(id)s AND {UNCHANGED}
        AND (status, reason) = (%(status)s, %(reason)s) RETURNING {COLUMNS}"""

DELETE = f"{LOCK}; DELETE FROM held_comments WHERE thread = %(thread)s AND id = %(id)s AND {UNCHANGED} RETURNING id"

# One statement moves the comment from one table to the other, and applies an edit if there is one. It drops the
# idempotency key if another held comment has it: this only happens if a client sends one key with two texts.
HOLD = removing(f"""
    , held AS (
        INSERT INTO held_comments ({KEPT}, status, reason)
        SELECT thread, id, coalesce(%(new_comment)s, comment), coalesce(%(new_name)s, name), created_at, parent_id,
            CASE WHEN %(is_edit)s THEN clock_timestamp() ELSE edited_at END, author_hash,
            CASE WHEN NOT EXISTS (
                SELECT FROM held_comments AS other
                WHERE other.thread = comments.thread AND other.idempotency_key = comments.idempotency_key
            ) THEN idempotency_key END,
            verified, %(new_status)s, %(new_reason)s
        FROM comments WHERE thread = %(thread)s AND id = ANY (ARRAY(SELECT id FROM target))
    )""")

# Publishes several comments, of several threads. It takes the locks of the threads in the order of their numbers. A
# comment that was edited since it was read stays held: `htmls` has the HTML of the old text. If the comment that a
# reply answers is not in the table, the reply answers none. A tombstone gets its text back.
PUBLISH = f"""
    SET LOCAL transaction_isolation = 'read committed'; SET LOCAL lock_timeout = %(lock_timeout)s;
    SELECT pg_advisory_xact_lock(20261128, lock) FROM (
        SELECT DISTINCT unnest(%(locks)s::int[]) AS lock ORDER BY lock
    ) AS locks;
    WITH given AS (
        SELECT * FROM unnest(
            %(threads)s::text[], %(ids)s::bigint[], %(names)s::text[], %(comments)s::text[], %(htmls)s::text[]
        ) AS given (thread, id, name, comment, html)
    ), taken AS (
        DELETE FROM held_comments AS held USING given
        WHERE held.thread = given.thread AND held.id = given.id
            AND held.name = given.name AND held.comment = given.comment
        RETURNING held.*, given.html
    )
    INSERT INTO comments ({KEPT}, html)
    SELECT thread, id, comment, name, created_at,
        CASE WHEN parent_id IN (SELECT id FROM taken) OR EXISTS (
            SELECT FROM comments AS parent WHERE parent.thread = taken.thread AND parent.id = taken.parent_id
        ) THEN parent_id END,
        edited_at, author_hash,
        CASE WHEN NOT EXISTS (
            SELECT FROM comments AS other
            WHERE other.thread = taken.thread AND other.idempotency_key = taken.idempotency_key
        ) THEN idempotency_key END,
        verified, html
    FROM taken ORDER BY thread, id
    ON CONFLICT (thread, id) DO UPDATE SET
        name = excluded.name, comment = excluded.comment, html = excluded.html, status = 'published',
        edited_at = excluded.edited_at, author_hash = excluded.author_hash,
        idempotency_key = excluded.idempotency_key, verified = excluded.verified
    RETURNING id"""


def insert(connection: Connection, row: NewRow, status: str, reason: str) -> Comment | None:
    """Hold a new comment; None if its key is taken."""
    lock, locks = lock_keys([row])
    values = (row.thread, row.name, row.comment, row.parent_id, row.author_hash, row.idempotency_key, row.verified)
    rows = connection.fetch(f"{lock} {INSERT}", [*locks, *values, status, reason])
    return next((row.stored(*decided)._replace(status=status, reason=reason) for decided in rows), None)


def edit(connection: Connection, comment: Comment, verdict: Verdict, new: Edit, if_unchanged: bool) -> Comment | None:
    """Edit a held comment as it was read. It stays held, with the status and the reason of the verdict.

    None if it is not held any more, if a moderator has decided about it meanwhile or, with `if_unchanged`, if it was
    edited meanwhile.
    """
    parameters = change_of(comment, if_unchanged) | _new(comment._replace(**verdict._asdict()), new)
    return next(map(Comment.from_row, connection.fetch(EDIT, parameters)), None)


def delete(connection: Connection, comment: Comment, if_unchanged: bool) -> bool:
    """Delete a held comment; False if it is not held any more or, with `if_unchanged`, was edited meanwhile."""
    return bool(connection.fetch(DELETE, change_of(comment, if_unchanged)))


def hold(connection: Connection, comment: Comment, new: Edit | None, if_unchanged: bool) -> bool:
    """Hold a published comment, edited if `new` is given. `comment` has its new status and reason.

    False if it is not published any more or, with `if_unchanged`, was edited meanwhile.
    """
    parameters = change_of(comment, if_unchanged) | _new(comment, new or Edit()) | {"is_edit": new is not None}
    return remove(connection, HOLD, parameters)


def _new(comment: Comment, new: Edit) -> dict[str, object]:
    state = {"new_status": comment.status, "new_reason": comment.reason}
    return state | {f"new_{name}": value for name, value in new._asdict().items()}


def set_status(connection: Connection, ids: Sequence[int], status: str, reason: str) -> int:
    """Give held comments another status, pending or spam; how many have got it."""
    statement = """
        UPDATE held_comments SET status = %s, reason = %s, held_at = now() WHERE id = ANY(%s) AND status <> %s
        RETURNING id"""
    return len(connection.fetch(statement, (status, reason, list(ids), status)))


def delete_several(connection: Connection, ids: Sequence[int]) -> int:
    """Delete held comments for good; how many were there."""
    return len(connection.fetch("DELETE FROM held_comments WHERE id = ANY(%s) RETURNING id", (list(ids),)))


def publish(connection: Connection, comments: Sequence[Comment]) -> int:
    """Publish held comments as they were read; how many were published. One that was edited meanwhile stays held."""
    given = {
        "lock_timeout": CHANGE_LOCK_TIMEOUT,
        "locks": [lock_of(comment.thread) for comment in comments],
        "threads": [comment.thread for comment in comments],
        "ids": [comment.id for comment in comments],
        "names": [comment.name for comment in comments],
        "comments": [comment.comment for comment in comments],
        "htmls": _render_in_time([comment.comment for comment in comments]),
    }
    return len(connection.fetch(PUBLISH, given))


def _render_in_time(texts: Sequence[str]) -> list[str | None]:
    """The HTML of each text; None once RENDER_SECONDS are over, which only hostile texts reach.

    A comment without HTML gets it when it is read, and `flask render` stores it.
    """
    end = monotonic() + RENDER_SECONDS
    return [render(text) if monotonic() < end else None for text in texts]


def count_pending(connection: Connection, limit: int) -> int:
    """How many comments wait, up to `limit`."""
    # A range of pairs, so that PostgreSQL takes their index and does not walk through the spam.
    statement = """SELECT count(*) FROM (
        SELECT FROM held_comments
        WHERE (status, id) >= ('pending', 0) AND (status, id) <= ('pending', 9223372036854775807)
        ORDER BY status, id LIMIT %s
    ) AS pending"""
    [(found,)] = connection.fetch(statement, (limit,))
    return int(found)


def purge(connection: Connection, days: int, limit: int) -> int:
    """Delete at most `limit` comments that have been spam for so many days; how many were deleted."""
    statement = """
        DELETE FROM held_comments WHERE (thread, id) IN (
            SELECT thread, id FROM held_comments
            WHERE status = 'spam' AND held_at < now() - make_interval(days => %s) ORDER BY held_at LIMIT %s
        ) RETURNING id"""
    return len(connection.fetch(statement, (days, limit)))

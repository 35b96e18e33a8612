"""db.py: deletions in large threads, and many of them at once, harm nobody."""

import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import psycopg2
import pytest

from comment import Comment
from db import CommentDatabase
from postgres.errors import DatabaseUnavailable

from support.model import check_table
from support.postgres import sql
from support.processes import wait_for

# Rows that answer each other, all of them deleted but the last one.
CHAIN = (
    "INSERT INTO comments (thread, name, comment, html, status, parent_id)"
    " SELECT 'new', name, name, '', CASE name WHEN '' THEN 'deleted' ELSE 'published' END, nullif(n - 1, 0) + first"
    " FROM (SELECT n, CASE WHEN n = %s THEN 'Ada' ELSE '' END AS name FROM generate_series(1, %s) n) AS numbered,"
    " (SELECT last_value AS first FROM comments_id_seq) AS ids ORDER BY n"
)


def chain(database: CommentDatabase, url: str, length: int) -> Comment:
    """A thread that the statistics do not know, with so many rows; returns the last one."""
    sql(
        url,
        "INSERT INTO comments (thread, name, comment)"
        " SELECT (n % 60)::text, 'Ada', 'Hello' FROM generate_series(1, 6000) n",
    )
    sql(url, "ANALYZE comments")
    sql(url, CHAIN, length, length)
    return database.get_page(1, newest_first=True).comments[0]


def test_a_tombstone_goes_with_its_last_reply_however_long_the_chain_is(own_database_url: str) -> None:
    database = CommentDatabase(own_database_url)
    last = chain(database, own_database_url, 2_500)
    assert database.delete_comment(last) is True
    assert sql(own_database_url, "SELECT count(*) FROM comments WHERE thread = 'new'") == [(0,)]
    database.close()


def test_the_tombstones_above_a_comment_that_stays_are_deleted_to_there(own_database_url: str) -> None:
    database = CommentDatabase(own_database_url)
    last = chain(database, own_database_url, 1_500)
    stays = (last.id or 0) - 1_200
    database.create_comment(Comment(None, "Ada", "Hello", "new", parent_id=stays))
    assert database.delete_comment(last) is True
    left = sql(own_database_url, "SELECT count(*), max(parent_id) FROM comments WHERE thread = 'new'")
    assert left == [(300 + 1, stays)]
    check_table(own_database_url)
    database.close()


@contextmanager
def locked(url: str, thread: str) -> Iterator[None]:
    """Another process is changing something in the thread."""
    with closing(psycopg2.connect(url)) as holder, holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(20261128, %s)", (zlib.crc32(thread.encode()) - 2**31,))
        yield


def test_deletions_that_wait_do_not_keep_others_from_the_database(
    database: CommentDatabase, database_url: str, pool: ThreadPoolExecutor
) -> None:
    comments = [database.create_comment(Comment(None, "Ada", "Hello", "held")) for _ in range(20)]
    with locked(database_url, "held"):
        waiting = [pool.submit(database.delete_comment, comment) for comment in comments]
        held = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        wait_for(lambda: sql(database_url, held), "a deletion to wait for the lock")
        for _ in range(10):
            assert database.create_comment(Comment(None, "Ada", "Hello", "other")).thread == "other"
        began = time.monotonic()
        for future in waiting:
            with pytest.raises(DatabaseUnavailable):
                future.result()
        assert time.monotonic() - began < 5
    assert database.delete_comment(comments[0]) is True

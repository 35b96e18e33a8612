"""postgres/page_cache.py: a kept page is always the page that PostgreSQL would give."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from psycopg2.extensions import make_dsn

import db
from app import create_app
from comment import Comment
from config import Config
from db import CommentDatabase
from postgres import page_cache
from postgres.deadline import Connection
from postgres.errors import DatabaseUnavailable

from support.postgres import sql


class Counts:
    """Counts how often rows were read."""

    reads = 0


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counts:
    counts = Counts()
    fetch = Connection.fetch

    def counted(connection: Connection, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        counts.reads += "FROM comments" in statement
        return fetch(connection, statement, parameters)

    monkeypatch.setattr(Connection, "fetch", counted)
    return counts


@pytest.fixture
def database(database_url: str) -> Iterator[CommentDatabase]:
    """With one connection: what is kept is proved by the connection that read it."""
    database = CommentDatabase(database_url, connections=1)
    yield database
    database.close()


def page(database: CommentDatabase, after: int = 0, thread: str | None = None) -> str:
    return ",".join(comment.comment for comment in database.get_page(9, after, thread).comments)


def kept(database: CommentDatabase) -> list[Any]:
    """The keys of the pages that are kept."""
    return list(database._pages._entries)


def store(database: CommentDatabase, *texts: str, thread: str = "") -> None:
    for text in texts:
        database.create_comment(Comment(None, "Ada", text, thread))


def until_kept(database: CommentDatabase, counts: Counts, thread: str | None = None) -> str:
    """Ask for the page until it was not read again: a neighbour's write may come in between."""
    for _ in range(100):
        before = counts.reads
        found = page(database, thread=thread)
        if counts.reads == before:
            return found
    raise AssertionError("the page was never kept")


def test_what_has_not_changed_is_not_read_again(database: CommentDatabase, counts: Counts) -> None:
    store(database, "one", "two")
    assert until_kept(database, counts) == "one,two"


def test_where_something_else_has_changed_the_same_rows_make_the_same_page(
    database: CommentDatabase, counts: Counts
) -> None:
    store(database, "one", thread="/post")
    first = database.get_page(9, thread="/post")
    for n in range(1, 4):
        assert database.get_page(9, thread="/post") is first
        store(database, "elsewhere")
        assert counts.reads <= n + 1
    store(database, "here", thread="/post")
    assert database.get_page(9, thread="/post") is not first


def test_the_connections_of_a_process_share_a_page_and_each_proves_it_by_itself(
    database_url: str, counts: Counts
) -> None:
    database = CommentDatabase(database_url, connections=4)
    store(database, "one")
    first = database.get_page(9)
    with database._pool.connection():
        reads = counts.reads
        assert database.get_page(9) is first, "the same page"
        assert counts.reads == reads + 1, "but the other connection has read it"
    database.close()


@pytest.mark.parametrize("thread", [None, ""])
def test_a_read_that_begins_after_a_write_shows_it(
    database: CommentDatabase, database_url: str, counts: Counts, thread: str | None
) -> None:
    other = CommentDatabase(database_url)
    expected = []
    for n in range(9):
        store(other, str(n))
        expected.append(str(n))
        assert page(database, thread=thread) == ",".join(expected)
    sql(database_url, "DELETE FROM comments WHERE id > 1")
    assert page(database, thread=thread) == "0"
    sql(database_url, "UPDATE comments SET comment = 'changed'")
    assert page(database, thread=thread) == "changed"
    other.close()


def test_readers_on_all_connections_see_each_write_at_once(database_url: str) -> None:
    """Each write is read by all of them after it was answered."""
    database = CommentDatabase(database_url)
    written, read = threading.Barrier(5, timeout=20), threading.Barrier(5, timeout=20)
    seen: list[list[str]] = [[] for _ in range(4)]

    def reader(number: int) -> None:
        for _ in range(50):
            written.wait()
            seen[number].append(page(database, after=max(0, len(seen[number]) - 3)))
            page(database, after=0)
            read.wait()

    with ThreadPoolExecutor() as pool:
        readers = [pool.submit(reader, number) for number in range(4)]
        for n in range(1, 51):
            store(database, str(n))
            written.wait()
            read.wait()
        for finished in readers:
            finished.result()
    for one in seen:
        assert [text.rpartition(",")[2] for text in one] == [str(n) for n in range(1, 51)]
    database.close()


def test_pages_are_told_apart(database: CommentDatabase, counts: Counts) -> None:
    store(database, "a", "b", thread="one")
    store(database, "c", thread="two")
    for _ in range(2):
        assert page(database) == "a,b,c"
        assert page(database, after=1) == "b,c"
        assert page(database, thread="one") == "a,b"
        assert page(database, thread="two") == "c"
        assert page(database, thread="nobody's") == ""


def test_nothing_is_kept_where_the_table_may_be_distributed(database_url: str, counts: Counts) -> None:
    """The setting is all that the service asks for. tests/faults has a hot standby, where nothing is kept either."""
    database = CommentDatabase(make_dsn(database_url, options="-c citus.version=13.0"))
    store(database, "one")
    for n in range(1, 4):
        assert page(database) == "one"
        assert counts.reads == n
    assert kept(database) == []
    database.close()


def test_a_page_is_read_again_on_a_new_connection(database: CommentDatabase, counts: Counts) -> None:
    store(database, "one")
    until_kept(database, counts)
    reads = counts.reads
    database.close()
    assert page(database) == "one"
    assert counts.reads == reads + 1


def test_another_connection_s_name_of_a_snapshot_proves_nothing(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash of the server a snapshot of a new connection may have the name of an old one's."""
    for module in (page_cache, db):
        monkeypatch.setattr(module, "SNAPSHOT", "SELECT 'always the same'")
    database = CommentDatabase(database_url, connections=1)
    store(database, "one")
    assert page(database) == "one"
    sql(database_url, "UPDATE comments SET comment = 'changed'")
    assert page(database) == "one", "the name is taken for a proof"
    database.close()
    assert page(database) == "changed"
    database.close()


def test_so_many_are_kept_and_none_that_is_large_or_empty(database: CommentDatabase, counts: Counts) -> None:
    for n in range(page_cache.MAX_ENTRIES + 9):
        store(database, "one", thread=str(n))
        page(database, thread=str(n))
    assert len(kept(database)) == page_cache.MAX_ENTRIES
    before = kept(database)
    store(database, *["x" * 10_000] * 6)
    database.get_page(20, 0, "")
    page(database, thread="nobody's")
    assert kept(database) == before


def test_a_page_that_has_grown_too_large_is_dropped(database: CommentDatabase, counts: Counts) -> None:
    """Else each request would ask for the id of the snapshot in vain, and then for the rows."""
    store(database, "one")
    until_kept(database, counts)
    store(database, *["x" * 10_000] * 6)
    database.get_page(9)
    assert kept(database) == []


def test_the_page_that_is_asked_for_is_the_last_to_go(database: CommentDatabase, counts: Counts) -> None:
    for n in range(page_cache.MAX_ENTRIES + 1):
        store(database, "one", thread=str(n))
    for n in range(page_cache.MAX_ENTRIES):
        page(database, thread=str(n))
    until_kept(database, counts, thread="0")
    page(database, thread=str(page_cache.MAX_ENTRIES))
    threads = {thread for _, _, thread in kept(database)}
    assert threads == {str(n) for n in range(page_cache.MAX_ENTRIES + 1)} - {"1"}


def test_both_statements_have_the_time_of_one_call(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (page_cache, db):
        monkeypatch.setattr(module, "SNAPSHOT", "SELECT concat(pg_sleep(1.2), clock_timestamp())")
    database = CommentDatabase(database_url, connections=1)
    store(database, "one")
    page(database)
    with pytest.raises(DatabaseUnavailable):
        page(database)
    database.close()


def test_it_can_be_turned_off(database_url: str, counts: Counts) -> None:
    app = create_app(Config(database_url=database_url, page_cache="off"))
    database: CommentDatabase = app.extensions["database"]
    store(database, "one")
    for n in range(1, 4):
        assert page(database) == "one"
        assert counts.reads == n
    assert kept(database) == []
    database.close()

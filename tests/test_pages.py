"""pages.py: a kept page is always the page that PostgreSQL would give."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from conftest import sql
from psycopg2.extensions import make_dsn

import db
import pages
from app import create_app
from comment import Comment
from config import Config
from connections import DatabaseUnavailable
from db import CommentDatabase
from pages import Page

Read = Callable[..., list[tuple[Any, ...]]]


class Counts:
    """Counts how often rows were read, and made into a page."""

    def __init__(self) -> None:
        self.reads = self.renders = 0

    def around(self, read: Read) -> Read:
        def counted(statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
            self.reads += "FROM comments" in statement
            return read(statement, parameters)

        return counted

    def render(self, comments: list[Comment]) -> Page:
        self.renders += 1
        return Page(",".join(comment.comment for comment in comments).encode(), "", None)


@pytest.fixture
def counts(database: CommentDatabase, monkeypatch: pytest.MonkeyPatch) -> Counts:
    counts = Counts()
    monkeypatch.setattr(database, "_read", counts.around(database._read))
    return counts


def page(database: CommentDatabase, counts: Counts, after: int = 0, thread: str | None = None) -> str:
    return database.get_page(9, after, thread, counts.render).content.decode()


def store(database: CommentDatabase, *texts: str, thread: str = "") -> None:
    for text in texts:
        database.create_comment(Comment(None, "Ada", text, thread))


def until_kept(database: CommentDatabase, counts: Counts, thread: str | None = None) -> str:
    """Ask for the page until it was not read again: a neighbour's write may come in between."""
    for _ in range(100):
        before = counts.reads
        found = page(database, counts, thread=thread)
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
    for n in range(1, 4):
        page(database, counts, thread="/post")
        assert (counts.reads, counts.renders) == (n, 1)
        store(database, "elsewhere")


@pytest.mark.parametrize("thread", [None, ""])
def test_a_read_that_begins_after_a_write_shows_it(
    database: CommentDatabase, database_url: str, counts: Counts, thread: str | None
) -> None:
    other = CommentDatabase(database_url)
    expected = []
    for n in range(9):
        store(other, str(n))
        expected.append(str(n))
        assert page(database, counts, thread=thread) == ",".join(expected)
    sql(database_url, "DELETE FROM comments WHERE id > 1")
    assert page(database, counts, thread=thread) == "0"
    sql(database_url, "UPDATE comments SET comment = 'changed'")
    assert page(database, counts, thread=thread) == "changed"
    other.close()


def test_readers_of_all_threads_see_each_write_at_once(database: CommentDatabase) -> None:
    """Each thread keeps its own; each write is read by all of them after it was answered."""
    counts = [Counts() for _ in range(4)]
    written, read = threading.Barrier(5, timeout=20), threading.Barrier(5, timeout=20)
    seen: list[list[str]] = [[] for _ in counts]

    def reader(number: int) -> None:
        for _ in range(50):
            written.wait()
            seen[number].append(page(database, counts[number], after=max(0, len(seen[number]) - 3)))
            page(database, counts[number], after=0)
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


def test_pages_are_told_apart(database: CommentDatabase, counts: Counts) -> None:
    store(database, "a", "b", thread="one")
    store(database, "c", thread="two")
    for _ in range(2):
        assert page(database, counts) == "a,b,c"
        assert page(database, counts, after=1) == "b,c"
        assert page(database, counts, thread="one") == "a,b"
        assert page(database, counts, thread="two") == "c"
        assert page(database, counts, thread="nobody's") == ""


def test_nothing_is_kept_where_the_table_may_be_distributed(database_url: str) -> None:
    """The setting is all that the service asks for. tests/faults has a hot standby, where nothing is kept either."""
    database = CommentDatabase(make_dsn(database_url, options="-c citus.version=13.0"))
    store(database, "one")
    counts = Counts()
    for n in range(1, 4):
        assert page(database, counts) == "one"
        assert counts.renders == n
    assert database._connections.memory() == {}
    database.close()


def test_what_is_kept_goes_with_its_connection(database: CommentDatabase, counts: Counts) -> None:
    store(database, "one")
    until_kept(database, counts)
    assert len(database._connections.memory()) == 1
    database.close()
    assert database._connections.memory() == {}
    assert page(database, counts) == "one"


def test_another_connection_s_word_is_not_taken(
    database: CommentDatabase, counts: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is lost between the look at what is kept and the statement; a snapshot of the new one's may be
    called the same after a crash."""
    store(database, "one")
    until_kept(database, counts)
    read, reads = database._read, counts.reads

    def read_on_another(*arguments: Any) -> list[tuple[Any, ...]]:
        database.close()
        return read(*arguments)

    monkeypatch.setattr(database, "_read", read_on_another)
    assert page(database, counts) == "one"
    assert counts.reads == reads + 1


def test_so_many_are_kept_and_none_that_is_large_or_empty(database: CommentDatabase, counts: Counts) -> None:
    for n in range(pages.KEPT_PAGES + 9):
        store(database, "one", thread=str(n))
        page(database, counts, thread=str(n))
    assert len(database._connections.memory()) == pages.KEPT_PAGES
    database.close()
    store(database, *["x" * 10_000] * 6)
    database.get_page(20, 0, "", counts.render)
    page(database, counts, thread="nobody's")
    assert database._connections.memory() == {}


def test_the_page_that_is_asked_for_is_the_last_to_go(database: CommentDatabase, counts: Counts) -> None:
    for n in range(pages.KEPT_PAGES + 1):
        store(database, "one", thread=str(n))
    for n in range(pages.KEPT_PAGES):
        page(database, counts, thread=str(n))
    until_kept(database, counts, thread="0")
    page(database, counts, thread=str(pages.KEPT_PAGES))
    threads = {key[1] for key in database._connections.memory()}
    assert threads == {str(n) for n in range(pages.KEPT_PAGES + 1)} - {"1"}


def test_both_statements_have_the_time_of_one_call(
    database: CommentDatabase, counts: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(database, "one")
    for module in (pages, db):
        monkeypatch.setattr(module, "SNAPSHOT", "SELECT concat(pg_sleep(1.2), clock_timestamp())")
    page(database, counts)
    with pytest.raises(DatabaseUnavailable):
        page(database, counts)


def test_it_can_be_turned_off(database_url: str) -> None:
    app = create_app(Config(database_url=database_url, page_cache="off"))
    database: CommentDatabase = app.extensions["database"]
    store(database, "one")
    counts = Counts()
    for n in range(1, 4):
        assert page(database, counts) == "one"
        assert counts.renders == n
    database.close()

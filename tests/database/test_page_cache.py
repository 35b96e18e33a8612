"""postgres/page_cache.py: a kept page is always the page that PostgreSQL would give."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from psycopg2.extensions import make_dsn

import app
import db
from comment import Comment, Edit
from config import Config
from db import CommentDatabase
from postgres import page_cache
from postgres.deadline import Connection
from postgres.errors import DatabaseUnavailable

from support.batches import waiting
from support.postgres import sql
from support.processes import wait_for

pytestmark = pytest.mark.usefixtures("patience")


class Counts:
    """Counts how often rows were read, and how often the name of the snapshot was asked for. The next can be held."""

    reads = 0
    proofs = 0

    def __init__(self) -> None:
        self.held: threading.Event | None = None  # PostgreSQL has answered, but the answer has not come

    def hold(self) -> threading.Event:
        self.held = threading.Event()
        return self.held


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counts:
    counts = Counts()
    fetch = Connection.fetch

    def counted(connection: Connection, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        rows = fetch(connection, statement, parameters)
        is_read, is_proof = "FROM comments" in statement, statement.startswith("SELECT pg_backend_pid()")
        counts.reads += is_read
        counts.proofs += is_proof
        if (is_read or is_proof) and counts.held:
            held, counts.held = counts.held, None
            assert held.wait(20)
        return rows

    monkeypatch.setattr(Connection, "fetch", counted)
    return counts


@pytest.fixture
def one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every snapshot has the same name: only the session can tell them apart."""
    for module in (page_cache, db):
        monkeypatch.setattr(module, "SNAPSHOT", "SELECT 'always the same'")


def page(database: CommentDatabase, after: int = 0, thread: str | None = None) -> str:
    return ",".join(comment.comment for comment in database.get_page(9, after, thread).comments)


def kept(database: CommentDatabase) -> list[Any]:
    """The keys of the pages that are kept."""
    return list(database._cache._entries) if database._cache else []


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


def waiting_for_page(database: CommentDatabase) -> int:
    """How many calls wait for the page that page() gets."""
    return waiting(database._page_batches, lane=(9, 0, None, False))


def waiting_for_proof(database: CommentDatabase) -> int:
    assert database._cache
    return waiting(database._cache._proofs)


def test_the_calls_that_wait_for_a_page_share_a_proof(
    database: CommentDatabase, counts: Counts, pool: ThreadPoolExecutor
) -> None:
    store(database, "one")
    until_kept(database, counts)
    before = (counts.proofs, counts.reads)
    held = counts.hold()
    pages = [pool.submit(page, database) for _ in range(10)]
    wait_for(lambda: waiting_for_page(database) == 9, "nine calls to wait for the one that is under way")
    held.set()
    assert [found.result() for found in pages] == ["one"] * 10
    assert (counts.proofs, counts.reads) == (before[0] + 2, before[1])


def test_the_calls_that_wait_for_other_pages_share_it_too(
    database: CommentDatabase, counts: Counts, pool: ThreadPoolExecutor
) -> None:
    threads = [str(n) for n in range(10)]
    for thread in threads:
        store(database, thread, thread=thread)
    for thread in threads:
        until_kept(database, counts, thread)
    before = (counts.proofs, counts.reads)
    held = counts.hold()
    pages = [pool.submit(page, database, thread=thread) for thread in threads]
    wait_for(lambda: waiting_for_proof(database) == 9, "nine calls to wait for the proof that is under way")
    held.set()
    assert [found.result() for found in pages] == threads
    assert (counts.proofs, counts.reads) == (before[0] + 2, before[1])


def test_a_page_that_differs_is_read_once_for_all_that_wait(
    database: CommentDatabase, counts: Counts, pool: ThreadPoolExecutor
) -> None:
    store(database, "one")
    until_kept(database, counts)
    held = counts.hold()
    early = pool.submit(page, database)
    wait_for(lambda: counts.held is None, "a proof to be under way")
    store(database, "two")
    before = counts.reads
    pages = [pool.submit(page, database) for _ in range(10)]
    wait_for(lambda: waiting_for_page(database) == 10, "ten calls to wait")
    held.set()
    assert [found.result() for found in pages] == ["one,two"] * 10
    assert early.result() in ("one", "one,two")
    assert counts.reads == before + 1


@pytest.mark.parametrize("caches_pages", [True, False])
def test_a_call_that_comes_after_a_write_is_not_answered_by_what_was_asked_before(
    database_url: str, counts: Counts, pool: ThreadPoolExecutor, caches_pages: bool
) -> None:
    """Neither by a proof nor by a read that was under way."""
    database = CommentDatabase(database_url, caches_pages=caches_pages)
    store(database, "one")
    if caches_pages:
        until_kept(database, counts)
    for text in ("two", "three"):
        held = counts.hold()
        early = pool.submit(page, database)
        wait_for(lambda: counts.held is None, "a call to be under way")
        store(database, text)
        late = pool.submit(page, database)
        wait_for(lambda: waiting_for_page(database) == 1, "the other to wait")
        held.set()
        assert not early.result().endswith(text), "the answer was under way"
        assert late.result().endswith(text)
    database.close()


def test_a_page_that_is_slow_holds_no_other_up(
    database: CommentDatabase, counts: Counts, pool: ThreadPoolExecutor
) -> None:
    store(database, "one", thread="kept")
    store(database, "two", thread="slow")
    until_kept(database, counts, "kept")
    held = counts.hold()
    slow = pool.submit(page, database, thread="slow")
    wait_for(lambda: counts.held is None, "the page to be read")
    assert page(database, thread="kept") == "one"
    assert page(database, thread="another") == ""
    assert not slow.done()
    held.set()
    assert slow.result() == "two"


@pytest.mark.usefixtures("one_name")
def test_behind_a_pooler_that_has_changed_the_server_process_pages_are_read_again(
    database: CommentDatabase, counts: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server may have crashed in between, and the client's connection to the pooler does not show it."""
    store(database, "one")
    until_kept(database, counts)
    fetch, reads = Connection.fetch, counts.reads

    def other_process(connection: Connection, statement: str, parameters: Sequence[object] = ()) -> Any:
        return fetch(connection, statement.replace("pg_backend_pid()", "pg_backend_pid() + 1"), parameters)

    monkeypatch.setattr(Connection, "fetch", other_process)
    assert page(database) == "one"
    assert counts.reads == reads + 1


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


@pytest.mark.parametrize("thread", [None, ""])
@pytest.mark.parametrize("newest_first", [False, True])
def test_an_edit_and_a_deletion_in_one_process_are_in_the_next_page_of_every_other(
    database: CommentDatabase, database_url: str, counts: Counts, thread: str | None, newest_first: bool
) -> None:
    others = [CommentDatabase(database_url) for _ in range(3)]
    parent = database.create_comment(Comment(None, "Ada", "Hello"))
    reply = database.create_comment(Comment(None, "Ada", "Hello", parent_id=parent.id))

    def pages() -> list[list[Comment]]:
        return [sorted(other.get_page(9, None, thread, newest_first).comments) for other in others]

    def until_all_are_kept() -> None:
        reads = -1
        while reads != counts.reads:
            reads = counts.reads
            pages()

    until_all_are_kept()
    assert pages() == [[parent, reply]] * 3
    edited = database.edit_comment(parent, Edit("Grace"))
    assert edited is not None
    assert pages() == [[edited, reply]] * 3
    until_all_are_kept()
    database.delete_comment(edited)
    tombstone = parent._replace(name="", comment="", html="", status="deleted")
    assert pages() == [[tombstone, reply]] * 3
    until_all_are_kept()
    database.delete_comment(reply)
    assert pages() == [[]] * 3
    for other in others:
        other.close()


def test_readers_of_several_pages_see_each_write_at_once(database_url: str) -> None:
    """Each write is read by all of them after it was answered."""
    database = CommentDatabase(database_url)
    written, read = threading.Barrier(5, timeout=20), threading.Barrier(5, timeout=20)
    seen: list[list[str]] = [[] for _ in range(4)]

    def reader(number: int) -> None:
        for _ in range(50):
            written.wait()
            # A page of its own, so that each has a statement of its own.
            found = database.get_page(number + 3, after=max(0, len(seen[number]) - number - 2))
            seen[number].append(found.comments[-1].comment)
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
        assert one == [str(n) for n in range(1, 51)]
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


@pytest.mark.usefixtures("one_name")
@pytest.mark.parametrize("connections", [1, 6])
def test_a_page_does_not_outlive_the_connection_that_proves_it(
    database_url: str, counts: Counts, connections: int
) -> None:
    """After a crash of the server a snapshot may have the name of an old one."""
    database = CommentDatabase(database_url, connections)
    store(database, "one")
    until_kept(database, counts)
    sql(database_url, "UPDATE comments SET comment = 'changed'")
    assert page(database) == "one", "the name is taken for a proof"
    database._prover.close()
    assert page(database) == "changed"
    database.close()


def test_a_page_that_was_read_on_another_server_is_read_again(
    database: CommentDatabase, counts: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failover the connection that proves may still be one to the old server, on which nothing changes."""
    monkeypatch.setattr(page_cache, "SNAPSHOT", "SELECT 'of the old server'")
    monkeypatch.setattr(db, "SNAPSHOT", "SELECT 'of the new server'")
    store(database, "one")
    for n in range(1, 5):
        assert page(database) == "one"
        assert counts.reads == n


@pytest.mark.usefixtures("one_name")
def test_a_page_that_was_read_before_the_connection_was_there_is_read_again(
    database: CommentDatabase,
    database_url: str,
    counts: Counts,
    pool: ThreadPoolExecutor,
) -> None:
    """The server may have crashed between the two."""
    store(database, "one", thread="kept")
    store(database, "one", thread="late")
    until_kept(database, counts, "kept")
    held = counts.hold()
    late = pool.submit(page, database, thread="late")
    wait_for(lambda: counts.held is None, "the page to be read")
    database._prover.close()
    assert page(database, thread="kept") == "one", "and there is a new connection"
    held.set()
    late.result()
    sql(database_url, "UPDATE comments SET comment = 'changed'")
    assert page(database, thread="late") == "changed"


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
    """Else each request would ask for the name of the snapshot in vain, and then for the rows."""
    store(database, "one")
    until_kept(database, counts)
    store(database, *["x" * 10_000] * 6)
    page(database)
    assert kept(database) == []


def test_the_page_that_is_asked_for_is_the_last_to_go(database: CommentDatabase, counts: Counts) -> None:
    for n in range(page_cache.MAX_ENTRIES + 1):
        store(database, "one", thread=str(n))
    for n in range(page_cache.MAX_ENTRIES):
        page(database, thread=str(n))
    until_kept(database, counts, thread="0")
    page(database, thread=str(page_cache.MAX_ENTRIES))
    threads = {thread for _, _, thread, _ in kept(database)}
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


@pytest.mark.parametrize(("setting", "is_green"), [("off", True), ("on", False)], ids=["PAGE_CACHE=off", "no gevent"])
def test_where_it_is_off_each_call_reads(
    database_url: str, counts: Counts, monkeypatch: pytest.MonkeyPatch, setting: str, is_green: bool
) -> None:
    monkeypatch.setattr(app, "IS_GREEN", is_green)
    database: CommentDatabase = app.create_app(Config(database_url=database_url, page_cache=setting)).extensions[
        "database"
    ]
    store(database, "one")
    for n in range(1, 4):
        assert page(database) == "one"
        assert (counts.reads, counts.proofs) == (n, 0)
    assert kept(database) == []
    database.close()


def test_where_it_is_off_no_connection_is_kept_for_it(database_url: str) -> None:
    database = CommentDatabase(database_url, connections=2, caches_pages=False)
    with database.pool.connection(), database.pool.connection(to_write=True):
        pass
    database.close()


def test_where_it_is_off_the_calls_that_wait_for_a_page_share_a_read(
    database_url: str, counts: Counts, pool: ThreadPoolExecutor
) -> None:
    database = CommentDatabase(database_url, caches_pages=False)
    store(database, "one")
    held = counts.hold()
    pages = [pool.submit(page, database) for _ in range(10)]
    wait_for(lambda: waiting_for_page(database) == 9, "nine calls to wait for the one that is under way")
    held.set()
    assert [found.result() for found in pages] == ["one"] * 10
    assert counts.reads == 2
    database.close()

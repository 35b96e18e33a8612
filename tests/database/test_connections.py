"""postgres/: a pool of connections, and what happens when PostgreSQL says nothing, or too late."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from urllib.parse import urlsplit

import psycopg2
import pytest

from comment import Comment
from db import CommentDatabase
from postgres.connections import ConnectionPool, FairSemaphore
from postgres.deadline import MARGIN
from postgres.errors import DatabaseUnavailable
from postgres.hosts import Hosts, parse_url

from support.cluster import cluster
from support.forwarder import forwarder
from support.postgres import sql
from support.processes import wait_for

# Seconds within which the contract promises an answer.
BOUND = 5


@contextmanager
def silent_port() -> Iterator[int]:
    """A port on which the kernel accepts, and nobody speaks."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextmanager
def held(url: str, lock: str) -> Iterator[None]:
    """The table, locked by somebody else."""
    with closing(psycopg2.connect(url)) as holder, holder.cursor() as cursor:
        cursor.execute(f"LOCK TABLE comments IN {lock} MODE")
        yield


def test_a_server_that_is_silent_from_the_start_is_given_up() -> None:
    with silent_port() as port:
        began = time.monotonic()
        with pytest.raises(DatabaseUnavailable, match=r"^The database does not answer; try again later\.$"):
            CommentDatabase(f"postgresql://127.0.0.1:{port}/x").get_page(limit=1)
        assert time.monotonic() - began < BOUND


def test_a_connection_that_is_refused_is_told_from_a_server_that_is_away() -> None:
    with cluster() as server:
        (server.directory / "pg_hba.conf").write_text("host all postgres all trust\nhost all all all scram-sha-256\n")
        server.admin("ALTER ROLE comments PASSWORD 'right'")
        server.admin("SELECT pg_reload_conf()")
        address = f"127.0.0.1:{server.port}"
        assert CommentDatabase(f"postgresql://comments:right@{address}/comments").get_page(limit=1).comments == []
        for login in ("comments:wrong", "comments", "postgres"):
            refused = CommentDatabase(
                f"postgresql://{login}@{address}/{'nothing' if login == 'postgres' else 'comments'}"
            )
            with pytest.raises(DatabaseUnavailable, match=r"^The database refused the connection; the log says why\.$"):
                refused.get_page(limit=1)


def test_a_server_that_falls_silent_is_given_up_and_used_again_when_it_speaks(database_url: str) -> None:
    with forwarder(database_url) as path:
        database = CommentDatabase(path.url)
        assert database.get_page(limit=1).comments == []
        path.is_open.clear()
        for _ in range(2):
            began = time.monotonic()
            with pytest.raises(DatabaseUnavailable, match="does not answer"):
                database.get_page(limit=1)
            assert time.monotonic() - began < BOUND
        path.is_open.set()
        assert database.get_page(limit=1).comments == []
        database.close()


def test_a_host_that_is_silent_is_passed_by(database_url: str) -> None:
    with silent_port() as silent, forwarder(database_url) as path:
        host = f"127.0.0.1:{urlsplit(path.url).port}"
        for attributes in ("any", "read-write", "prefer-standby"):
            url = f"{path.url.replace(host, f'127.0.0.1:{silent},{host}')}?target_session_attrs={attributes}"
            database = CommentDatabase(url)
            assert database.get_page(limit=1).comments == []
            database.close()


@pytest.mark.parametrize(
    ("url", "tried"),
    [
        ("postgresql:///x", [(None, None, None)]),
        ("postgresql://a,b/x", [("a", None, None), ("b", None, None)]),
        (
            "postgresql://a:1,b:2/x?target_session_attrs=read-write",
            [("a", "1", "read-write"), ("b", "2", "read-write")],
        ),
        ("postgresql://a,b/x?port=7", [("a", "7", None), ("b", "7", None)]),
        ("postgresql:///x?hostaddr=127.0.0.1,127.0.0.2", [(None, None, None)] * 2),
        (
            "postgresql://a,b/x?target_session_attrs=prefer-standby",
            [("a", None, "standby"), ("b", None, "standby"), ("a", None, "any"), ("b", None, "any")],
        ),
    ],
)
def test_the_hosts_are_tried_as_libpq_tries_them(url: str, tried: list[tuple[str | None, ...]]) -> None:
    hosts = [parse_url(url) | host for host in Hosts(url)._in_turn()]
    assert [
        tuple(host.get(name) or None for name in ("host", "port", "target_session_attrs")) for host in hosts
    ] == tried


def test_a_random_order_keeps_the_standbys_first() -> None:
    hosts = Hosts("postgresql://a,b/x?load_balance_hosts=random&target_session_attrs=prefer-standby")
    orders = [[(host["host"], host["target_session_attrs"]) for host in hosts._in_turn()] for _ in range(50)]
    assert {tuple(wanted for _, wanted in order) for order in orders} == {("standby", "standby", "any", "any")}
    assert {order[0][0] for order in orders} == {"a", "b"}


def test_a_new_connection_has_all_the_time_that_is_left_of_the_call(database_url: str) -> None:
    """Not only the share of its host, the first of several."""
    with silent_port() as silent, forwarder(database_url) as path:
        host = f"127.0.0.1:{urlsplit(path.url).port}"
        pool = ConnectionPool(Hosts(path.url.replace(host, f"{host},127.0.0.1:{silent},127.0.0.1:{silent}")), 1)
        with pool.connection() as connection:
            assert connection.fetch("SELECT 1 FROM pg_sleep(1)") == [(1,)]
        pool.close()


def test_when_no_host_will_do_the_cause_says_why_for_each() -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        CommentDatabase("postgresql://127.0.0.1:1,127.0.0.1:2/x").get_page(limit=1)
    cause = str(caught.value.__cause__)
    assert "host=127.0.0.1 port=1: Connection refused" in cause
    assert "host=127.0.0.1 port=2: Connection refused" in cause


def test_reads_go_on_while_writes_wait(database_url: str) -> None:
    """However many writers there are: one connection is left to readers."""
    database = CommentDatabase(database_url)
    with held(database_url, "SHARE"), ThreadPoolExecutor(40) as pool:
        began = time.monotonic()
        writers = [pool.submit(database.create_comment, Comment(None, "Ada", "Hello")) for _ in range(40)]
        for _ in range(5):
            assert database.get_page(limit=1).comments == []
        assert {type(writer.exception()) for writer in writers} == {DatabaseUnavailable}
        assert time.monotonic() - began < BOUND
    database.create_comment(Comment(None, "Ada", "Hello"))
    assert len(sql(database_url, "SELECT id FROM comments")) == 1
    database.close()


def test_a_name_that_is_not_looked_up_in_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lookup is the system's own, and may take long: that of a name server that is silent, for instance."""
    is_over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: is_over.wait(30))
    database = CommentDatabase("postgresql://db.example/x")
    began = time.monotonic()
    try:
        with pytest.raises(DatabaseUnavailable) as caught:
            database.get_page(limit=1)
    finally:
        is_over.set()
    assert time.monotonic() - began < BOUND
    assert str(caught.value.__cause__) == "host=db.example: the lookup of the name took too long"


def test_each_address_of_a_name_is_tried(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in ("127.0.0.2", "127.0.0.1")]
    with forwarder(database_url) as path:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
        database = CommentDatabase(path.url.replace("127.0.0.1", "db.example"))
        assert database.get_page(limit=1).comments == []
        database.close()


def in_threads(count: int, wait_until: Callable[[int], object], job: Callable[[int], None]) -> list[threading.Thread]:
    """Start a job in so many threads, each once the one before it has come as far as `wait_until` waits for."""
    threads = []
    for number in range(count):
        thread = threading.Thread(target=job, args=(number,))
        thread.start()
        threads.append(thread)
        wait_for(lambda number=number: wait_until(number), f"thread {number} to wait")  # type: ignore[misc]
    return threads


def test_whoever_has_waited_longest_is_next() -> None:
    semaphore = FairSemaphore(1)
    semaphore.acquire(timeout=1)
    served: list[int] = []

    def wait_in_line(number: int) -> None:
        semaphore.acquire(timeout=BOUND)
        served.append(number)
        semaphore.release()

    threads = in_threads(5, lambda number: len(semaphore._waiting) == number + 1, wait_in_line)
    semaphore.release()
    for thread in threads:
        thread.join()
    assert served == [0, 1, 2, 3, 4]


def test_who_has_given_up_waiting_takes_nobody_s_turn() -> None:
    semaphore = FairSemaphore(1)
    semaphore.acquire(timeout=1)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            semaphore.acquire(timeout=0.01)
    semaphore.release()
    semaphore.acquire(timeout=0)
    semaphore.release()


def test_without_a_free_connection_it_is_unavailable_in_time(database_url: str) -> None:
    pool = ConnectionPool(Hosts(database_url), 1)
    with pool.connection():
        began = time.monotonic()
        with pytest.raises(DatabaseUnavailable, match="took too long"), pool.connection():
            pass
        assert time.monotonic() - began < BOUND
    with pool.connection() as connection:
        assert connection.fetch("SELECT 1") == [(1,)]
    pool.close()


def test_a_call_that_has_no_time_left_touches_no_connection(database_url: str) -> None:
    pool = ConnectionPool(Hosts(database_url), 1)
    with pool.connection() as connection:
        pass
    with pytest.raises(DatabaseUnavailable, match="took too long"), pool.connection(deadline=time.monotonic() + MARGIN):
        pass
    with pool.connection() as again:
        assert again is connection
    pool.close()


def test_the_connection_that_was_used_last_is_given_out_first(database_url: str) -> None:
    pool = ConnectionPool(Hosts(database_url), 4)
    with pool.connection() as first, pool.connection() as second:
        pass
    with pool.connection() as again:
        assert again is first
        assert again is not second
    pool.close()


@pytest.mark.parametrize(("size", "count"), [(1, 1), (2, 1), (3, 2), (5, 4)])
def test_neither_calls_that_read_nor_calls_that_write_use_the_last_connection(
    database_url: str, size: int, count: int
) -> None:
    for writes in (False, True):
        pool = ConnectionPool(Hosts(database_url), size)
        with ExitStack() as calls:
            for _ in range(count):
                calls.enter_context(pool.connection(writes))
            with pytest.raises(DatabaseUnavailable, match="took too long"), pool.connection(writes):
                pass
        pool.close()


def test_a_call_that_fails_closes_its_connection_and_leaves_its_place(database_url: str) -> None:
    pool = ConnectionPool(Hosts(database_url), 1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), pool.connection(to_write=True) as failed:
            raise ZeroDivisionError
        assert failed.closed
    with pool.connection(to_write=True) as connection:
        assert not connection.closed
    pool.close()

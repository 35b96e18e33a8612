"""connections.py: what happens when PostgreSQL says nothing, or too late."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import psycopg2
import pytest
from conftest import sql
from forwarder import forwarder
from psycopg2.extensions import parse_dsn

import connections
from comment import Comment
from connections import Connections, DatabaseUnavailable, Gate, OutOfTime
from db import CommentDatabase

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
        with pytest.raises(OutOfTime, match=r"^The database does not answer; try again later\.$"):
            CommentDatabase(f"postgresql://127.0.0.1:{port}/x").get_comments(limit=1)
        assert time.monotonic() - began < BOUND


def test_a_server_that_falls_silent_is_given_up_and_used_again_when_it_speaks(database_url: str) -> None:
    with forwarder(database_url) as path:
        database = CommentDatabase(path.url)
        assert database.get_comments(limit=1) == []
        path.is_open.clear()
        for _ in range(2):
            began = time.monotonic()
            with pytest.raises(OutOfTime):
                database.get_comments(limit=1)
            assert time.monotonic() - began < BOUND
        path.is_open.set()
        assert database.get_comments(limit=1) == []
        database.close()


def test_a_host_that_is_silent_is_passed_by(database_url: str) -> None:
    with silent_port() as silent, forwarder(database_url) as path:
        host = f"127.0.0.1:{urlsplit(path.url).port}"
        for attributes in ("any", "read-write", "prefer-standby"):
            url = f"{path.url.replace(host, f'127.0.0.1:{silent},{host}')}?target_session_attrs={attributes}"
            database = CommentDatabase(url)
            assert database.get_comments(limit=1) == []
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
    hosts = [parse_dsn(dsn) for dsn in Connections(url)._hosts.values()]
    assert [
        tuple(host.get(name) or None for name in ("host", "port", "target_session_attrs")) for host in hosts
    ] == tried


def test_when_no_host_will_do_the_cause_says_why_for_each() -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        CommentDatabase("postgresql://127.0.0.1:1,127.0.0.1:2/x").get_comments(limit=1)
    cause = str(caught.value.__cause__)
    assert "host=127.0.0.1 port=1: Connection refused" in cause
    assert "host=127.0.0.1 port=2: Connection refused" in cause


def test_reads_go_on_while_writes_wait(database_url: str) -> None:
    """However many writers there are: all but one are refused at once."""
    database = CommentDatabase(database_url)
    with held(database_url, "SHARE"), ThreadPoolExecutor(8) as pool:
        writers = [pool.submit(database.create_comment, Comment(None, "Ada", "Hello")) for _ in range(40)]
        for _ in range(5):
            assert database.get_comments(limit=1) == []
        began = time.monotonic()
        assert {type(writer.exception()) for writer in writers} == {OutOfTime, DatabaseUnavailable}
        assert time.monotonic() - began < BOUND
    database.create_comment(Comment(None, "Ada", "Hello"))
    assert len(sql(database_url, "SELECT id FROM comments")) == 1
    database.close()


def close(gate: Gate) -> None:
    with pytest.raises(OutOfTime), gate.passed():
        raise OutOfTime


def test_a_closed_gate_lets_one_call_at_a_time_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "TRIAL_PATIENCE", 0)
    gate = Gate()
    close(gate)
    with gate.passed(), ThreadPoolExecutor() as pool:
        other = pool.submit(gate.passed().__enter__)
        assert isinstance(other.exception(), DatabaseUnavailable)


def test_calls_at_the_moment_in_which_the_database_is_back_succeed() -> None:
    """They wait for the one that tries."""
    gate = Gate()
    close(gate)
    is_trying, may_end = threading.Event(), threading.Event()

    def call() -> bool:
        with gate.passed():
            is_trying.set()
            return may_end.wait(BOUND)

    with ThreadPoolExecutor() as pool:
        calls = [pool.submit(call)]
        is_trying.wait(BOUND)
        calls += [pool.submit(call) for _ in range(3)]
        may_end.set()
        assert [call.result() for call in calls] == [True] * 4


@pytest.mark.parametrize("outcome", [None, DatabaseUnavailable, ZeroDivisionError])
def test_whatever_is_in_time_opens_the_gate(outcome: type[Exception] | None) -> None:
    gate = Gate()
    close(gate)
    try:
        with gate.passed():
            if outcome:
                raise outcome
    except (DatabaseUnavailable, ZeroDivisionError):
        pass
    with gate.passed(), gate.passed():
        pass

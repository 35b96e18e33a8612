"""VIII. Concurrency: scale out by the process model (https://12factor.net/concurrency)."""

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import httpx
import psutil
import psycopg2
import pytest

from support.containers import docker, project
from support.postgres import sql
from support.processes import PATIENCE, Server, serving, wait_for

CONNECTED = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'comments'::regclass"


def workers(server: Server) -> list[psutil.Process]:
    return psutil.Process(server.process.pid).children()


@pytest.mark.parametrize(("processes", "connections"), [(1, 1), (3, 2)])
def test_connections_stay_within_the_pools_of_the_processes(
    own_database_url: str, processes: int, connections: int
) -> None:
    """No two calls share a connection at the same time: that would mix up their answers."""
    running = serving(DATABASE_URL=own_database_url, WEB_CONCURRENCY=processes, DATABASE_CONNECTIONS=connections)
    with running as server, ThreadPoolExecutor(12) as pool:
        assert len(workers(server)) == processes
        names = [f"client {n}" for n in range(200)]
        answers = list(pool.map(lambda name: server.post(name, "Hello").json(), names))
        assert [answer["name"] for answer in answers] == names
        assert len({answer["id"] for answer in answers}) == 200
        assert 1 <= sql(own_database_url, CONNECTED)[0][0] <= processes * connections


@contextmanager
def posting(server: Server, clients: int = 12) -> Iterator[None]:
    """Clients that post all the while, each time on a new connection, and take whatever answer they get."""
    stopped = Event()

    def post(_: int) -> None:
        while not stopped.is_set():
            httpx.post(f"{server.url}/comments", json={"name": "Ada", "comment": "Hello"}, timeout=PATIENCE)

    with ThreadPoolExecutor(clients) as pool:
        posts = pool.map(post, range(clients))
        try:
            yield
        finally:
            stopped.set()
            list(posts)


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_as_many_comments_are_stored_at_the_same_time_as_there_are_processes(
    own_database_url: str, processes: int
) -> None:
    """Each process has one connection here. What it asks PostgreSQL to store waits for a lock, and is counted."""
    with serving(DATABASE_URL=own_database_url, WEB_CONCURRENCY=processes, DATABASE_CONNECTIONS=1) as server:
        with psycopg2.connect(own_database_url) as connection, connection.cursor() as cursor:
            cursor.execute("LOCK TABLE comments")
            with posting(server):
                wait_for(lambda: sql(own_database_url, WAITING) == [(processes,)], "every process to store a comment")
        connection.close()


def test_a_process_that_stands_still_leaves_the_work_to_the_other(database_url: str) -> None:
    with serving(DATABASE_URL=database_url, WEB_CONCURRENCY=2) as server:
        for worker in workers(server):
            worker.send_signal(signal.SIGSTOP)
            try:
                for _ in range(10):
                    assert httpx.get(f"{server.url}/comments", timeout=PATIENCE).status_code == 200
            finally:
                worker.send_signal(signal.SIGCONT)


@pytest.mark.container
def test_containers_share_the_work_and_one_that_dies_leaves_it_to_the_other(image: str) -> None:
    def served(container: str) -> int:
        events = (json.loads(line) for line in docker("logs", container).stdout.splitlines())
        return sum(event.get("path") == "/comments" for event in events)

    files = ("docker-compose.yml", "deploy/docker-compose.proxy.yml")
    with project("--scale=web=2", files=files, POST_RATE="1000r/s") as running:
        one, other = running.containers("web")
        assert [running.post("Hello").status_code for _ in range(10)] == [201] * 10
        assert served(one) + served(other) == 10
        assert 0 not in (served(one), served(other))
        docker("kill", one)
        assert [running.post("Hello").status_code for _ in range(10)] == [201] * 10
        assert len(running.comments()) == 20

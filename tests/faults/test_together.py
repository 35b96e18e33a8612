"""Many requests that share their statements: every read is fresh, and each request gets its own answer."""

import http.client
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest

from support.load import record_figure
from support.postgres import sql
from support.processes import PATIENCE, Server, serving

pytestmark = pytest.mark.slow

CLIENTS = 32
REQUESTS = 20_000


class Client:
    """Several connections that are kept, and used in turn: so the requests of a client go to several processes."""

    def __init__(self, server: Server, connections: int = 4) -> None:
        port = urlsplit(server.url).port
        self._connections = [
            http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE) for _ in range(connections)
        ]

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """The status and the JSON of an answer."""
        connection = self._connections.pop(0)
        self._connections.append(connection)
        headers = {name.replace("_", "-"): value for name, value in headers.items()} | {
            "Content-Type": "application/json"
        }
        connection.request(method, path, json.dumps(body) if body else None, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


def in_all_clients(server: Server, job: Callable[[int, Client], list[Any]]) -> list[Any]:
    """What the job has returned for each client, all of them in one list."""

    def run(number: int) -> list[Any]:
        client = Client(server)
        try:
            return job(number, client)
        finally:
            client.close()

    with ThreadPoolExecutor(CLIENTS) as pool:
        return [found for results in pool.map(run, range(CLIENTS)) for found in results]


def test_a_read_that_begins_after_a_write_was_answered_shows_it(own_database_url: str) -> None:
    """Eight clients use the same page at the same time. They change to a new one every ten comments."""

    def write_and_read(number: int, client: Client) -> list[bool]:
        is_fresh = []
        for turn in range(REQUESTS // CLIENTS // 4):
            thread = f"{number % 4}/{turn // 10}"
            comment = {"name": "Ada", "comment": f"{number} {turn}", "thread": thread}
            status, stored = client.ask("POST", "/comments", comment)
            assert status == 201
            for _ in range(4):
                _, page = client.ask("GET", f"/comments?thread={thread}")
                is_fresh.append(stored in page["comments"])
        return is_fresh

    with serving(DATABASE_URL=own_database_url, WEB_CONCURRENCY=3, LOG_LEVEL="error") as server:
        is_fresh = in_all_clients(server, write_and_read)
    record_figure("this many were stale:", f"{is_fresh.count(False)} of {len(is_fresh):,}")
    assert is_fresh.count(False) == 0


def test_of_comments_that_are_stored_together_those_that_fail_fail_alone(own_database_url: str) -> None:
    """Every tenth breaks a rule that only the database knows, and every one has its own answer."""
    sql(own_database_url, "ALTER TABLE comments ADD CHECK (comment NOT LIKE '%0')")

    def post(number: int, client: Client) -> list[tuple[int, int]]:
        """The ids by number, 0 for those that were refused."""
        stored = []
        for n in range(number, REQUESTS, CLIENTS):
            body = {"name": f"client {number}", "comment": str(n), "thread": str(n % 3)}
            status, answer = client.ask("POST", "/comments", body, Idempotency_Key=str(n), X_Request_ID=f"id-{n}")
            if n % 10 == 0:
                assert (status, answer) == (500, {"error": f"Something went wrong here; the log has it as id-{n}."})
            else:
                assert (status, {name: answer[name] for name in body}) == (201, body)
            stored.append((n, answer.get("id", 0)))
        return stored

    with serving(DATABASE_URL=own_database_url, WEB_CONCURRENCY=2, LOG_LEVEL="error") as server:
        told = in_all_clients(server, post)
    assert len(told) == REQUESTS
    assert sorted((n, id) for n, id in told if id) == sql(
        own_database_url, "SELECT comment::int, id FROM comments ORDER BY comment::int"
    )
    assert sum(1 for _, id in told if not id) == REQUESTS / 10

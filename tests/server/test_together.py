"""Requests that wait at the same time share a statement under gunicorn, but not under `flask run`."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from support.postgres import sql
from support.processes import FLASK, GUNICORN, PATIENCE, Server, serving, wait_for

CLIENTS, REQUESTS = 16, 50

# PostgreSQL counts the transactions of a connection at its end.
COMMITTED = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
CONNECTED = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def in_all_clients(server: Server, method: str) -> None:
    """Requests of clients that keep their connections."""

    def ask(number: int) -> None:
        with httpx.Client(base_url=server.url, timeout=PATIENCE) as http:
            for n in range(REQUESTS):
                body = {"name": f"client {number}", "comment": str(n)} if method == "POST" else None
                assert http.request(method, "/comments", json=body).is_success

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(ask, range(CLIENTS)))


@pytest.mark.parametrize(("command", "shares"), [(GUNICORN, True), ([*FLASK, "run"], False)], ids=["gunicorn", "flask"])
def test_comments_that_arrive_together_share_a_transaction(
    own_database_url: str, command: list[str], shares: bool
) -> None:
    with serving(command, DATABASE_URL=own_database_url, WEB_CONCURRENCY=1, LOG_LEVEL="error") as server:
        in_all_clients(server, "POST")
    [(comments, inserts)] = sql(own_database_url, "SELECT count(*), count(DISTINCT xmin::text) FROM comments")
    assert comments == CLIENTS * REQUESTS
    assert (inserts < comments) is shares


@pytest.mark.parametrize("setting", ["on", "off"])
def test_pages_that_are_read_together_share_a_transaction(own_database_url: str, setting: str) -> None:
    with serving(DATABASE_URL=own_database_url, WEB_CONCURRENCY=1, LOG_LEVEL="error", PAGE_CACHE=setting) as server:
        assert server.post("Ada", "Hello").status_code == 201
        in_all_clients(server, "GET")
    wait_for(lambda: sql(own_database_url, CONNECTED) == [(0,)], "PostgreSQL to have counted")
    assert 0 < sql(own_database_url, COMMITTED)[0][0] < CLIENTS * REQUESTS

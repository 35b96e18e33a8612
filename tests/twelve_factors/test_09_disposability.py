"""IX. Disposability: fast start-up and graceful shutdown (https://12factor.net/disposability)."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import httpx
import pytest

from support.containers import Project, docker, inspect, wait_until_ready
from support.postgres import sql
from support.processes import PATIENCE, serving, wait_for

CLIENTS = 8


def test_sigterm_under_load_loses_nothing_that_was_accepted(database_url: str) -> None:
    """Every request on a connection of its own. One that is not accepted any more is refused or reset unread."""
    with serving(DATABASE_URL=database_url, LOG_LEVEL="warning") as server:
        answered, stopped = [], Event()

        def post(_: int) -> None:
            while not stopped.is_set():
                body = {"name": "Ada", "comment": "Hello"}
                try:
                    response = httpx.post(f"{server.url}/comments", json=body, timeout=PATIENCE)
                except (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError):
                    continue
                assert response.status_code == 201
                answered.append(response.json()["id"])

        with ThreadPoolExecutor(CLIENTS) as pool:
            clients = pool.map(post, range(CLIENTS))
            wait_for(lambda: len(answered) > 50, "the load")
            server.process.terminate()
            assert server.process.wait(PATIENCE) == 0
            stopped.set()
            list(clients)
    stored = {comment_id for (comment_id,) in sql(database_url, "SELECT id FROM comments")}
    assert stored == set(answered), "what was stored was answered, and what was answered was stored"


@pytest.mark.container
def test_the_container_ends_on_sigterm_with_status_0(deployed: Project) -> None:
    web = deployed.container("web")
    deployed.compose("stop", "web")
    assert inspect(web, "State.ExitCode") == 0
    deployed.up()


@pytest.mark.container
def test_a_kill_in_the_middle_of_a_post_leaves_a_comment_or_none_and_the_retry_makes_it_one(deployed: Project) -> None:
    psql = ("exec", "--no-TTY", "db", "psql", "--username=comments", "--tuples-only", "--no-align", "--command")
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'comments'::regclass"
    unlock = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LOCK%' AND pid <> pg_backend_pid()"
    )
    body = {"name": "Ada", "comment": "killed"}
    headers = {"Idempotency-Key": "the-same"}

    def post() -> httpx.Response | None:
        try:
            return deployed.http.post("/comments", json=body, headers=headers)
        except httpx.TransportError:
            return None

    with ThreadPoolExecutor() as pool:
        pool.submit(deployed.compose, *psql, "LOCK TABLE comments; SELECT pg_sleep(30)", check=False)
        held = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'comments'::regclass"
        wait_for(lambda: int(deployed.compose(*psql, held).stdout) == 1, "the table to be locked")
        answer = pool.submit(post)
        wait_for(lambda: int(deployed.compose(*psql, waiting).stdout) == 1, "the POST to wait for it")
        docker("kill", deployed.container("web"))
        deployed.compose(*psql, unlock)
        assert answer.result() is None
    deployed.up()
    wait_until_ready(deployed)
    assert deployed.comments() in ([], ["killed"])
    retried = post()
    assert retried is not None
    assert retried.status_code == 201
    assert deployed.comments() == ["killed"]

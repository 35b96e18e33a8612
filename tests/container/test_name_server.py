"""A name server that says nothing: its lookups have a bound, and nobody waits for them who need not."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from support.containers import container, inspect
from support.processes import PATIENCE, free_port, wait_for

pytestmark = pytest.mark.container

SILENCE = "import socket; server = socket.socket(type=socket.SOCK_DGRAM); server.bind(('', 53)); server.recv(0)"
FOR_EVER = f"{SILENCE}\nwhile True: server.recv(1000)"

BOUND = 5  # seconds within which the contract promises an answer


@pytest.fixture
def service(image: str) -> Iterator[httpx.Client]:
    """The service, which asks a silent name server for its database."""
    port = free_port()
    with container(image, "--user=0", command=("python", "-c", FOR_EVER)) as silent:
        options = (
            f"--publish=127.0.0.1:{port}:5000",
            f"--dns={inspect(silent, 'NetworkSettings.IPAddress')}",
            "--env=DATABASE_URL=postgresql://comments@db.example/comments",
            "--env=WEB_CONCURRENCY=1",
        )
        with container(image, *options), httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as http:
            wait_for(lambda: is_up(http), "the service to be up")
            yield http


def is_up(http: httpx.Client) -> bool:
    try:
        return http.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def seconds(http: httpx.Client, path: str, status: int) -> float:
    began = time.monotonic()
    assert http.get(path).status_code == status
    return time.monotonic() - began


def test_every_call_is_answered_in_time_and_the_health_at_once(service: httpx.Client) -> None:
    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(seconds, service, "/comments", 503) for _ in range(20)]
        while not all(call.done() for call in waiting):
            assert seconds(service, "/healthz", 200) < 0.5
        assert max(call.result() for call in waiting) < BOUND

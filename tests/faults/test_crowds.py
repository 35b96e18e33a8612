"""Many clients, slow clients, and many requests."""

import http.client
import itertools
import json
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from support.cluster import cluster
from support.containers import project
from support.load import record_figure
from support.processes import serving, wait_for

pytestmark = pytest.mark.slow

IDLE, SLOW = 500, 200
HEAD = b"POST /comments HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"


@contextmanager
def crowd(port: int, idle: int, slow: int) -> Iterator[None]:
    """So many connections that say nothing, and so many that send a byte of a body a second."""
    is_over = threading.Event()
    with ExitStack() as stack:
        opened = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(idle + slow)]
        for connection in opened[idle:]:
            connection.sendall(HEAD)

        def drip() -> None:
            while not is_over.wait(1):
                for connection in opened[idle:]:
                    connection.sendall(b" ")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()


def median_seconds(http: httpx.Client, count: int = 200) -> float:
    """Of a page's answers."""
    durations = []
    for _ in range(count):
        began = time.monotonic()
        assert http.get("/comments").status_code == 200
        durations.append(time.monotonic() - began)
    return statistics.median(durations)


# Method, path, headers and body of requests of every kind, and what they are answered.
JSON = {"Content-Type": "application/json"}
COMMENT = json.dumps({"name": "Ada", "comment": "Hello", "thread": "/post"})
KINDS: list[tuple[str, str, dict[str, str], str | None, int]] = [
    ("POST", "/comments", JSON, COMMENT, 201),
    ("POST", "/comments", JSON | {"Idempotency-Key": "the-same"}, COMMENT, 201),
    ("POST", "/comments", JSON, "{", 400),
    ("POST", "/comments", {}, COMMENT, 415),
    ("POST", "/comments", JSON, " " * (256 * 1024 + 1), 413),
    ("PUT", "/comments", JSON, COMMENT, 405),
    ("GET", "/comments", {}, None, 200),
    ("GET", "/comments?thread=/post&limit=200", {}, None, 200),
    ("GET", "/comments?limit=0", {}, None, 400),
    ("GET", "/comments?after=1000000000", {"If-None-Match": "*"}, None, 304),
    ("GET", "/comments/1", {"X-Request-ID": "mine"}, None, 200),
    ("GET", "/comments/999999999", {}, None, 404),
    ("HEAD", "/comments", {}, None, 200),
    ("OPTIONS", "/comments", {"Origin": "https://blog.example"}, None, 200),
    ("GET", "/readyz", {}, None, 200),
    ("GET", "/openapi.yaml", {}, None, 200),
]


def ask_for_everything(port: int, count: int) -> None:
    """So many requests, one after another, as they come in turn."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for method, path, headers, body, status in itertools.islice(itertools.cycle(KINDS), count):
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        response.read()
        assert response.status == status, (method, path)
        if status == 413:  # it closes the connection, without reading the rest
            connection.close()
    connection.close()


def test_100_000_requests_of_every_kind_leave_no_memory_behind() -> None:
    with cluster() as postgresql, serving(DATABASE_URL=postgresql.url, LOG_LEVEL="error") as server:
        port = urlsplit(server.url).port or 0
        master = psutil.Process(server.process.pid)
        wait_for(lambda: len(master.children()) == 2, "both workers")
        workers = master.children()
        sizes = []
        for count in (20_000, 100_000):
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(ask_for_everything, [port] * 8, [count // 8] * 8))
            sizes.append([worker.memory_info().rss for worker in workers])
        growth = [after / before for before, after in zip(*sizes, strict=True)]
    record_figure("the workers have grown by", f"{(max(growth) - 1) * 100:.1f} % at most")
    assert all(times < 1.05 for times in growth)


@pytest.mark.container
def test_through_the_proxy_a_crowd_costs_others_nothing(image: str) -> None:
    files = ("docker-compose.yml", "deploy/docker-compose.proxy.yml")
    with project(files=files, POST_RATE="1000r/s") as running:
        alone = median_seconds(running.http)
        with crowd(running.http.base_url.port or 0, IDLE, SLOW):
            in_the_crowd = median_seconds(running.http)
            assert running.post("through").status_code == 201
    record_figure("a page takes, in the median,", f"{in_the_crowd / alone:.1f} times as long")
    assert in_the_crowd < 2 * alone


def test_without_the_proxy_as_many_slow_clients_as_threads_shut_the_others_out() -> None:
    """What docs/reliability.md says: it wants a proxy. In one process: of two, one may happen to take all of them."""
    with (
        cluster() as postgresql,
        serving(DATABASE_URL=postgresql.url, WEB_CONCURRENCY=1, DATABASE_CONNECTIONS=4) as server,
    ):
        port = urlsplit(server.url).port or 0
        with crowd(port, 0, 2):
            assert server.http.get("/comments", timeout=5).status_code == 200
        with crowd(port, 0, 4), pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{server.url}/comments", timeout=5)
        wait_for(lambda: server.http.get("/comments").status_code == 200, "the others to be served")

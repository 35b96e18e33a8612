"""Many clients, slow clients, and many requests."""

import http.client
import itertools
import json
import socket
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from support.cluster import cluster
from support.containers import project
from support.crowd import KINDS, crowd
from support.load import record_figure
from support.processes import Server, serving, wait_for

pytestmark = pytest.mark.slow

STRAIGHT = {"idle": 1000, "half_line": 1000, "half_body": 1000, "slow_reader": 200}
THROUGH_THE_PROXY = {"idle": 500, "slow_body": 200}

SECONDS = 3  # for which two clients are measured
ROUNDS = 3


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
REQUESTS: list[tuple[str, str, dict[str, str], str | None, int]] = [
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
    for method, path, headers, body, status in itertools.islice(itertools.cycle(REQUESTS), count):
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


@dataclass
class Measured:
    """What two ordinary clients got: pages in all, and the seconds that the longest took."""

    pages: int
    longest: float


def two_clients(url: str) -> Measured:
    """Each reads pages on a connection that it keeps."""

    def read(_: int) -> list[float]:
        durations = []
        end = time.monotonic() + SECONDS
        with httpx.Client(base_url=url, timeout=30) as http:
            while (began := time.monotonic()) < end:
                assert http.get("/comments?limit=10").status_code == 200
                durations.append(time.monotonic() - began)
        return durations

    with ThreadPoolExecutor(2) as pool:
        durations = [seconds for each in pool.map(read, range(2)) for seconds in each]
    return Measured(len(durations), max(durations))


def alone_and_in_the_crowd(url: str, port: int) -> tuple[float, float]:
    """The rate in the crowd against that without, in the median of the rounds, and the longest answer in the crowd."""
    rates, longest = [], []
    for _ in range(ROUNDS):
        alone = two_clients(url)
        with crowd(port, **STRAIGHT):
            crowded = two_clients(url)
        rates.append(crowded.pages / alone.pages)
        longest.append(crowded.longest)
    return statistics.median(rates), max(longest)


def fill(server: Server, count: int, text: str) -> None:
    for _ in range(count):
        assert server.post("Ada", text).status_code == 201


def test_straight_to_gunicorn_a_crowd_costs_two_ordinary_clients_little() -> None:
    with cluster() as postgresql, serving(DATABASE_URL=postgresql.url, LOG_LEVEL="error") as server:
        fill(server, 100, "x" * 10_000)
        rate, longest = alone_and_in_the_crowd(server.url, urlsplit(server.url).port or 0)
        said = server.output()
    record_figure("two ordinary clients get", f"{rate:.1f} of the rate that they get alone", end=r"(?=,)")
    record_figure("and no answer takes longer than", f"{longest:.1f} s")
    assert rate >= 0.8
    assert longest < 1
    assert said == "", "nobody's fault"


@pytest.mark.parametrize("sent", [KINDS[kind] for kind in ("idle", "half_line", "half_body")])
def test_a_connection_that_says_nothing_is_closed_in_the_end(database_url: str, sent: bytes) -> None:
    with serving(DATABASE_URL=database_url) as server:
        address = ("127.0.0.1", urlsplit(server.url).port or 0)
        with socket.create_connection(address, timeout=60) as connection:
            connection.sendall(sent)
            answer = b"".join(iter(lambda: connection.recv(1000), b""))
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")


def test_a_client_that_does_not_read_its_answer_is_disconnected_and_is_no_error(database_url: str) -> None:
    with serving(DATABASE_URL=database_url, LOG_LEVEL="debug") as server:
        fill(server, 100, "x" * 10_000)  # a page of a megabyte
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", urlsplit(server.url).port))
            connection.sendall(KINDS["slow_reader"] * 12)  # more than the kernel takes from the server at once
            wait_for(lambda: "A client stopped reading its answer" in server.output(), "it to be given up", patience=60)
        assert " ERROR " not in server.output()


@pytest.mark.container
def test_through_the_proxy_a_crowd_costs_others_nothing(image: str) -> None:
    files = ("docker-compose.yml", "deploy/docker-compose.proxy.yml")
    with project(files=files, POST_RATE="1000r/s") as running:
        alone = median_seconds(running.http)
        with crowd(running.http.base_url.port or 0, **THROUGH_THE_PROXY):
            in_the_crowd = median_seconds(running.http)
            assert running.post("through").status_code == 201
    record_figure("a page takes, in the median,", f"{in_the_crowd / alone:.1f} times as long")
    assert in_the_crowd < 2 * alone

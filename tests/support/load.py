"""Clients that post numbered comments, remember what they were told, and reckon at the end."""

import http.client
import itertools
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from support.postgres import sql
from support.processes import GUNICORN, ROOT, Server, serving, wait_for

CLIENTS = 64
TIMEOUT = 30  # seconds after which a client gives up an answer: far beyond every promise
READY = 20  # so many 200s running of /readyz, each on a new connection, and the service is ready
PAUSE = 0.1  # seconds between two tries of a client that was refused, and between two looks at /healthz

# The seconds that the service promises.
BOUND = 5


@dataclass(frozen=True)
class Answer:
    """What a client was told. No status: the connection was refused, reset or closed."""

    method: str
    path: str
    number: int
    status: int | None
    retry_after: str | None
    began: float
    ended: float

    @property
    def is_good(self) -> bool:
        return self.status in (200, 201)

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass
class Report:
    """What a fault has cost."""

    fault: str
    requests: int
    stored: int  # the 201s
    refused: int  # the 503s
    broken: int  # the connections that ended without an answer
    lost: int  # of the 201s, not in the table
    doubled: int  # more than once in the table
    failed_after_ready: int
    longest: float  # seconds for an answer
    longest_health: float  # the same, of /healthz
    healed: float  # seconds from the end of the fault until it is ready


@dataclass
class Load:
    """64 clients, each of which posts a comment, until it is told 201, and reads a page, again and again.

    Every request is on a new connection; a try again has the same Idempotency-Key. Two more watch /healthz and /readyz.
    """

    server: Server
    answers: list[Answer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._port = urlsplit(self.server.url).port
        self._numbers = itertools.count(1)
        self._is_over = threading.Event()
        self._fault_ended = self.ready_at = float("inf")
        jobs: list[Callable[[], None]] = [self._watch_health, self._watch_readiness, *[self._use] * CLIENTS]
        self._threads = [threading.Thread(target=job) for job in jobs]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        wait_for(lambda: self.count(201) > 2 * CLIENTS, "the load")
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def count(self, status: int | None, since: float = 0) -> int:
        """How many requests that began since then were answered with this status."""
        return sum(answer.status == status and answer.began > since for answer in list(self.answers))

    def end_fault(self) -> None:
        """Wait until the service is ready again, and has served for a while after that."""
        self._fault_ended = time.monotonic()
        wait_for(lambda: self.ready_at < float("inf"), "the service to be ready")
        wait_for(lambda: self.count(201, self.ready_at) > 2 * CLIENTS, "comments to be stored")

    def wait_for_many(self, status: int) -> None:
        """Wait for more answers like this."""
        began = time.monotonic()
        wait_for(lambda: self.count(status, began) > 50, f"many a {status}")

    def report(self, fault: str, database_url: str) -> Report:
        """The reckoning, once the load is over."""
        rows = dict(sql(database_url, "SELECT comment, count(*) FROM comments GROUP BY comment"))
        told = {str(answer.number) for answer in self.answers if answer.status == 201}
        calls = [answer for answer in self.answers if answer.path == "/comments"]
        return Report(
            fault,
            requests=len(self.answers),
            stored=len(told),
            refused=sum(answer.status == 503 for answer in calls),
            broken=sum(answer.status is None for answer in self.answers),
            lost=len(told - rows.keys()),
            doubled=sum(count > 1 for count in rows.values()),
            failed_after_ready=sum(not answer.is_good and answer.began > self.ready_at for answer in self.answers),
            longest=max(answer.seconds for answer in calls),
            longest_health=max(answer.seconds for answer in self.answers if answer.path == "/healthz"),
            healed=self.ready_at - self._fault_ended,
        )

    def _use(self) -> None:
        while not self._is_over.is_set():
            number = next(self._numbers)
            while not self.ask("POST", "/comments", number).is_good and not self._is_over.wait(PAUSE):
                pass
            self.ask("GET", "/comments?limit=10")

    def _watch_health(self) -> None:
        while not self._is_over.wait(PAUSE):
            self.ask("GET", "/healthz")

    def _watch_readiness(self) -> None:
        running = 0
        while not self._is_over.wait(PAUSE / 10):
            answer = self.ask("GET", "/readyz")
            running = running + 1 if answer.is_good and answer.began > self._fault_ended else 0
            if running == READY:
                self.ready_at = time.monotonic()

    def ask(self, method: str, path: str, number: int = 0) -> Answer:
        """One request, remembered."""
        body = json.dumps({"name": "Ada", "comment": str(number)}) if method == "POST" else None
        headers = {"Content-Type": "application/json", "Idempotency-Key": str(number)} if body else {}
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT)
        status = retry_after = None
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            response.read()
            status, retry_after = response.status, response.getheader("Retry-After")
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        path = path.partition("?")[0]
        answer = Answer(method, path, number, status, retry_after, began, time.monotonic())
        self.answers.append(answer)
        return answer


@contextmanager
def loaded(url: str, release: Path = ROOT) -> Iterator[Load]:
    """A release of the service on this database, under load."""
    with serving(GUNICORN, release, DATABASE_URL=url, LOG_LEVEL="error") as server, Load(server) as load:
        yield load


def check(report: Report, health_bound: float = BOUND) -> None:
    """What holds whatever happens; and, for `make faults`, its line in docs/reliability.md."""
    record(report)
    assert (report.lost, report.doubled, report.failed_after_ready) == (0, 0, 0), report
    assert report.longest < BOUND, report
    assert report.longest_health < health_bound, report


def record(report: Report) -> None:
    """Put the report into its line of the table."""
    figures = (report.requests, report.stored, report.lost, report.refused, report.failed_after_ready)
    seconds = (f"{figure:.1f} s" for figure in (report.longest, report.longest_health, report.healed))
    record_figure(f"| {report.fault} |", " | ".join([*(f"{figure:,}" for figure in figures), *seconds]) + " |", end="$")


def record_figure(before: str, figure: str, end: str = r"(?=[,.;]$)") -> None:
    """Put a figure behind these words of docs/reliability.md, up to the end, where `make faults` asks for it."""
    document = os.environ.get("FAULTS_DOCUMENT")
    if not document:
        return
    text = Path(document).read_text()
    pattern = rf"{re.escape(before)}.*?{end}"
    replaced, count = re.subn(pattern, f"{before} {figure}", text, flags=re.MULTILINE)
    assert count == 1, f"{document} has no place for {before}"
    Path(document).write_text(replaced)

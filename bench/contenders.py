"""Who is measured: how each is started, what its calls are, and that all of them say the same."""

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psutil
from texts import MARKUP, SEEDS, TEXT

ROOT = Path(__file__).parents[1]
BENCH = ROOT / "bench"
OURS = ROOT / ".venv/bin"
THEIRS = BENCH / ".venv/bin"

PROCESSES = 2

READ, WRITTEN = "/post", "/written"  # threads

COMMENTS, UNKEPT = "comments", "comments, PAGE_CACHE=off"
BEFORE = "the release before"
FASTAPI, STARLETTE, FLASK = "FastAPI + asyncpg", "Starlette + orjson + asyncpg", "plain Flask + psycopg2"
ISSO, XTD, CONSTANT = "Isso", "django-comments-xtd", "gunicorn with a constant"

WITH_MARKUP = "POST with markup"  # a workload
OWN = ("id", "created_at", "parent_id")  # what differs between two comments that say the same

# The `page`, `post` and `body` of a Contender, and perhaps `says`, for a thread.
Calls = Callable[[str], dict[str, Any]]


@dataclass
class Contender:
    """One that answers the calls: how it is started, where, and which calls it has."""

    name: str
    command: list[str]
    port: int
    environment: dict[str, str]
    workloads: tuple[str, ...] = ("GET", "POST", WITH_MARKUP, "90/10")
    cwd: Path = BENCH
    page: str = f"/comments?thread={quote(READ)}"
    post: str = "/comments"
    body: dict[str, Any] = field(default_factory=lambda: {"name": "Ada Lovelace", "comment": TEXT, "thread": WRITTEN})
    says: str = "comment"  # where the text is in the body
    calls: Calls | None = None  # of one that has an API and comments of its own
    process: psutil.Popen | None = None

    def url(self, path: str = "") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def processes(self) -> list[psutil.Process]:
        assert self.process
        return [self.process, *self.process.children(recursive=True)]

    def cpu_seconds(self) -> dict[int, float]:
        """Of each process, by its pid."""
        return {process.pid: sum(process.cpu_times()[:2]) for process in self.processes()}

    def memory(self) -> int:
        """Bytes, those that its processes share counted once, and those that it shares with others counted in part."""
        return sum(process.memory_full_info().pss for process in self.processes())

    def start(self) -> float:
        """Start it; the seconds until it has answered a page."""
        began = time.monotonic()
        path = {"PATH": f"{Path(self.command[0]).parent}:{os.environ['PATH']}", "HOME": os.environ["HOME"]}
        self.process = psutil.Popen(
            self.command,
            cwd=self.cwd,
            env=path | self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while time.monotonic() < began + 30:
            try:
                self.get()
            except OSError:
                time.sleep(0.005)
            else:
                return time.monotonic() - began
        raise SystemExit(f"{self.name} does not start: {' '.join(self.command)}")

    def stop(self) -> None:
        if self.process:
            family = self.processes()
            self.process.send_signal(signal.SIGTERM)
            psutil.wait_procs(family, timeout=20)
            self.process = None

    def get(self) -> bytes:
        """The page."""
        with urllib.request.urlopen(self.url(self.page), timeout=10) as response:
            content: bytes = response.read()
            return content

    def tag(self) -> str:
        """The entity tag of the page, with which it is answered 304."""
        tag: str = httpx.get(self.url(self.page)).headers["ETag"]
        assert httpx.get(self.url(self.page), headers={"If-None-Match": tag}).status_code == 304
        return tag

    def saying(self, text: str) -> dict[str, Any]:
        """The body of a comment with this text."""
        return self.body | {self.says: text}

    def store(self, body: dict[str, Any]) -> dict[str, Any]:
        """What it says to a comment."""
        request = urllib.request.Request(
            self.url(self.post), json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            assert response.status == 201
            stored: dict[str, Any] = json.load(response)
            return stored

    def refuses(self, body: dict[str, Any]) -> bool:
        return httpx.post(self.url(self.post), json=body).status_code == 400


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def ours(name: str, port: int, database_url: str, cwd: Path = ROOT, **variables: str) -> Contender:
    """The service as it ships, whatever stands in .env; `cwd` is a checkout of it."""
    shipped = dict(re.findall(r"^# ([A-Z_]+)=(.+)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    own = {"DATABASE_URL": database_url, "PORT": str(port), "WEB_CONCURRENCY": str(PROCESSES)}
    environment = shipped | own | variables
    workloads = ("GET", "304", "POST", WITH_MARKUP, "90/10")
    return Contender(name, [str(OURS / "gunicorn")], port, environment, workloads, cwd)


def release_before(revision: str, home: Path, database_url: str) -> Contender:
    """The service as it was at this revision, from git; the files are put below `home`."""
    checkout = home / "before"
    checkout.mkdir()
    archive = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x"], cwd=checkout, input=archive, check=True)
    return ours(BEFORE, free_port(), database_url, checkout)


def peers(database_url: str, home: Path, page_size: int) -> Iterable[Contender]:
    """The others, without a log; `home` is a directory for what they write, `page_size` the bytes of the constant."""
    database = {"DATABASE_URL": database_url}
    uvicorn = f"uvicorn --workers {PROCESSES} --no-access-log --port {{port}} peers.{{name}}:app"
    gunicorn = f"gunicorn -w {PROCESSES} --no-control-socket -b 127.0.0.1:{{port}} peers.{{name}}:app"
    threads, greenlets = f"{gunicorn} -k gthread --threads 6", f"{gunicorn} -k gevent"

    def peer(
        name: str, binaries: Path, command: str, port: int, environment: dict[str, str], **others: Any
    ) -> Contender:
        program, *arguments = command.format(port=port, name=others.pop("module", "")).split()
        return Contender(name, [str(binaries / program), *arguments], port, environment, **others)

    def system(name: str, command: str, environment: dict[str, str], calls: Calls, **others: Any) -> Contender:
        """A comment system with calls of its own, which reads one thread, and writes to the other."""
        own = calls(WRITTEN) | {"page": calls(READ)["page"]}
        own["workloads"] = ("GET", "POST", WITH_MARKUP)
        return peer(name, THEIRS, command, free_port(), environment, calls=calls, **own, **others)

    yield peer(FASTAPI, THEIRS, uvicorn, free_port(), database, module="fastapi_app")
    yield peer(STARLETTE, THEIRS, uvicorn, free_port(), database, module="starlette_app")
    yield peer(FLASK, OURS, threads, free_port(), database, module="flask_app")
    constant = {"CONSTANT_SIZE": str(page_size)}
    yield peer(CONSTANT, OURS, greenlets, free_port(), constant, module="constant", workloads=("GET",))
    (home / "isso.cfg").write_text(
        f"[general]\ndbpath = {home}/isso.db\nhost = http://127.0.0.1\n"
        "[moderation]\nenabled = false\n[guard]\nenabled = false\n[server]\nlisten = http://127.0.0.1\n"
    )
    isso = f"gunicorn -w {PROCESSES} -b 127.0.0.1:{{port}} isso.run"
    yield system(ISSO, isso, {"ISSO_SETTINGS": str(home / "isso.cfg")}, isso_calls)
    migrate = [str(THEIRS / "python"), "-m", "peers.xtd_app"]
    subprocess.run(migrate, cwd=BENCH, env=os.environ | database, stdout=subprocess.DEVNULL, check=True)
    yield system(XTD, threads, database, xtd_calls, module="xtd_app")


def isso_calls(thread: str) -> dict[str, Any]:
    uri = quote(thread, safe="")
    body = {"author": "Ada Lovelace", "text": TEXT, "title": "A post"}
    return {"page": f"/?uri={uri}", "post": f"/new?uri={uri}", "body": body, "says": "text"}


def xtd_calls(thread: str) -> dict[str, Any]:
    """A thread is what is said of an object: here of one of the two pages that are made with the tables."""
    number = {READ: "1", WRITTEN: "2"}[thread]
    body = {"content_type": "flatpages.flatpage", "object_pk": number, "name": "Ada Lovelace", "comment": TEXT}
    body["email"] = "ada@example.com"
    return {"page": f"/comments/api/flatpages-flatpage/{number}/", "post": "/comments/api/comment/", "body": body}


def of_thread(contender: Contender, thread: str) -> Contender:
    """A comment system with the calls for this thread."""
    assert contender.calls
    return replace(contender, **contender.calls(thread))


def fill_system(contender: Contender) -> None:
    """The page of 100 comments, which the others have in the service's table."""
    filled = of_thread(contender, READ)
    for text in SEEDS * (100 // len(SEEDS)):
        filled.store(filled.saying(text))


def texts(contender: Contender) -> list[str]:
    """What the comments of a comment system's page say."""
    page = json.loads(contender.get())
    if contender.name == ISSO:
        return [reply["text"] for reply in page["replies"]]
    return [comment["comment"] for comment in page]


def openings(seen: list[str]) -> list[int]:
    """How many of the texts have the first words of each of SEEDS, which are the same in HTML."""
    return [sum(seed[:7] in text for text in seen) for seed in SEEDS]


def normal(comment: dict[str, Any]) -> dict[str, Any]:
    """A comment, however its times are written."""
    times = {name: comment[name] for name in ("created_at", "edited_at") if comment.get(name)}
    return comment | {name: datetime.fromisoformat(time) for name, time in times.items()}


def page(contender: Contender) -> list[dict[str, Any]]:
    comments = [normal(comment) for comment in json.loads(contender.get())["comments"]]
    assert len(comments) == 100, contender.name
    return comments


def agrees(comment: dict[str, Any], expected: dict[str, Any], may_lack_fields: bool) -> bool:
    """Whether a comment has the same fields, in the same order, as another one; its last ones may be missing."""
    count = len(comment) if may_lack_fields else len(expected)
    return list(comment.items()) == list(expected.items())[:count]


def stored(contender: Contender) -> list[dict[str, Any]]:
    """What it says to a comment, to one with markup, and to a reply to the first, but for what each has of its own."""
    first, second = contender.store(contender.body), contender.store(contender.saying(MARKUP))
    reply = contender.store(contender.body | {"parent_id": first["id"]})
    if "parent_id" in reply:
        assert [comment["parent_id"] for comment in (first, second, reply)] == [None, None, first["id"]]
        assert contender.refuses(contender.body | {"parent_id": 1}), "a reply to a comment of another thread"
    return [comment | dict.fromkeys(comment.keys() & OWN) for comment in (first, second, reply)]


def compare(contenders: list[Contender]) -> None:
    """Stop unless all give the same page as the first one, the service, and store the same comments.

    The release before may lack the last fields. Of comment systems, only what the comments say is compared, and Isso's
    are HTML. The constant is no comment.
    """
    expected: list[dict[str, Any]] = []
    for contender in contenders:
        if contender.calls:
            assert openings(texts(contender)) == [100 // len(SEEDS)] * len(SEEDS), contender.name
            contender.store(contender.body)
            assert [TEXT in text for text in texts(of_thread(contender, WRITTEN))] == [True], contender.name
        elif contender.name == CONSTANT:
            assert len(contender.get()) == len(contenders[0].get())
        else:
            found = [*page(contender), *stored(contender)]
            expected = expected or found
            pairs = zip(found, expected, strict=True)
            differing = [pair for pair in pairs if not agrees(*pair, contender.name == BEFORE)]
            assert not differing, f"{contender.name} differs: {differing[0]}"

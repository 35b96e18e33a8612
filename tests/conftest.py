"""A real PostgreSQL for every test: embedded, in a temporary directory, or the one that TEST_DATABASE_URL names."""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from flask.testing import FlaskClient

from app import create_app
from config import Config
from db import CommentDatabase
from postgres import batches, embedded
from postgres.migrations import migrate

from support.containers import IMAGE, Project, docker, inspect, is_there, project
from support.over_http import client_of
from support.postgres import empty, sql
from support.processes import ROOT
from support.program import NOT_THE_PROGRAM

# The URL of a running service. TEST_DATABASE_URL then names its database, of which each test deletes the comments.
SERVICE = os.environ.get("TEST_SERVICE_URL")

# Why a test with this mark may be left out, and what runs it.
LEFT_OUT = {"slow": ("take minutes", "make faults"), "container": ("need Docker", "make test-container")}
left_out: dict[str, int] = {}


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Count the tests that their marks have left out. Those that -k leaves out were not asked for."""
    marks = [next(filter(item.get_closest_marker, LEFT_OUT), None) for item in items]
    if None not in marks:
        left_out.update(Counter(filter(None, marks)))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a process of pytest-xdist tell the process that reports."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = left_out


def pytest_testnodedown(node: Any) -> None:
    """Read what a process of pytest-xdist has told. Each has collected the same tests."""
    left_out.update(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for mark, count in left_out.items():
        reason, command = LEFT_OUT[mark]
        terminalreporter.write_line(f"Not run: tests that {reason} ({count}). `{command}` runs them.")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a server whose role may create databases."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url
        return
    home = Path(tempfile.mkdtemp(prefix="comments-test-"))
    home.chmod(0o755)
    url = embedded.start(home / "postgres")
    sql(url, "ALTER SYSTEM SET fsync = off")  # its data need not outlive the machine
    sql(url, "SELECT pg_reload_conf()")
    yield url
    embedded.stop(home / "postgres")
    shutil.rmtree(home)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A directory that every user may enter: as root, PostgreSQL runs as another user. pytest's own is closed."""
    with tempfile.TemporaryDirectory(prefix="comments-test-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture(scope="session")
def new_database(postgres: str) -> Iterator[Callable[..., str]]:
    """A function that creates an empty database and returns its URL."""
    names = []

    def create(options: str = "") -> str:
        name = f"comments_test_{uuid.uuid4().hex}"
        sql(postgres, f"CREATE DATABASE {name} {options}")
        names.append(name)
        return urlunsplit(urlsplit(postgres)._replace(path=f"/{name}"))

    yield create
    if "TEST_DATABASE_URL" in os.environ:  # an embedded server goes as a whole
        for name in names:
            sql(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def migrated_database(new_database: Callable[..., str]) -> str:
    if SERVICE:
        return os.environ["TEST_DATABASE_URL"]
    url = new_database()
    migrate(url)
    return url


@pytest.fixture
def database_url(migrated_database: str) -> str:
    """The URL of a database with the schema and no comments; the first one stored will have the id 1."""
    empty(migrated_database)
    return migrated_database


@pytest.fixture
def own_database_url(new_database: Callable[..., str]) -> str:
    """The same, of a database that no test before has connected to: a closed connection may take a moment to go."""
    url = new_database()
    migrate(url)
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[CommentDatabase]:
    database = CommentDatabase(database_url)
    yield database
    database.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads for calls at the same time."""
    with ThreadPoolExecutor(100) as pool:
        yield pool


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls wait for the batch before them, however long a test lets it be under way."""
    monkeypatch.setattr(batches, "PATIENCE", 60)


@pytest.fixture
def client(database: CommentDatabase) -> FlaskClient:
    """A client of the application, or of the running service that TEST_SERVICE_URL names."""
    return client_of(SERVICE) if SERVICE else create_app(Config(), database).test_client()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the program in a directory of its own, with its own .env and its own embedded PostgreSQL."""
    ignored = shutil.ignore_patterns(".*", "__pycache__", *NOT_THE_PROGRAM)
    target = shutil.copytree(ROOT, tmp_path / "checkout", ignore=ignored)
    shutil.copy(ROOT / ".flaskenv", target)
    return target


@pytest.fixture(scope="session")
def revision() -> str:
    """The commit that is checked out."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(scope="session")
def image(revision: str) -> str:
    """The image that docker-compose.yml builds: its id."""
    if not is_there():
        assert "CI" not in os.environ, "CI must run these tests: it needs Docker with Compose and Buildx"
        pytest.skip("there is no Docker")
    docker("compose", "--env-file", os.devnull, "--project-name", IMAGE, "build", REVISION=revision)
    return str(inspect(IMAGE, "Id"))


@pytest.fixture(scope="module")
def deployed(image: str) -> Iterator[Project]:
    """The service as `docker compose up` starts it, shared by the proofs of a factor."""
    with project() as running:
        yield running

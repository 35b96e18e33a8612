"""A real PostgreSQL for every test: embedded, in a temporary directory, or the one that TEST_DATABASE_URL names."""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import pytest
from containers import Project, docker, inspect, is_there, project
from flask.testing import FlaskClient

import embedded
from app import create_app
from config import Config
from db import CommentDatabase

ROOT = Path(__file__).parents[1]

# What a checkout needs to run, beside its packages.
PROGRAM = ["*.py", "openapi.yaml", "migrations", "Pipfile", "Pipfile.lock", ".flaskenv"]


def sql(url: str, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Run a statement on a connection of its own, as somebody else would."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a server whose role may create databases."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url
        return
    home = Path(tempfile.mkdtemp(prefix="comments-test-"))
    url = embedded.start(home / "postgres")
    sql(url, "ALTER SYSTEM SET fsync = off")  # its data need not outlive the machine
    sql(url, "SELECT pg_reload_conf()")
    yield url
    embedded.stop(home / "postgres")
    shutil.rmtree(home)


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
    url = new_database()
    CommentDatabase(url).migrate()
    return url


@pytest.fixture
def database_url(migrated_database: str) -> str:
    """The URL of a database with the schema and no comments; the first one stored will have the id 1."""
    sql(migrated_database, "TRUNCATE comments RESTART IDENTITY")
    return migrated_database


@pytest.fixture
def database(database_url: str) -> Iterator[CommentDatabase]:
    database = CommentDatabase(database_url)
    yield database
    database.close()


@pytest.fixture
def client(database: CommentDatabase) -> FlaskClient:
    return create_app(Config(), database).test_client()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the program in a directory of its own, with its own .env and its own embedded PostgreSQL."""
    target = tmp_path / "checkout"
    target.mkdir()
    for pattern in PROGRAM:
        for source in ROOT.glob(pattern):
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, target / source.name)
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
    docker("compose", "--env-file", os.devnull, "build", REVISION=revision)
    return str(inspect("comments", "Id"))


@pytest.fixture(scope="module")
def deployed(image: str) -> Iterator[Project]:
    """The service as `docker compose up` starts it, shared by the proofs of a factor."""
    with project() as running:
        yield running

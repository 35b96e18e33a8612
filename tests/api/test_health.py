"""GET /healthz and GET /readyz."""

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from app import create_app
from config import Config
from db import CommentDatabase
from postgres.migrations import migrate

from support.postgres import sql

UNREACHABLE = "postgresql://127.0.0.1:1/x"


def client_of(url: str) -> FlaskClient:
    return create_app(Config(), CommentDatabase(url)).test_client()


def test_health_never_touches_the_database() -> None:
    response = client_of(UNREACHABLE).get("/healthz")
    assert (response.status_code, response.json) == (200, {"status": "ok"})


def test_ready(client: FlaskClient) -> None:
    response = client.get("/readyz")
    assert (response.status_code, response.json) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_nobody_stores_the_state_of_the_service(client: FlaskClient, path: str) -> None:
    assert client.get(path).headers["Cache-Control"] == "no-store"


def test_not_ready_without_a_database() -> None:
    response = client_of(UNREACHABLE).get("/readyz")
    assert response.status_code == 503
    assert "does not answer" in response.get_json()["error"]
    assert "DATABASE_URL" in response.get_json()["error"]


@pytest.mark.parametrize("path", ["/readyz", "/comments", "/comments?thread=x", "/comments/1"])
def test_before_the_migration_every_call_says_what_to_do(new_database: Callable[..., str], path: str) -> None:
    response = client_of(new_database()).get(path)
    assert response.status_code == 503
    assert response.json == {"error": "The database schema is not current: run `flask migrate`."}


def test_a_migration_that_is_missing_is_logged_without_a_cause(
    new_database: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    url = new_database()
    migrate(url)
    sql(url, "DELETE FROM schema_migrations")
    assert client_of(url).get("/readyz").status_code == 503
    warning, _ = capsys.readouterr().out.splitlines()
    assert "The database schema is not current: run `flask migrate`. request_id=" in warning


def test_ready_once_it_is_migrated(new_database: Callable[..., str]) -> None:
    url = new_database()
    client = client_of(url)
    assert client.get("/readyz").status_code == 503
    migrate(url)
    assert client.get("/readyz").status_code == 200

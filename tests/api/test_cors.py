"""CORS for the origins of ALLOWED_ORIGINS (https://fetch.spec.whatwg.org/#http-cors-protocol)."""

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app import create_app
from config import Config
from db import CommentDatabase

BLOG = "https://blog.example"
OTHER = "https://other.example"
EXPOSED = "ETag, Link, Location, Retry-After, X-Request-ID"


def client_for(database: CommentDatabase, *origins: str) -> FlaskClient:
    return create_app(Config(allowed_origins=origins), database).test_client()


def cors_headers(response: TestResponse) -> dict[str, str]:
    return {name: value for name, value in response.headers if name.startswith("Access-Control-")}


def preflight(client: FlaskClient, origin: str) -> TestResponse:
    return client.options("/comments", headers={"Origin": origin, "Access-Control-Request-Method": "POST"})


def test_by_default_there_is_none(database: CommentDatabase) -> None:
    client = client_for(database)
    for response in (client.get("/comments", headers={"Origin": BLOG}), preflight(client, BLOG)):
        assert cors_headers(response) == {}
        assert "Vary" not in response.headers


@pytest.mark.parametrize("path", ["/comments", "/counts?thread=x"])
def test_an_allowed_origin_may_have_the_answer(database: CommentDatabase, path: str) -> None:
    response = client_for(database, OTHER, BLOG).get(path, headers={"Origin": BLOG})
    assert cors_headers(response) == {
        "Access-Control-Allow-Origin": BLOG,
        "Access-Control-Expose-Headers": EXPOSED,
    }
    assert response.headers["Vary"] == "Origin"


def test_its_preflight_says_what_it_may_send(database: CommentDatabase) -> None:
    response = preflight(client_for(database, BLOG), BLOG)
    assert response.status_code == 200
    headers = cors_headers(response)
    assert headers["Access-Control-Allow-Origin"] == BLOG
    assert headers["Access-Control-Allow-Methods"] == "DELETE, GET, HEAD, PATCH, POST, PUT"
    assert headers["Access-Control-Allow-Headers"] == (
        "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match"
    )
    assert int(headers["Access-Control-Max-Age"]) > 0
    assert response.headers["Vary"] == "Origin"


@pytest.mark.parametrize(
    "origin", [OTHER, "null", f"{BLOG}.evil.example", f"{BLOG}:8080", "http://blog.example", "*", ""]
)
def test_another_origin_gets_nothing_but_the_vary(database: CommentDatabase, origin: str) -> None:
    client = client_for(database, BLOG)
    for response in (client.get("/comments", headers={"Origin": origin}), preflight(client, origin)):
        assert cors_headers(response) == {}
        assert response.headers["Vary"] == "Origin"


def test_a_star_allows_all(database: CommentDatabase) -> None:
    client = client_for(database, "*")
    for origin in (BLOG, OTHER, "null"):
        assert client.get("/comments", headers={"Origin": origin}).headers["Access-Control-Allow-Origin"] == "*"
        assert preflight(client, origin).headers["Access-Control-Allow-Headers"]


def test_without_an_origin_only_the_vary(database: CommentDatabase) -> None:
    response = client_for(database, BLOG).get("/comments")
    assert cors_headers(response) == {}
    assert response.headers["Vary"] == "Origin"


def test_errors_and_304_can_be_read_too(database: CommentDatabase) -> None:
    client = client_for(database, BLOG)
    headers = {"Origin": BLOG}
    assert client.get("/nothing", headers=headers).headers["Access-Control-Allow-Origin"] == BLOG
    assert client.post("/comments", json={}, headers=headers).headers["Access-Control-Allow-Origin"] == BLOG
    unchanged = client.get("/comments", headers={**headers, "If-None-Match": "*"})
    assert (unchanged.status_code, unchanged.headers["Access-Control-Allow-Origin"]) == (304, BLOG)
    assert unchanged.headers["Vary"] == "Origin"

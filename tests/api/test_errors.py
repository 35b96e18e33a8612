"""Every error of a request that reaches the application has one shape."""

import json
import re
from dataclasses import dataclass, field

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import EnvironBuilder, TestResponse, run_wsgi_app
from werkzeug.wrappers import Request

from app import create_app
from config import Config
from db import CommentDatabase
from moderation.limits import LimitReached
from web.request import MAX_BODY

from support.postgres import sql

HELLO = b'{"name": "Ada", "comment": "Hello"}'
JSON = {"Content-Type": "application/json"}
KEYED = {"Authorization": "Bearer the-key-of-an-author-01"}


def assert_error(response: TestResponse, status: int) -> str:
    """Check the shape, and return the sentence."""
    assert response.status_code == status
    assert response.content_type == "application/json"
    body = json.loads(response.data)
    assert list(body) == ["error"]
    sentence = body["error"]
    assert re.fullmatch(r"[A-Z][^\n]*\.", sentence)
    assert response.headers["X-Request-ID"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-store"
    return str(sentence)


@dataclass
class Case:
    status: int
    method: str = "GET"
    path: str = "/comments"
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def post(status: int, body: bytes = HELLO, **headers: str) -> Case:
    return Case(status, "POST", body=body, headers={**JSON, **{k.replace("_", "-"): v for k, v in headers.items()}})


CASES = {
    "no such path": Case(404, path="/nothing"),
    "the root": Case(404, path="/"),
    "a path that is not UTF-8": Case(404, path="/%ff"),
    "a double slash": Case(404, path="/comments//1"),
    "a double slash at the beginning": Case(404, path="/%2Fcomments"),
    "no such comment": Case(404, path="/comments/1"),
    "a huge id": Case(404, path=f"/comments/{'9' * 5000}"),
    "a method that is not allowed": Case(405, "DELETE"),
    "a method that nobody knows": Case(405, "BREW"),
    "a POST to a comment": Case(405, "POST", "/comments/1", HELLO, JSON),
    "a POST to the health": Case(405, "POST", "/healthz"),
    "a DELETE of all rules": Case(405, "DELETE", "/rules"),
    "a GET of one rule": Case(405, path="/rules/1"),
    "a POST to the closed threads": Case(405, "POST", "/closed-threads", HELLO, JSON),
    "a search by nobody": Case(401, path="/comments?status=pending"),
    "a search by an author": Case(403, path="/comments?q=x", headers=KEYED),
    "a decision by nobody": Case(401, "PATCH", "/comments/1", b'{"status": "published"}', JSON),
    "a decision by an author": Case(403, "PATCH", "/comments/1", b'{"status": "published"}', JSON | KEYED),
    "decisions by nobody": Case(401, "PATCH", body=b'{"ids": [1], "status": "published"}', headers=JSON),
    "the rules, for nobody": Case(401, path="/rules"),
    "the rules, for an author": Case(403, path="/rules", headers=KEYED),
    "the closed threads, for nobody": Case(401, path="/closed-threads"),
    "a thread that an author closes": Case(403, "PUT", "/closed-threads?thread=x", headers=KEYED),
    "a bad limit": Case(400, path="/comments?limit=0"),
    "a bad after": Case(400, path="/comments?after=x"),
    "a bad order": Case(400, path="/comments?order=best"),
    "a bad thread": Case(400, path="/comments?thread=%00"),
    "counts of no thread": Case(400, path="/counts"),
    "counts of too many threads": Case(400, path=f"/counts?{'&'.join(['thread=x'] * 101)}"),
    "counts of a bad thread": Case(400, path="/counts?thread=x&thread=%00"),
    "a POST to the counts": Case(405, "POST", "/counts", HELLO, JSON),
    "a bad thread of a feed": Case(400, path="/feed.atom?thread=%ff"),
    "a POST to the feed": Case(405, "POST", "/feed.atom", HELLO, JSON),
    "no content type": Case(415, "POST", body=HELLO),
    "a form": post(415, Content_Type="application/x-www-form-urlencoded"),
    "plain text": post(415, Content_Type="text/plain"),
    "two content types": post(415, Content_Type="application/json, application/json"),
    "a content type that is none": post(415, Content_Type="json"),
    "an empty body": post(400, b""),
    "no JSON": post(400, b"name=Ada"),
    "half of an object": post(400, HELLO[:-1]),
    "no object": post(400, b"[1]"),
    "null": post(400, b"null"),
    "NaN": post(400, b'{"name": "Ada", "comment": "Hello", "x": NaN}'),
    "a byte order mark": post(400, b"\xef\xbb\xbf" + HELLO),
    "another encoding": post(400, HELLO.decode().encode("utf-16")),
    "invalid UTF-8": post(400, HELLO.replace(b"Ada", b"\xff")),
    "nested deeply": post(400, b"[" * 100_000 + b"]" * 100_000),
    "gzip": post(400, b"\x1f\x8b\x08\x00", Content_Encoding="gzip"),
    "no name": post(400, b'{"comment": "Hello"}'),
    "no comment": post(400, b'{"name": "Ada"}'),
    "a number for a name": post(400, b'{"name": 1, "comment": "Hello"}'),
    "a name too long": post(400, HELLO.replace(b"Ada", b"A" * 101)),
    "NUL": post(400, HELLO.replace(b"Ada", b"A\\u0000")),
    "a lone surrogate": post(400, HELLO.replace(b"Ada", b"\\ud800")),
    "too large": post(413, HELLO.ljust(MAX_BODY + 1)),
    "a host that is none": Case(400, headers={"Host": "a" * 300 + ".b"}),
    "a control character": post(400, HELLO.replace(b"Hello", b"\\u001b")),
    "a line break in a name": post(400, HELLO.replace(b"Ada", b"A\\na")),
    "a name that shows nothing": post(400, HELLO.replace(b"Ada", b"\\u200b")),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_one_shape_and_nothing_stored(client: FlaskClient, database_url: str, case: Case) -> None:
    response = client.open(case.path, method=case.method, data=case.body, headers=case.headers)
    assert_error(response, case.status)
    assert sql(database_url, "SELECT count(*) FROM comments") == [(0,)]


def test_the_tutorial_s_two_messages(client: FlaskClient) -> None:
    assert client.post("/comments", json={}).json == {"error": "Name is required."}
    assert client.post("/comments", json={"name": "Ada"}).json == {"error": "Comment is required."}


@pytest.mark.parametrize("path", ["/", "/nothing"])
def test_a_404_says_where_to_look(client: FlaskClient, path: str) -> None:
    assert "/openapi.yaml" in assert_error(client.get(path), 404)


def test_405_says_what_is_allowed(client: FlaskClient) -> None:
    allowed = client.delete("/comments").headers["Allow"]
    assert {method.strip() for method in allowed.split(",")} == {"GET", "HEAD", "OPTIONS", "PATCH", "POST"}
    allowed = client.put("/comments/1").headers["Allow"]
    assert {method.strip() for method in allowed.split(",")} == {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH"}


def test_options_is_answered(client: FlaskClient) -> None:
    response = client.options("/comments")
    assert response.status_code == 200
    assert "POST" in response.headers["Allow"]


@pytest.mark.parametrize("path", ["/", "/comments", "/healthz"])
def test_http_1_1_needs_a_host(client: FlaskClient, path: str) -> None:
    """RFC 9112, section 3.2."""
    environ = EnvironBuilder(path).get_environ()
    del environ["HTTP_HOST"]
    response = TestResponse(
        *run_wsgi_app(client.application.wsgi_app, environ, buffered=True), request=Request(environ)
    )
    assert "Host" in assert_error(response, 400)


def test_http_1_0_needs_no_host(client: FlaskClient) -> None:
    environ = EnvironBuilder("/healthz").get_environ() | {"SERVER_PROTOCOL": "HTTP/1.0"}
    del environ["HTTP_HOST"]
    assert run_wsgi_app(client.application.wsgi_app, environ)[1] == "200 OK"


@pytest.mark.parametrize("sent", [HELLO.ljust(MAX_BODY) + b"junk", b" " * (4 * MAX_BODY)])
def test_a_chunked_body_that_is_too_large_is_413(client: FlaskClient, sent: bytes) -> None:
    """Also where it is valid JSON up to the limit."""
    chunked = {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    response = client.post("/comments", data=sent, headers=JSON, environ_overrides=chunked)
    assert_error(response, 413)


def test_a_body_that_says_it_is_too_large_is_413_before_it_is_read(client: FlaskClient) -> None:
    response = client.post("/comments", data=HELLO, headers=JSON, environ_overrides={"CONTENT_LENGTH": "9" * 20})
    assert_error(response, 413)


class BrokenStream:
    """The body of a request as a server gives it whose client sends no proper chunks."""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        raise Exception("not a chunk")  # gunicorn's own errors are no OSError and no ValueError

    readinto = readline = read


def test_a_body_that_can_not_be_read_is_400(client: FlaskClient) -> None:
    broken = {"wsgi.input_terminated": True, "wsgi.input": BrokenStream(), "CONTENT_LENGTH": ""}
    response = client.post("/comments", headers=JSON, environ_overrides=broken)
    assert "malformed" in assert_error(response, 400)


def test_a_body_that_breaks_off_is_400(client: FlaskClient) -> None:
    response = client.post("/comments", data=HELLO, headers=JSON, environ_overrides={"CONTENT_LENGTH": "100"})
    assert_error(response, 400)


@pytest.fixture
def broken_app(database: CommentDatabase) -> Flask:
    """The application with a fault of its own."""
    app = create_app(Config(), database)

    @app.get("/crash")
    def crash() -> str:
        raise RuntimeError("a secret of the inside")

    @app.get("/limit")
    def limit() -> str:
        raise LimitReached(17)

    return app


def test_a_crash_says_nothing_of_the_inside(broken_app: Flask, capsys: pytest.CaptureFixture[str]) -> None:
    response = broken_app.test_client().get("/crash", headers={"X-Request-ID": "the-request"})
    sentence = assert_error(response, 500)
    assert "secret" not in response.text
    assert "the-request" in sentence


def test_a_limit_that_is_reached_says_when_to_come_again(broken_app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    response = broken_app.test_client().get("/limit")
    assert assert_error(response, 429) == "Too many comments from your address; try again later."
    assert response.headers["Retry-After"] == "17"
    assert {record.levelname for record in caplog.records} == {"INFO"}


@pytest.fixture
def unreachable() -> FlaskClient:
    return create_app(Config(), CommentDatabase("postgresql://127.0.0.1:1/secret")).test_client()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/comments"),
        ("POST", "/comments"),
        ("GET", "/comments/1"),
        ("GET", "/counts?thread=x"),
        ("GET", "/feed.atom"),
        ("GET", "/readyz"),
        ("HEAD", "/comments"),
    ],
)
def test_without_a_database_it_is_503(unreachable: FlaskClient, method: str, path: str) -> None:
    response = unreachable.open(path, method=method, data=HELLO, headers=JSON)
    if method == "HEAD":
        assert response.status_code == 503
    else:
        assert "secret" not in assert_error(response, 503)
    assert int(response.headers["Retry-After"]) > 0


def test_bad_input_needs_no_database_to_be_refused(unreachable: FlaskClient) -> None:
    assert_error(unreachable.post("/comments", json={}), 400)
    assert_error(unreachable.get("/comments?limit=0"), 400)
    assert_error(unreachable.get("/comments/x"), 404)
    assert_error(unreachable.get("/counts"), 400)

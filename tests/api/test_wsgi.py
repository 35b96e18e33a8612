"""web/wsgi.py: what is answered in front of Flask's dispatch is what Flask's views would say."""

import io
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app import ROUTES, create_app
from comment import Comment
from config import Config
from db import CommentDatabase
from web.wsgi import Application

Answer = tuple[str, list[tuple[str, str]], bytes]

HEADERS = {
    "HTTP_HOST": ["localhost", "a..b", ".", "[::1]:5000", "x" * 64, "x" * 63, "é", "a_b", "127.0.0.1:5000", "", "-"],
    "HTTP_IF_NONE_MATCH": ["*", "", "THE TAG", "W/THE TAG", '"x", THE TAG', "THE TAG,", '"x"'],
    "HTTP_ORIGIN": ["https://blog.example.org", "null", ""],
    "HTTP_IDEMPOTENCY_KEY": ["", "é", "a b"],
    "CONTENT_TYPE": ["application/json", "text/plain", "application/x+json; charset=x"],
    "SCRIPT_NAME": ["", "/app"],
}
QUERIES = ["", "thread=/post", "limit=1", "limit=0", "after=%ff", "thread=%00", "limit=1&limit=2", "x"]
BODIES = [b"", b"{", b"[]", b'{"name": "Ada"}', b'{"name": "Ada", "comment": "\\ud800"}', b"x" * 300_000]


@pytest.fixture
def app(database: CommentDatabase) -> Application:
    for n in range(2):
        database.create_comment(Comment(None, "Ada", f"{n}", "/post"))
    found: Any = create_app(Config(allowed_origins=("https://blog.example.org",)), database).wsgi_app
    assert isinstance(found, Application)
    return found


def ask(app: Any, environ: dict[str, Any], body: bytes) -> Answer:
    """What the WSGI application answers: its status, its headers in order of their names, and its body."""
    said: list[Any] = []
    server = {"SERVER_NAME": "x", "SERVER_PORT": "5000", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http"}
    own = {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    own |= {"HTTP_HOST": "x", "HTTP_X_REQUEST_ID": "mine"}
    content = b"".join(app(server | own | environ, lambda *arguments: said.extend(arguments)))
    return said[0], sorted(said[1]), content


def in_flask(app: Application, environ: dict[str, Any], body: bytes) -> Answer:
    """The same, by Flask's own dispatch."""

    slow = Application(app._flask, [route._replace(is_fast=False) for route in ROUTES], app._config, app._database)
    return ask(slow, environ, body)


@given(
    method=st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "PUT"]),
    path=st.sampled_from(["/comments", "/comments/", "//comments", "/comments/1"]),
    query=st.sampled_from(QUERIES),
    headers=st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in HEADERS.items()}),
    body=st.sampled_from(BODIES),
)
@example("GET", "/comments", "", {"HTTP_HOST": "a..b"}, b"")
@example("GET", "/comments", "thread=/post", {"HTTP_IF_NONE_MATCH": "THE TAG"}, b"")
@example("GET", "/comments", "limit=1", {"HTTP_ORIGIN": "https://blog.example.org"}, b"")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, derandomize=True)
def test_it_answers_as_flask_does(
    app: Application, method: str, path: str, query: str, headers: dict[str, str], body: bytes
) -> None:
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "SCRIPT_NAME": "", **headers}
    if "HTTP_IF_NONE_MATCH" in environ:
        tags = [value for name, value in in_flask(app, environ | {"HTTP_IF_NONE_MATCH": ""}, body)[1] if name == "ETag"]
        environ["HTTP_IF_NONE_MATCH"] = environ["HTTP_IF_NONE_MATCH"].replace("THE TAG", (tags or ["none"])[0])
    assert ask(app, environ, body) == in_flask(app, environ, body)


@pytest.mark.parametrize("path", ["/comments", "/comments/", "/comments/1", "/healthz"])
def test_an_upgrade_is_ignored(client: FlaskClient, app: Application, path: str) -> None:
    headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
    assert client.get(path, headers=headers).status_code == 200


def test_a_new_comment_is_answered_as_flask_does(app: Application) -> None:
    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/comments", "QUERY_STRING": "", "SCRIPT_NAME": ""}
    environ |= {"CONTENT_TYPE": "application/json", "HTTP_IDEMPOTENCY_KEY": "key"}
    body = b'{"name": "Ada", "comment": "Hello"}'
    first = ask(app, environ, body)
    assert first[0] == "201 CREATED"
    assert first == in_flask(app, environ, body)

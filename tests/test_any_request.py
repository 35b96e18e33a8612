"""Whatever a request is made of: no 5xx, one shape of error, nothing stored on a 4xx, and no harm to others.

Most requests are made in process; some over a socket to gunicorn, as bytes that need not be HTTP at all. What was found
stands as cases of their own in test_errors.py and test_server.py.
"""

import json
import re
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from processes import Server, serving
from werkzeug.test import EnvironBuilder, TestResponse, run_wsgi_app
from werkzeug.wrappers import Request

METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "BREW", "get"]
PATHS = ["/comments", "/comments/", "/comments/1", "/healthz", "/readyz", "/openapi.yaml", "/", "*", "//comments", ""]
BODIES = [b"", b"{}", b'{"name": "Ada", "comment": "Hello"}', b'{"name": "\\ud800"}', b"\xef\xbb\xbf{}", b"[" * 9999]
TYPES = [
    "application/json",
    "application/x+json",
    "text/plain",
    "application/json; charset=utf-16",
    "/",
    ";",
    "multipart/form-data",
]
NAMES = [
    "Content-Type",
    "Content-Length",
    "Idempotency-Key",
    "If-None-Match",
    "Origin",
    "X-Request-ID",
    "Host",
    "Range",
]
NAMES += [
    "Transfer-Encoding",
    "Content-Encoding",
    "Access-Control-Request-Method",
    "Cookie",
    "Accept",
    "Expect",
    "Forwarded",
]

latin_1 = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=30)
paths = st.sampled_from(PATHS) | st.builds("/comments/{}".format, latin_1 | st.integers()) | latin_1
queries = st.lists(
    st.builds("{}={}".format, st.sampled_from(["limit", "after", "thread", "x"]), latin_1 | st.integers()), max_size=4
).map("&".join)
values = latin_1 | st.sampled_from(
    [*TYPES, "*", '"x"', "W/", "0", "-1", "chunked", "gzip", "bytes=0-", "https://a.example"]
)
headers = st.dictionaries(st.sampled_from(NAMES), values, max_size=5)
bodies = st.sampled_from(BODIES) | st.binary(max_size=200)


def assert_answer(response: TestResponse, method: str) -> None:
    assert response.status_code < 500
    assert response.headers["X-Request-ID"]
    if response.status_code >= 400 and method != "HEAD":
        assert response.content_type == "application/json"
        assert list(json.loads(response.data)) == ["error"]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(METHODS), paths, queries, headers, bodies, st.booleans())
@example("GET", "/comments", "thread=\xff", {}, b"", False)  # raw bytes that are not UTF-8
@example("POST", "/comments", "", {"Content-Length": "-1"}, b"{}", False)
@example("POST", "/comments", "", {"Content-Length": "x", "Content-Type": "application/json"}, b"{}", False)
@example("GET", "/comments", "", {"Host": "[::1"}, b"", False)
def test_any_request_in_process(
    client: FlaskClient, method: str, path: str, query: str, headers: dict[str, str], body: bytes, chunked: bool
) -> None:
    builder = EnvironBuilder(method=method, data=body)
    environ = builder.get_environ()
    environ |= {"PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": method}
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    if chunked:
        environ |= {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
        environ.pop("CONTENT_LENGTH", None)
    before = client.get("/comments?limit=200").data
    # Not by the client: that would put the request in order first.
    response = TestResponse(
        *run_wsgi_app(client.application.wsgi_app, environ, buffered=True), request=Request(environ)
    )
    assert_answer(response, method)
    if response.status_code != 201:
        assert client.get("/comments?limit=200").data == before


@pytest.fixture(scope="module")
def server(migrated_database: str) -> Iterator[Server]:
    with serving(DATABASE_URL=migrated_database, LOG_LEVEL="warning") as running:
        yield running


request_lines = st.builds(
    "{} {}?{} HTTP/{}".format,
    st.sampled_from(METHODS) | latin_1,
    paths,
    queries,
    st.sampled_from(["1.1", "1.0", "0.9", "2.0", "x"]),
)
raw_requests = st.binary(max_size=300) | st.builds(
    lambda line, headers, body: (
        "\r\n".join([line, *(f"{n}: {v}" for n, v in headers.items()), "", ""]).encode("latin-1") + body
    ),
    request_lines,
    headers,
    bodies | st.sampled_from([b"5\r\nhello\r\n0\r\n\r\n", b"zz\r\n", b"5\r\nhel"]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw_requests)
@example(b"POST /comments HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
@example(b"GET /comments HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: unknown\r\n\r\n")
@example(b"GET /comments HTTP/1.1\r\nSCRIPT_NAME: /x\r\nPATH_INFO: y\r\n\r\n")
def test_any_bytes_over_a_socket(server: Server, sent: bytes) -> None:
    received = server.exchange(sent)
    assert not received or received.startswith(b"HTTP/1.")
    # 501 is gunicorn's own word for a transfer coding that it does not know (RFC 9112, section 6.1).
    assert not re.search(rb"^HTTP/1\.[01] 5(?!01)", received, re.MULTILINE)
    assert server.http.get("/healthz").json() == {"status": "ok"}
    assert "Traceback" not in server.output()

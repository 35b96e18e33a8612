"""Attacks by requests that nobody has thought of. The tests make some of them, `make fuzz` makes many."""

import json
import re
import subprocess
from pathlib import Path

from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder, TestResponse, run_wsgi_app
from werkzeug.wrappers import Request

from support.processes import PYTHON, ROOT, Server
from support.requests import METHODS, bodies, headers, paths, queries, raw_requests


def assert_answer(response: TestResponse, method: str, path: str) -> None:
    assert response.status_code < 500
    assert response.headers["X-Request-ID"]
    if response.mimetype == "text/html" and response.data:
        assert path.startswith(("/admin", "/fragment", "/view"))
        if not path.startswith("/fragment"):
            assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
    elif response.status_code >= 400 and method != "HEAD":
        assert response.content_type == "application/json"
        assert list(json.loads(response.data)) == ["error"]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(METHODS), paths, queries, headers, bodies, st.booleans())
@example("GET", "/comments", "thread=\xff", {}, b"", False)  # raw bytes that are not UTF-8
@example("POST", "/comments", "", {"Content-Length": "-1"}, b"{}", False)
@example("POST", "/comments", "", {"Content-Length": "x", "Content-Type": "application/json"}, b"{}", False)
@example("GET", "/comments", "", {"Host": "[::1"}, b"", False)
def attack_in_process(
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
    assert_answer(response, method, path)
    # A form of a moderators' page too: nobody is signed in.
    is_refused = response.status_code >= 300 and not path.startswith("/view")
    if is_refused or method not in ("POST", "PATCH", "DELETE"):
        assert client.get("/comments?limit=200").data == before


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw_requests)
@example(b"POST /comments HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
@example(b"GET /comments HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: unknown\r\n\r\n")
@example(b"GET /comments HTTP/1.1\r\nSCRIPT_NAME: /x\r\nPATH_INFO: y\r\n\r\n")
def attack_over_a_socket(server: Server, sent: bytes) -> None:
    received = server.exchange(sent)
    assert not received or received.startswith(b"HTTP/1.")
    # 501 is gunicorn's own word for a transfer coding that it does not know (RFC 9112, section 6.1).
    assert not re.search(rb"^HTTP/1\.[01] 5(?!01)", received, re.MULTILINE)
    assert server.http.get("/healthz").json() == {"status": "ok"}
    assert "Traceback" not in server.output()


def schemathesis(url: str, directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Attack a running service in every phase and with every check but one.

    That one expects that a key opens all or nothing. Here a key belongs to the comments that were posted with it.
    """
    command = [
        PYTHON,
        "-m",
        "schemathesis.cli",
        "--config-file",
        str(Path(__file__).with_name("schemathesis.toml")),
        "run",
    ]
    always = [
        "--url",
        url,
        "--checks",
        "all",
        "--exclude-checks",
        "ignored_auth",
        "--no-color",
        str(ROOT / "openapi.yaml"),
    ]
    return subprocess.run([*command, *options, *always], cwd=directory, capture_output=True, text=True, check=False)

"""A running service in the place of the application: the tests of the API then ask it over HTTP."""

import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

from support.processes import PATIENCE

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIEnvironment as Environ

# What a field may have in HTTP (RFC 9110, section 5.5).
FIELD = r"[\t\x20-\x7e\x80-\xff]*"


def client_of(url: str) -> FlaskClient:
    """The same client as of the application, which asks the service at this URL."""
    app = Flask("over_http")
    app.wsgi_app = Forwarder(url)  # type: ignore[method-assign]
    return app.test_client()


class Forwarder:
    """A WSGI application that sends each request to the service and returns its answer.

    A test whose request only a server could make is skipped.
    """

    def __init__(self, url: str) -> None:
        self.address = urlsplit(url).netloc

    def __call__(self, environ: "Environ", start_response: "StartResponse") -> Iterable[bytes]:
        sent = body(environ)
        with closing(HTTPConnection(self.address, timeout=PATIENCE)) as connection:
            connection.putrequest(environ["REQUEST_METHOD"], target(environ), skip_host=True, skip_accept_encoding=True)
            for name, value in headers(environ):
                connection.putheader(name, value)
            connection.endheaders(sent, encode_chunked=is_chunked(environ))
            answer = connection.getresponse()
            start_response(f"{answer.status} {answer.reason}", answer.getheaders())
            return [answer.read()]


def target(environ: "Environ") -> str:
    """The path and the query. A path begins with a slash (RFC 9112, section 3.2.1)."""
    path = quote(environ["PATH_INFO"].encode("latin-1"), safe="/:@!$&'()*+,;=~")
    path = path if path.startswith("/") else f"/{path}"
    query = quote(environ["QUERY_STRING"].encode("latin-1"), safe="%/?:@!$&'()*+,;=~")
    return f"{path}?{query}" if query else path


def headers(environ: "Environ") -> Iterator[tuple[str, str]]:
    for name, value in environ.items():
        if name.startswith("HTTP_") or (name in ("CONTENT_TYPE", "CONTENT_LENGTH") and value):
            if not re.fullmatch(FIELD, value):
                pytest.skip("this is no field of HTTP")
            yield name.removeprefix("HTTP_").replace("_", "-"), value
    if is_chunked(environ):
        yield "Transfer-Encoding", "chunked"


def body(environ: "Environ") -> bytes | None:
    if environ["SERVER_PROTOCOL"] != "HTTP/1.1":
        pytest.skip("this client speaks HTTP/1.1")
    try:
        sent: bytes = environ["wsgi.input"].read()
    except Exception:
        pytest.skip("this body cannot be read")
    if not is_chunked(environ) and len(sent) != int(environ.get("CONTENT_LENGTH") or 0):
        pytest.skip("this body has another length than its Content-Length")
    return sent or None


def is_chunked(environ: "Environ") -> bool:
    return bool(environ.get("wsgi.input_terminated"))

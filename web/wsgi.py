"""The WSGI application in front of Flask: what every request has, and a fast way for the two most frequent calls.

Flask's dispatch would double the time of such a call. The fast way makes no difference to an answer: both ways call the
same functions, and every unusual request goes to Flask.
"""

import logging
import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple
from wsgiref.types import StartResponse, WSGIApplication

import flask
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.http import HTTP_STATUS_CODES

from config import Config
from db import CommentDatabase
from moderation.database import ModerationDatabase
from web.answer import Answer, Headers
from web.cors import cors_headers
from web.errors import answer_error, explain, log_error
from web.request import Environ, Request

# Flask answers 400 to an invalid Host, so requests with an unusual Host go to Flask.
USUAL_HOST = re.compile(r"(?=.{1,63}$)[a-z0-9-]+(\.[a-z0-9-]+)*(:[0-9]+)?", re.ASCII | re.IGNORECASE)

Write = Callable[[bytes], object]  # of PEP 3333; named here, since Python would make it anew for each request

# The headers of each answer below /admin: the pages load nothing of other origins, no page frames them, and a link does
# not say where it was (https://www.w3.org/TR/CSP3/).
PAGE_HEADERS = [
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self';"
        " frame-ancestors 'none'; base-uri 'none'",
    ),
    ("Referrer-Policy", "no-referrer"),
]

log = logging.getLogger("comments")


class Route(NamedTuple):
    """A call of the API, or a page: where it is, and the function that answers it.

    `path` is in Flask's form, `/comments/<id>`; the function gets the request, and what stands in <> by its name.
    """

    method: str
    path: str
    function: Callable[..., Answer]
    is_fast: bool = False


class Application:
    """A WSGI application (PEP 3333) that answers the fast routes itself, and lets Flask answer all else."""

    def __init__(
        self, flask_app: WSGIApplication, routes: Sequence[Route], config: Config, database: CommentDatabase
    ) -> None:
        self._flask = flask_app
        self._config = config
        self._database = database
        self._moderation = ModerationDatabase(database)
        self._fast = {(route.method, route.path): route.function for route in routes if route.is_fast}
        self._methods = ", ".join(sorted({"HEAD", *(route.method for route in routes)}))

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        # No Upgrade is supported, so it is ignored (RFC 9110, section 7.8). Werkzeug would look for a WebSocket's
        # route.
        environ.pop("HTTP_UPGRADE", None)
        request = Request(environ, self._config, self._database, self._moderation)
        start = self._start(request, start_response)
        function = self._fast.get((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        if function is None or not USUAL_HOST.fullmatch(environ.get("HTTP_HOST", "")):
            return self._flask(environ, start)
        try:
            answer = function(request)
        except Exception as error:
            answer = answer_failure(error, request)
        headers = answer.headers
        if answer.status not in (204, 304):
            headers = [*headers, ("Content-Length", str(len(answer.body)))]
        start(f"{answer.status} {HTTP_STATUS_CODES[answer.status].upper()}", headers)
        return [answer.body]

    def _start(self, request: Request, start_response: StartResponse) -> StartResponse:
        """The server's start_response, with the line in the log and the headers that every answer has."""

        def start(status: str, headers: Headers, exc_info: Any = None, /) -> Write:
            log_request(request, int(status[:3]))
            always = [("X-Request-ID", request.id), ("X-Content-Type-Options", "nosniff")]
            others = PAGE_HEADERS if request.is_page else cors_headers(request, self._methods)
            return start_response(status, [*headers, *always, *others], exc_info)

        return start


def add_routes(app: flask.Flask, routes: Sequence[Route]) -> None:
    """Let Flask answer these routes, and every error in our shape."""
    for route in routes:
        app.add_url_rule(route.path, f"{route.method} {route.path}", view(route.function), methods=[route.method])
    app.before_request(require_host)
    app.before_request(require_path)
    # Those of the views, and Flask's own: 404, 405.
    app.register_error_handler(Exception, lambda error: as_response(answer_failure(error, current_request())))


def require_host() -> None:
    """Refuse a request in HTTP/1.1 without a Host (RFC 9112, section 3.2). Raises BadRequest."""
    environ = flask.request.environ
    if environ["SERVER_PROTOCOL"] == "HTTP/1.1" and "HTTP_HOST" not in environ:
        raise BadRequest("A request in HTTP/1.1 must have a Host.")


def require_path() -> None:
    """Refuse //admin and the like. To Werkzeug it is /admin, but not to Request.is_page. Raises NotFound."""
    if flask.request.environ["PATH_INFO"].startswith("//"):
        raise NotFound


def answer_failure(error: Exception, request: Request) -> Answer:
    """Log the exception that a request has raised, and answer it."""
    log_error(error, request)
    if request.is_page:
        from web.page import error_page  # only where there is an ADMIN_TOKEN

        return error_page(explain(error, request))
    return answer_error(error, request)


def view(function: Callable[..., Answer]) -> Callable[..., flask.Response]:
    """Flask's view of the function of a route."""
    return lambda **parameters: as_response(function(current_request(), **parameters))


def current_request() -> Request:
    found: Request = flask.request.environ[Request.KEY]
    return found


class Response(flask.Response):
    """Flask's response, without a Content-Type where an answer has none."""

    default_mimetype = None


def as_response(answer: Answer) -> flask.Response:
    return Response(answer.body, answer.status, answer.headers)


def log_request(request: Request, status: int) -> None:
    """The line that each request has in the log."""
    event = {
        "method": request.method,
        "path": request.path,
        "status": status,
        "duration_ms": round((time.perf_counter() - request.started) * 1000, 3),
        "request_id": request.id,
    }
    log.info("request", extra=event)

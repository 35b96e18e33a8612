"""The HTTP API: routes, errors and the log of requests, around Comment and CommentDatabase.

`flask run`, gunicorn and the tests all start from create_app().
"""

import hashlib
import json
import logging
import re
import time
import uuid
from pathlib import Path
from urllib.parse import parse_qsl

from flask import Blueprint, Flask, Response, current_app, g, request, url_for
from werkzeug.exceptions import BadRequest, HTTPException, NotFound, RequestEntityTooLarge, UnsupportedMediaType

import commands
import cors
from comment import Comment, InvalidInput, clean_thread
from config import Config, ConfigError
from connections import DatabaseUnavailable, InvalidDatabaseURL, SchemaNotCurrent
from db import MAX_ID, CommentDatabase, KeyReused
from logs import configure_logging

OPENAPI = Path(__file__).with_name("openapi.yaml")

MAX_BODY = 256 * 1024  # bytes
TOO_LARGE = f"The body must not be larger than {MAX_BODY:,} bytes."
MAX_PAGE = 200  # comments
DEFAULT_PAGE = 100
RETRY_AFTER = 2  # seconds

log = logging.getLogger("comments")
api = Blueprint("api", __name__)


def create_app(config: Config | None = None, database: CommentDatabase | None = None) -> Flask:
    """The WSGI application; without arguments it is what the environment says. Raises ConfigError.

    It connects to nothing yet, but an embedded database is started.
    """
    config = config or Config.from_environment()
    configure_logging(config)
    app = Flask(__name__, static_folder=None)
    # /comments/ is /comments, and /comments//1 is nothing: by default Werkzeug redirects both, with a page of HTML.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    # One byte more than we take: at its own limit Werkzeug cuts a chunked body off without a word.
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY + 1
    app.extensions["config"] = config
    app.extensions["database"] = database or open_database(config)
    app.register_blueprint(api)
    app.cli.add_command(commands.migrate)
    app.cli.add_command(commands.delete_comment)
    return app


def open_database(config: Config) -> CommentDatabase:
    """The database that the configuration names, or else the embedded one. Raises ConfigError."""
    try:
        return CommentDatabase(config.database_url or embedded_database_url())
    except InvalidDatabaseURL:
        raise ConfigError("DATABASE_URL must be a URL that libpq can read (it is not shown here).") from None


def embedded_database_url() -> str:
    """Start the PostgreSQL of the first five minutes. In production there is none. Raises ConfigError."""
    try:
        import embedded
    except ImportError:
        raise ConfigError("DATABASE_URL must be set, to something like postgresql://user@host/database.") from None
    return embedded.start()


# The calls


@api.get("/comments")
def list_comments() -> Response:
    query = query_parameters()
    thread = clean_thread(query["thread"]) if "thread" in query else None
    limit = whole_number(query, "limit", default=DEFAULT_PAGE, low=1, high=MAX_PAGE)
    after = whole_number(query, "after", default=0, low=0, high=MAX_ID)
    comments = database().get_comments(limit + 1, after, thread)
    page, has_more = comments[:limit], len(comments) > limit
    body: dict[str, object] = {"comments": [comment.to_dict() for comment in page]}
    headers = {}
    if has_more:
        body["next"] = url_for(".list_comments", after=page[-1].id, limit=query.get("limit"), thread=thread)
        headers["Link"] = f'<{body["next"]}>; rel="next"'
    return conditional(json_response(body, headers=headers))


@api.post("/comments")
def create_comment() -> Response:
    comment = database().create_comment(Comment.from_json(json_body()), idempotency_key())
    location = url_for(".get_comment", comment_id=comment.id)
    return json_response(comment.to_dict(), status=201, headers={"Location": location})


@api.get("/comments/<comment_id>")
def get_comment(comment_id: str) -> Response:
    comment = database().get_comment(int(comment_id)) if is_id(comment_id) else None
    if comment is None:
        raise NotFound("There is no comment with this id.")
    return conditional(json_response(comment.to_dict()))


@api.get("/openapi.yaml")
def contract() -> Response:
    return Response(OPENAPI.read_bytes(), content_type="application/yaml")


@api.get("/healthz")
def health() -> Response:
    """Whether the process lives: it asks nobody."""
    return json_response({"status": "ok"})


@api.get("/readyz")
def readiness() -> Response:
    """Whether a request that needs the database would be answered."""
    try:
        database().check_ready()
    except SchemaNotCurrent:
        raise
    except DatabaseUnavailable as error:
        raise DatabaseUnavailable(f"{error} If it lasts, check PostgreSQL and DATABASE_URL.") from error.__cause__
    return json_response({"status": "ok"})


# What a request brings, and what it gets


def database() -> CommentDatabase:
    """The application's database."""
    found: CommentDatabase = current_app.extensions["database"]
    return found


def query_parameters() -> dict[str, str]:
    """The parameters of the query; of a repeated one the first counts.

    Bytes that are not UTF-8 become lone surrogates, which no rule lets pass.
    """
    query = request.query_string.decode("utf-8", "surrogateescape")
    return dict(reversed(parse_qsl(query, keep_blank_values=True, errors="surrogateescape")))


def whole_number(query: dict[str, str], name: str, *, default: int, low: int, high: int) -> int:
    """A parameter of the query in ASCII digits. Raises BadRequest."""
    text = query.get(name, str(default))
    if re.fullmatch("[0-9]{1,19}", text) and low <= int(text) <= high:
        return int(text)
    raise BadRequest(f"{name.capitalize()} must be a whole number from {low} to {high}.")


def is_id(text: str) -> bool:
    """Whether this can be the id of a comment, written as the service writes it."""
    return re.fullmatch("[1-9][0-9]{0,18}", text) is not None and int(text) <= MAX_ID


def json_body() -> bytes:
    """The body of a request that says it is JSON. Raises UnsupportedMediaType, RequestEntityTooLarge and BadRequest."""
    if not request.is_json:
        raise UnsupportedMediaType("The Content-Type must be application/json.")
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise RequestEntityTooLarge(TOO_LARGE) from None
    except Exception:  # each WSGI server has errors of its own for a body that breaks off, or whose chunks are none
        raise BadRequest("The body is malformed or incomplete.") from None
    if len(body) < (request.content_length or 0):  # gunicorn ends a body that breaks off without a word
        raise BadRequest("The body is malformed or incomplete.")
    if len(body) > MAX_BODY:
        raise RequestEntityTooLarge(TOO_LARGE)
    return body


def idempotency_key() -> str | None:
    """The key of a request that has one. Raises BadRequest."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not re.fullmatch("[!-~]{1,255}", key):
        raise BadRequest("The Idempotency-Key must be 1 to 255 visible ASCII characters.")
    return key


def conditional(response: Response) -> Response:
    """With the entity tag of its content, or 304 where the client has that content already (RFC 9110, section 13.1.2).

    Werkzeug's make_conditional would also obey If-Match and Range, which are not in the contract.
    """
    tag = hashlib.blake2b(response.get_data(), digest_size=16).hexdigest()
    if request.if_none_match.contains_weak(tag):
        response = Response(status=304)
    response.set_etag(tag)
    response.headers["Cache-Control"] = "no-cache"
    return response


def json_response(body: dict[str, object], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(body, ensure_ascii=False) + "\n", status, headers, content_type="application/json")


# Errors: one shape for all of them


@api.app_errorhandler(InvalidInput)
def invalid_input(error: InvalidInput) -> Response:
    return json_response({"error": str(error)}, 400)


@api.app_errorhandler(KeyReused)
def key_reused(_: KeyReused) -> Response:
    return json_response({"error": "This Idempotency-Key belongs to another comment."}, 422)


@api.app_errorhandler(HTTPException)
def http_error(error: HTTPException) -> Response:
    """Those of the framework too: its sentence and its headers (the Allow of a 405), but not its page."""
    headers = dict(error.get_headers())
    del headers["Content-Type"]
    return json_response({"error": error.description}, error.code or 500, headers)


@api.app_errorhandler(DatabaseUnavailable)
def database_unavailable(error: DatabaseUnavailable) -> Response:
    log.warning("%s (%s)", error, str(error.__cause__).strip(), extra={"request_id": g.request_id})
    sentence = str(error)
    if request.method == "POST":  # it may be stored all the same
        sentence += " With the same Idempotency-Key it is stored once."
    return json_response({"error": sentence}, 503, {"Retry-After": str(RETRY_AFTER)})


@api.app_errorhandler(Exception)
def crash(error: Exception) -> Response:
    """The answer says nothing of the inside; the log has it, under the same request id."""
    log.error("Unhandled exception", exc_info=error, extra={"request_id": g.request_id})
    return json_response({"error": f"Something went wrong here; the log has it as {g.request_id}."}, 500)


# Every request


@api.before_app_request
def begin_request() -> None:
    g.started = time.perf_counter()
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if re.fullmatch("[A-Za-z0-9._-]{1,128}", given) else uuid.uuid4().hex


@api.after_app_request
def end_request(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    cors.add_headers(request, response, current_app.extensions["config"].allowed_origins)
    event = {
        "method": request.method,
        "path": request.path,
        "status": response.status_code,
        "duration_ms": round((time.perf_counter() - g.started) * 1000, 3),
        "request_id": g.request_id,
    }
    log.info("request", extra=event)
    return response

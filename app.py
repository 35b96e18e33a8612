"""The HTTP API: its routes, and what an error is answered.

`flask run`, gunicorn and the tests all start from create_app().
"""

import logging
from pathlib import Path

from flask import Blueprint, Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException

import calls
import commands
from around import finish
from comment import InvalidInput
from config import Config, ConfigError
from connections import DatabaseUnavailable, InvalidDatabaseURL, SchemaNotCurrent
from db import CommentDatabase, KeyReused
from fast import FastCalls
from logs import configure_logging

OPENAPI = Path(__file__).with_name("openapi.yaml")

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
    app.extensions["config"] = config
    app.extensions["database"] = database or open_database(config)
    app.wsgi_app = FastCalls(app)  # type: ignore[method-assign]
    app.register_blueprint(api)
    app.cli.add_command(commands.migrate)
    app.cli.add_command(commands.delete_comment)
    return app


def open_database(config: Config) -> CommentDatabase:
    """The database that the configuration names, or else the embedded one. Raises ConfigError."""
    try:
        return CommentDatabase(config.database_url or embedded_database_url(), config.page_cache == "on")
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
    return response(calls.list_comments(database(), request.environ))


@api.post("/comments")
def create_comment() -> Response:
    return response(calls.create_comment(database(), request.environ))


@api.get("/comments/<comment_id>")
def get_comment(comment_id: str) -> Response:
    return response(calls.get_comment(database(), request.environ, comment_id))


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


def database() -> CommentDatabase:
    """The application's database."""
    found: CommentDatabase = current_app.extensions["database"]
    return found


def request_id() -> str:
    found: str = request.environ["comments.request_id"]
    return found


def response(answer: calls.Answer) -> Response:
    return Response(answer.body, answer.status, answer.headers)


def json_response(body: dict[str, object], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(calls.to_json(body), status, headers, content_type="application/json")


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
    log.warning("%s (%s)", error, str(error.__cause__).strip(), extra={"request_id": request_id()})
    sentence = str(error)
    if request.method == "POST":  # it may be stored all the same
        sentence += " With the same Idempotency-Key it is stored once."
    return json_response({"error": sentence}, 503, {"Retry-After": str(RETRY_AFTER)})


@api.app_errorhandler(Exception)
def crash(error: Exception) -> Response:
    """The answer says nothing of the inside; the log has it, under the same request id."""
    log.error("Unhandled exception", exc_info=error, extra={"request_id": request_id()})
    return json_response({"error": f"Something went wrong here; the log has it as {request_id()}."}, 500)


# Every request


@api.after_app_request
def end_request(response: Response) -> Response:
    response.headers.extend(finish(request.environ, response.status_code, current_app.extensions["config"]))
    return response

"""An exception becomes an answer here: one shape for all errors, on the fast way and on Flask's alike."""

import logging
from typing import NamedTuple

from werkzeug.exceptions import HTTPException, NotFound, Unauthorized

from comment import InvalidInput
from db import KeyReused
from moderation.limits import LimitReached
from postgres.errors import DatabaseUnavailable
from web.answer import Answer, Headers, json_answer
from web.request import Request

RETRY_AFTER = 2  # seconds
FAULT = "Something went wrong here; the log has it as {}."  # by the id of the request

log = logging.getLogger("comments")


class Problem(NamedTuple):
    """What a client is told."""

    status: int
    sentence: str
    headers: Headers


def answer_error(error: Exception, request: Request) -> Answer:
    """The answer to a request that raised this. Its body is `{"error": "A sentence."}`."""
    status, sentence, headers = explain(error, request)
    return json_answer(status, {"error": sentence}, headers)


def explain(error: Exception, request: Request) -> Problem:
    """What the client of a request that raised this is told."""
    headers: Headers = []
    match error:
        case InvalidInput():
            status, sentence = 400, str(error)
        case KeyReused():
            status, sentence = 422, "This Idempotency-Key belongs to another comment."
        case LimitReached():
            status, sentence = 429, str(error)
            headers = [("Retry-After", str(error.seconds))]
        case DatabaseUnavailable():
            status, sentence = 503, str(error)
            if request.method == "POST" and not request.is_page:  # it may be stored all the same
                sentence += " With the same Idempotency-Key it is stored once."
            headers = [("Retry-After", str(RETRY_AFTER))]
        case Unauthorized():
            status, sentence = 401, error.description or ""
            headers = [("WWW-Authenticate", "Bearer")]
        case NotFound() if error.description == NotFound.description:
            status, sentence = 404, "There is nothing at this path; GET /openapi.yaml lists the calls."
        case HTTPException():  # Werkzeug's: its sentence and its headers, the Allow of a 405 for instance, not its page
            status, sentence = error.code or 500, error.description or ""
            headers = [(name, value) for name, value in error.get_headers() if name != "Content-Type"]
        case _:  # it says nothing of the inside
            status, sentence = 500, FAULT.format(request.id)
    return Problem(status, sentence, headers)


def log_error(error: Exception, request: Request) -> None:
    """Log what somebody who runs the service wants to know: why the database is away, and what crashed where."""
    match error:
        case DatabaseUnavailable():
            log.warning("%s", with_cause(error), extra={"request_id": request.id})
        case InvalidInput() | KeyReused() | LimitReached() | HTTPException():
            pass  # the client's, who is told
        case _:
            log.error("Unhandled exception", exc_info=error, extra={"request_id": request.id})


def with_cause(error: Exception) -> str:
    """The text of an error and of what caused it, for the log."""
    return f"{error} ({str(error.__cause__).strip()})" if error.__cause__ else str(error)

"""The calls of the API, from a WSGI environment to an answer; app.py says where they are, and what is around them."""

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from werkzeug.exceptions import BadRequest, NotFound, RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.http import parse_etags
from werkzeug.wsgi import get_content_length, get_input_stream

from comment import Comment, clean_thread
from db import MAX_ID, CommentDatabase
from pages import Page

MAX_BODY = 256 * 1024  # bytes
TOO_LARGE = f"The body must not be larger than {MAX_BODY:,} bytes."
MAX_PAGE = 200  # comments
DEFAULT_PAGE = 100

# https://peps.python.org/pep-3333/#environ-variables
Environ = dict[str, Any]
Headers = list[tuple[str, str]]


class Answer(NamedTuple):
    """What a call says, but for the headers that every answer has."""

    status: int
    headers: Headers
    body: bytes


Call = Callable[[CommentDatabase, Environ], Answer]


def list_comments(database: CommentDatabase, environ: Environ) -> Answer:
    """`GET /comments`: a page. Raises InvalidInput, BadRequest and DatabaseUnavailable."""
    query = query_parameters(environ["QUERY_STRING"])
    thread = clean_thread(query["thread"]) if "thread" in query else None
    limit = whole_number(query, "limit", default=DEFAULT_PAGE, low=1, high=MAX_PAGE)
    after = whole_number(query, "after", default=0, low=0, high=MAX_ID)

    def render(comments: list[Comment]) -> Page:
        body: dict[str, object] = {"comments": [comment.to_dict() for comment in comments[:limit]]}
        if len(comments) > limit:
            following = {
                "after": comments[limit - 1].id,
                "limit": limit if limit != DEFAULT_PAGE else None,
                "thread": thread,
            }
            given = {name: value for name, value in following.items() if value is not None}
            body["next"] = f"/comments?{urlencode(given, safe='/')}"
        return make_page(body)

    return conditional(environ, database.get_page(limit + 1, after, thread, render))


def create_comment(database: CommentDatabase, environ: Environ) -> Answer:
    """`POST /comments`. Raises InvalidInput, HTTPException, KeyReused and DatabaseUnavailable."""
    comment = database.create_comment(Comment.from_json(json_body(environ)), idempotency_key(environ))
    headers = [("Content-Type", "application/json"), ("Location", f"/comments/{comment.id}")]
    return Answer(201, headers, to_json(comment.to_dict()))


def get_comment(database: CommentDatabase, environ: Environ, comment_id: str) -> Answer:
    """`GET /comments/ID`. Raises NotFound and DatabaseUnavailable."""
    comment = database.get_comment(int(comment_id)) if is_id(comment_id) else None
    if comment is None:
        raise NotFound("There is no comment with this id.")
    return conditional(environ, make_page(comment.to_dict()))


# What a request brings


def query_parameters(query: str) -> dict[str, str]:
    """The parameters of the query; of a repeated one the first counts.

    Bytes that are not UTF-8 become lone surrogates, which no rule lets pass.
    """
    text = query.encode("latin-1").decode("utf-8", "surrogateescape")
    return dict(reversed(parse_qsl(text, keep_blank_values=True, errors="surrogateescape")))


def whole_number(query: dict[str, str], name: str, *, default: int, low: int, high: int) -> int:
    """A parameter of the query in ASCII digits. Raises BadRequest."""
    text = query.get(name, str(default))
    if re.fullmatch("[0-9]{1,19}", text) and low <= int(text) <= high:
        return int(text)
    raise BadRequest(f"{name.capitalize()} must be a whole number from {low} to {high}.")


def is_id(text: str) -> bool:
    """Whether this can be the id of a comment, written as the service writes it."""
    return re.fullmatch("[1-9][0-9]{0,18}", text) is not None and int(text) <= MAX_ID


def json_body(environ: Environ) -> bytes:
    """The body of a request that says it is JSON. Raises UnsupportedMediaType, RequestEntityTooLarge and BadRequest."""
    media_type = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if not re.fullmatch(r"application/(json|.*\+json)", media_type):
        raise UnsupportedMediaType("The Content-Type must be application/json.")
    try:
        # One byte more than we take: at its own limit Werkzeug cuts a chunked body off without a word.
        body: bytes = get_input_stream(environ, max_content_length=MAX_BODY + 1).read()
    except RequestEntityTooLarge:
        raise RequestEntityTooLarge(TOO_LARGE) from None
    except Exception:  # each WSGI server has errors of its own for a body that breaks off, or whose chunks are none
        raise BadRequest("The body is malformed or incomplete.") from None
    if len(body) < (get_content_length(environ) or 0):  # gunicorn ends a body that breaks off without a word
        raise BadRequest("The body is malformed or incomplete.")
    if len(body) > MAX_BODY:
        raise RequestEntityTooLarge(TOO_LARGE)
    return body


def idempotency_key(environ: Environ) -> str | None:
    """The key of a request that has one. Raises BadRequest."""
    key: str | None = environ.get("HTTP_IDEMPOTENCY_KEY")
    if key is not None and not re.fullmatch("[!-~]{1,255}", key):
        raise BadRequest("The Idempotency-Key must be 1 to 255 visible ASCII characters.")
    return key


# What it gets


def to_json(body: dict[str, object]) -> bytes:
    return (json.dumps(body, ensure_ascii=False) + "\n").encode()


def make_page(body: dict[str, object]) -> Page:
    """This content as it is sent, with its entity tag: the same content has the same, everywhere."""
    content = to_json(body)
    next_path = body.get("next")
    return Page(content, f'"{hashlib.sha256(content).hexdigest()[:32]}"', str(next_path) if next_path else None)


def conditional(environ: Environ, page: Page) -> Answer:
    """The page, or 304 where the client has that content already (RFC 9110, section 13.1.2).

    No other condition is looked at, and no range: they are not in the contract.
    """
    headers = [("ETag", page.etag), ("Cache-Control", "no-cache")]
    given: str | None = environ.get("HTTP_IF_NONE_MATCH")
    if given is not None and (given == page.etag or parse_etags(given).contains_weak(page.etag.strip('"'))):
        return Answer(304, headers, b"")
    headers.append(("Content-Type", "application/json"))
    if page.next_path:
        headers.append(("Link", f'<{page.next_path}>; rel="next"'))
    return Answer(200, headers, page.content)

"""What a request is answered: a status, headers and a body."""

import hashlib
import json
from typing import NamedTuple

from werkzeug.http import parse_etags

from web.request import Request

Headers = list[tuple[str, str]]


class Answer(NamedTuple):
    """An answer, but for the headers that every answer has (web/wsgi.py)."""

    status: int
    headers: Headers
    body: bytes


class Content(NamedTuple):
    """The JSON of something public, its entity tag in quotes, and the path of the next page, if there is one."""

    body: bytes
    etag: str
    next_path: str | None


def json_answer(status: int, value: object, headers: Headers | None = None) -> Answer:
    """An answer in JSON."""
    return Answer(status, [*(headers or []), ("Content-Type", "application/json")], to_json(value))


def to_json(value: object) -> bytes:
    """JSON in UTF-8, on a line of its own."""
    return (json.dumps(value, ensure_ascii=False) + "\n").encode()


def make_content(value: dict[str, object], next_path: str | None = None) -> Content:
    """The entity tag is made of the bytes: the same in every process, and after a restart."""
    body = to_json(value)
    return Content(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"', next_path)


def conditional(request: Request, content: Content) -> Answer:
    """The content, or 304 where the client has it already (RFC 9110, section 13.1.2).

    No other condition is looked at, and no range: they are not in the contract.
    """
    headers = [("ETag", content.etag), ("Cache-Control", "no-cache")]
    given = request.header("If-None-Match")
    if given is not None and (given == content.etag or parse_etags(given).contains_weak(content.etag.strip('"'))):
        return Answer(304, headers, b"")
    headers.append(("Content-Type", "application/json"))
    if content.next_path:
        headers.append(("Link", f'<{content.next_path}>; rel="next"'))
    return Answer(200, headers, content.body)

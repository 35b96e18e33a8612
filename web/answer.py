"""What a request is answered: a status, headers and a body."""

import hashlib
import json
from typing import NamedTuple

from werkzeug.exceptions import PreconditionFailed
from werkzeug.http import parse_etags

from web.request import Request

Headers = list[tuple[str, str]]

CHANGED = "The comment has changed; get it again."


class Answer(NamedTuple):
    """An answer without the headers that every answer has: web/wsgi.py adds those."""

    status: int
    headers: Headers
    body: bytes


def json_answer(status: int, value: object, headers: Headers | None = None) -> Answer:
    """An answer in JSON that no cache stores."""
    return unstored_answer(status, to_json(value), headers)


def unstored_answer(
    status: int, body: bytes, headers: Headers | None = None, content_type: str = "application/json"
) -> Answer:
    """The same, with a body that is made already."""
    always = [("Cache-Control", "no-store"), ("Content-Type", content_type)]
    return Answer(status, [*(headers or []), *always], body)


def no_content() -> Answer:
    """The answer 204."""
    return Answer(204, [("Cache-Control", "no-store")], b"")


def to_json(value: object) -> bytes:
    """JSON in UTF-8, on a line of its own."""
    return (json.dumps(value, ensure_ascii=False) + "\n").encode()


def entity_tag(body: bytes) -> str:
    """The entity tag of a body. It is a hash of the bytes: the same in every process, and after a restart."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def tagged_answer(body: bytes, content_type: str = "application/json", headers: Headers | None = None) -> Answer:
    """An answer with an entity tag."""
    always = [("ETag", entity_tag(body)), ("Cache-Control", "no-cache"), ("Content-Type", content_type)]
    return Answer(200, [*always, *(headers or [])], body)


def conditional(request: Request, answer: Answer) -> Answer:
    """The tagged answer, or 304 where the client has it already (RFC 9110, section 13.1.2).

    Ranges and dates are not supported.
    """
    etag = dict(answer.headers)["ETag"]
    given = request.header("If-None-Match")
    if given is not None and (given == etag or parse_etags(given).contains_weak(etag.strip('"'))):
        return Answer(304, [("ETag", etag), ("Cache-Control", "no-cache")], b"")
    return answer


def require_match(request: Request, etag: str) -> None:
    """Return if the request has no If-Match, or one with this tag. Raises PreconditionFailed.

    Unlike RFC 9110 (section 13.1.1), a weak tag matches too: a proxy that compresses an answer makes its tag weak.
    """
    given = request.header("If-Match")
    if given is not None and not parse_etags(given).contains_weak(etag.strip('"')):
        raise PreconditionFailed(CHANGED)

"""A limit: what gunicorn's gevent worker does with an answer that costs nothing, of CONSTANT_SIZE bytes."""

import os
from collections.abc import Iterable

BODY = b"x" * int(os.environ["CONSTANT_SIZE"])
HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))]


def app(environ: object, start_response: object) -> Iterable[bytes]:
    start_response("200 OK", HEADERS)  # type: ignore[operator]
    return [BODY]

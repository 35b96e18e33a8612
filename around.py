"""What every request has: an id, headers that every answer carries, and a line in the log."""

import logging
import re
import secrets
import time
from typing import Any

import cors
from config import Config

log = logging.getLogger("comments")


def begin(environ: dict[str, Any]) -> None:
    """Note the time, and the id: the client's own, or a new one."""
    # Nothing here upgrades, so it is ignored (RFC 9110, section 7.8): Werkzeug would look for a route of a WebSocket.
    environ.pop("HTTP_UPGRADE", None)
    environ["comments.started"] = time.perf_counter()
    given = environ.get("HTTP_X_REQUEST_ID", "")
    environ["comments.request_id"] = given if re.fullmatch("[A-Za-z0-9._-]{1,128}", given) else secrets.token_hex(16)


def finish(environ: dict[str, Any], status: int, config: Config) -> list[tuple[str, str]]:
    """Log the request, and return the headers that its answer has whatever it is."""
    event = {
        "method": environ["REQUEST_METHOD"],
        "path": environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace"),
        "status": status,
        "duration_ms": round((time.perf_counter() - environ["comments.started"]) * 1000, 3),
        "request_id": environ["comments.request_id"],
    }
    log.info("request", extra=event)
    return [
        ("X-Request-ID", environ["comments.request_id"]),
        ("X-Content-Type-Options", "nosniff"),
        *cors.headers(environ, config.allowed_origins),
    ]

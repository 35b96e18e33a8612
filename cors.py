"""CORS: which pages of other origins may call the API (https://fetch.spec.whatwg.org/#http-cors-protocol)."""

from typing import Any

ALLOW_METHODS = "GET, HEAD, POST"
ALLOW_HEADERS = "Content-Type, Idempotency-Key, If-None-Match"
EXPOSE_HEADERS = "ETag, Link, Location, Retry-After, X-Request-ID"
MAX_AGE = 600  # seconds for which a browser may keep the answer to a preflight


def headers(environ: dict[str, Any], allowed_origins: tuple[str, ...]) -> list[tuple[str, str]]:
    """What tells a browser whether the page that asks may have the answer: if its origin, or *, is allowed."""
    if not allowed_origins:
        return []
    found = [("Vary", "Origin")]
    origin = environ.get("HTTP_ORIGIN", "")
    if origin and {origin, "*"} & set(allowed_origins):
        found.append(("Access-Control-Allow-Origin", "*" if "*" in allowed_origins else origin))
        found.append(("Access-Control-Expose-Headers", EXPOSE_HEADERS))
        if environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ:
            found.append(("Access-Control-Allow-Methods", ALLOW_METHODS))
            found.append(("Access-Control-Allow-Headers", ALLOW_HEADERS))
            found.append(("Access-Control-Max-Age", str(MAX_AGE)))
    return found

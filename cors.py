"""CORS: which pages of other origins may call the API (https://fetch.spec.whatwg.org/#http-cors-protocol)."""

from flask import Request, Response

ALLOW_METHODS = "GET, HEAD, POST"
ALLOW_HEADERS = "Content-Type, Idempotency-Key, If-None-Match"
EXPOSE_HEADERS = "ETag, Link, Location, Retry-After, X-Request-ID"
MAX_AGE = 600  # seconds for which a browser may keep the answer to a preflight


def add_headers(request: Request, response: Response, allowed_origins: tuple[str, ...]) -> None:
    """Tell a browser whether the page that asks may have the answer: if its origin, or *, is allowed."""
    if not allowed_origins:
        return
    response.vary.add("Origin")
    origin = request.headers.get("Origin", "")
    if not origin or not {origin, "*"} & set(allowed_origins):
        return
    response.headers["Access-Control-Allow-Origin"] = "*" if "*" in allowed_origins else origin
    response.headers["Access-Control-Expose-Headers"] = EXPOSE_HEADERS
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        response.headers["Access-Control-Allow-Methods"] = ALLOW_METHODS
        response.headers["Access-Control-Allow-Headers"] = ALLOW_HEADERS
        response.headers["Access-Control-Max-Age"] = str(MAX_AGE)

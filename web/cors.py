"""CORS: which pages of other origins may call the API (https://fetch.spec.whatwg.org/#http-cors-protocol)."""

from web.answer import Headers
from web.request import Request

ALLOW_HEADERS = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match"
EXPOSE_HEADERS = "ETag, Link, Location, Retry-After, X-Request-ID"
MAX_AGE = 600  # seconds for which a browser may keep the answer to a preflight


def cors_headers(request: Request, methods: str) -> Headers:
    """What tells a browser whether the page that asks may have the answer: if its origin, or *, is allowed.

    `methods` are those that the API has, by comma.
    """
    allowed = request.config.allowed_origins
    if not allowed:
        return []
    headers = [("Vary", "Origin")]
    origin = request.header("Origin")
    if origin and {origin, "*"} & set(allowed):
        headers.append(("Access-Control-Allow-Origin", "*" if "*" in allowed else origin))
        headers.append(("Access-Control-Expose-Headers", EXPOSE_HEADERS))
        if request.method == "OPTIONS" and request.header("Access-Control-Request-Method") is not None:
            headers.append(("Access-Control-Allow-Methods", methods))
            headers.append(("Access-Control-Allow-Headers", ALLOW_HEADERS))
            headers.append(("Access-Control-Max-Age", str(MAX_AGE)))
    return headers

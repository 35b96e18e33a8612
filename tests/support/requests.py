"""What requests may be made of, for hypothesis."""

import re

from hypothesis import strategies as st

from app import ROUTES, pages

from support.moderator import ADMIN

METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "BREW", "get"]
PATHS = ["/comments/", "/", "*", "//comments", "", *(re.sub("<.*?>", "1", route.path) for route in (*ROUTES, *pages()))]
KEYS = ["Bearer the-key-of-the-author-1", f"Bearer {ADMIN}"]
BODIES = [
    b"",
    b"{}",
    b'{"name": "Ada", "comment": "Hello"}',
    b'{"name": "A", "comment": "B", "parent_id": 1}',
    b'{"name": "\\ud800"}',
    b'{"status": "spam"}',
    b'{"ids": [1, 2], "status": "published"}',
    b'{"kind": "word", "value": "b", "effect": "pending"}',
    b'{"kind": "author", "value": 1, "effect": "spam"}',
    b"name=Ada&comment=Hello",
    b"csrf=x&token=y&ticked=1+pending+-&published=ticked",
    b"\xef\xbb\xbf{}",
    b"[" * 9999,
]
TYPES = [
    "application/json",
    "application/x+json",
    "text/plain",
    "application/json; charset=utf-16",
    "/",
    ";",
    "multipart/form-data",
    "application/x-www-form-urlencoded",
]
NAMES = [
    "Authorization",
    "If-Match",
    "Content-Type",
    "Content-Length",
    "Idempotency-Key",
    "If-None-Match",
    "Origin",
    "X-Request-ID",
    "Host",
    "Range",
]
NAMES += [
    "Transfer-Encoding",
    "Content-Encoding",
    "Access-Control-Request-Method",
    "Cookie",
    "Accept",
    "Expect",
    "Forwarded",
    "X-Forwarded-For",
    "Sec-Fetch-Site",
]

latin_1 = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=30)
paths = st.sampled_from(PATHS) | st.builds("/comments/{}".format, latin_1 | st.integers()) | latin_1
queries = st.lists(
    st.builds(
        "{}={}".format,
        st.sampled_from(["limit", "after", "order", "thread", "status", "q", "author_of", "next", "x"]),
        latin_1 | st.integers() | st.sampled_from(["pending", "spam", "published", "deleted", "newest"]),
    ),
    max_size=4,
).map("&".join)
values = latin_1 | st.sampled_from(
    [*KEYS, *TYPES, "comments-admin=x", "*", '"x"', "W/", "0", "-1", "chunked", "gzip", "bytes=0-", "https://a.example"]
)
headers = st.dictionaries(st.sampled_from(NAMES), values, max_size=5)
bodies = st.sampled_from(BODIES) | st.binary(max_size=200)

request_lines = st.builds(
    "{} {}?{} HTTP/{}".format,
    st.sampled_from(METHODS) | latin_1,
    paths,
    queries,
    st.sampled_from(["1.1", "1.0", "0.9", "2.0", "x"]),
)
raw_requests = st.binary(max_size=300) | st.builds(
    lambda line, headers, body: (
        "\r\n".join([line, *(f"{n}: {v}" for n, v in headers.items()), "", ""]).encode("latin-1") + body
    ),
    request_lines,
    headers,
    bodies | st.sampled_from([b"5\r\nhello\r\n0\r\n\r\n", b"zz\r\n", b"5\r\nhel"]),
)

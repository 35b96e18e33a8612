"""What a request brings: its query, its body, its headers, all checked before they are used."""

import re
import secrets
import time
from typing import Any
from urllib.parse import parse_qsl

from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.sansio.utils import get_host
from werkzeug.wsgi import get_content_length, get_input_stream

from comment import MAX_ID
from config import Config
from db import CommentDatabase
from moderation.database import ModerationDatabase

MAX_BODY = 256 * 1024  # bytes
MAX_FIELDS = 1_000  # of a form
TOO_LARGE = f"The body must not be larger than {MAX_BODY:,} bytes."
MALFORMED = "The body is malformed or incomplete."
NO_COMMENT = "There is no comment with this id."

# https://peps.python.org/pep-3333/#environ-variables
Environ = dict[str, Any]


class Request:
    """A request, with the configuration and the databases that its function needs.

    `id` is the client's own X-Request-ID if that is a proper one, else a new one. `started` is in the time of
    time.perf_counter().
    """

    __slots__ = ("config", "database", "environ", "id", "moderation", "started")

    # Where Flask's views find it in the WSGI environment.
    KEY = "comments.request"

    def __init__(
        self, environ: Environ, config: Config, database: CommentDatabase, moderation: ModerationDatabase
    ) -> None:
        self.started = time.perf_counter()
        self.environ = environ
        self.config = config
        self.database = database
        self.moderation = moderation
        given = environ.get("HTTP_X_REQUEST_ID", "")
        self.id = given if re.fullmatch("[A-Za-z0-9._-]{1,128}", given) else new_id()
        environ[self.KEY] = self

    @property
    def method(self) -> str:
        found: str = self.environ["REQUEST_METHOD"]
        return found

    @property
    def path(self) -> str:
        """The path without the query, decoded."""
        found: str = self.environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
        return found

    @property
    def is_page(self) -> bool:
        """Whether this asks for the pages of moderators. Without an ADMIN_TOKEN there are none."""
        path = self.environ["PATH_INFO"]
        return self.config.admin_token is not None and (path == "/admin" or path.startswith("/admin/"))

    @property
    def is_https(self) -> bool:
        """Whether the client uses https, also to a proxy. Anybody can send the proxy's header, so it may only decide
        about the client's own cookies, and about `origin`."""
        return "https" in (self.environ["wsgi.url_scheme"], self.header("X-Forwarded-Proto"))

    @property
    def origin(self) -> str:
        """Where the client has found the service: https://comments.example.org.

        The client says so, and may lie: it must be only in answers with an ETag, which a cache must not give to others
        unasked. For another origin the ETag differs, so the lie ends there. Without a proper Host it is localhost.
        """
        scheme = "https" if self.is_https else "http"
        return f"{scheme}://{get_host(scheme, self.header('Host')) or 'localhost'}"

    def header(self, name: str) -> str | None:
        """The value of a header, or None. Not of Content-Type or Content-Length, which WSGI names otherwise."""
        found: str | None = self.environ.get(f"HTTP_{name.upper().replace('-', '_')}")
        return found

    def query(self) -> dict[str, str]:
        """The parameters of the query. If one is repeated, its first value counts.

        Bytes that are not UTF-8 become lone surrogates, which validation refuses.
        """
        return dict(reversed(self._parameters()))

    def query_values(self, name: str) -> list[str]:
        """Every value of a parameter of the query that may be repeated, in their order. Bytes are as in query()."""
        return [value for each, value in self._parameters() if each == name]

    def _parameters(self) -> list[tuple[str, str]]:
        text = self.environ["QUERY_STRING"].encode("latin-1").decode("utf-8", "surrogateescape")
        return parse_qsl(text, keep_blank_values=True, errors="surrogateescape")

    def json_body(self) -> bytes:
        """The body of a request that says it is JSON: 0 to MAX_BODY bytes, which may still be anything.

        Raises UnsupportedMediaType, RequestEntityTooLarge and BadRequest.
        """
        if not re.fullmatch(r"application/(json|.*\+json)", self._media_type()):
            raise UnsupportedMediaType("The Content-Type must be application/json.")
        return self._body()

    def form(self) -> "MultiDict[str, str]":
        """The fields of a form in HTML. Bytes that are not UTF-8 become lone surrogates, as in query().

        Raises UnsupportedMediaType, RequestEntityTooLarge and BadRequest.
        """
        if self._media_type() != "application/x-www-form-urlencoded":
            raise UnsupportedMediaType("The Content-Type must be application/x-www-form-urlencoded.")
        text = self._body().decode("utf-8", "surrogateescape")
        try:
            fields = parse_qsl(text, keep_blank_values=True, errors="surrogateescape", max_num_fields=MAX_FIELDS)
        except ValueError:
            raise BadRequest(f"A form must not have more than {MAX_FIELDS:,} fields.") from None
        return MultiDict(fields)

    def _media_type(self) -> str:
        given: str = self.environ.get("CONTENT_TYPE", "")
        return given.partition(";")[0].strip().lower()

    def _body(self) -> bytes:
        try:
            # One byte more than we take: at its own limit Werkzeug cuts a chunked body off without an error.
            body: bytes = get_input_stream(self.environ, max_content_length=MAX_BODY + 1).read()
        except RequestEntityTooLarge:
            raise RequestEntityTooLarge(TOO_LARGE) from None
        except Exception:  # each WSGI server has errors of its own for a body that breaks off, or has wrong chunks
            raise BadRequest(MALFORMED) from None
        if len(body) < (get_content_length(self.environ) or 0):  # gunicorn gives no error if a body breaks off
            raise BadRequest(MALFORMED)
        if len(body) > MAX_BODY:
            raise RequestEntityTooLarge(TOO_LARGE)
        return body

    def idempotency_key(self) -> str | None:
        """The Idempotency-Key, or None if there is none. Raises BadRequest."""
        key = self.header("Idempotency-Key")
        if key is not None and not re.fullmatch("[!-~]{1,255}", key):
            raise BadRequest("The Idempotency-Key must be 1 to 255 visible ASCII characters.")
        return key


def new_id() -> str:
    """An id for a request that has none."""
    return secrets.token_hex(16)


def whole_number(query: dict[str, str], name: str, *, low: int, high: int) -> int:
    """A parameter of the query in ASCII digits. Raises BadRequest."""
    text = query[name]
    if re.fullmatch("[0-9]{1,19}", text) and low <= int(text) <= high:
        return int(text)
    raise BadRequest(f"{name.capitalize()} must be a whole number from {low} to {high}.")


def choice(query: dict[str, str], name: str, choices: tuple[str, ...], *, default: str = "") -> str:
    """A parameter of the query that must be one of these choices. Raises BadRequest."""
    text = query.get(name, default)
    if text in choices:
        return text
    *others, last = choices
    raise BadRequest(f"{name.capitalize()} must be {', '.join(others)} or {last}.")


def is_id(text: str) -> bool:
    """Whether this can be the id of a comment, written as the service writes it."""
    return re.fullmatch("[1-9][0-9]{0,18}", text) is not None and int(text) <= MAX_ID

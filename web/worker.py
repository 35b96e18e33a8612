"""gunicorn's gevent worker, with timeouts for clients, and with its own errors in the shape of all errors.

It sends the head and the body of an answer together.
"""

import logging
import socket
from contextlib import suppress
from typing import Any

from gunicorn.http import errors  # type: ignore[import-untyped]
from gunicorn.util import http_date  # type: ignore[import-untyped]
from gunicorn.workers.ggevent import GeventWorker  # type: ignore[import-untyped]
from werkzeug.http import HTTP_STATUS_CODES

from web.answer import json_answer
from web.errors import FAULT
from web.request import new_id

# Seconds. A connection is closed if no more of a body comes for that long, or if a piece of an answer can't be sent.
CLIENT_TIMEOUT = 30
PIECE = 256 * 1024  # bytes

# What gunicorn raises for a request that it does not pass on, and what the client is told. The first that fits counts.
REFUSALS = {
    errors.LimitRequestLine: (414, "The path and the query are too long."),
    errors.LimitRequestHeaders: (431, "The headers are too long or too many."),
    errors.ExpectationFailed: (417, "The service does not support this Expect."),
    errors.UnsupportedTransferCoding: (501, "The service does not support this Transfer-Encoding."),
    errors.ParseException: (400, "The request is not valid HTTP."),
}

log = logging.getLogger("comments")


class Worker(GeventWorker):  # type: ignore[misc]
    """A worker for gunicorn's `worker_class`."""

    def handle_request(self, listener_name: object, req: Any, sock: socket.socket, addr: object) -> None:
        """Answer one request of a connection."""
        sock.settimeout(CLIENT_TIMEOUT)
        client = BufferedSocket(sock)
        try:
            try:
                super().handle_request(listener_name, req, client, addr)
            finally:
                client.flush()
        except TimeoutError as error:
            self.log.debug("A client stopped reading its answer: %s", error)
            raise StopIteration from None  # this is how gunicorn's workers close a connection

    def handle_error(self, req: object, client: socket.socket, addr: object, exc: BaseException) -> None:
        """Answer a request that gunicorn does not pass on. Its own answer is HTML, and its own log has the address."""
        request_id = new_id()
        refusals = (refusal for kind, refusal in REFUSALS.items() if isinstance(exc, kind))
        status, sentence = next(refusals, (500, FAULT.format(request_id)))
        event = {"status": status, "request_id": request_id}
        if status == 500:
            log.error("Unhandled exception", exc_info=exc, extra=event)
        else:
            log.info("request refused", extra=event)
        with suppress(OSError):
            client.sendall(last_answer(status, sentence, request_id))


def last_answer(status: int, sentence: str, request_id: str) -> bytes:
    """The bytes of an answer after which the connection is closed."""
    answer = json_answer(status, {"error": sentence})
    headers = [
        *answer.headers,
        ("Content-Length", str(len(answer.body))),
        ("X-Request-ID", request_id),
        ("X-Content-Type-Options", "nosniff"),
        ("Date", http_date()),
        ("Connection", "close"),
    ]
    lines = [f"HTTP/1.1 {status} {HTTP_STATUS_CODES[status]}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode() + answer.body


class BufferedSocket:
    """A client's socket that holds the head of an answer back, and sends it together with the body.

    gunicorn sends them one after the other: that is two system calls, and the client wakes up twice.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._head: bytes | None = None  # what is held back; b"" once it is sent

    def sendall(self, data: bytes) -> None:
        """Hold the first data back, which is the head. Send what follows, each piece within CLIENT_TIMEOUT."""
        if self._head is None:
            self._head = data
            return
        held, self._head = self._head, b""
        first = held + data[:PIECE]
        sent = self._sock.send(first)  # nearly always all of it; sendall() would take longer
        if sent < len(first):
            self._sock.sendall(first[sent:])
        for start in range(PIECE, len(data), PIECE):
            self._sock.sendall(data[start : start + PIECE])

    def flush(self) -> None:
        """Send the head of an answer without a body."""
        if self._head:
            self.sendall(b"")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

"""gunicorn's gevent worker, with timeouts for clients. It sends the head and the body of an answer together."""

import socket
from typing import Any

from gunicorn.workers.ggevent import GeventWorker  # type: ignore[import-untyped]

# Seconds. A connection is closed if no more of a body comes for that long, or if a piece of an answer can't be sent.
CLIENT_TIMEOUT = 30
PIECE = 256 * 1024  # bytes


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

"""gunicorn's gevent worker, and what it lacks: a bound on the patience with clients, and answers in one piece."""

import socket
from typing import Any

from gunicorn.workers.ggevent import GeventWorker  # type: ignore[import-untyped]

# Seconds after which a connection is closed if nothing of a request's body came, or an answer could not be sent.
CLIENT_TIMEOUT = 30


class Worker(GeventWorker):  # type: ignore[misc]
    """A worker for gunicorn's `worker_class`."""

    def handle_request(self, listener_name: object, req: Any, sock: socket.socket, addr: object) -> bool | None:
        """Answer one request of a connection."""
        sock.settimeout(CLIENT_TIMEOUT)
        client = Client(sock)
        try:
            is_handled: bool | None = super().handle_request(listener_name, req, client, addr)
            client.flush()
        except TimeoutError as error:
            self.log.debug("A client stopped reading its answer: %s", error)
            raise StopIteration from None  # this is how gunicorn's workers close a connection
        except StopIteration:
            client.flush()
            raise
        return is_handled


class Client:
    """A client's socket that sends the head of an answer together with its body.

    gunicorn sends them one after the other: that is two system calls, and the client wakes up twice.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._head: bytes | None = None

    def sendall(self, data: bytes) -> None:
        """Send the data; the first of them, the head, with those that come next."""
        if self._head is None:
            self._head = data
        else:
            self._sock.sendall(self._head + data)
            self._head = b""

    def flush(self) -> None:
        """Send the head of an answer that has no body."""
        if self._head:
            self.sendall(b"")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

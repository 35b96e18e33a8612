"""A path to PostgreSQL that can go silent."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import psycopg2


@dataclass
class Forwarder:
    """Where it listens, and whether it forwards: while `is_open` is not set, every connection is held, and silent."""

    url: str
    is_open: threading.Event


def connected(url: str) -> socket.socket:
    """A socket to the server of this URL."""
    with closing(psycopg2.connect(url)) as connection:
        host, port = connection.info.host, connection.info.port
    if not host.startswith("/"):
        return socket.create_connection((host, port))
    server = socket.socket(socket.AF_UNIX)
    server.connect(f"{host}/.s.PGSQL.{port}")
    return server


@contextmanager
def forwarder(url: str) -> Iterator[Forwarder]:
    """Forward a port of 127.0.0.1 to the server of this URL."""
    is_open = threading.Event()
    is_open.set()

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                is_open.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            is_open.wait()
            with connected(url) as server:
                back = threading.Thread(target=pump, args=(server, self.request))
                back.start()
                pump(self.request, server)
                back.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 128

    with Server(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        user = urlsplit(url).netloc.rpartition("@")[0] or "postgres"
        netloc = f"{user}@127.0.0.1:{listening.server_address[1]}"
        try:
            yield Forwarder(urlunsplit(urlsplit(url)._replace(netloc=netloc, query="")), is_open)
        finally:
            is_open.set()
            listening.shutdown()

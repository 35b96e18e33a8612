"""What the proxy refuses by itself, and how it is asked that."""

import json
import re
import socket
import ssl
from contextlib import suppress
from typing import NamedTuple

from support.processes import PATIENCE

LONG = b"x" * 9000

# Requests that `web` never sees, and the status of the answer.
REFUSED: dict[bytes, int] = {
    b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n": 400,
    b"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n": 400,
    b"GET /.. HTTP/1.1\r\nHost: x\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\n\r\n": 400,
    b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n": 400,
    b"this is no HTTP\r\n\r\n": 400,
    b"GET /" + LONG + b" HTTP/1.1\r\nHost: x\r\n\r\n": 414,
    b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + LONG + b"\r\n\r\n": 431,
    b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Many: many\r\n" * 3000 + b"\r\n": 431,
    b"POST /comments HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: unknown\r\n\r\n": 501,
    b"GET / HTTP/3.0\r\nHost: x\r\n\r\n": 505,
}


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def exchange(port: int, sent: bytes, tls: bool = False) -> Reply:
    """Send bytes to the port of this machine, on a connection of their own; what comes back."""
    answer = b""
    with connect(port, tls) as connection, suppress(ConnectionError):
        connection.sendall(sent)
        while piece := connection.recv(65536):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    status_line, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return Reply(int(status_line.split()[1]), headers, body)


def connect(port: int, tls: bool) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), PATIENCE)
    return ssl._create_unverified_context().wrap_socket(connection) if tls else connection  # noqa: S323


def shakes_hands(port: int, ciphers: str, curve: str) -> bool:
    """Whether the port speaks TLS 1.2 with a client that has only these ciphers and this curve."""
    client = ssl._create_unverified_context()  # noqa: S323
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers(ciphers)
    client.set_ecdh_curve(curve)
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection, suppress(ssl.SSLError):
        client.wrap_socket(connection).close()
        return True
    return False


def assert_tls_is_as_mozilla_recommends(port: int) -> None:
    """The recommended cipher and curve are spoken, and others are not."""
    assert shakes_hands(port, "ECDHE-ECDSA-AES128-GCM-SHA256", "prime256v1")
    assert not shakes_hands(port, "ECDHE-ECDSA-AES128-SHA256", "prime256v1")
    assert not shakes_hands(port, "ECDHE-ECDSA-AES128-GCM-SHA256", "secp521r1")


def assert_error(reply: Reply, status: int) -> None:
    """Status, body and headers of an error, as those of the service."""
    assert reply.status == status
    assert re.fullmatch(r'\{"error": "[A-Z].*\."\}\n', reply.body.decode())
    assert list(json.loads(reply.body)) == ["error"]
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["cache-control"] == "no-store"
    assert re.fullmatch("[0-9a-f]{32}", reply.headers["x-request-id"])

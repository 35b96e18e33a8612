"""A crowd of clients that harm others if a server lets them, in a process of its own.

`python crowd.py PORT KIND=COUNT …` says `ready` once all are connected, and the readers have begun to read. Whoever is
disconnected comes again. It ends with its standard input.
"""

import resource
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

HALF_POST = b"POST /comments HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"

# What each kind sends when it comes.
KINDS = {
    "idle": b"",
    "half_line": b"GET /comm",
    "half_body": HALF_POST,
    "slow_body": HALF_POST,  # and a byte more a second
    "slow_reader": b"GET /comments?limit=200 HTTP/1.1\r\nHost: x\r\n\r\n",  # reads a byte at a time
}
TURN = 0.05  # seconds between two bytes of a slow reader


class Client(NamedTuple):
    kind: str
    connection: socket.socket


class Crowd:
    """The clients that are there, each ready to come again."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._selector = selectors.DefaultSelector()
        self._slow: set[Client] = set()  # those that do something in each turn
        self._last_drip = 0.0

    def come(self, kind: str) -> None:
        connection = socket.socket()
        if kind == "slow_reader":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # lest the kernel reads it all at once
        connection.connect(("127.0.0.1", self._port))
        connection.sendall(KINDS[kind])
        client = Client(kind, connection)
        if kind.startswith("slow"):
            self._slow.add(client)
        if kind != "slow_reader":
            self._selector.register(connection, selectors.EVENT_READ, client)

    def wait_for_answers(self) -> None:
        """Let each slow reader read its first byte."""
        for client in self._slow:
            if client.kind == "slow_reader":
                client.connection.recv(1)

    def turn(self) -> None:
        """Let the slow ones read or send a byte, and those that were disconnected come again."""
        is_time_to_drip = time.monotonic() > self._last_drip + 1
        for client in list(self._slow):
            with suppress(ConnectionError):
                if client.kind == "slow_body" and is_time_to_drip:
                    client.connection.sendall(b" ")
            if client.kind == "slow_reader" and self._is_at_its_end(client, 1):
                self._come_again(client)
        if is_time_to_drip:
            self._last_drip = time.monotonic()
        for key, _ in self._selector.select(timeout=0):
            if self._is_at_its_end(key.data, 1000):
                self._selector.unregister(key.fileobj)
                self._come_again(key.data)

    def _is_at_its_end(self, client: Client, size: int) -> bool:
        """Read so many bytes; whether the server has closed the connection."""
        try:
            return not client.connection.recv(size, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except ConnectionError:
            return True

    def _come_again(self, client: Client) -> None:
        client.connection.close()
        self._slow.discard(client)
        self.come(client.kind)


@contextmanager
def crowd(port: int, **counts: int) -> Iterator[None]:
    """So many clients of each kind on this port, all of them there."""
    command = [sys.executable, __file__, str(port), *(f"{kind}={count}" for kind, count in counts.items())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdin
        assert process.stdout.readline() == b"ready\n"
        try:
            yield
        finally:
            process.stdin.close()


def main() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    crowd = Crowd(int(sys.argv[1]))
    for argument in sys.argv[2:]:
        kind, _, count = argument.partition("=")
        for _ in range(int(count)):
            crowd.come(kind)
    crowd.wait_for_answers()
    print("ready", flush=True)
    with selectors.DefaultSelector() as end:
        end.register(sys.stdin, selectors.EVENT_READ)
        while not end.select(timeout=TURN):
            crowd.turn()


if __name__ == "__main__":
    main()

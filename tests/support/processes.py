"""The program as a process, started as a user starts it and asked over HTTP."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]

PYTHON = sys.executable
GUNICORN = [PYTHON, "-m", "gunicorn"]
FLASK = [PYTHON, "-m", "flask"]
PIPENV_FLASK = [PYTHON, "-m", "pipenv", "run", "flask"]

# How long a condition may take to come true on a busy machine, in seconds.
PATIENCE = 30


# The defaults, which an environment has explicitly so that they win over a developer's own .env.
DEFAULTS = {
    **dict(re.findall(r"^# ([A-Z_]+)=(.+)$", (ROOT / ".env.example").read_text(), re.MULTILINE)),
    **dict.fromkeys(("ALLOWED_ORIGINS", "SITE_URL", "POST_LIMIT", "SITE_LIMIT", "TRUSTED_PROXIES"), " "),
}


def environment(cwd: Path = ROOT, **variables: str | int) -> dict[str, str]:
    """An environment in which nothing of the developer's own configuration is left, for a command in this checkout."""
    path = f"{Path(PYTHON).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR", "XDG_RUNTIME_DIR") if name in os.environ}
    own = {"PATH": path, "VIRTUAL_ENV": sys.prefix, "PIPENV_VERBOSITY": "-1", "WEB_CONCURRENCY": "2"}
    return kept | own | (DEFAULTS if cwd == ROOT else {}) | {name: str(value) for name, value in variables.items()}


def run(command: list[str], cwd: Path = ROOT, **variables: str | int) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment(cwd, **variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Wait until the condition returns something true."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"waited {patience} s for {what}"
        time.sleep(0.02)


@dataclass
class Server:
    """A running server: where it is, and what it has said."""

    process: subprocess.Popen[bytes]
    url: str
    stdout: Path
    stderr: Path
    http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=self.url, timeout=PATIENCE)

    def is_up(self) -> bool:
        assert self.process.poll() is None, self.stdout.read_text() + self.stderr.read_text()
        try:
            is_answering = self.http.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False
        # gunicorn's workers start one after another, and a signal that hits one's start is lost.
        is_starting = "Booting worker" in self.output() and not re.search(r"Ready\.|Not ready:", self.output())
        return is_answering and not is_starting

    def output(self) -> str:
        return self.stdout.read_text()

    def post(self, name: str, comment: str, **fields: str) -> httpx.Response:
        return self.http.post("/comments", json={"name": name, "comment": comment, **fields})

    def exchange(self, sent: bytes) -> bytes:
        """Send bytes; returns what comes back until the connection is closed: perhaps before they were all read."""
        answer = b""
        address = ("127.0.0.1", int(self.url.rpartition(":")[2]))
        with socket.create_connection(address, timeout=PATIENCE) as connection, suppress(ConnectionError):
            connection.sendall(sent)
            with suppress(OSError):  # not connected any more
                connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                answer += piece
        return answer

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send the signal, and return the exit status."""
        self.http.close()
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextmanager
def serving(
    command: list[str] = GUNICORN, cwd: Path = ROOT, port: int | None = None, **variables: str | int
) -> Iterator[Server]:
    """Start a server in a process group of its own, wait until it answers, and end all of it.

    `port` is where it is expected to listen; without it the variable PORT names a free one.
    """
    if port is None:
        port = free_port()
        variables["PORT"] = port
    with tempfile.TemporaryDirectory() as directory:
        stdout, stderr = Path(directory, "stdout"), Path(directory, "stderr")
        with stdout.open("wb") as out, stderr.open("wb") as err:
            process = subprocess.Popen(
                command, cwd=cwd, env=environment(cwd, **variables), stdout=out, stderr=err, start_new_session=True
            )
        server = Server(process, f"http://127.0.0.1:{port}", stdout, stderr)
        try:
            wait_for(server.is_up, f"{command} on port {port}")
            yield server
        finally:
            server.http.close()
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    kill_all(process)
                    raise


def kill_all(process: subprocess.Popen[bytes]) -> None:
    """`kill -9` of a process and those it started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()

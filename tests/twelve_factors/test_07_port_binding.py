"""VII. Port binding: services are exported by it (https://12factor.net/port-binding)."""

import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
from flask import Flask

from postgres.migrations import migrate

from support.processes import GUNICORN, PATIENCE, free_port, run, serving


def test_its_own_processes_listen_on_the_port_and_speak_http(database_url: str) -> None:
    """Complete in itself: no web server is put around it."""
    with serving(DATABASE_URL=database_url) as server:
        master = psutil.Process(server.process.pid)
        listening = [found.laddr.port for found in master.net_connections() if found.status == psutil.CONN_LISTEN]
        assert listening == [int(server.url.rpartition(":")[2])]
        assert {process.name() for process in master.children(recursive=True)} == {master.name()}
        answer = server.exchange(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


def test_the_environment_names_the_port_or_else_env_file_does(database_url: str, checkout: Path) -> None:
    in_the_file, in_the_environment = free_port(), free_port()
    (checkout / ".env").write_text(f"PORT={in_the_file}\n")
    with serving(cwd=checkout, port=in_the_file, DATABASE_URL=database_url) as server:
        assert server.http.get("/readyz").status_code == 200
    with serving(cwd=checkout, port=in_the_environment, PORT=in_the_environment, DATABASE_URL=database_url) as server:
        assert server.http.get("/readyz").status_code == 200


def test_two_on_one_host_on_two_ports(database_url: str) -> None:
    with serving(DATABASE_URL=database_url) as one, serving(DATABASE_URL=database_url) as two:
        assert one.url != two.url
        stored = one.post("Ada", "Hello").json()
        assert two.http.get("/comments/1").json() == stored


def test_a_port_that_is_taken_is_said_in_a_line(database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(GUNICORN, DATABASE_URL=database_url, PORT=port)
    assert done.returncode == 1
    assert done.stderr == f"PORT {port} on HOST 127.0.0.1 can't be listened on: it is in use.\n"


def blog(comments_url: str) -> Flask:
    """Another app, which has the service as a backing service."""
    app = Flask("blog")

    @app.get("/hello")
    def hello() -> str:
        page = httpx.get(f"{comments_url}/comments", params={"thread": "/hello"}, timeout=PATIENCE).json()
        return ", ".join(comment["comment"] for comment in page["comments"])

    return app


def test_it_is_a_backing_service_of_another_app_by_its_url_alone(new_database: Callable[..., str]) -> None:
    for text in ("one", "another"):
        database_url = new_database()
        migrate(database_url)
        with serving(DATABASE_URL=database_url) as server:
            server.post("Ada", text, thread="/hello")
            assert blog(server.url).test_client().get("/hello").text == text

"""deploy/nginx/host: nginx as a program of the machine, in front of the service."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from support.processes import PATIENCE, ROOT, Server, free_port, serving, wait_for
from support.proxy import REFUSED, assert_error, assert_tls_is_as_mozilla_recommends, exchange

NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")

# What Debian's nginx.conf has around it. As root, nginx would serve as another user, who may not read the test's files.
MAIN = """
daemon off;
user root;
pid nginx.pid;
error_log error.log warn;
events {}
http { include conf.d/*.conf; }
"""


@dataclass
class Nginx:
    """nginx in front of the service."""

    port: int
    directory: Path
    service: Server

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def is_up(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", verify=False).status_code == 200  # noqa: S501
        except httpx.TransportError:
            return False

    def log(self) -> str:
        return "".join(path.read_text() for path in self.directory.glob("*.log"))


@pytest.fixture(scope="module")
def service(migrated_database: str) -> Iterator[Server]:
    with serving(DATABASE_URL=migrated_database, ALLOWED_ORIGINS="https://blog.example.org") as server:
        yield server


@pytest.fixture(scope="module")
def nginx(service: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """Installed as the head of host/comments.conf says, in a directory of its own."""
    if NGINX is None:
        assert "CI" not in os.environ, "CI must run these tests: it needs nginx"
        pytest.skip("nginx is not installed")
    directory = tmp_path_factory.mktemp("nginx")
    running = Nginx(free_port(), directory, service)
    install(running)
    process = subprocess.Popen([NGINX, "-p", str(directory), "-c", "nginx.conf"], stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: process.poll() is not None or running.is_up(), "nginx")
        assert process.poll() is None, process.communicate()[1]
        yield running
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


def install(nginx: Nginx) -> None:
    """Copy the files, and write the places of this test into the copies."""
    there = nginx.directory
    places = {
        "/var/log/nginx": str(there),
        "/etc/letsencrypt/live/comments.example.org": str(there),
        "127.0.0.1:5000": nginx.service.url.removeprefix("http://"),
        "listen [::]:443 ssl http2;": "",
        "443": str(nginx.port),
    }
    shutil.copytree(ROOT / "deploy/nginx/shared", there / "comments")
    (there / "conf.d").mkdir()
    shutil.copy(ROOT / "deploy/nginx/host/comments.conf", there / "conf.d")
    for copy in there.glob("*/*.conf"):
        text = copy.read_text()
        for place, of_the_test in places.items():
            text = text.replace(place, of_the_test)
        copy.write_text(text)
    (there / "nginx.conf").write_text(MAIN)
    certificate = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost"
    files = ["-keyout", str(there / "privkey.pem"), "-out", str(there / "fullchain.pem")]
    subprocess.run(["openssl", *certificate.split(), *files], capture_output=True, check=True)


@pytest.fixture
def http(nginx: Nginx) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=nginx.url, timeout=PATIENCE, verify=False) as client:  # noqa: S501
        yield client


def test_the_longest_thread_is_paged_through(http: httpx.Client) -> None:
    thread = "\N{PILE OF POO}" * 512
    http.post("/comments", json={"name": "Ada", "comment": "1", "thread": thread})
    http.post("/comments", json={"name": "Ada", "comment": "2", "thread": thread})
    first = http.get(f"/comments?thread={quote(thread)}&limit=1").json()
    assert http.get(first["next"]).json()["comments"][0]["comment"] == "2"


def test_an_author_edits_and_deletes_by_the_weak_tag_of_a_compressed_answer(http: httpx.Client) -> None:
    author = {"Authorization": "Bearer the-key-of-the-author-1"}
    path = http.post("/comments", json={"name": "Ada", "comment": "x" * 2000}, headers=author).headers["Location"]
    tag = http.get(path).headers["ETag"]
    assert tag.startswith('W/"')
    edited = http.patch(path, json={"comment": "y" * 2000}, headers=author | {"If-Match": tag})
    assert edited.status_code == 200
    assert http.delete(path, headers=author | {"If-Match": tag}).status_code == 412
    assert http.delete(path, headers=author | {"If-Match": edited.headers["ETag"]}).status_code == 204
    assert http.get(path).status_code == 404


@pytest.mark.parametrize("request_", REFUSED, ids=lambda request: request[:40].decode())
def test_what_it_refuses_itself_looks_like_an_error_of_the_service(nginx: Nginx, request_: bytes) -> None:
    assert_error(exchange(nginx.port, request_, tls=True), REFUSED[request_])


def test_http_on_the_port_of_https_is_an_error_too(nginx: Nginx) -> None:
    reply = exchange(nginx.port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert_error(reply, 400)
    assert b"https" in reply.body


def test_trace_and_the_place_of_its_own_errors_are_answered_by_the_service(http: httpx.Client) -> None:
    traced = http.request("TRACE", "/comments?limit=1")
    assert traced.status_code == 405
    assert set(traced.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "PATCH", "POST"}
    assert http.get("/error").json() == http.get("/nowhere").json()


def test_tls_is_as_mozilla_recommends(nginx: Nginx) -> None:
    assert_tls_is_as_mozilla_recommends(nginx.port)

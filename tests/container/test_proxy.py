"""docker-compose.proxy.yml: nginx in front of any number of the service's containers."""

import json
import re
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from comment import MAX_THREAD
from web.request import MAX_BODY, TOO_LARGE

from support.containers import Project, docker, project
from support.crowd import crowd
from support.processes import PATIENCE, ROOT, wait_for
from support.proxy import REFUSED, assert_error, assert_tls_is_as_mozilla_recommends, exchange

pytestmark = pytest.mark.container

FILES = ("docker-compose.yml", "deploy/docker-compose.proxy.yml")
BLOG = "https://blog.example"
ORIGINS = f"https://other.example, {BLOG.upper()}"  # however they are written, a browser says them in lower case

# In the place of `web`: whatever is asked, the answer is what the headers were, and who the client is by web/client.py.
ECHO = """
services:
  web:
    command:
      - python
      - -c
      - |
        import json
        from wsgiref.simple_server import make_server
        from config import Config
        from web.client import client_address
        trusted = Config.from_environment().trusted_proxies
        def application(environ, start_response):
            start_response("200 OK", [("Content-Type", "application/json")])
            seen = {k: v for k, v in environ.items() if k.startswith("HTTP_")}
            return [json.dumps(seen | {"client": client_address(environ, trusted)}).encode()]
        make_server("", 5000, application).serve_forever()
"""


@pytest.fixture(scope="module")
def proxied(image: str) -> Iterator[Project]:
    """Three `web` behind the proxy, which lets one address post as often as it likes."""
    with project("--scale=web=3", files=FILES, POST_RATE="1000r/s", ALLOWED_ORIGINS=ORIGINS) as running:
        yield running


def events(container: str) -> list[dict[str, object]]:
    """What a container has logged in JSON."""
    lines = docker("logs", container).stdout.splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def is_answering(running: Project) -> bool:
    try:
        running.http.get("/")
    except httpx.TransportError:
        return False
    return True


def logged(container: str) -> str:
    """All that a container has logged."""
    done = docker("logs", container)
    return done.stdout + done.stderr


def test_every_replica_serves_and_only_the_proxy_is_published(proxied: Project) -> None:
    for n in range(12):
        assert proxied.post(f"{n}").status_code == 201
        assert proxied.comments()[-1] == f"{n}"
    replicas = proxied.containers("web")
    assert len(replicas) == 3
    for replica in replicas:
        assert any(event.get("path") == "/comments" for event in events(replica))
        assert docker("port", replica).stdout == ""


def test_replicas_come_and_go_without_a_restart_of_the_proxy(proxied: Project) -> None:
    """Those that come have other addresses."""
    stored = proxied.post("before").json()
    for count in ("1", "3"):
        proxied.up("--no-recreate", f"--scale=web={count}")
        proxied.compose("restart", "web")
        wait_for(proxied.is_ready, "the proxy to find a replica")
        for _ in range(9):
            assert proxied.http.get(f"/comments/{stored['id']}").json() == stored


def test_the_kill_of_a_replica_costs_no_request(proxied: Project) -> None:
    docker("kill", proxied.containers("web")[0])
    assert [proxied.post("after the kill").status_code for _ in range(12)] == [201] * 12
    proxied.up("--scale=web=3")


def test_the_request_id_is_in_every_log_and_the_query_in_none(proxied: Project) -> None:
    given = proxied.http.get("/comments?thread=/hidden", headers={"X-Request-ID": "mine"})
    made = proxied.http.get("/comments", headers={"X-Request-ID": "not one"})
    assert given.headers["X-Request-ID"] == "mine"
    assert re.fullmatch("[0-9a-f]{32}", made.headers["X-Request-ID"])
    of_the_proxy = events(proxied.container("proxy"))
    of_the_service = [event for replica in proxied.containers("web") for event in events(replica)]
    for request_id in ("mine", made.headers["X-Request-ID"]):
        for found in (of_the_proxy, of_the_service):
            [event] = [event for event in found if event.get("request_id") == request_id]
            assert (event["method"], event["path"], event["status"]) == ("GET", "/comments", 200)
    assert "/hidden" not in logged(proxied.container("proxy"))


def test_no_query_is_in_the_log_when_a_replica_is_gone_or_the_limit_is_reached(image: str) -> None:
    with project(files=FILES, POST_RATE="1r/m") as running:
        with ThreadPoolExecutor() as pool:
            statuses = set(pool.map(lambda _: running.http.post("/comments?thread=/hidden").status_code, range(50)))
        running.compose("kill", "web")
        assert running.http.get("/comments?thread=/hidden").status_code == 503
        assert statuses == {415, 429}
        assert "/hidden" not in logged(running.container("proxy"))


@pytest.mark.parametrize("letter", ["a", "%", '"', "\\", "é", "評", "\N{PILE OF POO}"])
def test_the_longest_thread_is_paged_through(proxied: Project, letter: str) -> None:
    thread = letter * MAX_THREAD
    for comment in ("first", "second"):
        fields = {"name": "Ada", "comment": comment, "thread": thread}
        assert proxied.http.post("/comments", json=fields).status_code == 201
    first = proxied.http.get(f"/comments?thread={quote(thread)}&limit=1")
    assert first.status_code == 200
    second = proxied.http.get(first.links["next"]["url"]).json()
    assert [comment["comment"] for comment in second["comments"]] == ["second"]


def test_connections_to_the_replicas_are_kept(proxied: Project) -> None:
    before = connections_to_web(proxied)
    for _ in range(100):
        assert proxied.http.get("/comments?limit=1").status_code == 200
    assert connections_to_web(proxied) - before < 50


def connections_to_web(running: Project) -> int:
    """How many the proxy has, or has had in the last minute."""
    sockets = docker("exec", running.container("proxy"), "cat", "/proc/net/tcp").stdout
    return len(re.findall(r"^ *\d+: \S+ [0-9A-F]{8}:1388 ", sockets, re.MULTILINE))  # 1388 is 5000


def test_while_replicas_are_replaced_a_request_fails_once_at_most(proxied: Project) -> None:
    old = proxied.containers("web")
    with ThreadPoolExecutor() as pool:
        replacement = pool.submit(replace, proxied, old)
        statuses = []
        while not replacement.done():
            statuses += [status_of(lambda: proxied.http.get("/comments?limit=1")), status_of(lambda: proxied.post("x"))]
        replacement.result()
    assert not set(proxied.containers("web")) & set(old)
    assert set(statuses) == {200, 201}


def replace(running: Project, old: list[str]) -> None:
    """Start new replicas beside the old ones, which then go."""
    running.up("--no-recreate", f"--scale=web={len(old) + 3}")
    docker("stop", *old)
    docker("rm", *old)


def status_of(send: Callable[[], httpx.Response], attempts: int = 2) -> int:
    """The status of a request, which is sent again if it fails."""
    try:
        status = send().status_code
    except httpx.TransportError:
        status = 0
    return status if status in (200, 201) or attempts == 1 else status_of(send, attempts - 1)


@pytest.mark.parametrize("kind", ["half_body", "half_line"])
def test_one_address_with_thousands_of_slow_requests_shuts_nobody_else_out(proxied: Project, kind: str) -> None:
    """The crowd comes from Docker's gateway, and the other client from a container. Whoever is refused comes again."""
    with crowd(proxied.http.base_url.port or 0, **{kind: 2500}):
        assert ask_from(proxied.containers("web")[0], "http://proxy/comments?limit=1", 50) == ["200"] * 50


def ask_from(container: str, url: str, count: int) -> list[str]:
    """The statuses of so many requests, each of which has two seconds."""
    script = f"import urllib.request as u\nfor _ in range({count}): print(u.urlopen('{url}', timeout=2).status)"
    return docker("exec", container, "python", "-c", script).stdout.split()


def test_an_address_with_too_many_requests_at_once_is_refused(proxied: Project) -> None:
    with ExitStack() as stack:
        start_slow_requests(stack, proxied, "PUT", 200)
        assert proxied.http.get("/comments?limit=1").status_code == 200

        def is_one_too_many() -> bool:
            start_slow_requests(stack, proxied, "PUT", 1)
            return proxied.http.get("/comments?limit=1").status_code == 429

        wait_for(is_one_too_many, "the limit")
        refused = proxied.http.get("/comments?limit=1", headers={"Origin": BLOG})
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert refused.json() == {"error": "Too many requests from your address at once; try again later."}
    assert refused.headers["Access-Control-Allow-Origin"] == BLOG


def start_slow_requests(stack: ExitStack, running: Project, method: str, count: int) -> None:
    """Send so many requests with a body that does not end. They go on until the end of `stack`."""
    address = (running.http.base_url.host, running.http.base_url.port)
    head = f"{method} /comments HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    for _ in range(count):
        slow = stack.enter_context(socket.create_connection(address, PATIENCE))
        slow.sendall(head.encode())


@pytest.mark.parametrize("request_", REFUSED, ids=lambda request: request[:40].decode())
def test_what_it_refuses_itself_looks_like_an_error_of_the_service(proxied: Project, request_: bytes) -> None:
    assert_error(exchange(proxied.http.base_url.port or 0, request_), REFUSED[request_])


def test_a_page_is_compressed_and_its_etag_is_of_use(proxied: Project) -> None:
    proxied.http.post("/comments", json={"name": "Ada", "comment": "long " * 1000, "thread": "compressed"})
    page = proxied.http.get("/comments?thread=compressed", headers={"Accept-Encoding": "gzip", "Origin": BLOG})
    again = proxied.http.get("/comments?thread=compressed", headers={"If-None-Match": page.headers["ETag"]})
    plain = proxied.http.get("/comments?thread=compressed", headers={"Accept-Encoding": "identity"})
    assert page.headers["Content-Encoding"] == "gzip"
    assert page.num_bytes_downloaded < 1000
    assert "Content-Encoding" not in plain.headers
    assert plain.text == page.text
    assert again.status_code == 304
    for answer in (page, again, plain):
        assert {"Accept-Encoding", "Origin"} <= set(re.split(", *", answer.headers["Vary"]))


def test_a_page_of_a_megabyte_comes_whole_to_a_slow_client_and_waits_in_no_file(proxied: Project) -> None:
    comment = {"name": "Ada", "comment": '"' * 10_000, "thread": "long"}
    assert {proxied.http.post("/comments", json=comment).status_code for _ in range(50)} == {201}
    proxy = proxied.container("proxy")
    address = docker("exec", proxy, "hostname", "--ip-address").stdout.split()[0]
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((address, 80))
        client.sendall(b"GET /comments?thread=long HTTP/1.0\r\nHost: x\r\n\r\n")
        answer = client.recv(1000)
        assert docker("exec", proxy, "df", "--output=used", "/tmp").stdout.split() == ["Used", "0"]
        while piece := client.recv(65536):
            answer += piece
    assert len(json.loads(answer.partition(b"\r\n\r\n")[2])["comments"]) == 24


def test_it_writes_to_memory_only(proxied: Project) -> None:
    proxy = proxied.container("proxy")
    refused = docker("exec", proxy, "touch", "/etc/nginx/written", check=False)
    assert "Read-only file system" in refused.stderr
    assert proxied.is_ready()


def test_a_body_that_is_too_large_is_refused_in_the_words_of_the_service(proxied: Project) -> None:
    body = json.dumps({"name": "Ada", "comment": "Hello"}).ljust(MAX_BODY)
    headers = {"Content-Type": "application/json", "Origin": BLOG}
    assert proxied.http.post("/comments", content=body, headers=headers).status_code == 201
    refused = proxied.http.post("/comments", content=body + " ", headers=headers)
    assert (refused.status_code, refused.json()) == (413, {"error": TOO_LARGE})
    assert refused.headers["Content-Type"] == "application/json"
    assert refused.headers["Access-Control-Allow-Origin"] == BLOG
    assert re.fullmatch("[0-9a-f]{32}", refused.headers["X-Request-ID"])


def test_slow_clients_cost_the_service_nothing(proxied: Project) -> None:
    """Each sends a body that does not end."""
    with ExitStack() as stack:
        start_slow_requests(stack, proxied, "POST", 60)
        for _ in range(30):
            assert proxied.http.get("/comments?limit=1", timeout=5).status_code == 200


def test_without_a_replica_it_starts_and_is_503_in_the_shape_of_the_service(proxied: Project) -> None:
    proxied.compose("stop", "web")
    proxied.compose("restart", "proxy")
    wait_for(lambda: is_answering(proxied), "the proxy to start")
    try:
        away = proxied.http.get("/comments", headers={"Origin": BLOG})
        traced = proxied.http.request("TRACE", "/comments")
    finally:
        proxied.compose("start", "web")
        wait_for(proxied.is_ready, "the service to be back")
    assert (away.status_code, int(away.headers["Retry-After"]) > 0) == (503, True)
    assert away.json()["error"].startswith("The service does not answer")
    assert (traced.status_code, traced.json()) == (503, away.json())
    assert away.headers["Access-Control-Allow-Origin"] == BLOG


def test_one_address_posts_21_comments_at_once_and_no_more_until_later(image: str) -> None:
    with project(files=FILES, POST_RATE="1r/m", ALLOWED_ORIGINS="*") as running:
        assert [running.post("Hello").status_code for _ in range(21)] == [201] * 21
        refused = running.post("Hello", Origin=BLOG)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
        assert refused.json() == {"error": "Too many comments from your address; try again later."}
        assert refused.headers["Access-Control-Allow-Origin"] == BLOG
        assert len(running.comments()) == 21, "to read is free"


def test_the_client_s_address_is_passed_on_and_can_t_be_made_up(image: str, tmp_path: Path) -> None:
    (tmp_path / "echo.yml").write_text(ECHO)
    made_up = {"X-Forwarded-For": "1.2.3.4", "X-Real-IP": "1.2.3.4", "X-Forwarded-Proto": "gopher"}
    with project(files=(*FILES, str(tmp_path / "echo.yml"))) as running:
        seen = running.http.get("/", headers=made_up).json()
        [client] = {event["client"] for event in events(running.container("proxy")) if event["path"] == "/"}
    assert client != "1.2.3.4"
    assert (seen["HTTP_X_FORWARDED_FOR"], seen["HTTP_X_REAL_IP"]) == (client, client)
    assert seen["client"] == client
    assert seen["HTTP_X_FORWARDED_PROTO"] == "http"


def test_with_a_certificate_it_speaks_tls(image: str, tmp_path: Path) -> None:
    """By the command of docs/deploy.md."""
    [command] = re.findall(r"^openssl req .*(?:\n  .*)*", (ROOT / "docs/deploy.md").read_text(), re.MULTILINE)
    (tmp_path / "tls").mkdir()
    subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, check=True)  # noqa: S602
    with project(files=FILES, TLS_DIR=str(tmp_path / "tls"), HSTS_MAX_AGE="300") as running:
        trusted = ssl.create_default_context(cafile=str(tmp_path / "tls/fullchain.pem"))
        with httpx.Client(base_url=f"https://localhost:{running.variables['PORT']}", verify=trusted) as client:
            assert client.post("/comments", json={"name": "Ada", "comment": "Hello"}).status_code == 201
            page = client.get("/comments")
            assert len(page.json()["comments"]) == 1
            assert page.headers["Strict-Transport-Security"] == "max-age=300"
        assert_tls_is_as_mozilla_recommends(running.http.base_url.port or 0)
        plain = running.http.get("/comments")
        assert (plain.status_code, plain.json()) == (400, {"error": "This port speaks https."})
        assert "Strict-Transport-Security" not in plain.headers

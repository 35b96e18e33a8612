"""IV. Backing services: attached resources (https://12factor.net/backing-services)."""

from collections.abc import Callable
from contextlib import ExitStack

import httpx
import pytest

from support.containers import Project, container, docker, inspect, is_ready, wait_until_ready
from support.processes import FLASK, PATIENCE, free_port, run, serving, wait_for


def test_another_database_is_another_value_of_database_url(new_database: Callable[..., str]) -> None:
    for _ in range(2):
        url = new_database()
        assert run([*FLASK, "migrate"], DATABASE_URL=url).returncode == 0
        with serving(DATABASE_URL=url) as server:
            assert server.post("Ada", "Hello").json()["id"] == 1


@pytest.mark.container
def test_the_database_goes_and_comes_without_a_restart_of_the_service(deployed: Project) -> None:
    assert deployed.post("before").status_code == 201
    started = inspect(deployed.container("web"), "State.StartedAt")
    deployed.compose("stop", "db")
    away = deployed.post("away")
    assert (away.status_code, int(away.headers["Retry-After"]) > 0) == (503, True)
    assert deployed.http.get("/healthz").status_code == 200
    deployed.compose("start", "db")
    wait_until_ready(deployed)
    assert deployed.post("after").status_code == 201
    assert deployed.comments() == ["before", "after"]
    assert inspect(deployed.container("web"), "State.StartedAt") == started


@pytest.mark.container
def test_a_container_starts_before_its_database_and_becomes_ready_by_itself(image: str) -> None:
    port = free_port()
    network = f"comments-test-{port}"
    attached = (f"--network={network}", "--env=DATABASE_URL=postgresql://postgres@later/postgres")
    published = (f"--publish=127.0.0.1:{port}:5000", "--read-only", *attached)
    database = (f"--network={network}", "--network-alias=later", "--env=POSTGRES_HOST_AUTH_METHOD=trust")
    docker("network", "create", network)
    with ExitStack() as stack:
        stack.callback(docker, "network", "rm", network)
        http = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE))

        def is_up() -> bool:
            try:
                return http.get("/healthz").status_code == 200
            except httpx.TransportError:
                return False

        def is_migrated() -> bool:
            return docker("run", "--rm", *attached, image, "flask", "migrate", check=False).returncode == 0

        web = stack.enter_context(container(image, *published))
        wait_for(is_up, "the service to be up")
        away = http.get("/readyz")
        assert away.status_code == 503
        assert away.json()["error"].startswith("The database does not answer")
        stack.enter_context(container("postgres:18", *database))
        wait_for(is_migrated, "the database to be migrated")
        wait_for(lambda: is_ready(http), "the service to be ready")
        assert inspect(web, "RestartCount") == 0

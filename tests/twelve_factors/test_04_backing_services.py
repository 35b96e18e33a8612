"""IV. Backing services: attached resources (https://12factor.net/backing-services)."""

from collections.abc import Callable

import pytest
from containers import Project, inspect, wait_until_ready
from processes import FLASK, run, serving


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

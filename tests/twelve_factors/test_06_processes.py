"""VI. Processes: stateless and share-nothing (https://12factor.net/processes)."""

from contextlib import ExitStack

import httpx
import pytest

from support.containers import Project, docker, is_ready
from support.processes import PATIENCE, free_port, wait_for

pytestmark = pytest.mark.container


def replica(deployed: Project, stack: ExitStack) -> tuple[str, httpx.Client]:
    """One more container of the service, on a port of its own: its id, and a client."""
    port = free_port()
    found = deployed.compose("run", "--detach", "--publish", f"127.0.0.1:{port}:5000", "web").stdout.strip()
    stack.callback(docker, "rm", "--force", found)
    http = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE))
    wait_for(lambda: is_ready(http), "the replica to be ready")
    return found, http


def test_what_is_written_to_one_is_read_from_each_and_the_kill_of_any_loses_nothing(deployed: Project) -> None:
    with ExitStack() as stack:
        replicas = [replica(deployed, stack) for _ in range(3)]
        expected = []
        for n, (_, writer) in enumerate(replicas * 3):
            body = {"name": "Ada", "comment": f"{n}"}
            assert writer.post("/comments", json=body).status_code == 201
            expected.append(f"{n}")
            for _, reader in replicas:
                page = reader.get("/comments").json()
                assert [comment["comment"] for comment in page["comments"]] == expected
        while len(replicas) > 1:
            killed, _ = replicas.pop()
            docker("kill", killed)
            for _, reader in replicas:
                assert len(reader.get("/comments").json()["comments"]) == len(expected)

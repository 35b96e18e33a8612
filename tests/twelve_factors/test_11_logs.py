"""XI. Logs: an event stream on stdout (https://12factor.net/logs)."""

import json

import pytest

from support.containers import docker, project

pytestmark = pytest.mark.container


def test_the_container_logs_json_on_stdout_and_nothing_else(image: str) -> None:
    with project() as running:
        assert running.post("a private matter", **{"X-Request-ID": "mine"}).status_code == 201
        web = running.container("web")
        left = running.compose("exec", "--no-TTY", "web", "ls", "-A", "/dev/shm").stdout
        running.compose("stop", "web")
        logs = docker("logs", web)
        assert docker("diff", web).stdout == "", "nothing is written to a file"
        assert left == "", "not to one in memory either"
    assert logs.stderr == ""
    events = [json.loads(line) for line in logs.stdout.splitlines()]
    assert [event["status"] for event in events if event.get("request_id") == "mine"] == [201]
    assert "private" not in logs.stdout

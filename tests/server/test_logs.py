"""The log of a running service: one event a line on stdout, and nothing in it that is nobody's business."""

import json
import re

import pytest

from support.processes import FLASK, GUNICORN, serving

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"


def events(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


def test_gunicorn_as_json_is_one_object_a_line(database_url: str) -> None:
    with serving(GUNICORN, DATABASE_URL=database_url, LOG_FORMAT="json") as server:
        headers = {"X-Request-ID": "mine"}
        body = {"name": "Ada", "comment": "a private matter", "thread": "/secret"}
        server.http.post("/comments?token=hidden", json=body, headers=headers)
        server.stop()
        logged = events(server.output())
        assert server.stderr.read_text() == ""
    assert all(re.fullmatch(TIME, str(event["time"])) for event in logged)
    assert {event["level"] for event in logged} == {"info"}
    (line,) = (event for event in logged if event.get("request_id") == "mine")
    assert list(line) == ["time", "level", "message", "method", "path", "status", "duration_ms", "request_id"]
    assert (line["method"], line["path"], line["status"]) == ("POST", "/comments", 201)
    assert 0 < float(str(line["duration_ms"])) < 60_000
    for secret in ("hidden", "private", "/secret", database_url):
        assert secret not in json.dumps(logged)


@pytest.mark.parametrize("command", [GUNICORN, [*FLASK, "run"]], ids=["gunicorn", "flask"])
def test_one_line_a_request(database_url: str, command: list[str]) -> None:
    with serving(command, DATABASE_URL=database_url) as server:
        server.http.get("/nothing-else-is-called-this")
        server.stop()
        assert server.output().count("nothing-else-is-called-this") == 1
        assert "nothing-else" not in server.stderr.read_text()


def test_the_level_is_obeyed(database_url: str) -> None:
    with serving(GUNICORN, DATABASE_URL=database_url, LOG_LEVEL="warning") as server:
        server.post("Ada", "Hello")
        server.stop()
        assert server.output() == ""


def test_flask_run_says_where_it_listens(database_url: str) -> None:
    with serving([*FLASK, "run"], DATABASE_URL=database_url) as server:
        server.http.get("/comments")
        server.stop()
        assert server.output().count("127.0.0.1") == 1
        assert re.search(rf"^{TIME} INFO Listening on {server.url}$", server.output(), re.MULTILINE)

"""The log: one event a line on stdout, and nothing in it that is nobody's business."""

import json
import re
from hashlib import sha256

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from config import Config
from db import CommentDatabase

from support.postgres import sql

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"


def events(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


def app_with_fault(log_format: str) -> Flask:
    app = create_app(Config(log_format=log_format), CommentDatabase("postgresql://user:s3cret@127.0.0.1:1/x"))

    @app.get("/crash")
    def crash() -> str:
        raise RuntimeError("first line\nsecond line")

    return app


def test_a_crash_is_one_event_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    response = app_with_fault("json").test_client().get("/crash")
    error, request = events(capsys.readouterr().out)
    assert error["level"] == "error"
    assert "Traceback" in str(error["exception"])
    assert "second line" in str(error["exception"])
    assert error["request_id"] == request["request_id"] == response.headers["X-Request-ID"]


def test_a_crash_is_one_line_of_text(capsys: pytest.CaptureFixture[str]) -> None:
    app_with_fault("text").test_client().get("/crash")
    error, request = capsys.readouterr().out.splitlines()
    assert re.match(rf'{TIME} ERROR Unhandled exception request_id=\w+ exception="Traceback', error)
    assert r"first line\nsecond line" in error
    assert re.fullmatch(
        rf"{TIME} INFO request method=GET path=/crash status=500 duration_ms=[\d.]+ request_id=\w+", request
    )


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_path_can_not_forge_a_line(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    app_with_fault(log_format).test_client().get("/x%0a2026%0d%1b[31m%e2%80%a8%c2%85y?query=1")
    (line,) = capsys.readouterr().out.splitlines()
    assert line.isprintable()
    assert "query" not in line


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/x%20status=200", '"/x status=200"'),
        ("/x=1", '"/x=1"'),
        ("/%22x", r'"/\"x"'),
        ("/x%c2%a0status:200", r'"/x\xa0status:200"'),
        ("/a%5cb", r"/a\b"),
    ],
)
def test_a_path_can_not_forge_a_field(capsys: pytest.CaptureFixture[str], path: str, shown: str) -> None:
    app_with_fault("text").test_client().get(path)
    assert f" method=GET path={shown} status=404 " in capsys.readouterr().out


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_503_is_logged_with_its_cause_and_no_password(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    app_with_fault(log_format).test_client().get("/comments")
    warning, _ = capsys.readouterr().out.splitlines()
    assert "Connection refused" in warning
    assert "s3cret" not in warning


@pytest.mark.parametrize("own", ["a", "A-b_c.9", "x" * 128])
def test_a_client_s_request_id_is_kept(client: FlaskClient, own: str) -> None:
    assert client.get("/healthz", headers={"X-Request-ID": own}).headers["X-Request-ID"] == own


@pytest.mark.parametrize("own", ["", " ", "x" * 129, "a b", "a,b", "é", "<script>", "a/b"])
def test_another_id_is_replaced(client: FlaskClient, own: str) -> None:
    first, second = (client.get("/healthz", headers={"X-Request-ID": own}).headers["X-Request-ID"] for _ in range(2))
    assert re.fullmatch("[0-9a-f]{32}", first)
    assert first != second


# A comment, and what nobody else must learn of it.
NAME, TEXT, KEY, IDEMPOTENCY_KEY = "Ada Lovelace", "Between us", "the-key-of-this-author", "key-of-this-post"
SECRETS = (NAME, TEXT, KEY, IDEMPOTENCY_KEY, sha256(KEY.encode()).hexdigest(), str(sha256(KEY.encode()).digest()))

# What PostgreSQL says of each has the values of the row, or the statement, in its details.
FAULTS = {
    "a check": "ALTER TABLE comments ADD CHECK (comment = 'Hello')",
    "no column": "ALTER TABLE comments RENAME COLUMN html TO renamed",
    "a unique index": "CREATE UNIQUE INDEX ON comments (comment);"
    " INSERT INTO comments (name, comment) VALUES ('Grace', 'Between us')",
    "a shorter column": "ALTER TABLE comments ALTER COLUMN comment TYPE varchar(5)",
}


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_the_database_says_no_key_no_name_and_no_text_is_logged_or_answered(
    own_database_url: str, capsys: pytest.CaptureFixture[str], log_format: str, fault: str
) -> None:
    database = CommentDatabase(own_database_url)
    client = create_app(Config(log_format=log_format), database).test_client()
    author = {"Authorization": f"Bearer {KEY}"}
    client.post("/comments", json={"name": "Ada", "comment": "Hello"}, headers=author)
    sql(own_database_url, FAULTS[fault])
    body = {"name": NAME, "comment": TEXT}
    answers = [
        client.post("/comments", json=body, headers=author),
        client.post("/comments", json=body, headers=author | {"Idempotency-Key": IDEMPOTENCY_KEY}),
        client.patch("/comments/1", json=body, headers=author),
    ]
    database.close()
    log = capsys.readouterr().out
    assert {answer.status_code for answer in answers} <= {500, 503}
    assert len(re.findall("Unhandled exception|schema is not current", log)) == 3
    said = "".join([log, *(f"{answer.text}{answer.headers}" for answer in answers)])
    assert [secret for secret in SECRETS if secret in said] == []

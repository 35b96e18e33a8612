"""`make fuzz`: the attacks of tests/support/attacks.py for FUZZ_SECONDS, never the same twice."""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Response
from flask.testing import FlaskClient

from app import create_app
from config import Config
from db import CommentDatabase

from support.attacks import attack_in_process, attack_over_a_socket, schemathesis
from support.conversation import converse
from support.moderator import ADMIN, Site
from support.processes import serving

ATTACKS = 4
SECONDS = int(os.environ.get("FUZZ_SECONDS", "600")) // ATTACKS


def for_the_time(attack: Callable[[], None]) -> None:
    """Let hypothesis make its examples again and again until the time is over."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        attack()


def say(capsys: pytest.CaptureFixture[str], line: str) -> None:
    with capsys.disabled():
        print(f"\n{line}")


def test_what_openapi_yaml_allows_and_what_it_does_not(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(DATABASE_URL=database_url, ADMIN_TOKEN=ADMIN) as server:
        done = schemathesis(server.url, tmp_path, "--max-time", str(SECONDS))
        say(capsys, f"{server.output().count(' request method=')} requests by schemathesis")
    assert done.returncode == 0, done.stdout[-10_000:]
    assert "Traceback" not in done.stderr
    assert re.search(r"✅ +Stateful", done.stdout)


def test_requests_in_process(client: FlaskClient, database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    statuses: list[int] = []

    def count(response: Response) -> Response:
        statuses.append(response.status_code)
        return response

    client.application.after_request(count)
    moderated = Site(database_url, moderation="first", max_links=0)
    moderated.http.application.after_request(count)

    def attack() -> None:
        attack_in_process(client=client)
        attack_in_process(client=moderated.http)

    for_the_time(attack)
    moderated.database.close()
    say(capsys, f"{len(statuses)} requests in process")


def test_bytes_over_a_socket(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(DATABASE_URL=database_url, ADMIN_TOKEN=ADMIN, MODERATION="first") as server:
        for_the_time(lambda: attack_over_a_socket(server=server))
        answered = server.output().count(" request method=")
        refused = server.output().count("Invalid request from")
        say(capsys, f"{answered} requests over a socket, and {refused} that gunicorn refused")


def test_conversations(client: FlaskClient, database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Against the model, as in tests/api/test_conversation.py."""
    database = CommentDatabase(database_url)
    other = create_app(Config(), database).test_client()
    moderated = [Site(database_url, moderation="first") for _ in range(2)]
    rounds = 0

    def attack() -> None:
        nonlocal rounds
        converse([client, other], database_url, examples=25)
        converse([site.http for site in moderated], database_url, examples=25, moderator=ADMIN)
        rounds += 1

    for_the_time(attack)
    for each in (database, *(site.database for site in moderated)):
        each.close()
    say(capsys, f"{50 * rounds} conversations")

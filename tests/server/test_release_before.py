"""The release before this one works on the schema of this one: during an upgrade, and after a roll-back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from comment import Comment
from db import CommentDatabase
from moderation.database import ModerationDatabase
from postgres.migrations import names

from support.postgres import sql
from support.processes import FLASK, GUNICORN, Server, run, serving
from support.releases import release_before

KEY = b"x" * 32
HELLO = {"name": "Ada", "comment": "*Hello*"}


@pytest.fixture
def before(tmp_path: Path) -> Path:
    return release_before(tmp_path)


@pytest.fixture
def old(before: Path, database_url: str) -> Iterator[Server]:
    """Its server, on the schema of this release."""
    with serving(GUNICORN, before, DATABASE_URL=database_url, HOST="127.0.0.1") as server:
        yield server


def test_it_is_ready_and_reads_what_this_one_writes(old: Server, database: CommentDatabase) -> None:
    question = database.create_comment(Comment(None, "Ada", "*Hello*", verified=True), author_hash=KEY)
    reply = database.create_comment(Comment(None, "Grace", "Hi", parent_id=question.id))
    assert old.http.get("/readyz").status_code == 200
    shown = [question.to_dict() | {"verified": False}, reply.to_dict()]  # it knows nobody who is verified
    assert old.http.get("/comments").json()["comments"] == shown
    database.delete_comment(question)
    assert old.http.get("/comments").json()["comments"][0]["status"] == "deleted"
    assert old.http.get(f"/comments/{reply.id}").json() == shown[1]


def test_it_shows_nothing_that_is_held(old: Server, database: CommentDatabase) -> None:
    moderation = ModerationDatabase(database)
    for status in ("pending", "spam"):
        held = database.create_comment(Comment(None, "Ada", "Hello", status=status, reason="all"), author_hash=KEY)
        assert old.http.get(f"/comments/{held.id}").status_code == 404
    published = old.post(**HELLO).json()
    moderation.set_status([published["id"]], "spam")
    assert old.http.get("/comments").json() == {"comments": []}
    moderation.set_status([published["id"]], "published")
    assert old.http.get("/comments").json() == {"comments": [published]}


def test_this_one_reads_and_moderates_what_it_writes(old: Server, database: CommentDatabase) -> None:
    stored = old.post(**HELLO).json()
    reply = old.post(**HELLO, parent_id=stored["id"]).json()
    assert [comment.to_dict() for comment in database.get_page(9).comments] == [stored, reply]
    moderation = ModerationDatabase(database)
    assert moderation.set_status([stored["id"]], "pending") == 1
    assert (
        old.http.delete(f"/comments/{reply['id']}", headers={"Authorization": "Bearer " + "x" * 30}).status_code == 403
    )
    assert moderation.set_status([stored["id"]], "published") == 1
    assert [comment.to_dict() for comment in database.get_page(9).comments] == [stored, reply]


def test_a_comment_of_either_is_stored_once_if_the_other_gets_the_retry(
    old: Server, database: CommentDatabase, database_url: str
) -> None:
    def post(key: str) -> Any:
        return old.http.post("/comments", json=HELLO, headers={"Idempotency-Key": key}).json()

    first = post("old")
    assert database.create_comment(Comment(None, HELLO["name"], HELLO["comment"]), "old").id == first["id"]
    second = database.create_comment(Comment(None, HELLO["name"], HELLO["comment"]), "new")
    assert post("new")["id"] == second.id
    assert sql(database_url, "SELECT count(*) FROM comments") == [(2,)]


def test_its_commands_work(before: Path, old: Server, database_url: str) -> None:
    old.post(**HELLO)
    done = run([*FLASK, "delete-comment", "1"], before, DATABASE_URL=database_url)
    assert (done.returncode, done.stdout) == (0, "Deleted comment 1.\n")
    done = run([*FLASK, "migrate"], before, DATABASE_URL=database_url)
    assert (done.returncode, done.stdout) == (0, "The schema is up to date.\n")


def test_what_it_has_stored_survives_the_upgrade(before: Path, new_database: Any) -> None:
    url = new_database()
    assert run([*FLASK, "migrate"], before, DATABASE_URL=url).returncode == 0
    with serving(GUNICORN, before, DATABASE_URL=url, HOST="127.0.0.1") as old:
        stored = old.post(**HELLO).json()
        done = run([*FLASK, "migrate"], DATABASE_URL=url)
        assert (done.returncode, done.stderr, done.stdout.count("Applied")) == (0, "", len(names()) - 4)
        assert old.http.get("/comments/1").json() == stored
        assert old.post(**HELLO).status_code == 201, "it goes on"
    database = CommentDatabase(url)
    assert [comment.html for comment in database.get_page(9).comments] == ["<p><em>Hello</em></p>"] * 2
    database.close()

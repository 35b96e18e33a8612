"""`flask delete-comment ID` and `flask render`."""

import os
import pty
import signal
import subprocess
from contextlib import closing, suppress

import psycopg2
import pytest

import db
from comment import Comment
from db import CommentDatabase
from markup import render

from support.postgres import sql
from support.processes import FLASK, ROOT, environment, run, wait_for

DELETE = [*FLASK, "delete-comment"]
RENDER = [*FLASK, "render"]


def test_a_comment_is_deleted_for_good(database: CommentDatabase, database_url: str) -> None:
    for text in ("one", "two"):
        database.create_comment(Comment(None, "Ada", text))
    done = run([*DELETE, "1"], DATABASE_URL=database_url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Deleted comment 1.\n", "")
    assert [comment.comment for comment in database.get_page(limit=9).comments] == ["two"]
    assert database.create_comment(Comment(None, "Ada", "three")).id == 3, "an id is never given twice"


def test_there_is_none(database_url: str) -> None:
    done = run([*DELETE, "1"], DATABASE_URL=database_url)
    assert (done.returncode, done.stderr) == (1, "Error: There is no comment 1.\n")


@pytest.mark.parametrize("comment_id", ["x", "0", "9223372036854775808", "1; DROP TABLE comments"])
def test_what_is_no_id(database_url: str, comment_id: str) -> None:
    done = run([*DELETE, comment_id], DATABASE_URL=database_url)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_comment_with_replies_leaves_an_empty_one(database: CommentDatabase, database_url: str) -> None:
    database.create_comment(Comment(None, "Ada", "Hello"))
    database.create_comment(Comment(None, "Grace", "Hello, Ada", parent_id=1))
    for outcome in (0, 1):
        assert run([*DELETE, "1"], DATABASE_URL=database_url).returncode == outcome
    assert [(found.name, found.status) for found in database.get_page(limit=9).comments] == [
        ("", "deleted"),
        ("Grace", "published"),
    ]


@pytest.fixture
def without_html(database: CommentDatabase, database_url: str) -> None:
    """250 comments, most of them as an earlier release stored them. One is a tombstone."""
    rows = "SELECT 'Ada', '*' || n || '*', CASE WHEN n % 2 = 0 THEN '<p>old</p>' END FROM generate_series(1, 250) n"
    sql(database_url, f"INSERT INTO comments (name, comment, html) {rows}")
    sql(database_url, "UPDATE comments SET name = '', comment = '', html = '', status = 'deleted' WHERE id = 7")
    sql(database_url, "UPDATE comments SET html = '<p><em>9</em></p>' WHERE id = 9")


def html(database_url: str) -> dict[int, str | None]:
    return dict(sql(database_url, "SELECT id, html FROM comments"))


EXPECTED = {n: f"<p><em>{n}</em></p>" if n != 7 else "" for n in range(1, 251)}


@pytest.mark.usefixtures("without_html")
def test_all_html_is_made_again_and_nothing_else_changes(database_url: str) -> None:
    others = "SELECT id, name, comment, created_at, edited_at, status FROM comments ORDER BY id"
    before = sql(database_url, others)
    for changed in (248, 0):
        done = run(RENDER, DATABASE_URL=database_url)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"Rendered 250 comments: {changed} have changed.\n"
        assert html(database_url) == EXPECTED
    assert sql(database_url, others) == before


@pytest.mark.usefixtures("without_html")
def test_it_can_begin_behind_a_comment(database_url: str) -> None:
    done = run([*RENDER, "--after", "240"], DATABASE_URL=database_url)
    assert done.stdout == "Rendered 10 comments: 10 have changed.\n"
    assert html(database_url)[240] == "<p>old</p>"


@pytest.mark.usefixtures("without_html")
def test_a_text_that_is_edited_meanwhile_keeps_the_html_of_the_edit(
    database: CommentDatabase, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def render_late(text: str) -> str:
        sql(database_url, "UPDATE comments SET comment = 'edited', html = '<p>edited</p>' WHERE id = 5")
        return render(text)

    monkeypatch.setattr(db, "render", render_late)
    assert database.render(0) == db.Rendered(last_id=100, comments=100, changed=97)
    monkeypatch.undo()
    assert html(database_url)[5] == "<p>edited</p>"


@pytest.mark.usefixtures("without_html")
def test_it_can_be_stopped_and_says_how_to_go_on(database_url: str) -> None:
    """It waits for a row that another transaction has locked, and is interrupted. It shows a bar on a terminal."""
    terminal, its_side = pty.openpty()
    with closing(psycopg2.connect(database_url)) as holder, holder.cursor() as cursor:
        cursor.execute("UPDATE comments SET name = 'Grace' WHERE id = 150")
        process = subprocess.Popen(
            RENDER, cwd=ROOT, env=environment(DATABASE_URL=database_url), stdout=subprocess.DEVNULL, stderr=its_side
        )
        waits = "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
        wait_for(lambda: sql(database_url, waits), "the second hundred to wait")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 1
    os.close(its_side)
    said = read_all(terminal)
    assert "40%" in said
    assert "Stopped. To go on: flask render --after 100" in said
    assert {n: text for n, text in html(database_url).items() if n <= 100} == {n: EXPECTED[n] for n in range(1, 101)}
    assert run([*RENDER, "--after", "100"], DATABASE_URL=database_url).returncode == 0
    assert html(database_url) == EXPECTED


def read_all(terminal: int) -> str:
    """What was written to a pseudo-terminal whose other side is closed."""
    said = b""
    with suppress(OSError):
        while piece := os.read(terminal, 1000):
            said += piece
    os.close(terminal)
    return said.decode()


def test_without_comments_there_is_nothing_to_render(database_url: str) -> None:
    assert run(RENDER, DATABASE_URL=database_url).stdout == "Rendered 0 comments: 0 have changed.\n"


def test_without_a_database_it_says_so() -> None:
    done = run(RENDER, DATABASE_URL="postgresql://127.0.0.1:1/x")
    assert done.returncode == 1
    assert done.stderr.startswith("Stopped. To go on: flask render --after 0\nError: The database does not answer")

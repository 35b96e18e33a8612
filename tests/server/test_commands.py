"""`flask delete-comment ID`."""

import pytest

from comment import Comment
from db import CommentDatabase

from support.processes import FLASK, run

DELETE = [*FLASK, "delete-comment"]


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

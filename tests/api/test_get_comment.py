"""GET /comments/ID."""

import pytest
from flask.testing import FlaskClient

from comment import Comment
from db import CommentDatabase


def test_a_comment(client: FlaskClient, database: CommentDatabase) -> None:
    stored = database.create_comment(Comment(None, "Ada", "Hello", "/post"))
    response = client.get("/comments/1")
    assert (response.status_code, response.json) == (200, stored.to_dict())
    assert client.head("/comments/1").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        *("2", "0", "-1", "+1", "01", "1.0", "1e0", "x", "1%00", "%201", "%EF%BC%91", "1/2", "%ff"),
        *("9223372036854775807", "9223372036854775808", "9" * 100, "9" * 5000),
    ],
)
def test_there_is_none(client: FlaskClient, database: CommentDatabase, path: str) -> None:
    database.create_comment(Comment(None, "Ada", "Hello"))
    assert client.get(f"/comments/{path}").status_code == 404

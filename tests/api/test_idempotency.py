"""Idempotency-Key: a retry is stored once and answered by the first comment."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from comment import Comment
from db import CommentDatabase
from moderation import finding
from postgres.deadline import Connection

HELLO = {"name": "Ada", "comment": "Hello"}


@pytest.fixture
def post(client: FlaskClient) -> Callable[..., Any]:
    return lambda key, **fields: client.post("/comments", json={**HELLO, **fields}, headers={"Idempotency-Key": key})


def test_a_retry_gets_the_first_comment_again(client: FlaskClient, post: Callable[..., Any]) -> None:
    first, second = post("key"), post("key")
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json == first.json
    assert second.headers["Location"] == first.headers["Location"]
    assert client.get("/comments").json == {"comments": [first.json]}


def test_the_content_is_compared_after_the_cutting(post: Callable[..., Any]) -> None:
    assert post("key", comment=" Hello\n", thread=" ", x=1).json == post("key", thread=None).json


@pytest.mark.parametrize("fields", [{"name": "Grace"}, {"comment": "hello"}])
def test_other_content_under_the_same_key_is_422(
    client: FlaskClient, post: Callable[..., Any], fields: dict[str, str]
) -> None:
    first = post("key")
    response = post("key", **fields)
    assert response.status_code == 422
    assert response.json == {"error": "This Idempotency-Key belongs to another comment."}
    assert client.get("/comments").json == {"comments": [first.json]}


def test_another_thread_and_another_key_are_another_matter(client: FlaskClient, post: Callable[..., Any]) -> None:
    answers = [post("key"), post("key", thread="a"), post("KEY"), post("key", thread="b", comment="other")]
    assert [answer.json["id"] for answer in answers] == [1, 2, 3, 4]


def test_without_a_key_the_same_is_stored_again(client: FlaskClient) -> None:
    assert [client.post("/comments", json=HELLO).get_json()["id"] for _ in range(2)] == [1, 2]


@pytest.mark.parametrize("key", ["!", "~" * 255, '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "a,b;c=d"])
def test_any_visible_ascii_is_a_key(post: Callable[..., Any], key: str) -> None:
    assert post(key).json == post(key).json


@pytest.mark.parametrize("key", ["", "a b", "~" * 256, "\t", "é", "a\x7f"])
def test_what_is_no_key_is_400(client: FlaskClient, post: Callable[..., Any], key: str) -> None:
    response = post(key)
    assert response.status_code == 400
    assert response.json == {"error": "The Idempotency-Key must be 1 to 255 visible ASCII characters."}
    assert client.get("/comments").json == {"comments": []}


def test_a_refused_comment_leaves_its_key_free(post: Callable[..., Any]) -> None:
    assert post("key", name="").status_code == 400
    assert post("key").status_code == 201


def test_the_key_of_a_deleted_comment_is_free_again(database: CommentDatabase, post: Callable[..., Any]) -> None:
    post("key")
    assert database.delete_comment(Comment(1, "Ada", "Hello"))
    assert post("key", comment="other").status_code == 201


def test_a_comment_that_is_deleted_while_its_key_is_looked_up(
    database: CommentDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = database.create_comment(Comment(None, "Ada", "Hello"), "key")
    fetch = Connection.fetch

    def delete_before_select(connection: Connection, statement: str, parameters: Any = ()) -> Any:
        if statement == finding.FIND_BY_KEY:
            fetch(connection, "DELETE FROM comments RETURNING id")
        return fetch(connection, statement, parameters)

    monkeypatch.setattr(Connection, "fetch", delete_before_select)
    second = database.create_comment(Comment(None, "Ada", "Hello"), "key")
    monkeypatch.undo()
    assert second.id != first.id
    assert database.get_comment(second.id or 0) == second

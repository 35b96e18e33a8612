"""Replies: a comment answers another one of its thread."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from support.postgres import sql

NO_PARENT = {"error": "The comment that this answers does not exist."}


@pytest.fixture
def post(client: FlaskClient) -> Callable[..., Any]:
    return lambda **fields: client.post("/comments", json={"name": "Ada", "comment": "Hello", **fields})


def test_a_reply_names_the_comment_that_it_answers(client: FlaskClient, post: Callable[..., Any]) -> None:
    question = post(thread="/post").json
    reply = post(thread="/post", parent_id=question["id"])
    assert (reply.status_code, reply.json["parent_id"]) == (201, question["id"])
    assert question["parent_id"] is None
    assert client.get("/comments?thread=/post").json == {"comments": [question, reply.json]}


def test_replies_may_be_nested_to_any_depth_and_a_parent_comes_first(
    client: FlaskClient, post: Callable[..., Any]
) -> None:
    ids = [post().json["id"]]
    for _ in range(50):
        ids.append(post(parent_id=ids[-1]).json["id"])
    page = client.get("/comments").get_json()["comments"]
    assert [(comment["id"], comment["parent_id"]) for comment in page] == list(zip(ids, [None, *ids], strict=False))


def test_a_parent_that_does_not_exist_is_400(post: Callable[..., Any], database_url: str) -> None:
    response = post(parent_id=1)  # it would be the id of this comment
    assert (response.status_code, response.json) == (400, NO_PARENT)
    for parent_id in (1, 2, 2**63 - 1):
        assert post(parent_id=parent_id).json == NO_PARENT
    assert sql(database_url, "SELECT * FROM comments") == []


def test_nobody_answers_himself(post: Callable[..., Any], database_url: str) -> None:
    """Whoever guesses the id that his comment will have."""
    for _ in range(3):
        (next_id,) = sql(database_url, "SELECT last_value + is_called::int FROM comments_id_seq")[0]
        assert post(parent_id=next_id).json == NO_PARENT
    assert sql(database_url, "SELECT * FROM comments") == []


@pytest.mark.parametrize("thread", ["", "/other", "/POST"])
def test_a_parent_in_another_thread_is_400(post: Callable[..., Any], thread: str) -> None:
    question = post(thread="/post").json
    response = post(thread=thread, parent_id=question["id"])
    assert (response.status_code, response.json) == (400, NO_PARENT)


@pytest.mark.parametrize("value", ["1", 1.0, 1.5, 0, -1, 2**63, [1], {}, True])
def test_what_is_no_id_is_400(post: Callable[..., Any], value: object) -> None:
    post()
    response = post(parent_id=value)
    assert response.status_code == 400
    assert response.json == {"error": "Parent_id must be a whole number from 1 to 9223372036854775807."}


def test_null_is_no_parent(post: Callable[..., Any]) -> None:
    assert post(parent_id=None).json["parent_id"] is None


def test_a_retry_must_answer_the_same_comment(client: FlaskClient, post: Callable[..., Any]) -> None:
    first, second = post().json["id"], post().json["id"]

    def retry(parent_id: int | None) -> Any:
        body = {"name": "Ada", "comment": "Hello", "parent_id": parent_id}
        return client.post("/comments", json=body, headers={"Idempotency-Key": "key"})

    stored = retry(first)
    assert (stored.status_code, retry(first).json) == (201, stored.json)
    assert [retry(parent_id).status_code for parent_id in (second, None, 99)] == [422, 422, 422]
    assert len(client.get("/comments").get_json()["comments"]) == 3

"""PATCH and DELETE /comments/ID: an author edits and deletes his own comment, by his key."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from flask.testing import FlaskClient

from app import create_app
from config import Config
from db import CommentDatabase

from support.postgres import sql

KEY = "0123456789abcdefghijkl"  # the shortest
OTHER = "another-author_s-key-1"
NO_COMMENT = {"error": "There is no comment with this id."}
NOT_YOURS = {"error": "This is not the key of the comment's author."}

Post = Callable[..., dict[str, Any]]


def bearer(key: str = KEY, **headers: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}", **{name.replace("_", "-"): value for name, value in headers.items()}}


@pytest.fixture
def post(client: FlaskClient) -> Post:
    """Post with the author's key; returns the comment."""

    def send(comment: str = "Hello", key: str = KEY, **fields: object) -> dict[str, Any]:
        response = client.post("/comments", json={"name": "Ada", "comment": comment, **fields}, headers=bearer(key))
        assert response.status_code == 201
        found: dict[str, Any] = response.get_json()
        return found

    return send


@pytest.fixture(params=["PATCH", "DELETE"])
def change(request: pytest.FixtureRequest, client: FlaskClient) -> Callable[..., Any]:
    """A request that would change the comment 1."""

    def send(**headers: str) -> Any:
        environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
        body = {"comment": "Changed"}
        return client.open("/comments/1", method=request.param, json=body, environ_overrides=environ)

    return send


def listed(client: FlaskClient) -> list[dict[str, Any]]:
    comments: list[dict[str, Any]] = client.get("/comments").get_json()["comments"]
    return comments


def test_an_edit_changes_the_text_and_its_html(client: FlaskClient, post: Post) -> None:
    before = post()
    response = client.patch("/comments/1", json={"comment": " *Bye* "}, headers=bearer())
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    after = response.get_json()
    assert after == {**before, "comment": "*Bye*", "html": "<p><em>Bye</em></p>", "edited_at": after["edited_at"]}
    assert before["created_at"] < after["edited_at"]
    found = client.get("/comments/1")
    assert (found.json, found.headers["ETag"]) == (after, response.headers["ETag"])
    assert listed(client) == [after]


def test_an_edit_changes_the_name_and_leaves_the_text(client: FlaskClient, post: Post) -> None:
    before = post("*Hello*")
    after = client.patch("/comments/1", json={"name": "Grace"}, headers=bearer()).get_json()
    assert after == {**before, "name": "Grace", "edited_at": after["edited_at"]}


def test_an_edit_changes_both(client: FlaskClient, post: Post) -> None:
    post()
    after = client.patch("/comments/1", json={"name": "Grace", "comment": "Bye"}, headers=bearer()).get_json()
    assert (after["name"], after["comment"]) == ("Grace", "Bye")


def test_an_edit_changes_nothing_else(client: FlaskClient, post: Post) -> None:
    post(thread="/post")
    before = post(thread="/post", parent_id=1)
    others = {"thread": "/other", "id": 9, "parent_id": None, "created_at": None, "status": "deleted", "html": "<b>"}
    after = client.patch("/comments/2", json={"name": "Grace", **others}, headers=bearer()).get_json()
    assert after == {**before, "name": "Grace", "edited_at": after["edited_at"]}


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "Name or comment is required."),
        ({"thread": "/other"}, "Name or comment is required."),
        ({"comment": " \n"}, "Comment is required."),
        ({"comment": None}, "Comment is required."),
        ({"name": "\u200b"}, "Name must contain a visible character."),
        ([], "The body must be a JSON object."),
    ],
)
def test_an_edit_that_is_not_valid_changes_nothing(
    client: FlaskClient, post: Post, body: object, sentence: str
) -> None:
    before = post()
    response = client.patch("/comments/1", json=body, headers=bearer())
    assert (response.status_code, response.json) == (400, {"error": sentence})
    assert listed(client) == [before]


def test_an_edit_is_json(client: FlaskClient, post: Post) -> None:
    post()
    assert client.patch("/comments/1", data="comment=Bye", headers=bearer()).status_code == 415
    merge_patch = {"data": '{"comment": "Bye"}', "content_type": "application/merge-patch+json"}
    assert client.patch("/comments/1", **merge_patch, headers=bearer()).status_code == 200


def test_a_comment_without_replies_is_gone(client: FlaskClient, post: Post, database_url: str) -> None:
    post()
    response = client.delete("/comments/1", headers=bearer())
    assert (response.status_code, response.data) == (204, b"")
    assert "Content-Type" not in response.headers
    assert sql(database_url, "SELECT * FROM comments") == []
    assert (client.get("/comments/1").status_code, listed(client)) == (404, [])
    again = client.delete("/comments/1", headers=bearer())
    assert (again.status_code, again.json) == (404, NO_COMMENT)


def test_a_comment_with_replies_becomes_a_tombstone(client: FlaskClient, post: Post, database_url: str) -> None:
    client.post("/comments", json={"name": "Ada", "comment": "Hello"}, headers=bearer(Idempotency_Key="key"))
    client.patch("/comments/1", json={"comment": "Hi"}, headers=bearer())
    before, reply = client.get("/comments/1").get_json(), post(parent_id=1)
    assert client.delete("/comments/1", headers=bearer()).status_code == 204
    tombstone = {**before, "name": "", "comment": "", "html": "", "status": "deleted", "edited_at": None}
    assert listed(client) == [tombstone, reply]
    assert client.get("/comments/1").json == tombstone
    erased = "SELECT name, comment, html, edited_at, author_hash, idempotency_key FROM comments WHERE id = 1"
    assert sql(database_url, erased) == [("", "", "", None, None, None)]
    for again in (
        client.delete("/comments/1", headers=bearer()),
        client.patch("/comments/1", json={"name": "Ada"}, headers=bearer()),
    ):
        assert (again.status_code, again.json) == (404, NO_COMMENT)


def test_a_tombstone_can_be_answered(client: FlaskClient, post: Post) -> None:
    post()
    post(parent_id=1)
    client.delete("/comments/1", headers=bearer())
    assert post(parent_id=1)["parent_id"] == 1


def test_with_its_last_reply_a_tombstone_goes_all_the_way_up(client: FlaskClient, post: Post) -> None:
    """1 is answered by 2, that by 3, that by 4 and 5."""
    for parent_id in (None, 1, 2, 3, 3):
        post(parent_id=parent_id)
    for comment_id, left in [(2, 5), (1, 5), (3, 5), (5, 4), (4, 0)]:
        assert client.delete(f"/comments/{comment_id}", headers=bearer()).status_code == 204
        assert len(listed(client)) == left
    assert post(key=OTHER)["id"] == 6


def test_a_tombstone_stays_below_a_comment_and_above_a_reply(client: FlaskClient, post: Post) -> None:
    for parent_id in (None, 1, 2):
        post(parent_id=parent_id)
    client.delete("/comments/2", headers=bearer())
    client.delete("/comments/3", headers=bearer())
    assert [comment["id"] for comment in listed(client)] == [1]


def test_without_a_key_it_is_401(change: Callable[..., Any], client: FlaskClient, post: Post) -> None:
    before = post()
    response = change()
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert response.json == {"error": "This needs the key of the comment's author: Authorization: Bearer KEY."}
    assert listed(client) == [before]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Basic {KEY}",
        KEY,
        f"Bearer {KEY[:21]}",
        f"Bearer {'x' * 256}",
        f"Bearer {KEY} {KEY}",
        f"Bearer {KEY},Bearer {KEY}",  # twice, as gunicorn joins them
        f"Bearer\t{KEY}",
        f"Bearer {KEY[:-1]}é",
        f"Bearer {KEY}!",
        f"Bearer {KEY}\x00",
    ],
)
def test_what_is_no_key_is_401_also_with_a_post(
    change: Callable[..., Any], client: FlaskClient, post: Post, value: str
) -> None:
    before = post()
    hello = {"name": "Ada", "comment": "Hello"}
    posted = client.post("/comments", json=hello, environ_overrides={"HTTP_AUTHORIZATION": value})
    for response in (change(Authorization=value), posted):
        assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert listed(client) == [before]


@pytest.mark.parametrize("key", [KEY, "x" * 255, "AZaz09._~+/=-AZaz09._~+/=-", "=" * 22])
@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER   "])
def test_what_is_a_key(client: FlaskClient, database_url: str, key: str, scheme: str) -> None:
    headers = {"Authorization": scheme + key}
    assert client.post("/comments", json={"name": "Ada", "comment": "Hello"}, headers=headers).status_code == 201
    assert bytes(sql(database_url, "SELECT author_hash FROM comments")[0][0]) == sha256(key.encode()).digest()
    assert client.delete("/comments/1", headers=headers).status_code == 204


def test_another_s_key_is_403(change: Callable[..., Any], client: FlaskClient, post: Post) -> None:
    before = post()
    response = change(**bearer(OTHER))
    assert (response.status_code, response.json) == (403, NOT_YOURS)
    assert listed(client) == [before]


def test_a_comment_without_a_key_is_nobody_s(change: Callable[..., Any], client: FlaskClient) -> None:
    client.post("/comments", json={"name": "Ada", "comment": "Hello"})
    response = change(**bearer())
    assert (response.status_code, response.json) == (403, NOT_YOURS)
    assert len(listed(client)) == 1


@pytest.mark.parametrize("comment_id", ["1", "0", "x", "9223372036854775808", "01"])
def test_what_is_not_there_is_404(client: FlaskClient, comment_id: str) -> None:
    for response in (
        client.patch(f"/comments/{comment_id}", json={"name": "Ada"}, headers=bearer()),
        client.delete(f"/comments/{comment_id}", headers=bearer()),
    ):
        assert (response.status_code, response.json) == (404, NO_COMMENT)


def with_minutes(database: CommentDatabase, minutes: int) -> FlaskClient:
    return create_app(Config(edit_minutes=minutes), database).test_client()


@pytest.mark.parametrize(("minutes", "age", "status"), [(15, 14, 200), (15, 16, 403), (60, 59, 200), (1, 2, 403)])
def test_a_comment_can_be_edited_for_some_minutes_and_deleted_at_any_time(
    database: CommentDatabase, database_url: str, post: Post, minutes: int, age: int, status: int
) -> None:
    post()
    sql(database_url, "UPDATE comments SET created_at = now() - make_interval(mins => %s)", age)
    client = with_minutes(database, minutes)
    response = client.patch("/comments/1", json={"comment": "Late"}, headers=bearer())
    assert response.status_code == status
    if status == 403:
        assert response.json == {"error": f"A comment can be edited for {minutes} minutes after it was posted."}
        assert listed(client)[0]["comment"] == "Hello"
    assert client.delete("/comments/1", headers=bearer()).status_code == 204


def test_with_0_minutes_nothing_is_edited(database: CommentDatabase, post: Post) -> None:
    post()
    response = with_minutes(database, 0).patch("/comments/1", json={"comment": "Changed"}, headers=bearer())
    assert (response.status_code, response.json) == (403, {"error": "Comments can't be edited here."})


def test_if_match_guards_against_a_lost_update(change: Callable[..., Any], client: FlaskClient, post: Post) -> None:
    post()
    tag = client.get("/comments/1").headers["ETag"]
    after = client.patch("/comments/1", json={"comment": "First"}, headers=bearer()).get_json()
    response = change(**bearer(If_Match=tag))
    assert (response.status_code, response.json) == (412, {"error": "The comment has changed; get it again."})
    assert listed(client) == [after]


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
def test_if_match_lets_the_version_pass_that_it_names(
    change: Callable[..., Any], client: FlaskClient, post: Post, form: str
) -> None:
    post()
    tag = client.get("/comments/1").headers["ETag"]
    assert change(**bearer(If_Match=form.format(tag))).status_code in (200, 204)


@pytest.mark.parametrize("value", ["", '"', "x", '"x"', "W/*", "\u00e9"])
def test_if_match_with_anything_else_is_412(
    change: Callable[..., Any], client: FlaskClient, post: Post, value: str
) -> None:
    post()
    assert change(**bearer(If_Match=value)).status_code == 412
    assert listed(client)[0]["comment"] == "Hello"


def test_a_key_comes_before_everything_else(client: FlaskClient, post: Post) -> None:
    post()
    assert client.patch("/comments/1", data=b"x").status_code == 401
    assert client.patch("/comments/9", json={"name": ""}, headers=bearer()).status_code == 400
    assert client.patch("/comments/1", json={"name": "A"}, headers=bearer(OTHER, If_Match='"x"')).status_code == 403


@pytest.mark.parametrize("key", [OTHER, None])
def test_a_retry_must_have_the_same_key(client: FlaskClient, key: str | None) -> None:
    hello = {"name": "Ada", "comment": "Hello"}
    first = client.post("/comments", json=hello, headers=bearer(Idempotency_Key="key"))
    assert client.post("/comments", json=hello, headers=bearer(Idempotency_Key="key")).json == first.json
    headers = {"Idempotency-Key": "key", **(bearer(key) if key else {})}
    response = client.post("/comments", json=hello, headers=headers)
    assert (response.status_code, response.json) == (422, {"error": "This Idempotency-Key belongs to another comment."})
    assert listed(client) == [first.json]


def test_a_retry_after_an_edit_gets_the_comment_as_it_is(client: FlaskClient) -> None:
    """A POST can be sent again by a client or a proxy long after its first answer."""
    hello, headers = {"name": "Ada", "comment": "Hello"}, bearer(Idempotency_Key="key")
    client.post("/comments", json=hello, headers=headers)
    edited = client.patch("/comments/1", json={"comment": "Bye"}, headers=bearer()).json
    again = client.post("/comments", json=hello, headers=headers)
    assert (again.status_code, again.json) == (201, edited)
    assert client.post("/comments", json=hello, headers=bearer(OTHER, Idempotency_Key="key")).status_code == 422
    assert listed(client) == [edited]


def test_a_retry_after_a_deletion_is_a_new_comment(client: FlaskClient, post: Post) -> None:
    hello, headers = {"name": "Ada", "comment": "Hello"}, bearer(Idempotency_Key="key")
    client.post("/comments", json=hello, headers=headers)
    post(parent_id=1)
    client.delete("/comments/1", headers=bearer())
    assert client.post("/comments", json=hello, headers=headers).get_json()["id"] == 3


def test_no_answer_shows_the_key_or_its_hash(client: FlaskClient, post: Post) -> None:
    post()
    digest = sha256(KEY.encode())
    for response in (
        client.get("/comments", headers=bearer()),
        client.get("/comments/1", headers=bearer()),
        client.patch("/comments/1", json={"comment": "Bye"}, headers=bearer()),
        client.patch("/comments/1", json={"comment": "Bye"}, headers=bearer(OTHER)),
        client.delete("/comments/1", headers=bearer("!" * 30)),
    ):
        text = f"{response.text}{response.headers}"
        assert not any(secret in text for secret in (KEY, OTHER, digest.hexdigest(), str(digest.digest())))

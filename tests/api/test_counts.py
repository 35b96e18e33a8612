"""GET /counts."""

from typing import Any
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient

from comment import Comment
from db import CommentDatabase
from statements import COUNTED
from web.comments import MAX_THREADS

from support.moderator import Site
from support.postgres import sql


def store(database: CommentDatabase, thread: str, **fields: Any) -> Comment:
    return database.create_comment(Comment(None, "Ada", "Hello", thread, **fields))


def counts(client: FlaskClient, *threads: str) -> dict[str, int]:
    """The answer for these threads, none of which has more."""
    response = client.get("/counts", query_string={"thread": threads})
    assert response.status_code == 200, response.text
    assert list(response.get_json()) == ["counts"]
    found: dict[str, int] = response.get_json()["counts"]
    return found


@pytest.fixture
def stored(database: CommentDatabase) -> list[Comment]:
    """Comments in four threads."""
    return [store(database, thread) for thread in ["/a", "/b", "/a", "", "/a", "/aa", "/"]]


@pytest.mark.usefixtures("stored")
def test_each_thread_has_its_own_count(client: FlaskClient) -> None:
    response = client.get("/counts?thread=/a&thread=/b&thread=/nobody's")
    assert response.status_code == 200
    assert response.content_type == "application/json"
    assert response.data == b'{"counts": {"/a": 3, "/b": 1, "/nobody\'s": 0}}\n'


@pytest.mark.usefixtures("stored")
def test_the_empty_thread_is_one_too(client: FlaskClient) -> None:
    assert client.get("/counts?thread=").json == {"counts": {"": 1}}
    assert client.get("/counts?thread").json == {"counts": {"": 1}}


@pytest.mark.usefixtures("stored")
def test_they_are_in_the_order_of_the_request(client: FlaskClient) -> None:
    assert list(counts(client, "/b", "z", "/a", "", "/aa").items()) == [
        ("/b", 1),
        ("z", 0),
        ("/a", 3),
        ("", 1),
        ("/aa", 1),
    ]


@pytest.mark.usefixtures("stored")
def test_a_thread_that_is_repeated_counts_once(client: FlaskClient) -> None:
    assert list(counts(client, "/b", "/a", "/b", " /a", "/b").items()) == [("/b", 1), ("/a", 3)]


@pytest.mark.usefixtures("stored")
def test_a_thread_is_cleaned_as_that_of_a_page(client: FlaskClient) -> None:
    assert client.get("/counts?thread=%20/a+&thread=+").json == {"counts": {"/a": 3, "": 1}}


@pytest.mark.parametrize("thread", ["%", "a'b\"\\", "{,}", "NULL", "\U0001f600" * 512, "__proto__", "1"])
def test_a_thread_may_be_any_text(client: FlaskClient, database: CommentDatabase, thread: str) -> None:
    store(database, thread)
    assert counts(client, "x", thread) == {"x": 0, thread: 1}


@pytest.mark.usefixtures("stored")
def test_other_parameters_are_ignored(client: FlaskClient) -> None:
    assert client.get("/counts?limit=0&thread=/b&Thread=/a&status=pending&%ff=%ff&x=%00").json == {"counts": {"/b": 1}}


def test_a_tombstone_does_not_count(client: FlaskClient, database: CommentDatabase) -> None:
    parent = store(database, "/a")
    reply = store(database, "/a", parent_id=parent.id)
    assert counts(client, "/a") == {"/a": 2}
    database.delete_comment(parent)
    assert len(database.get_page(9, thread="/a").comments) == 2
    assert counts(client, "/a") == {"/a": 1}
    database.delete_comment(reply)
    assert counts(client, "/a") == {"/a": 0}


def test_what_is_held_does_not_count(database_url: str) -> None:
    site = Site(database_url, moderation="all")
    for _ in range(3):
        site.post(thread="/a")
    assert counts(site.http, "/a") == {"/a": 0}
    site.decide(1, "published")
    site.decide(2, "spam")
    assert counts(site.http, "/a") == {"/a": 1}
    site.decide(1, "pending")
    assert counts(site.http, "/a") == {"/a": 0}
    site.database.close()


def store_many(url: str, thread: str, rows: int) -> None:
    sql(
        url,
        "INSERT INTO comments (thread, name, comment) SELECT %s, 'Ada', 'Hello' FROM generate_series(1, %s)",
        thread,
        rows,
    )


def test_a_thread_is_counted_up_to_a_thousand(client: FlaskClient, database_url: str) -> None:
    for thread, rows in {"/a": COUNTED, "/b": COUNTED + 1, "/c": 2, "/d": COUNTED * 3}.items():
        store_many(database_url, thread, rows)
    assert COUNTED == 1000
    assert client.get("/counts?thread=/a&thread=/c").json == {"counts": {"/a": 1000, "/c": 2}}
    response = client.get("/counts?thread=/d&thread=/c&thread=/a&thread=/b&thread=/d")
    assert response.json == {"counts": {"/d": 1000, "/c": 2, "/a": 1000, "/b": 1000}, "more": ["/d", "/b"]}


def test_tombstones_are_among_the_rows_that_are_read(client: FlaskClient, database_url: str) -> None:
    """The count of a thread with more is never too high. A thread of tombstones costs no more than another one."""
    store_many(database_url, "/a", COUNTED + 500)
    erase = "UPDATE comments SET status = 'deleted', name = '', comment = '', html = '' WHERE id <= %s"
    sql(database_url, erase, 600)
    assert client.get("/counts?thread=/a").json == {"counts": {"/a": COUNTED + 1 - 600}, "more": ["/a"]}
    sql(database_url, erase, COUNTED + 500)
    assert client.get("/counts?thread=/a").json == {"counts": {"/a": 0}, "more": ["/a"]}


def test_a_hundred_threads_at_once(client: FlaskClient, database: CommentDatabase) -> None:
    store(database, "/99")
    threads = [f"/{n}" for n in range(MAX_THREADS)]
    assert MAX_THREADS == 100
    assert list(counts(client, *threads).items()) == [*((thread, 0) for thread in threads[:-1]), ("/99", 1)]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "Thread=/a",
        "x=thread",
        urlencode([("thread", f"/{n}") for n in range(101)]),
        urlencode([("thread", "/a")] * 101),
    ],
    ids=["nothing", "upper case", "another", "101", "101 times the same"],
)
def test_no_thread_or_too_many_is_400(client: FlaskClient, query: str) -> None:
    response = client.get(f"/counts?{query}")
    assert (response.status_code, response.json) == (400, {"error": "Thread must be given 1 to 100 times."})


@pytest.mark.parametrize(
    ("thread", "sentence"),
    [
        ("x" * 513, "Thread must not be longer than 512 characters."),
        ("a%00b", "Thread must not contain the character NUL."),
        ("%ff", "Thread must be Unicode text: it contains a lone surrogate."),
    ],
)
def test_one_bad_thread_is_400(client: FlaskClient, thread: str, sentence: str) -> None:
    response = client.get(f"/counts?thread=/a&thread={thread}&thread=/b")
    assert (response.status_code, response.json) == (400, {"error": sentence})


def test_what_has_not_changed_is_304(client: FlaskClient, database: CommentDatabase) -> None:
    path = "/counts?thread=/a&thread=/b"
    tag = {"If-None-Match": client.get(path).headers["ETag"]}
    store(database, "/elsewhere")
    response = client.get(path, headers=tag)
    assert (response.status_code, response.data) == (304, b"")
    store(database, "/b")
    response = client.get(path, headers=tag)
    assert (response.status_code, response.json) == (200, {"counts": {"/a": 0, "/b": 1}})


def test_head_is_a_get_without_the_body(client: FlaskClient) -> None:
    get, head = client.get("/counts?thread=/a"), client.head("/counts?thread=/a")
    assert (head.status_code, head.data) == (200, b"")
    for name in ("Content-Type", "Content-Length", "ETag", "Cache-Control"):
        assert head.headers[name] == get.headers[name]


def test_a_slash_at_the_end_changes_nothing(client: FlaskClient) -> None:
    assert client.get("/counts/?thread=/a").json == {"counts": {"/a": 0}}

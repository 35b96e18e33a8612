"""GET /comments."""

from collections.abc import Iterator
from itertools import chain
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient

from comment import Comment
from db import CommentDatabase

from support.postgres import sql


@pytest.fixture
def comments(database: CommentDatabase) -> list[dict[str, object]]:
    """Five comments in two threads."""
    threads = ["a", "b", "a", "", "a"]
    return [database.create_comment(Comment(None, "Ada", f"{n}", thread)).to_dict() for n, thread in enumerate(threads)]


def walk(client: FlaskClient, url: str) -> Iterator[list[Any]]:
    """The pages from this one to the last."""
    next_url: str | None = url
    while next_url:
        response = client.get(next_url)
        assert response.status_code == 200
        yield response.get_json()["comments"]
        next_url = response.get_json().get("next")


def test_there_are_none_yet(client: FlaskClient) -> None:
    response = client.get("/comments")
    assert (response.status_code, response.json) == (200, {"comments": []})
    assert response.content_type == "application/json"


def test_all_threads_by_ascending_id(client: FlaskClient, comments: list[dict[str, object]]) -> None:
    response = client.get("/comments")
    assert response.json == {"comments": comments}
    assert "Link" not in response.headers


def test_the_fields_come_in_the_contract_s_order(client: FlaskClient, comments: list[dict[str, object]]) -> None:
    fields = ["id", "name", "comment", "thread", "created_at", "parent_id", "html", "status", "edited_at", "verified"]
    assert list(client.get("/comments").get_json()["comments"][0]) == fields


def test_one_thread(client: FlaskClient, comments: list[dict[str, object]]) -> None:
    assert client.get("/comments?thread=a").get_json()["comments"] == [comments[0], comments[2], comments[4]]
    assert client.get("/comments?thread=%20a+").get_json()["comments"] == [comments[0], comments[2], comments[4]]
    assert client.get("/comments?thread=").get_json()["comments"] == [comments[3]]
    assert client.get("/comments?thread=nobody's").get_json()["comments"] == []


def test_a_page_that_is_not_the_last_names_the_next(client: FlaskClient, comments: list[dict[str, object]]) -> None:
    response = client.get("/comments?limit=2")
    assert response.json == {"comments": comments[:2], "next": "/comments?after=2&limit=2"}
    assert response.headers["Link"] == '</comments?after=2&limit=2>; rel="next"'
    response = client.get("/comments?after=2&limit=3")
    assert response.json == {"comments": comments[2:]}
    assert "Link" not in response.headers


def test_next_keeps_thread_and_limit(client: FlaskClient, database: CommentDatabase) -> None:
    thread = "/a?b=c&d#e%20 é+'\"<>"
    stored = [database.create_comment(Comment(None, "Ada", f"{n}", thread)).to_dict() for n in range(3)]
    response = client.get("/comments", query_string={"thread": thread, "limit": "1", "other": "x"})
    assert parse_qs(urlsplit(response.get_json()["next"]).query) == {"thread": [thread], "limit": ["1"], "after": ["1"]}
    assert response.headers["Link"] == f'<{response.get_json()["next"]}>; rel="next"'
    assert list(walk(client, response.get_json()["next"])) == [[stored[1]], [stored[2]]]


def test_next_keeps_the_empty_thread(client: FlaskClient, database: CommentDatabase) -> None:
    for thread in ("", "", "a"):
        database.create_comment(Comment(None, "Ada", "x", thread))
    assert [len(page) for page in walk(client, "/comments?thread=&limit=1")] == [1, 1]


def test_the_default_limit_is_100(client: FlaskClient, database: CommentDatabase) -> None:
    stored = [database.create_comment(Comment(None, "Ada", f"{n}")).to_dict() for n in range(201)]
    pages = list(walk(client, "/comments"))
    assert [len(page) for page in pages] == [100, 100, 1]
    assert list(chain(*pages)) == stored
    assert [len(page) for page in walk(client, "/comments?limit=200")] == [200, 1]
    assert [len(page) for page in walk(client, "/comments?limit=67")] == [67, 67, 67]


def test_of_a_repeated_parameter_the_first_counts(client: FlaskClient, comments: list[dict[str, object]]) -> None:
    assert client.get("/comments?limit=1&limit=zero&after=3&after=0").get_json()["comments"] == [comments[3]]
    assert client.get("/comments?limit=zero&limit=1").status_code == 400


def test_other_parameters_are_ignored(client: FlaskClient, comments: list[dict[str, object]]) -> None:
    assert client.get("/comments?utm_source=x&Limit=0&id=7&=&%ff=%ff&x=%00").json == {"comments": comments}


def test_after_may_be_any_id(client: FlaskClient, comments: list[dict[str, object]]) -> None:
    assert client.get("/comments?after=0").json == {"comments": comments}
    assert client.get("/comments?after=9223372036854775807").json == {"comments": []}


def test_the_newest_first(client: FlaskClient, comments: list[dict[str, object]]) -> None:
    assert client.get("/comments?order=newest").json == {"comments": comments[::-1]}
    assert client.get("/comments?order=oldest").json == {"comments": comments}
    assert client.get("/comments?order=newest&thread=a").json == {"comments": comments[4::-2]}


def test_the_next_page_is_in_the_same_order(client: FlaskClient, comments: list[dict[str, object]]) -> None:
    response = client.get("/comments?order=newest&limit=2&thread=a")
    assert response.get_json()["next"] == "/comments?after=3&limit=2&order=newest&thread=a"
    assert response.headers["Link"] == f'<{response.get_json()["next"]}>; rel="next"'
    assert list(chain(*walk(client, "/comments?order=newest&limit=2&thread=a"))) == comments[4::-2]
    assert [len(page) for page in walk(client, "/comments?order=newest&limit=2")] == [2, 2, 1]
    assert list(chain(*walk(client, "/comments?order=newest&limit=2"))) == comments[::-1]


@pytest.mark.parametrize(("after", "ids"), [(0, []), (1, []), (3, [2, 1]), (6, [5, 4, 3, 2, 1]), (2**63 - 1, None)])
def test_after_is_behind_this_one_in_the_order(
    client: FlaskClient, comments: list[dict[str, object]], after: int, ids: list[int] | None
) -> None:
    page = client.get(f"/comments?order=newest&after={after}").get_json()["comments"]
    assert [comment["id"] for comment in page] == (ids if ids is not None else [5, 4, 3, 2, 1])


def test_the_highest_id_is_the_newest(client: FlaskClient, database_url: str) -> None:
    sql(database_url, "INSERT INTO comments (id, name, comment) VALUES (9223372036854775807, 'Ada', 'the last')")
    for path in ("/comments?order=newest", "/comments?order=newest&thread="):
        assert [comment["comment"] for comment in client.get(path).get_json()["comments"]] == ["the last"]


@pytest.mark.parametrize("value", ["", "Newest", "best", "newest%20", "%00", "%ff", "1"])
def test_another_order_is_400(client: FlaskClient, value: str) -> None:
    response = client.get(f"/comments?order={value}")
    assert (response.status_code, response.json) == (400, {"error": "Order must be oldest or newest."})


@pytest.mark.parametrize(
    "query",
    [
        *(f"limit={value}" for value in ["", "0", "-1", "201", "1e2", "1.0", "%2B1", "1_0", "%20", "x", "%00", "%ff"]),
        *(f"after={value}" for value in ["", "-1", "1.0", "x", "%20", "%00", "9223372036854775808"]),
        "limit",
        "after",
        f"limit={'9' * 5000}",
        f"after={'9' * 5000}",
        "limit=%EF%BC%91",  # a full-width 1
        "after=%D9%A1",  # an Arabic-Indic 1
    ],
)
def test_a_bad_limit_or_after_is_400(client: FlaskClient, query: str) -> None:
    name = query[:5]
    high = {"limit": "1 to 200", "after": "0 to 9223372036854775807"}[name]
    response = client.get(f"/comments?{query}")
    assert response.status_code == 400
    assert response.json == {"error": f"{name.capitalize()} must be a whole number from {high}."}


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        (f"thread={'x' * 513}", "Thread must not be longer than 512 characters."),
        ("thread=a%00b", "Thread must not contain the character NUL."),
        ("thread=%ff", "Thread must be Unicode text: it contains a lone surrogate."),
        ("thread=%ed%a0%80", "Thread must be Unicode text: it contains a lone surrogate."),
    ],
)
def test_a_bad_thread_is_400(client: FlaskClient, query: str, sentence: str) -> None:
    response = client.get(f"/comments?{query}")
    assert (response.status_code, response.json) == (400, {"error": sentence})


def test_the_longest_thread_is_found(client: FlaskClient, database: CommentDatabase) -> None:
    thread = "\U0001f600" * 512
    database.create_comment(Comment(None, "Ada", "Hello", thread))
    assert len(client.get("/comments", query_string={"thread": thread}).get_json()["comments"]) == 1


def test_head_is_a_get_without_the_body(client: FlaskClient, comments: list[dict[str, object]]) -> None:
    get, head = client.get("/comments?limit=1"), client.head("/comments?limit=1")
    assert (head.status_code, head.data) == (200, b"")
    for name in ("Content-Type", "Content-Length", "Link"):
        assert head.headers[name] == get.headers[name]


def test_a_slash_at_the_end_changes_nothing(client: FlaskClient, comments: list[dict[str, object]]) -> None:
    assert client.get("/comments/").json == {"comments": comments}


@pytest.mark.parametrize("order", ["oldest", "newest"])
@pytest.mark.parametrize("character", ["\x01", "\U0001f600"])
def test_a_page_ends_at_a_megabyte_and_the_next_one_goes_on(
    client: FlaskClient, database_url: str, character: str, order: str
) -> None:
    """Comments of earlier releases may consist of control characters. Each takes six bytes in JSON."""
    rows = "SELECT 'Ada', repeat(%s, 10000), 'long' FROM generate_series(1, 200)"
    sql(database_url, f"INSERT INTO comments (name, comment, thread) {rows}", character)
    ids: list[int] = []
    path: str | None = f"/comments?limit=200&thread=long&order={order}"
    while path:
        response = client.get(path)
        assert len(response.data) <= 1_000_000
        assert response.headers.get("Link", "").partition(">")[0][1:] == response.get_json().get("next", "")
        ids += [comment["id"] for comment in response.get_json()["comments"]]
        path = response.get_json().get("next")
    assert ids == sorted(range(1, 201), reverse=order == "newest")

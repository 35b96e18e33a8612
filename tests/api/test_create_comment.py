"""POST /comments."""

import json
import re

import pytest
from flask.testing import FlaskClient

from support.postgres import sql

HELLO = {"name": "Ada", "comment": "Hello"}


def test_the_answer_is_the_stored_comment(client: FlaskClient) -> None:
    response = client.post("/comments", json={**HELLO, "thread": "/post"})
    assert response.status_code == 201
    assert response.headers["Location"] == "/comments/1"
    stored = response.get_json()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", stored.pop("created_at"))
    assert stored == {
        "id": 1,
        **HELLO,
        "thread": "/post",
        "parent_id": None,
        "html": "<p>Hello</p>",
        "status": "published",
        "edited_at": None,
        "verified": False,
    }
    found = client.get(response.headers["Location"])
    assert found.data == response.data
    assert found.headers["ETag"] == response.headers["ETag"]


def test_its_text_is_markdown(client: FlaskClient) -> None:
    text = "*Hello*, <b>world</b> https://example.org"
    stored = client.post("/comments", json={**HELLO, "comment": text}).get_json()
    assert stored["comment"] == text
    assert stored["html"] == (
        "<p><em>Hello</em>, &lt;b&gt;world&lt;/b&gt; "
        '<a href="https://example.org" rel="nofollow ugc noopener noreferrer">https://example.org</a></p>'
    )
    assert client.get("/comments").get_json()["comments"] == [stored]


def test_it_is_committed_when_it_is_answered(client: FlaskClient, database_url: str) -> None:
    client.post("/comments", json=HELLO)
    assert sql(database_url, "SELECT id, name, comment, thread FROM comments") == [(1, "Ada", "Hello", "")]


def test_a_client_sets_no_id_and_no_date(client: FlaskClient) -> None:
    response = client.post("/comments", json={**HELLO, "id": 9, "created_at": "2000-01-01T00:00:00Z", "x": [None]})
    assert response.get_json()["id"] == 1
    assert not response.get_json()["created_at"].startswith("2000")


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON", "application/json; charset=utf-8; x=y", "application/vnd.api+json"],
)
def test_the_types_of_json(client: FlaskClient, content_type: str) -> None:
    assert client.post("/comments", data=json.dumps(HELLO), content_type=content_type).status_code == 201


@pytest.mark.parametrize(
    "text",
    [
        "one\r\n\ttwo",
        "<script>alert('x')</script> & &amp;",
        "'; DROP TABLE comments; -- %s %(x)s \\ $$ {}",
        "שלום مرحبا \u202eright to left\u202c",
        "👩‍👩‍👧‍👦 🇪🇺 e\u0301 \u00e9 ﬁ",
        "a\u2028line\u2029paragraph\u200bzero\ufeffmark\ufffe\uffff",
        "\U0010ffff",
    ],
)
def test_what_is_said_comes_back_character_for_character(client: FlaskClient, text: str) -> None:
    name = "'; -- %s <b> שלום 👩‍👧 e\u0301 ﬁ"
    for ensure_ascii in (True, False):
        body = json.dumps({"name": name, "comment": text, "thread": text}, ensure_ascii=ensure_ascii)
        stored = client.post("/comments", data=body.encode(), content_type="application/json").get_json()
        assert [stored["name"], stored["comment"], stored["thread"]] == [name, text, text]
        assert client.get(f"/comments/{stored['id']}").json == stored
    assert len(client.get("/comments", query_string={"thread": text}).get_json()["comments"]) == 2


def test_a_body_of_exactly_the_limit_is_taken(client: FlaskClient) -> None:
    body = json.dumps(HELLO).ljust(256 * 1024)
    assert client.post("/comments", data=body, content_type="application/json").status_code == 201
    response = client.post("/comments", data=body + " ", content_type="application/json")
    assert response.status_code == 413

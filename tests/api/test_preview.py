"""POST /preview: the HTML that a comment would have."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from config import Limit

from support.moderator import ADMIN, Open, Site
from support.postgres import sql
from support.tokens import SECRET, token


def preview(here: Site, comment: object = "*Hello*", key: str | None = None) -> Any:
    return here.call("POST", "/preview", key, json={"comment": comment})


@pytest.mark.parametrize("text", ["Hello", "1 < 2", "*Bye*\n\n> Hello", "<script>alert(1)</script>", " \tspace\n"])
def test_a_preview_is_the_html_of_the_comment_that_is_posted(client: FlaskClient, text: str) -> None:
    answer = client.post("/preview", json={"comment": text})
    assert answer.status_code == 200
    posted = client.post("/comments", json={"name": "Ada", "comment": text})
    assert answer.get_json() == {"html": posted.get_json()["html"]}


def test_nothing_is_stored_neither_here_nor_in_a_cache(client: FlaskClient, database_url: str) -> None:
    answer = client.post("/preview", json={"name": "Ada", "comment": "Hello", "fax": "x"})
    assert answer.headers["Cache-Control"] == "no-store"
    assert sql(database_url, "SELECT id FROM comments UNION SELECT id FROM held_comments") == []


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "Comment is required."),
        ({"comment": " "}, "Comment is required."),
        ({"comment": 1}, "Comment must be a string."),
        ({"comment": "x" * 10_001}, "Comment must not be longer than 10,000 characters."),
        ([], "The body must be a JSON object."),
    ],
)
def test_what_cannot_be_posted_has_no_preview(client: FlaskClient, body: object, sentence: str) -> None:
    answer = client.post("/preview", json=body)
    assert (answer.status_code, answer.get_json()) == (400, {"error": sentence})


def test_it_has_the_limit_of_a_post_and_a_count_of_its_own(site: Open) -> None:
    here = site(post_limit=Limit(2, 3600))
    assert [preview(here).status_code for _ in range(3)] == [200, 200, 429]
    assert int(preview(here).headers["Retry-After"]) > 0
    assert here.post("Hello").status_code == 201
    assert preview(here, key=ADMIN).status_code == 200, "a moderator has no limit"


def test_where_only_users_post_only_users_preview(site: Open) -> None:
    here = site(auth_secrets=(SECRET,), require_auth="on")
    assert preview(here).get_json() == {"error": "Only users who are signed in on this site can comment."}
    assert [preview(here, key=key).status_code for key in (None, token())] == [401, 200]

"""GET and POST /view, and GET /fragment: a thread for readers without JavaScript."""

import re
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from werkzeug.test import TestResponse

from comment import Comment
from config import Limit
from db import CommentDatabase
from postgres.errors import DatabaseUnavailable
from web import view

from support.moderator import ADMIN, KEY, Open, Site
from support.tokens import SECRET
from support.xss import VECTORS


@pytest.fixture
def here(site: Open) -> Site:
    return site(admin_token=None)


def send(here: Site, url: str = "/view?thread=/a", **fields: object) -> TestResponse:
    """Type into the form of a page and send it."""
    form = here.http.get(url).text
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form))
    typed = {"name": "Ada", "comment": "Hello", "fax": ""}
    return here.http.post(url.partition("&")[0], data=hidden | typed | fields)


def shown(page: TestResponse) -> list[int]:
    return [int(each) for each in re.findall(r'<article id="comment-(\d+)"', page.text)]


def alert(page: TestResponse) -> str:
    found = re.search(r'role="alert">(.*?)</p>', page.text)
    return unescape(found[1]) if found else ""


def said(page: TestResponse) -> str:
    found = re.search(r'role="status"[^>]*><p[^>]*>(.*?)</p>', page.text)
    return found[1] if found else ""


def comment(id: int, parent_id: int | None = None) -> Comment:
    return Comment(id, f"Name {id}", "Hello", parent_id=parent_id, html="<p>Hello</p>")


def outline(nodes: list[view.Node]) -> list[Any]:
    return [[node.comment.id, outline(node.replies), node.answers] for node in nodes]


def test_replies_are_below_what_they_answer() -> None:
    comments = [comment(1), comment(2), comment(3, 1), comment(4, 3), comment(5, 1), comment(6, 2)]
    assert outline(view.tree(comments)) == [
        [1, [[3, [[4, [], None]], None], [5, [], None]], None],
        [2, [[6, [], None]], None],
    ]


def test_replies_that_are_too_deep_stand_beside_each_other_and_say_what_they_answer() -> None:
    nodes = view.tree([comment(1), *(comment(id, id - 1) for id in range(2, 8))])
    for _ in range(view.MAX_DEPTH):
        [node] = nodes
        nodes = node.replies
    assert outline(nodes) == [[5, [], None], [6, [], "Name 5"], [7, [], "Name 6"]]


def test_a_reply_whose_parent_is_on_another_page_stands_at_the_top() -> None:
    assert outline(view.tree([comment(5, 1), comment(6, 5)])) == [[5, [[6, [], None]], ""]]


def test_a_thousand_replies_below_each_other_are_a_page(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "PAGE", 1000)
    parent_id = None
    for _ in range(300):
        parent_id = here.post("Hello", thread="/a", parent_id=parent_id).get_json()["id"]
    assert shown(here.http.get("/view?thread=/a")) == list(range(1, 301))


def test_a_page_shows_its_thread_and_no_other(here: Site) -> None:
    here.post("In *a*", thread="/a")
    here.post("In b", thread="/b")
    page = here.http.get("/view?thread=/a")
    assert (page.status_code, page.content_type) == (200, "text/html; charset=utf-8")
    assert shown(page) == [1]
    assert "<p>In <em>a</em></p>" in page.text
    assert shown(here.http.get("/view")) == []


def test_a_comment_is_posted_by_the_form(here: Site) -> None:
    answer = send(here, comment="Hello\r\n*you*")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/view?thread=/a&posted=published#comment-1")
    page = here.http.get(answer.headers["Location"])
    assert (shown(page), said(page)) == ([1], "Your comment is posted.")
    assert here.http.get("/comments/1").get_json()["thread"] == "/a"


def test_a_reply_is_posted_by_the_form(here: Site) -> None:
    here.post("Question", thread="/a", name="Grace")
    assert "Reply to <bdi>Grace</bdi>" in here.http.get("/view?thread=/a&reply_to=1").text
    assert send(here, "/view?thread=/a&reply_to=1").status_code == 303
    assert here.http.get("/comments/2").get_json()["parent_id"] == 1


@pytest.mark.parametrize("reply_to", ["2", "3", "x", "0", "9" * 30])
def test_no_reply_to_what_is_not_there(here: Site, reply_to: str) -> None:
    here.post("Hello", thread="/a")
    here.post("Hello", thread="/b")
    page = here.http.get(f"/view?thread=/a&reply_to={reply_to}")
    assert page.status_code == 200
    assert "Reply to <bdi>" not in page.text


def test_a_form_that_is_sent_twice_is_one_comment(here: Site) -> None:
    fields = {"key": "0" * 32}
    assert send(here, **fields).headers["Location"] == send(here, **fields).headers["Location"]
    assert here.ids() == [1]
    again = send(here, comment="Other", **fields)
    assert (again.status_code, alert(again)) == (422, "This Idempotency-Key belongs to another comment.")


def test_two_pages_have_two_keys(here: Site) -> None:
    send(here)
    send(here)
    assert here.ids() == [1, 2]


@pytest.mark.parametrize("key", ["", "x", "é", "0" * 300])
def test_a_form_with_a_strange_key_gets_a_new_one(here: Site, key: str) -> None:
    assert [send(here, key=key).status_code for _ in range(2)] == [303, 303]
    assert here.ids() == [1, 2]


def test_an_error_is_on_the_page_with_what_was_typed(here: Site) -> None:
    here.post("Question", thread="/a")
    page = send(here, "/view?thread=/a&reply_to=1", name=" ", comment='\n"Hello" <b>')
    assert (page.status_code, alert(page)) == (400, "Name is required.")
    assert ">\n\n&#34;Hello&#34; &lt;b&gt;</textarea>" in page.text
    assert 'name="parent_id" value="1"' in page.text
    assert shown(page) == [1]
    assert here.ids() == [1]


def test_a_preview_shows_the_comment_and_stores_nothing(here: Site) -> None:
    page = send(here, comment="*Hello*", preview="yes")
    assert page.status_code == 200
    assert "<p><em>Hello</em></p>" in page.text
    assert ">\n*Hello*</textarea>" in page.text
    assert here.ids() == []


def test_a_program_that_fills_in_every_field_learns_nothing(site: Open) -> None:
    here = site(moderation="none")
    answer = send(here, fax="1")
    assert said(here.http.get(answer.headers["Location"])) == "Your comment waits for approval."
    assert here.queue("spam") == [1]


def test_a_comment_that_waits_is_said_to_wait_and_is_not_shown(site: Open) -> None:
    here = site(moderation="all")
    answer = send(here)
    assert answer.headers["Location"] == "/view?thread=/a&posted=pending#said"
    page = here.http.get(answer.headers["Location"])
    assert (said(page), shown(page)) == ("Your comment waits for approval.", [])
    here.decide(1, "published")
    assert shown(here.http.get("/view?thread=/a")) == [1]


def test_a_closed_thread_has_no_form(site: Open) -> None:
    here = site()
    form = {"name": "Ada", "comment": "Hello"}
    assert here.http.post("/view?thread=/a", data=form).status_code == 303
    here.call("PUT", "/closed-threads?thread=/a")
    page = here.http.get("/view?thread=/a")
    assert ("<form" in page.text, "This thread is closed." in page.text, shown(page)) == (False, True, [1])
    answer = here.http.post("/view?thread=/a", data=form)
    assert (answer.status_code, "This thread is closed." in answer.text) == (403, True)


def test_where_only_users_post_there_is_no_form(site: Open) -> None:
    here = site(auth_secrets=(SECRET,), require_auth="on")
    assert "<form" not in here.http.get("/view").text
    answer = here.http.post("/view", data={"name": "Ada", "comment": "Hello"})
    assert (answer.status_code, "WWW-Authenticate" in answer.headers) == (401, True)
    assert here.ids() == []


def test_the_limit_on_posting_is_that_of_the_api(site: Open) -> None:
    here = site(post_limit=Limit(1, 3600))
    assert [send(here).status_code, send(here).status_code] == [303, 429]
    page = send(here)
    assert alert(page) == "Too many comments from your address; try again later."
    assert int(page.headers["Retry-After"]) > 0


def test_a_preview_has_the_limit_and_the_rule_on_users_of_a_post(site: Open) -> None:
    here = site(post_limit=Limit(1, 3600))
    assert [send(here, preview="yes").status_code for _ in range(2)] == [200, 429]
    assert send(here).status_code == 303, "it has a count of its own"
    closed = site(auth_secrets=(SECRET,), require_auth="on")
    assert closed.http.post("/view", data={"name": "Ada", "comment": "x", "preview": "yes"}).status_code == 401


def test_a_tombstone_has_a_place_and_can_be_answered(here: Site) -> None:
    here.post("Question", KEY, thread="/a")
    here.post("Answer", thread="/a", parent_id=1)
    here.call("DELETE", "/comments/1", KEY)
    page = here.http.get("/view?thread=/a")
    assert shown(page) == [1, 2]
    assert "This comment was deleted." in page.text
    assert send(here, "/view?thread=/a&reply_to=1").status_code == 303


def test_long_threads_have_pages(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "PAGE", 2)
    for _ in range(3):
        here.post("Hello", thread="/a")
    page = here.http.get("/view?thread=/a")
    assert (shown(page), 'href="/view?thread=/a&amp;after=2" rel="next"' in page.text) == ([1, 2], True)
    last = here.http.get("/view?thread=/a&after=2")
    assert (shown(last), 'rel="next"' in last.text, "First page" in last.text) == ([3], False, True)
    posted = send(here).headers["Location"]
    assert parse_qs(urlsplit(posted).query)["after"] == ["3"]
    assert shown(here.http.get(posted)) == [4]


def test_a_page_ends_when_it_is_large(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "MAX_HTML", 10)
    for _ in range(2):
        here.post("Hello", thread="/a")
    assert shown(here.http.get("/view?thread=/a")) == [1]
    assert here.http.get("/fragment?thread=/a").headers["Link"] == '</fragment?thread=/a&after=1>; rel="next"'


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_without_a_database_the_page_has_what_was_typed(
    here: Site, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def fail(*_: object) -> None:
        raise DatabaseUnavailable("The database does not answer; try again later.")

    monkeypatch.setattr(CommentDatabase, "get_page", fail)
    monkeypatch.setattr(CommentDatabase, "create_comment", fail)
    answer = here.http.open("/view?thread=/a", method=method, data={"name": "Ada", "comment": "Hello"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert alert(answer) == view.AWAY
    assert (">\nHello</textarea>" in answer.text) == (method == "POST")


@pytest.mark.parametrize("vector", VECTORS[:40])
def test_nothing_that_is_typed_becomes_html(here: Site, vector: str) -> None:
    page = here.http.post("/view?thread=/a", data={"name": vector, "comment": vector, "preview": "yes"})
    assert not re.search(r"<(script|img|svg|iframe|object)|\son\w+=", page.text.replace("<style>", ""))


def test_the_thread_is_escaped_everywhere(here: Site) -> None:
    thread = '"><script>alert(1)</script>'
    here.post("Hello", thread=thread)
    for path in ("/view", "/fragment"):
        page = here.http.get(path, query_string={"thread": thread, "reply_to": "1"})
        assert shown(page) == [1]
        assert "<script" not in page.text


def test_a_page_leads_to_the_page_of_the_site_and_to_the_feed(site: Open) -> None:
    here = site(site_url="https://blog.example")
    page = here.http.get("/view?thread=/a b").text
    assert '<a href="https://blog.example/a%20b"><bdi>/a b</bdi></a>' in page
    assert 'href="/feed.atom?thread=/a+b"' in page
    assert here.http.get("/feed.atom?thread=/a+b").status_code == 200
    assert (
        "<h1>Comments on <bdi>https://evil.example</bdi></h1>"
        in here.http.get("/view?thread=https://evil.example").text
    )


def test_a_page_is_stored_by_nobody_and_loads_nothing(here: Site) -> None:
    page = here.http.get("/view")
    assert page.headers["Cache-Control"] == "no-store"
    policy = page.headers["Content-Security-Policy"]
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{view.HASH}'; img-src data:; form-action 'self';"
        " frame-ancestors 'none'; base-uri 'none'"
    )
    assert page.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data", "text/plain"])
def test_only_a_form_is_taken(here: Site, content_type: str) -> None:
    answer = here.http.post("/view", data=b"name=Ada&comment=Hello", content_type=content_type)
    assert answer.status_code == 415


def test_a_fragment_has_the_comments_and_an_entity_tag(here: Site) -> None:
    assert here.http.get("/fragment?thread=/a").text.strip() == ""
    here.post("Hello", thread="/a")
    here.post("Answer", thread="/a", parent_id=1)
    answer = here.http.get("/fragment?thread=/a")
    assert (shown(answer), "<form" in answer.text, "Reply" in answer.text) == ([1, 2], False, False)
    assert answer.headers["Cache-Control"] == "no-cache"
    tag = {"If-None-Match": answer.headers["ETag"]}
    assert here.http.get("/fragment?thread=/a", headers=tag).status_code == 304
    here.post("Another", thread="/a")
    assert here.http.get("/fragment?thread=/a", headers=tag).status_code == 200


def test_what_is_held_is_in_neither(site: Open) -> None:
    here = site(moderation="first")
    here.post("Spam", thread="/a")
    assert here.ids("status=pending", ADMIN) == [1]
    assert [shown(here.http.get(f"{path}?thread=/a")) for path in ("/view", "/fragment")] == [[], []]

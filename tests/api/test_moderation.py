"""What is held, who sees it, and what moderators decide."""

from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from typing import Any

import pytest

from config import Limit
from db import CommentDatabase
from markup import render
from moderation import held
from moderation.database import ModerationDatabase
from postgres.deadline import Connection

from support.moderator import ADMIN, KEY, OTHER_KEY, Open
from support.postgres import sql


def test_where_all_is_moderated_a_comment_waits_and_nobody_else_sees_it(site: Open) -> None:
    here = site(moderation="all")
    answer = here.post("Hello", KEY)
    assert (answer.status_code, answer.get_json()["status"]) == (201, "pending")
    assert "reason" not in answer.get_json()
    assert here.ids() == []
    assert [here.call("GET", "/comments/1", token).status_code for token in (None, OTHER_KEY)] == [404, 404]
    own = here.call("GET", "/comments/1", KEY)
    assert own.get_json() == answer.get_json()
    assert own.headers["Cache-Control"] == "no-store"


def test_a_comment_that_is_published_is_shown_as_it_was_written(site: Open) -> None:
    here = site(moderation="all")
    stored = here.post("*Hello*", KEY, thread="/post").get_json()
    answer = here.decide(1, "published")
    assert answer.get_json() == stored | {"status": "published", "reason": None}
    assert here.http.get("/comments").get_json()["comments"] == [stored | {"status": "published"}]
    assert here.http.get("/comments/1").get_json() == stored | {"status": "published"}
    assert here.queue("pending") == []


@pytest.mark.parametrize("status", ["pending", "spam"])
def test_a_published_comment_is_held(site: Open, status: str) -> None:
    here = site()
    here.post("Hello", KEY)
    assert here.decide(1, status).get_json()["reason"] == "moderator"
    assert (here.ids(), here.queue(status)) == ([], [1])
    assert here.call("GET", "/comments/1", KEY).get_json()["status"] == "pending", "he is not told that it is spam"
    assert here.decide(1, "published").status_code == 200
    assert here.ids() == [1]


def test_a_held_comment_with_replies_leaves_a_tombstone_which_gets_its_text_back(site: Open) -> None:
    here = site()
    question = here.post("Question", KEY).get_json()
    here.post("Answer", parent_id=1)
    here.decide(1, "spam")
    shown = here.http.get("/comments").get_json()["comments"]
    assert [(each["id"], each["status"], each["name"], each["comment"]) for each in shown] == [
        (1, "deleted", "", ""),
        (2, "published", "Ada", "Answer"),
    ]
    assert here.http.get("/comments/1").get_json()["status"] == "deleted"
    here.decide(1, "published")
    assert here.http.get("/comments/1").get_json() == question
    assert here.ids() == [1, 2]


def test_a_tombstone_of_a_held_comment_goes_with_its_last_reply(site: Open) -> None:
    here = site()
    here.post("Question", KEY)
    here.post("Answer", KEY, parent_id=1)
    here.decide(1, "pending")
    assert here.call("DELETE", "/comments/2").status_code == 204
    assert (here.ids(), here.queue("pending")) == ([], [1])
    assert here.decide(1, "published").status_code == 200
    assert here.ids() == [1]


def test_a_reply_to_a_held_comment_must_wait(site: Open) -> None:
    here = site(moderation="first")
    here.post("Question", KEY)
    answer = here.post("Answer", parent_id=1)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "The comment that this answers does not exist.")


def test_a_held_reply_whose_parent_goes_answers_none(site: Open) -> None:
    here = site(moderation="first")
    here.post("Question", KEY)
    here.decide(1, "published")
    here.post("Answer", OTHER_KEY, parent_id=1)
    here.call("DELETE", "/comments/1")
    assert here.decide(2, "published").get_json()["parent_id"] is None
    assert here.ids() == [2]


def test_a_held_comment_and_its_held_parent_are_published_together(site: Open) -> None:
    here = site()
    here.post("Question")
    here.post("Answer", parent_id=1)
    here.decide(2, "pending")
    here.decide(1, "pending")
    assert here.ids() == []
    answer = here.call("PATCH", "/comments", json={"ids": [2, 1], "status": "published"})
    assert answer.get_json() == {"changed": 2}
    assert [each["parent_id"] for each in here.http.get("/comments").get_json()["comments"]] == [None, 1]


def test_comments_that_take_long_to_render_are_published_without_html(
    site: Open, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    """They get it when they are read. Otherwise 200 hostile texts could not be published at once."""
    monkeypatch.setattr(held, "RENDER_SECONDS", 0)
    here = site(moderation="all")
    for _ in range(2):
        here.post("*Hello*")
    answer = here.call("PATCH", "/comments", json={"ids": [1, 2], "status": "published"})
    assert answer.get_json() == {"changed": 2}
    assert sql(database_url, "SELECT html FROM comments") == [(None,), (None,)]
    found = here.http.get("/comments").get_json()["comments"]
    assert [comment["html"] for comment in found] == ["<p><em>Hello</em></p>"] * 2


def test_its_author_edits_and_deletes_a_held_comment_and_nobody_else(site: Open) -> None:
    here = site(moderation="all")
    here.post("Hello", KEY)
    new = {"comment": "*Good* evening"}
    assert here.call("PATCH", "/comments/1", OTHER_KEY, json=new).status_code == 404
    assert here.call("DELETE", "/comments/1", OTHER_KEY).status_code == 404
    edited = here.call("PATCH", "/comments/1", KEY, json=new).get_json()
    assert (edited["status"], edited["html"]) == ("pending", "<p><em>Good</em> evening</p>")
    assert here.call("DELETE", "/comments/1", KEY).status_code == 204
    assert here.call("DELETE", "/comments/1", KEY).status_code == 404
    assert here.queue("pending") == []


def test_an_edit_is_judged_again(site: Open) -> None:
    here = site(max_links=1)
    here.post("Hello", KEY)
    links = "https://example.org https://example.com"
    answer = here.call("PATCH", "/comments/1", KEY, json={"comment": links})
    assert (answer.status_code, answer.get_json()["status"]) == (200, "pending")
    assert answer.get_json()["edited_at"] is not None
    [waiting] = here.call("GET", "/comments?status=pending").get_json()["comments"]
    assert (waiting["comment"], waiting["reason"]) == (links, "links")
    assert here.ids() == []


@pytest.mark.parametrize("status", ["pending", "spam"])
def test_an_edit_does_not_publish_what_is_held(site: Open, status: str) -> None:
    here = site()
    here.post("Hello", KEY)
    here.decide(1, status)
    assert here.call("PATCH", "/comments/1", KEY, json={"comment": "Harmless"}).get_json()["status"] == "pending"
    assert here.queue(status) == [1]


def test_a_retry_gets_the_held_comment_and_is_stored_once(site: Open) -> None:
    here = site(moderation="all")
    first = here.post("Hello", KEY, retry="1")
    again = here.post("Hello", KEY, retry="1")
    assert (again.status_code, again.get_json()) == (201, first.get_json())
    assert here.post("Other", KEY, retry="1").status_code == 422
    assert here.queue("pending") == [1]
    here.decide(1, "published")
    assert here.post("Hello", KEY, retry="1").get_json()["status"] == "published"
    assert here.ids() == [1]


def test_a_retry_of_a_comment_that_is_held_since_is_not_stored_again(site: Open) -> None:
    here = site()
    here.post("Hello", KEY, retry="1")
    here.decide(1, "spam")
    assert here.post("Hello", KEY, retry="1").get_json()["id"] == 1
    assert (here.ids(), here.queue("spam")) == ([], [1])


def test_who_has_a_published_comment_need_not_wait(site: Open) -> None:
    here = site(moderation="first")
    assert here.post("First", KEY).get_json()["status"] == "pending"
    assert here.post("Second", KEY).get_json()["status"] == "pending"
    here.decide(1, "published")
    assert here.post("Third", KEY).get_json()["status"] == "published"
    assert here.post("Another's", OTHER_KEY).get_json()["status"] == "pending"
    assert here.post("Without a key, under the same name").get_json()["status"] == "pending"


@pytest.mark.parametrize("fax", ["1", "x", 0, False, [], {}])
@pytest.mark.parametrize("config", [{"admin_token": None}, {"moderation": "first"}])
def test_who_fills_in_the_honeypot_is_a_bot_and_learns_nothing(site: Open, fax: object, config: Any) -> None:
    here = site(**config)
    answer = here.post("Buy", fax=fax)
    assert (answer.status_code, answer.get_json()["status"]) == (201, "pending")
    assert here.ids() == []
    with_token = site()
    [spam] = with_token.call("GET", "/comments?status=spam").get_json()["comments"]
    assert (spam["comment"], spam["reason"]) == ("Buy", "honeypot")


@pytest.mark.parametrize("fax", [None, "", " \t"])
def test_an_empty_honeypot_is_nothing(site: Open, fax: object) -> None:
    assert site().post("Hello", fax=fax).get_json()["status"] == "published"


def test_moderators_are_not_judged(site: Open) -> None:
    here = site(moderation="all", max_links=0)
    answer = here.post("https://example.org", ADMIN)
    assert (answer.get_json()["status"], answer.get_json()["verified"]) == ("published", True)


def test_several_comments_are_decided_at_once(site: Open) -> None:
    here = site()
    for number in range(6):
        here.post(str(number), thread=f"/{number % 2}")
    here.call("PATCH", "/comments", json={"ids": [1, 2], "status": "pending"})

    def change(ids: list[int], status: str) -> Any:
        return here.call("PATCH", "/comments", json={"ids": ids, "status": status}).get_json()

    assert change([1, 2, 3, 99], "spam") == {"changed": 3}
    assert change([1, 2, 3], "spam") == {"changed": 0}
    assert (here.ids(), here.queue("spam")) == ([4, 5, 6], [1, 2, 3])
    assert change([1, 4], "deleted") == {"changed": 2}
    assert (here.ids(), here.queue("spam")) == ([5, 6], [2, 3])
    assert change([2, 3, 5, 5], "published") == {"changed": 2}
    assert here.ids() == [2, 3, 5, 6]


def test_nobody_publishes_a_text_that_was_edited_since_he_read_it(site: Open) -> None:
    here = site(moderation="all")
    etag = here.post("Harmless", KEY).headers["ETag"]
    here.call("PATCH", "/comments/1", KEY, json={"comment": "Spam"})
    answer = here.call("PATCH", "/comments/1", headers={"If-Match": etag}, json={"status": "published"})
    assert answer.status_code == 412
    assert here.ids() == []


def test_a_moderator_deletes_any_comment(site: Open) -> None:
    here = site()
    here.post("Hello", KEY)
    here.post("Held", KEY)
    here.decide(2, "spam")
    assert [here.call("DELETE", f"/comments/{each}").status_code for each in (1, 2, 3)] == [204, 204, 404]
    assert (here.ids(), here.queue("spam")) == ([], [])


def test_a_moderator_edits_nobody_s_text(site: Open) -> None:
    here = site()
    here.post("Hello", KEY)
    assert here.call("PATCH", "/comments/1", json={"comment": "Other"}).status_code == 403


def test_comments_are_looked_for(site: Open) -> None:
    here = site()
    here.post("An elephant", KEY, thread="/a")
    here.post("100% sure", OTHER_KEY, name="Grace")
    here.post("a_b\\c", KEY)
    here.post("Held ELEPHANT", KEY)
    here.decide(4, "pending")

    def found(query: str) -> list[int]:
        return here.ids(query, ADMIN)

    assert found("q=elephant") == [1, 4]
    assert found("q=elephant&status=pending") == [4]
    assert found("q=grace") == [2]
    assert (found("q=0%25"), found("q=a_b\\c"), found("q=a.b"), found("q=_")) == ([2], [3], [], [3])
    assert found("author_of=1") == [1, 3, 4]
    assert found("author_of=1&order=newest&status=published") == [3, 1]
    assert found("status=published&thread=/a") == [1]
    assert found("author_of=99") == []


def test_without_a_key_nobody_is_the_same_author(site: Open) -> None:
    here = site()
    here.post("One")
    here.post("Two")
    assert here.ids("author_of=2", ADMIN) == [2]


def test_a_search_is_followed_page_by_page(site: Open) -> None:
    here = site(moderation="all")
    for number in range(5):
        here.post(f"x {number}")
    found, path = [], "/comments?status=pending&q=x&limit=2&order=newest"
    while path:
        answer = here.call("GET", path)
        assert answer.headers["Cache-Control"] == "no-store"
        found += [comment["id"] for comment in answer.get_json()["comments"]]
        path = answer.get_json().get("next")
        assert answer.headers.get("Link") == (f'<{path}>; rel="next"' if path else None)
    assert found == [5, 4, 3, 2, 1]


def test_a_rule_on_a_word(site: Open) -> None:
    here = site()
    rule = here.call("POST", "/rules", json={"kind": "word", "value": "Casino", "effect": "pending"})
    assert rule.status_code == 201
    assert rule.get_json() == {"id": 1, "kind": "word", "value": "casino", "effect": "pending"}
    assert here.post("The best CASINO").get_json()["status"] == "pending"
    assert here.post("casinos").get_json()["status"] == "published"
    assert here.call("GET", "/rules").get_json() == {"rules": [rule.get_json()]}
    assert here.call("DELETE", "/rules/1").status_code == 204
    assert here.call("DELETE", "/rules/1").status_code == 404
    assert here.post("The best CASINO").get_json()["status"] == "published"


def test_a_rule_on_an_author(site: Open) -> None:
    here = site()
    here.post("Hello", KEY)
    rule = {"kind": "author", "value": 1, "effect": "spam"}
    assert here.call("POST", "/rules", json=rule).get_json() == {"id": 1, **rule}
    here.post("Hello", KEY)
    here.post("Hello", OTHER_KEY)
    assert (here.ids(), here.queue("spam")) == ([1, 3], [2])


def test_a_rule_that_is_there_gets_the_new_effect(site: Open) -> None:
    here = site()
    for effect in ("pending", "spam"):
        answer = here.call("POST", "/rules", json={"kind": "word", "value": "casino", "effect": effect})
        assert (answer.status_code, answer.get_json()["effect"]) == (201, effect)
    assert [rule["effect"] for rule in here.call("GET", "/rules").get_json()["rules"]] == ["spam"]


def test_there_are_1000_rules_at_most(site: Open, database_url: str) -> None:
    sql(
        database_url,
        "INSERT INTO rules (kind, value, matches, effect) SELECT 'word', n, n, 'spam' FROM generate_series(1, 1000) n",
    )
    here = site()
    answer = here.call("POST", "/rules", json={"kind": "word", "value": "casino", "effect": "spam"})
    assert (answer.status_code, answer.get_json()["error"]) == (
        409,
        "There are 1,000 rules already, and there can't be more.",
    )
    assert here.call("POST", "/rules", json={"kind": "word", "value": "7", "effect": "pending"}).status_code == 201


def test_a_closed_thread_takes_no_comment_but_a_retry_gets_its_own(site: Open) -> None:
    here = site()
    first = here.post("Hello", KEY, retry="1", thread="/a")
    assert here.call("PUT", "/closed-threads?thread=/a").status_code == 204
    assert here.call("PUT", "/closed-threads?thread=/a").status_code == 204
    answer = here.post("Hello", KEY, thread="/a")
    assert (answer.status_code, answer.get_json()["error"]) == (403, "This thread is closed.")
    assert here.post("Hello", KEY, retry="1", thread="/a").get_json() == first.get_json()
    assert here.post("Hello", KEY, thread="/b").status_code == 201
    assert here.call("GET", "/closed-threads").get_json() == {"threads": ["/a"]}
    assert here.call("DELETE", "/closed-threads?thread=/a").status_code == 204
    assert here.post("Hello", KEY, thread="/a").status_code == 201


def test_closed_threads_come_in_pages(site: Open) -> None:
    here = site()
    for name in ("", "/b", "/a"):
        here.call("PUT", f"/closed-threads?thread={name}")
    answer = here.call("GET", "/closed-threads?limit=2").get_json()
    assert answer == {"threads": ["", "/a"], "next": "/closed-threads?after=/a&limit=2"}
    assert here.call("GET", answer["next"]).get_json() == {"threads": ["/b"]}


def test_a_thread_closes_some_days_after_its_first_comment(site: Open, database_url: str) -> None:
    here = site(close_after_days=7)
    here.post("Hello", thread="/a")
    assert here.post("Hello", thread="/a").status_code == 201
    sql(database_url, "UPDATE comments SET created_at = now() - interval '8 days' WHERE id = 1")
    assert here.post("Hello", thread="/a").status_code == 403
    assert here.post("Hello", thread="/b").status_code == 201


CALLS = (
    ("GET", "/comments?status=pending"),
    ("GET", "/comments?q=x"),
    ("GET", "/comments?author_of=1"),
    ("PATCH", "/comments/1"),
    ("PATCH", "/comments"),
    ("GET", "/rules"),
    ("POST", "/rules"),
    ("DELETE", "/rules/1"),
    ("GET", "/closed-threads"),
    ("PUT", "/closed-threads?thread=/a"),
    ("DELETE", "/closed-threads?thread=/a"),
)


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_only_moderators_may(site: Open, method: str, path: str) -> None:
    here = site()
    here.post("Hello", KEY)
    body = {"json": {"status": "spam"}} if method in ("PATCH", "POST") else {}
    assert here.call(method, path, None, **body).status_code == 401
    assert here.call(method, path, KEY, **body).status_code == 403
    assert here.call(method, path, "short", **body).status_code == 401
    assert (here.ids(), here.queue("spam")) == ([1], [])


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_without_an_admin_token_there_is_no_moderator(site: Open, method: str, path: str) -> None:
    here = site(admin_token=None)
    body = {"json": {"status": "spam"}} if method in ("PATCH", "POST") else {}
    assert here.call(method, path, ADMIN, **body).status_code == 403


@pytest.mark.parametrize(
    ("method", "path", "body", "error"),
    [
        ("PATCH", "/comments/1", {"status": "gone"}, "Status must be published, pending, spam or deleted."),
        ("PATCH", "/comments/1", {"status": None}, "Status must be published, pending, spam or deleted."),
        ("PATCH", "/comments", {"ids": [1]}, "Status must be published, pending, spam or deleted."),
        ("PATCH", "/comments", {"ids": [], "status": "spam"}, "Ids must be a list of 1 to 200 whole numbers from 1 to"),
        ("PATCH", "/comments", {"ids": [True], "status": "spam"}, "Ids must be a list"),
        ("PATCH", "/comments", {"ids": [1] * 201, "status": "spam"}, "Ids must be a list"),
        ("PATCH", "/comments", {"ids": "1", "status": "spam"}, "Ids must be a list"),
        ("PATCH", "/comments", [], "The body must be a JSON object."),
        ("POST", "/rules", {"kind": "word", "value": "", "effect": "spam"}, "Value is required."),
        ("POST", "/rules", {"kind": "word", "value": 1, "effect": "spam"}, "Value must be a string."),
        ("POST", "/rules", {"kind": "word", "value": "a", "effect": "published"}, "Effect must be pending or spam."),
        ("POST", "/rules", {"kind": "x", "value": "a", "effect": "spam"}, "Kind must be word or author."),
        ("POST", "/rules", {"kind": "author", "value": 9, "effect": "spam"}, "There is no comment with this id, or it"),
        ("POST", "/rules", {"kind": "author", "value": "1", "effect": "spam"}, "Value must be the id of a comment:"),
        ("GET", "/comments?status=gone", None, "Status must be published, pending, spam or deleted."),
        ("GET", "/comments?q=", None, "Q is required."),
        ("GET", "/comments?author_of=x", None, "Author_of must be a whole number from 1 to"),
        ("PUT", "/closed-threads", None, "Thread is required."),
        ("DELETE", "/closed-threads", None, "Thread is required."),
    ],
)
def test_what_bad_input_gets(site: Open, method: str, path: str, body: Any, error: str) -> None:
    here = site()
    here.post("Hello")
    answer = here.call(method, path, **({} if body is None else {"json": body}))
    assert (answer.status_code, answer.get_json()["error"][: len(error)]) == (400, error)


def test_no_rule_is_looked_at_where_nothing_is_configured(site: Open) -> None:
    site().call("POST", "/rules", json={"kind": "word", "value": "casino", "effect": "spam"})
    assert site(admin_token=None).post("casino").get_json()["status"] == "published"


def test_who_posts_too_often_must_wait(site: Open) -> None:
    here = site(post_limit=Limit(2, 60))
    assert [here.post(retry=str(number)).status_code for number in range(2)] == [201, 201]
    refused = here.post(retry="2")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "30")
    assert refused.get_json() == {"error": "Too many comments from your address; try again later."}
    assert here.post(retry="1").get_json()["id"] == 2, "a retry of what is stored does not count"
    assert here.post(name="").status_code == 400, "nor does what is refused"
    assert here.post("Moderators are not counted", ADMIN).status_code == 201
    assert len(here.ids()) == 3


def test_each_client_behind_a_trusted_proxy_has_a_limit_of_its_own(site: Open) -> None:
    here = site(post_limit=Limit(1, 60), trusted_proxies=(ip_network("127.0.0.1"),))

    def post_from(address: str) -> int:
        body = {"name": "Ada", "comment": "Hello"}
        return here.http.post("/comments", json=body, headers={"X-Forwarded-For": address}).status_code

    assert [post_from("1.2.3.4"), post_from("9.9.9.9, 1.2.3.4"), post_from("1.2.3.5")] == [201, 429, 201]


def test_beyond_the_limit_of_the_site_comments_wait(site: Open) -> None:
    here = site(site_limit=Limit(2, 60))
    assert [here.post().get_json()["status"] for _ in range(3)] == ["published", "published", "pending"]
    [waiting] = here.call("GET", "/comments?status=pending").get_json()["comments"]
    assert waiting["reason"] == "limit"


def test_retries_at_once_are_one_comment_whatever_their_verdict(site: Open, pool: ThreadPoolExecutor) -> None:
    here = site(site_limit=Limit(1, 60))
    answers = list(pool.map(lambda _: here.post(retry="1").get_json(), range(30)))
    assert {(answer["id"], answer["status"]) for answer in answers} == {(answers[0]["id"], answers[0]["status"])}
    assert len(here.ids() + here.queue("pending")) == 1


def test_spam_is_purged_when_it_is_old_enough(site: Open, database_url: str) -> None:
    here = site()
    for number in range(3):
        here.post(str(number))
    here.call("PATCH", "/comments", json={"ids": [1, 2], "status": "spam"})
    here.decide(3, "pending")
    sql(database_url, "UPDATE held_comments SET held_at = now() - interval '31 days' WHERE id <> 2")
    assert ModerationDatabase(here.database).purge(spam_days=30).spam == 1
    assert (here.queue("spam"), here.queue("pending")) == ([2], [3])


def test_a_moderator_decides_about_the_version_that_he_was_shown(site: Open) -> None:
    here = site(moderation="all")
    here.post("Harmless", KEY)
    etag = here.call("GET", "/comments/1").headers["ETag"]
    assert here.call("PATCH", "/comments/1", headers={"If-Match": etag}, json={"status": "spam"}).status_code == 200
    answer = here.call("PATCH", "/comments/1", headers={"If-Match": etag}, json={"status": "published"})
    assert (answer.status_code, answer.headers["ETag"] != etag) == (200, True)
    assert here.call("GET", "/comments/1").headers["ETag"] == answer.headers["ETag"]


@pytest.mark.parametrize("status", ["deleted", "published"])
def test_a_text_that_is_edited_while_a_moderator_decides_is_412_and_stays(
    site: Open, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    here = site(moderation="all")
    etag = here.post("Harmless", KEY).headers["ETag"]
    set_status = ModerationDatabase.set_status

    def edit_first(database: ModerationDatabase, *arguments: Any) -> int:
        here.call("PATCH", "/comments/1", KEY, json={"comment": "Other"})
        return set_status(database, *arguments)

    monkeypatch.setattr(ModerationDatabase, "set_status", edit_first)
    answer = here.call("PATCH", "/comments/1", headers={"If-Match": etag}, json={"status": status})
    assert answer.status_code == 412
    assert here.queue("pending") == [1]


def test_an_edit_does_not_undo_what_a_moderator_decides_meanwhile(site: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    here = site(moderation="all")
    here.post("Cheap watches", KEY)
    edit_comment = CommentDatabase.edit_comment

    def decide_first(database: CommentDatabase, *arguments: Any) -> Any:
        here.decide(1, "spam")
        return edit_comment(database, *arguments)

    monkeypatch.setattr(CommentDatabase, "edit_comment", decide_first)
    assert here.call("PATCH", "/comments/1", KEY, json={"comment": "Cheaper watches"}).status_code == 200
    [comment] = here.call("GET", "/comments?status=spam").get_json()["comments"]
    assert (comment["comment"], comment["reason"]) == ("Cheaper watches", "moderator")


@pytest.mark.parametrize("key", [OTHER_KEY, None])
def test_nobody_learns_by_the_time_of_an_answer_what_is_held(
    site: Open, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    here = site(moderation="all")
    here.post("*Hello*", KEY)
    rendered: list[str] = []

    def record(text: str) -> str:
        rendered.append(text)
        return render(text)

    monkeypatch.setattr("comment.render", record)
    answers = [here.call("GET", "/comments/1", key), here.call("DELETE", "/comments/1", key)]
    assert (answers[0].status_code, rendered) == (404, [])
    assert here.call("GET", "/comments/1", KEY).status_code == 200
    assert rendered == ["*Hello*"]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_all_statements_of_a_request_share_a_deadline(site: Open, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a slow database could take longer than the 5 seconds that the contract promises."""
    here = site(moderation="first", post_limit=Limit(5, 60), site_limit=Limit(5, 60))
    here.post("Hello", KEY)
    deadlines = []
    fetch = Connection.fetch

    def record(connection: Connection, *statement: Any) -> Any:
        deadlines.append(connection.deadline)
        return fetch(connection, *statement)

    monkeypatch.setattr(Connection, "fetch", record)
    if method == "POST":
        here.post("Hello", KEY, retry="1")
    else:
        here.call("PATCH", "/comments/1", KEY, json={"comment": "New"})
        deadlines.pop(0)  # of the statement that finds the comment
    assert len(deadlines) >= 2
    assert len(set(deadlines)) == 1

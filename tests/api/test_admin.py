"""The pages of moderators, over HTTP: who may see them, what their forms do, and what nobody can make them do."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from html import unescape
from typing import Any

import pytest
from flask.testing import FlaskClient
from itsdangerous import TimestampSigner
from werkzeug.test import TestResponse

from app import create_app
from config import Config
from db import CommentDatabase
from web import admin, session

from support.moderator import ADMIN, KEY, OTHER_KEY, Site
from support.postgres import sql
from support.processes import PYTHON, run
from support.xss import VECTORS

PAGES = ("/admin", "/admin/rules", "/admin/closed-threads")
CSP = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self';"
    " frame-ancestors 'none'; base-uri 'none'"
)


class Moderator:
    """A browser of a moderator, who reads a page and sends its forms."""

    def __init__(self, site: Site, token: str = ADMIN) -> None:
        self.site = site
        self.http: FlaskClient = create_app(site.config, site.database).test_client()
        self.token = token

    def sign_in(self, **options: Any) -> TestResponse:
        page = self.http.get("/admin/sign-in", **options)
        data = {"csrf": csrf(page), "token": self.token}
        return self.http.post("/admin/sign-in", data=data, **options)

    def get(self, path: str = "/admin", **options: Any) -> TestResponse:
        return self.http.get(path, **options)

    def send(self, path: str, page: str = "/admin", **fields: Any) -> TestResponse:
        """Send a form that the page has."""
        return self.http.post(path, data={"csrf": csrf(self.get(page)), **fields})

    def decide(self, status: str, *ids: int, seen: str = "pending -", path: str = "/admin") -> str:
        """Tick comments and press a button; what the page then says."""
        return self.after(self.send(path, **{status: "ticked"}, ticked=[f"{each} {seen}" for each in ids]))

    def after(self, answer: TestResponse) -> str:
        """What the page says to which a form leads."""
        assert answer.status_code == 303, answer.text
        return said(self.get(answer.headers["Location"]))


def csrf(page: TestResponse) -> str:
    return re.search(r'name="csrf" value="([^"]*)"', page.text)[1]  # type: ignore[index]


def said(page: TestResponse) -> str:
    found = re.search(r'role="(?:status"><p|alert")>(.*?)</', page.text)
    return unescape(found[1]) if found else ""


def shown(page: TestResponse) -> list[int]:
    """The ids of the comments on a page."""
    return [int(each) for each in re.findall(r'<article id="c(\d+)"', page.text)]


Open = Callable[..., Moderator]


@pytest.fixture
def moderator(database_url: str) -> Iterator[Open]:
    """A function that starts the service with a configuration, and signs a moderator in."""
    with ExitStack() as stack:

        def start(**config: Any) -> Moderator:
            site = Site(database_url, **config)
            stack.callback(site.database.close)
            moderator = Moderator(site)
            assert moderator.sign_in().status_code == 303
            return moderator

        yield start


@pytest.fixture
def here(moderator: Open) -> Moderator:
    """A moderator, where all comments wait."""
    return moderator(moderation="all")


# Who may


def test_without_an_admin_token_there_are_no_pages(database: CommentDatabase) -> None:
    http = create_app(Config(), database).test_client()
    for path in (*PAGES, "/admin/sign-in", "/admin/static/admin.css"):
        answer = http.get(path)
        assert (answer.status_code, answer.content_type) == (404, "application/json")
        assert "Content-Security-Policy" not in answer.headers


def test_without_an_admin_token_nothing_of_the_pages_is_imported() -> None:
    program = (
        "import sys; from app import create_app; from config import Config; from db import CommentDatabase;"
        "create_app(Config(), CommentDatabase('postgresql://localhost/x'));"
        "print([name for name in ('web.admin', 'web.session') if name in sys.modules])"
    )
    assert run([PYTHON, "-c", program]).stdout == "[]\n"


@pytest.mark.parametrize("path", [*PAGES, "/admin?status=spam&q=%3C%22", "/admin/"])
def test_who_is_not_signed_in_is_asked_to_sign_in_and_then_goes_on(moderator: Open, path: str) -> None:
    other = Moderator(moderator().site)
    answer = other.get(path)
    assert (answer.status_code, answer.text) == (303, "")
    page = other.get(answer.headers["Location"])
    action = unescape(re.search(r'action="([^"]*)"', page.text)[1])  # type: ignore[index]
    answer = other.http.post(action, data={"csrf": csrf(page), "token": ADMIN})
    assert (answer.status_code, answer.headers["Location"]) == (303, path.removesuffix("/"))


def test_a_wrong_token_is_refused(moderator: Open) -> None:
    other = Moderator(moderator().site, "x" * 26)
    for token in ("", "x" * 26, ADMIN[:-1], ADMIN.upper(), "ж" * 30):
        other.token = token
        answer = other.sign_in()
        assert (answer.status_code, said(answer)) == (403, session.WRONG_TOKEN)
        assert "comments-admin=" not in "".join(answer.headers.getlist("Set-Cookie"))
    assert other.get().status_code == 303


def test_the_token_is_in_no_page_and_in_no_cookie(here: Moderator) -> None:
    here.site.post("Hello")
    pages = [here.get(path) for path in PAGES]
    assert not [page for page in pages if ADMIN in page.text or ADMIN in str(page.headers)]
    assert ADMIN not in here.http.get_cookie(session.COOKIE, path="/admin").value  # type: ignore[union-attr]


def test_an_address_has_ten_attempts_a_minute(moderator: Open) -> None:
    other = Moderator(moderator().site, "x" * 26)  # that one has signed in once
    answers = [other.sign_in() for _ in range(10)]
    assert [answer.status_code for answer in answers] == [403] * 9 + [429]
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 6
    assert said(answers[-1]).startswith("There were too many attempts from your address. Try again in ")
    other.token = ADMIN
    assert other.sign_in().status_code == 429, "who guesses it must not learn so"
    elsewhere = {"REMOTE_ADDR": "192.0.2.1"}
    assert other.sign_in(environ_overrides=elsewhere).status_code == 303


@pytest.mark.parametrize("over_https", [False, True])
def test_the_cookie_of_a_session(moderator: Open, over_https: bool) -> None:
    answer = Moderator(moderator().site).sign_in(headers={"X-Forwarded-Proto": "https"} if over_https else {})
    [cookie] = [each for each in answer.headers.getlist("Set-Cookie") if each.startswith(f"{session.COOKIE}=")]
    _, *attributes = cookie.split("; ")
    expires = [each for each in attributes if each.startswith("Expires=")]
    expected = ["Max-Age=43200", "HttpOnly", "Path=/admin", "SameSite=Strict", *(["Secure"] if over_https else [])]
    assert sorted(attributes) == sorted([*expected, *expires])


def test_a_session_ends_after_12_hours(here: Moderator, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 43_190)
    assert here.get().status_code == 200
    monkeypatch.setattr(time, "time", lambda: now + 43_210)
    assert here.get().status_code == 303
    assert here.http.post("/admin", data={"published": "1 pending -"}).status_code == 303


def test_a_new_admin_token_ends_all_sessions(here: Moderator, moderator: Open) -> None:
    here.http.application = create_app(Config(admin_token=ADMIN[::-1]), here.site.database)
    assert here.get().status_code == 303


def signed(secret: str, key: str = ADMIN, salt: str = "session of /admin", **options: Any) -> str:
    return TimestampSigner(key, salt=salt, **(session.SIGNED | options)).sign(secret).decode()


FORGED = {
    "nothing": "",
    "a secret without a signature": "A" * 22,
    "another key": signed("A" * 22, "B" * 26),
    "another use of the key": signed("A" * 22, salt="done on /admin"),
    "another algorithm": signed("A" * 22, key_derivation="concat"),
    "a signature with a byte more": signed("A" * 22) + "A",
    "another secret": "B" + signed("A" * 22)[1:],
    "no ASCII": "ж.ж.ж",
    "dots": "..",
}


@pytest.mark.parametrize("value", FORGED.values(), ids=list(FORGED))
def test_a_forged_session_is_none(here: Moderator, value: str) -> None:
    other = Moderator(here.site)
    other.http.set_cookie(session.COOKIE, value, path="/admin")
    assert other.get().status_code == 303
    assert other.http.post("/admin", data={"csrf": session.form_token("A" * 22)}).status_code == 303


def test_only_the_token_makes_a_session(here: Moderator) -> None:
    """The opposite of the forged ones: else they would prove nothing."""
    other = Moderator(here.site)
    other.http.set_cookie(session.COOKIE, signed("A" * 22), path="/admin")
    assert other.get().status_code == 200


def test_a_cookie_of_another_site_of_the_domain_ends_no_session(here: Moderator) -> None:
    cookie = here.http.get_cookie(session.COOKIE, path="/admin").value  # type: ignore[union-attr]
    other = create_app(here.site.config, here.site.database).test_client(use_cookies=False)
    answer = other.get("/admin", headers={"Cookie": f"{session.COOKIE}=x; {session.COOKIE}={cookie}"})
    assert answer.status_code == 200


def test_who_signs_out_is_asked_to_sign_in(here: Moderator) -> None:
    assert here.send("/admin/sign-out").headers["Location"] == "/admin/sign-in"
    assert here.get().status_code == 303


def test_a_key_or_token_in_the_authorization_opens_no_page(here: Moderator) -> None:
    assert Moderator(here.site).get(headers={"Authorization": f"Bearer {ADMIN}"}).status_code == 303


def test_a_link_of_another_site_does_not_end_at_the_sign_in(here: Moderator) -> None:
    """Browsers leave a SameSite=Strict cookie out, until our own page asks once more."""
    answer = Moderator(here.site).get("/admin?status=spam&q=%22", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 200
    assert '<meta http-equiv="refresh" content="0; url=/admin?status=spam&amp;q=%22">' in answer.text


# Forms


FORMS = (
    ("/admin", {"published": "1 pending -"}),
    ("/admin", {"author_spam": "1"}),
    ("/admin/rules", {"word": "casino", "effect": "spam"}),
    ("/admin/closed-threads", {"thread": "/a"}),
    ("/admin/sign-out", {"out": ""}),
)


@pytest.mark.parametrize(("path", "fields"), FORMS)
def test_a_form_without_a_valid_token_does_nothing(here: Moderator, path: str, fields: dict[str, str]) -> None:
    here.site.post("Hello", KEY)
    own = csrf(here.get())
    other = Moderator(here.site)
    other.sign_in()
    secret = session.new_secret()
    wrong = (None, "", own[:-1], own + "A", "." + own, csrf(other.get()), session.form_token(secret), "ж")
    for token in wrong:
        answer = here.http.post(path, data={**fields, **({} if token is None else {"csrf": token})})
        assert (answer.status_code, answer.content_type) == (403, "text/html; charset=utf-8")
        assert session.OLD_FORM in unescape(answer.text)
    assert here.site.queue("pending") == [1]
    assert here.site.call("GET", "/rules").get_json() == {"rules": []}
    assert here.site.call("GET", "/closed-threads").get_json() == {"threads": []}
    assert here.get().status_code == 200
    assert here.http.post(path, data={**fields, "csrf": own}).status_code == 303


def test_nobody_can_sign_in_another_person(here: Moderator) -> None:
    other = Moderator(here.site)
    for token in ("", session.form_token("A" * 22), csrf(Moderator(here.site).get("/admin/sign-in"))):
        answer = other.http.post("/admin/sign-in", data={"csrf": token, "token": ADMIN})
        assert (answer.status_code, said(answer)) == (400, session.NO_COOKIE)
    assert other.get().status_code == 303


def test_each_form_has_another_token(here: Moderator) -> None:
    assert csrf(here.get()) != csrf(here.get())


@pytest.mark.parametrize(
    ("path", "data", "status"),
    [
        ("/admin", {}, 400),
        ("/admin", {"published": "1"}, 400),
        ("/admin", {"published": "0 pending -"}, 400),
        ("/admin", {"published": "9999999999999999999 pending -"}, 400),
        ("/admin", {"published": "1 deleted -"}, 400),
        ("/admin", {"published": "ticked", "ticked": ["1 pending -"] * 201}, 400),
        ("/admin", {"author_spam": "x"}, 400),
        ("/admin", {"author_spam": "99"}, 400),
        ("/admin?status=deleted", {"published": "1 pending -"}, 400),
        ("/admin", {str(number): "" for number in range(1001)}, 400),
        ("/admin/rules", {"word": "x"}, 400),
        ("/admin/nothing", {}, 404),
        ("/admin/static/admin.css", {}, 405),
    ],
)
def test_a_form_that_is_none_of_ours_is_an_error_as_a_page(
    here: Moderator, path: str, data: dict[str, Any], status: int
) -> None:
    answer = here.send(path, **data)
    assert (answer.status_code, answer.content_type) == (status, "text/html; charset=utf-8")
    assert "<h1>" in answer.text


def test_a_body_that_is_no_form_is_refused(here: Moderator) -> None:
    assert here.http.post("/admin", json={"published": "1 pending -"}).status_code == 415
    assert here.http.post("/admin/sign-in", data=b"x" * 300_000, content_type="text/plain").status_code == 415
    too_large = here.http.post("/admin/sign-in", data={"token": "x" * 300_000})
    assert (too_large.status_code, too_large.content_type) == (413, "text/html; charset=utf-8")


# Headers


def test_every_answer_below_admin_has_the_headers_that_protect_it(here: Moderator) -> None:
    here.site.post("Hello")
    other = Moderator(here.site)
    answers = [
        *(here.get(path) for path in PAGES),
        here.get("/admin/static/admin.css"),
        here.get("/admin/nothing"),
        here.get("/admin?status=nothing"),
        here.http.post("/admin"),
        here.http.put("/admin"),
        here.http.options("/admin"),
        here.http.head("/admin"),
        here.send("/admin", deleted="1 pending -"),
        here.send("/admin", published="1 pending -"),
        other.get(),
        other.get("/admin/sign-in"),
    ]
    for answer in answers:
        assert answer.headers["Content-Security-Policy"] == CSP
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    pages = [answer for answer in answers if answer.mimetype == "text/html" and answer.data]
    assert {answer.headers["Cache-Control"] for answer in pages} == {"no-store"}


@pytest.mark.parametrize("path", ["/%2Fadmin", "/%2Fadmin/sign-in", "/%2F/admin/rules"])
def test_a_page_is_at_one_path_only(here: Moderator, path: str) -> None:
    for headers in ({}, {"Sec-Fetch-Site": "cross-site"}):
        answer = here.http.get(path, headers=headers)
        assert (answer.status_code, answer.mimetype) == (404, "application/json")


def test_no_page_of_another_origin_gets_a_page(moderator: Open) -> None:
    here = moderator(allowed_origins=("*",))
    other = {"Origin": "https://other.example", "Access-Control-Request-Method": "POST"}
    options = here.http.options("/admin", headers=other)
    for answer in (here.get(headers=other), options, here.get("/admin/x", headers=other)):
        assert not [name for name, _ in answer.headers.to_wsgi_list() if name.startswith("Access-Control-")]
    assert "Access-Control-Allow-Origin" in here.get("/comments", headers=other).headers


def test_files_have_an_entity_tag(here: Moderator) -> None:
    for name in ("admin.css", "admin.js", "icon.svg"):
        answer = here.get(f"/admin/static/{name}")
        assert answer.status_code == 200
        again = here.get(f"/admin/static/{name}", headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")
    assert here.get("/admin/static/../session.py").status_code == 404
    assert here.get("/admin/static/..%2fsession.py").status_code == 404
    assert len(here.get("/admin/static/admin.js").data) < 3_500


@pytest.mark.parametrize(
    "target",
    [
        "https://other.example/",
        "//other.example/",
        "/\\other.example/",
        "/admin\\@other.example",
        "/admin@other.example",
        "/admin.other.example",
        "/admin/../comments",
        "/admin\r\nSet-Cookie: x=1",
        "/admin?x\r\nSet-Cookie: x=1",
        "/admin?\u2028",
        "javascript:alert(1)",
        "",
    ],
)
def test_nobody_is_led_to_another_place_after_signing_in(here: Moderator, target: str) -> None:
    other = Moderator(here.site)
    page = other.get("/admin/sign-in", query_string={"next": target})
    data = {"csrf": csrf(page), "token": ADMIN}
    answer = other.http.post("/admin/sign-in", query_string={"next": target}, data=data)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin")
    assert "x=1" not in str(answer.headers)


def test_a_thread_puts_nothing_into_a_header(here: Moderator) -> None:
    thread = "/a\r\nSet-Cookie: x=1\r\n\r\n<script>"
    here.site.post("Hello", thread=thread)
    answer = here.http.post(
        "/admin", query_string={"thread": thread}, data={"csrf": csrf(here.get()), "published": "1 pending -"}
    )
    assert answer.headers["Location"] == "/admin?thread=%2Fa%0D%0ASet-Cookie%3A+x%3D1%0D%0A%0D%0A%3Cscript%3E"
    assert here.site.ids() == [1]
    for fields in ({"close": thread}, {"open": thread}):
        answer = here.send("/admin/closed-threads", **fields)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/closed-threads")
        assert "x=1" not in str(answer.headers)


# What people write


HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'{{ 7919*7919 }}"


def test_names_threads_rules_and_searches_are_text(here: Moderator) -> None:
    here.site.post("Hello", KEY, name=HOSTILE, thread=HOSTILE)
    here.site.post("Hello", KEY, name=HOSTILE, thread=HOSTILE)
    here.decide("published", 1)
    here.site.post(HOSTILE, KEY, name=HOSTILE, thread=HOSTILE, parent_id=1)
    query = {"q": "script", "thread": HOSTILE, "author_of": 1, "status": "all"}
    pages = [
        here.get("/admin", query_string=query),
        here.get("/admin", query_string={"q": HOSTILE}),
        here.send("/admin", deleted="1 pending -"),
        here.send("/admin/rules", word=HOSTILE + "x" * 100, effect="spam"),
        here.send("/admin/closed-threads", thread=HOSTILE + "x" * 512),
    ]
    here.send("/admin/rules", word=HOSTILE, effect="spam")
    here.send("/admin/closed-threads", close=HOSTILE)
    pages += [here.get(path) for path in PAGES]
    pages += [Moderator(here.site).get("/admin/sign-in", query_string={"next": HOSTILE})]
    for page in pages:
        assert not re.search(r"<script>|<img|62710561", page.text), page.text
    assert "&lt;script&gt;" in pages[0].text


def test_the_html_of_a_comment_is_that_of_the_api(here: Moderator) -> None:
    for first in range(0, len(VECTORS), 20):
        here.site.post("\n\n".join(VECTORS[first : first + 20]))
    page = here.get().text
    for comment in here.site.call("GET", "/comments?status=pending").get_json()["comments"]:
        assert comment["html"] in page


def test_a_page_says_where_a_link_leads_unless_it_is_what_the_link_says(here: Moderator) -> None:
    here.site.post("[bank.example](https://casino.example/?a=1&b=2) https://plain.example")
    [links] = re.findall(r'<ul class="links".*?</ul>', here.get().text, re.DOTALL)
    assert re.findall("<bdi>(.*?)</bdi>", links) == ["bank.example", "https://casino.example/?a=1&amp;b=2"]


# Lists


def test_the_queue_shows_what_waits_and_why(moderator: Open) -> None:
    here = moderator(moderation="first", max_links=0)
    here.site.post("Question", KEY, name="Grace", thread="/a")
    here.decide("published", 1)
    here.site.post("https://example.org", KEY, thread="/a", parent_id=1)
    here.site.post("First")
    page = here.get()
    assert shown(page) == [2, 3]
    assert "Waits: it has many links" in page.text
    assert "Waits: nothing of its author was published before" in page.text
    assert "Answers <bdi>Grace</bdi>" in page.text
    assert ">Question<" in page.text
    assert '<a href="/admin?thread=%2Fa"><bdi>/a</bdi></a>' in page.text
    assert re.search(r'Waiting <span class="count">2</span>', page.text)
    assert shown(here.get("/admin?status=published")) == [1]


def test_a_list_is_filtered_and_searched(here: Moderator) -> None:
    here.site.post("An elephant", KEY, thread="/a")
    here.site.post("A mouse", KEY, thread="")
    here.site.post("A mouse", OTHER_KEY, thread="/a")
    here.site.decide(3, "spam")
    assert shown(here.get("/admin?q=ELEPH")) == [1]
    assert shown(here.get("/admin?q=+")) == [1, 2]
    assert shown(here.get("/admin?thread=")) == [2]
    assert shown(here.get("/admin?status=all&thread=/a")) == [3, 1]
    assert shown(here.get("/admin?status=all&author_of=1")) == [2, 1]
    assert shown(here.get("/admin?status=all&q=mouse&author_of=1")) == [2]


def test_whose_author_is_not_known_has_no_button_for_him(here: Moderator) -> None:
    here.site.post("With a key", KEY)
    here.site.post("Without")
    assert re.findall(r'name="author_spam" value="(\d+)"', here.get().text) == ["1"]


def test_a_long_list_comes_in_pages(here: Moderator, database_url: str) -> None:
    rows = "SELECT '/a', n, 'Ada', 'Hello', 'pending', 'all', false FROM generate_series(1, 1200) n"
    sql(database_url, f"INSERT INTO held_comments (thread, id, name, comment, status, reason, verified) {rows}")
    page = here.get()
    assert '<span class="count">1,000+</span>' in page.text
    assert shown(page) == list(range(1, 51))
    next_page = unescape(re.search(r'<a href="([^"]*)" rel="next"', page.text)[1])  # type: ignore[index]
    assert shown(here.get(next_page)) == list(range(51, 101))


def test_a_page_is_not_larger_than_a_browser_bears(here: Moderator) -> None:
    for _ in range(5):
        here.site.post(("<" * 49 + "\n") * 190 + "&" * 400)
    page = here.get()
    assert len(page.text) < 2_000_000
    assert 'rel="next"' not in page.text or shown(page) == list(range(1, len(shown(page)) + 1))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/admin", "No comment waits for you."),
        ("/admin?status=spam", "There is no spam."),
        ("/admin?status=published", "There are no comments yet."),
        ("/admin?q=x", "No comment was found."),
        ("/admin?after=5", "There are no more comments here."),
        ("/admin/rules", "There are no rules yet."),
        ("/admin/closed-threads", "No thread is closed."),
    ],
)
def test_an_empty_list_says_so(here: Moderator, path: str, text: str) -> None:
    assert text in here.get(path).text


# Decisions


def test_one_comment_is_decided_by_its_own_button(here: Moderator) -> None:
    for _ in range(4):
        here.site.post("Hello")
    assert here.after(here.send("/admin", published="1 pending -")) == "1 comment was published."
    assert (
        here.after(here.send("/admin", spam="2 pending -", ticked=["3 pending -"])) == "1 comment was marked as spam."
    )
    assert here.after(here.send("/admin", deleted="3 pending -", sure="yes")) == "1 comment was deleted."
    assert (here.site.ids(), here.site.queue("spam"), here.site.queue("pending")) == ([1], [2], [4])


def test_all_that_are_ticked_are_decided_at_once(here: Moderator) -> None:
    for _ in range(5):
        here.site.post("Hello")
    assert here.decide("published", 1, 3, 5) == "3 comments were published."
    assert here.decide("pending", 1, 3, seen="published -") == "2 comments were held."
    assert (here.site.ids(), here.site.queue("pending")) == ([5], [1, 2, 3, 4])
    assert here.after(here.send("/admin", published="ticked")) == "No comment is ticked. Nothing was changed."


def test_a_message_is_said_once(here: Moderator) -> None:
    here.site.post("Hello")
    answer = here.send("/admin", published="1 pending -")
    assert [said(here.get(answer.headers["Location"])) for _ in range(2)] == ["1 comment was published.", ""]


def test_a_decision_leads_back_to_the_same_list(here: Moderator) -> None:
    here.site.post("Hello", thread="/a b")
    path = "/admin?status=spam&q=a%26b&thread=%2Fa+b&author_of=1&after=7"
    answer = here.send(path, published="1 pending -")
    assert answer.headers["Location"] == path


def test_a_decision_is_undone(here: Moderator) -> None:
    for _ in range(3):
        here.site.post("Hello")
    page = here.get(here.send("/admin", spam="ticked", ticked=["1 pending -", "3 pending -"]).headers["Location"])
    undo = re.search(r'<form class="undo".*?</form>', page.text, re.DOTALL)[0]  # type: ignore[index]
    marks = re.findall(r'name="ticked" value="([^"]*)"', undo)
    assert (marks, 'name="pending" value="ticked"' in undo) == (["1 spam -", "3 spam -"], True)
    assert here.after(here.send("/admin", pending="ticked", ticked=marks)) == "2 comments were held."
    assert here.site.queue("pending") == [1, 2, 3]


def test_a_decision_is_undone_by_hand(here: Moderator) -> None:
    here.site.post("Hello")
    here.decide("spam", 1)
    assert here.decide("published", 1, seen="spam -", path="/admin?status=spam") == "1 comment was published."
    assert here.decide("spam", 1, seen="published -", path="/admin?status=published") == "1 comment was marked as spam."
    assert here.site.queue("spam") == [1]


def test_what_was_edited_meanwhile_is_not_published_and_the_page_says_so(here: Moderator) -> None:
    here.site.post("Harmless", KEY)
    here.site.post("Hello")
    here.site.call("PATCH", "/comments/1", KEY, json={"comment": "Spam"})
    assert here.decide("published", 1, 2) == (
        "1 comment was published. 1 was edited meanwhile, and not changed: please read again."
    )
    assert (here.site.ids(), here.site.queue("pending")) == ([2], [1])
    mark = re.search(r'name="ticked" value="(1 [^"]*)"', here.get().text)[1]  # type: ignore[index]
    assert here.after(here.send("/admin", published=mark)) == "1 comment was published."


def test_what_another_moderator_has_decided_is_told(here: Moderator) -> None:
    for _ in range(3):
        here.site.post("Hello")
    here.site.decide(1, "published")
    here.site.decide(2, "deleted")
    said_now = here.decide("published", 1, 2, 3)
    assert said_now == "1 comment was published. 2 were gone, or decided already."
    page = here.get().text
    assert 'class="undo"' not in page


@pytest.mark.parametrize("last", ["", "0", "-1", "x", "9" * 30])
def test_a_form_with_a_strange_last_comment_is_taken(here: Moderator, last: str) -> None:
    here.site.post("Hello")
    assert here.after(here.send("/admin", spam="1 pending -", last=last)) == "1 comment was marked as spam."


def test_deleting_asks_once(here: Moderator) -> None:
    here.site.post("First", name="Ada")
    here.site.post("Second", name="Grace")
    question = here.send("/admin?status=all", deleted="ticked", ticked=["1 pending -", "2 pending -"])
    assert question.status_code == 200
    assert "<h1>Delete these 2 comments?</h1>" in question.text
    assert "First" in question.text
    assert "Grace" in question.text
    assert here.site.queue("pending") == [1, 2]
    sent = {"csrf": csrf(question), "sure": "yes", "deleted": "ticked"}
    marks = re.findall(r'name="ticked" value="([^"]*)"', question.text)
    answer = here.http.post("/admin?status=all", data=sent | {"ticked": marks})
    assert (answer.headers["Location"], here.after(answer)) == ("/admin?status=all", "2 comments were deleted.")
    assert here.site.ids("status=pending", ADMIN) == []


def test_the_next_comment_has_the_focus_after_a_decision(here: Moderator) -> None:
    for _ in range(4):
        here.site.post("Hello")

    def focus(**fields: str) -> list[str]:
        page = here.get(here.send("/admin", **fields).headers["Location"])
        return re.findall(r'id="tick-(\d+)"[^>]* autofocus', page.text)

    assert re.search("autofocus", here.get().text) is None
    assert focus(spam="2 pending -") == ["3"]
    assert focus(spam="4 pending -") == ["3"]
    assert focus(published="1 pending -") == ["3"]
    assert focus(published="3 pending -") == []


def test_a_page_gets_new_comments_only_when_all_of_it_is_decided(
    here: Moderator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "PAGE", 3)
    for _ in range(7):
        here.site.post("Hello", KEY)

    def left(page: TestResponse, **fields: object) -> TestResponse:
        last = re.findall(r'name="last" value="(\d+)"', page.text)[-1]
        answer = here.http.post("/admin", data={"csrf": csrf(page), "last": last, **fields})
        return here.get(answer.headers["Location"]) if answer.status_code == 303 else answer

    page = left(here.get(), spam="2 pending -")
    assert (shown(page), 'href="/admin?after=3" rel="next"' in page.text) == ([1, 3], True)
    page = left(page, author_spam="1")
    assert shown(page) == [1, 3]
    page = left(left(page, deleted="1 pending -"), deleted="ticked", ticked=["1 pending -"], sure="yes")
    assert shown(page) == [3]
    assert shown(here.get()) == [3, 4, 5]
    assert shown(left(page, published="ticked", ticked=["3 pending -"])) == [4, 5, 6]


def test_a_page_of_the_newest_gets_no_older_ones_before_all_of_it_is_decided(
    here: Moderator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "PAGE", 2)
    for _ in range(5):
        here.site.post("Hello", ADMIN)
    path = "/admin?status=published"
    page = here.get(here.send(path, path, spam="4 published -", last="4").headers["Location"])
    assert shown(page) == [5]


@pytest.mark.parametrize("effect", ["pending", "spam"])
def test_an_author_is_held(moderator: Open, effect: str) -> None:
    here = moderator()
    here.site.post("Hello", KEY)
    what = {"pending": "wait", "spam": "be spam"}[effect]
    answer = here.send("/admin?status=published", **{f"author_{effect}": "1"})
    assert here.after(answer) == f"New comments of the author of comment 1 will {what}."
    here.site.post("Hello", KEY)
    here.site.post("Hello", OTHER_KEY)
    assert (here.site.ids(), here.site.queue(effect)) == ([1, 3], [2])


# Rules and threads


def test_rules_are_added_and_deleted(here: Moderator) -> None:
    answer = here.send("/admin/rules", word=" CASINO ", effect="spam")
    assert here.after(answer) == "“casino” is a rule now."
    assert "“<bdi>casino</bdi>”" in here.get("/admin/rules").text
    here.site.post("casino")
    assert here.site.queue("spam") == [1]
    assert here.after(here.send("/admin/rules", delete="1")) == "The rule was deleted."
    assert here.after(here.send("/admin/rules", delete="1")) == "The rule is gone already."
    assert here.after(here.send("/admin/rules", delete="x")) == "The rule is gone already."


def test_a_rule_that_can_t_be_says_why_and_keeps_what_was_typed(here: Moderator, database_url: str) -> None:
    answer = here.send("/admin/rules", word="…", effect="spam")
    assert (answer.status_code, said(answer)) == (400, "Value must contain a letter, a digit or a symbol.")
    assert 'value="…"' in answer.text
    assert 'value="spam" checked' in answer.text
    rows = "SELECT 'word', n, n, 'spam' FROM generate_series(1, 1000) n"
    sql(database_url, f"INSERT INTO rules (kind, value, matches, effect) {rows}")
    answer = here.send("/admin/rules", word="casino", effect="spam")
    assert (answer.status_code, said(answer)[:29]) == (409, "There are 1,000 rules already")
    here.site.post("Hello", KEY)
    assert here.send("/admin", author_spam="1").status_code == 409


def test_threads_are_closed_and_opened(here: Moderator) -> None:
    answer = here.send("/admin/closed-threads", thread=" /a ")
    assert here.after(answer) == "The thread /a is closed: it takes no new comments."
    assert here.site.post("Hello", thread="/a").status_code == 403
    assert here.after(here.send("/admin/closed-threads", close="")).startswith("The thread without a name is closed")
    assert "<bdi>/a</bdi></a>" in here.get("/admin/closed-threads").text
    assert here.after(here.send("/admin/closed-threads", open="/a")) == "The thread /a is open."
    assert here.after(here.send("/admin/closed-threads", open="")) == "The thread without a name is open."
    assert here.site.post("Hello", thread="/a").status_code == 201
    answer = here.send("/admin/closed-threads", thread=" ")
    assert (answer.status_code, said(answer)) == (400, "Thread is required.")


def test_many_closed_threads_come_in_pages(here: Moderator, database_url: str) -> None:
    sql(database_url, "INSERT INTO closed_threads SELECT to_char(n, '/000') FROM generate_series(1, 150) n")
    page = here.get("/admin/closed-threads")
    next_page = re.search(r'<a href="([^"]*)" rel="next"', page.text)[1]  # type: ignore[index]
    assert here.get(next_page).text.count('name="open"') == 50


# Errors


def test_a_database_that_is_away_is_a_page_that_says_so(moderator: Open) -> None:
    here = moderator()
    away = CommentDatabase("postgresql://localhost:1/x")
    here.http = create_app(here.site.config, away).test_client()
    here.http.set_cookie(session.COOKIE, signed("A" * 22), path="/admin")
    sent = here.http.post("/admin", data={"csrf": session.form_token("A" * 22), "spam": "1 pending -"})
    for answer in (sent, here.get(), here.get("/admin/rules")):
        assert (answer.status_code, answer.content_type) == (503, "text/html; charset=utf-8")
        assert answer.headers["Retry-After"] == "2"
        assert "<h1>Service Unavailable</h1>" in answer.text
        assert "Idempotency-Key" not in answer.text
    away.close()

"""README.md's page, in a real browser and from another origin than the service's."""

import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from support.browser import CHROMIUM, NEEDS_CHROMIUM
from support.postgres import sql
from support.processes import FLASK, ROOT, Server, run, serving

HOSTILE = "<b>bold</b><script>document.title = 'owned'</script> שלום 👩‍👩‍👧‍👦"
AWAY = "The comments service does not answer. Try again later."

(HTML,) = re.findall(r"^```html\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
# What a site may have of its own: ids and global names that are words of the page too.
SITE = """
<div id="comments"></div> <form id="form"></form> <p id="message">ours</p> <p id="list">ours</p>
<script>const service = "ours", thread = "ours", list = "ours", send = "ours"; var key = "ours";</script>
"""

pytestmark = NEEDS_CHROMIUM


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """The origin of a web server on the files of tmp_path."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def service(database_url: str, site: str, tmp_path: Path) -> Iterator[Server]:
    """The service, which allows the site's origin, and pages of the site with the README's page in them."""
    with serving(DATABASE_URL=database_url, ALLOWED_ORIGINS=site) as server:
        write_pages(server, tmp_path)
        yield server


def write_pages(server: Server, directory: Path) -> None:
    html = HTML.replace("http://localhost:5000", server.url)
    for name, content in {"page.html": html, "other.html": html, "twice.html": SITE + html + html}.items():
        (directory / name).write_text('<!doctype html><meta charset="utf-8">' + content)


@pytest.fixture
def page() -> Iterator[Page]:
    """A narrow window of a reader in Tokyo who reads German."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": 320, "height": 640}, locale="de-DE", timezone_id="Asia/Tokyo")
        browser.close()


def send(page: Page, name: str, comment: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Comment").fill(comment)
    page.get_by_role("button", name="Send").click()


def test_the_page_lists_a_thread_and_posts_to_it(page: Page, site: str, service: Server, database_url: str) -> None:
    page.goto(f"{site}/page.html")
    send(page, "Ada", HOSTILE)
    expect(page.locator("li p")).to_have_text([HOSTILE])
    send(page, "Grace", "Hello, Ada")
    expect(page.locator("li p")).to_have_text([HOSTILE, "Hello, Ada"])
    expect(page.locator("li b")).to_have_text(["Ada", "Grace"])
    expect(page.get_by_role("status")).to_be_empty()
    assert page.title() != "owned"
    page.reload()
    expect(page.get_by_role("listitem")).to_have_count(2)
    keys = sql(database_url, "SELECT thread, comment, idempotency_key IS NOT NULL FROM comments ORDER BY id")
    assert keys == [("/page.html", HOSTILE, True), ("/page.html", "Hello, Ada", True)]
    page.goto(f"{site}/other.html")
    expect(page.get_by_role("listitem")).to_have_count(0)


def test_the_page_walks_all_pages_of_a_long_thread(page: Page, site: str, service: Server, database_url: str) -> None:
    numbers = "SELECT '/page.html', 'Ada', n::text FROM generate_series(1, 250) n"
    sql(database_url, f"INSERT INTO comments (thread, name, comment) {numbers}")
    page.goto(f"{site}/page.html")
    expect(page.get_by_role("listitem")).to_have_count(250)


def test_the_page_says_when_a_comment_was_written_in_the_words_of_the_reader(
    page: Page, site: str, service: Server, database_url: str
) -> None:
    row = ("/page.html", "Ada", "Hello", "2026-11-23T18:10:00.123456Z")
    sql(database_url, "INSERT INTO comments (thread, name, comment, created_at) VALUES (%s, %s, %s, %s)", *row)
    page.goto(f"{site}/page.html")
    expect(page.locator("time")).to_have_text("24.11.2026, 03:10:00")
    expect(page.locator("time")).to_have_attribute("datetime", "2026-11-23T18:10:00.123456Z")


def test_no_word_makes_the_page_wider_than_its_window(page: Page, site: str, service: Server) -> None:
    for text in ("w" * 9_990, "    " + "code " * 100):
        service.post("N" * 100, f"x\n\n{text}", thread="/page.html")
    page.goto(f"{site}/page.html")
    expect(page.get_by_role("listitem").filter(has=page.locator("time"))).to_have_count(2)
    assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_the_lines_of_a_comment_stay_lines(page: Page, site: str, service: Server) -> None:
    page.goto(f"{site}/page.html")
    send(page, "Ada", "one\ntwo\n\n    three")
    expect(page.get_by_role("listitem")).to_have_count(1)
    assert page.locator("li div").inner_text() == "one\ntwo\n\nthree"
    assert page.locator("li pre code").inner_text() == "three"


def test_the_page_shows_markdown_and_leaves_deleted_comments_out(
    page: Page, site: str, service: Server, database_url: str
) -> None:
    question = service.post("Ada", "*Hello*, see https://example.org", thread="/page.html").json()
    reply = {"name": "Grace", "comment": "Hi", "thread": "/page.html", "parent_id": question["id"]}
    assert service.http.post("/comments", json=reply).status_code == 201
    page.goto(f"{site}/page.html")
    expect(page.locator("li em")).to_have_text("Hello")
    expect(page.get_by_role("link")).to_have_attribute("href", "https://example.org")
    assert run([*FLASK, "delete-comment", str(question["id"])], DATABASE_URL=database_url).returncode == 0
    page.reload()
    expect(page.get_by_role("listitem")).to_have_count(1)


def test_the_page_shows_what_is_wrong(page: Page, site: str, service: Server) -> None:
    page.goto(f"{site}/page.html")
    send(page, " ", "Hello")
    expect(page.get_by_role("status")).to_have_text("Name is required.")
    expect(page.get_by_label("Comment")).to_have_value("Hello")


def test_the_page_says_that_a_comment_waits(page: Page, site: str, database_url: str, tmp_path: Path) -> None:
    with serving(DATABASE_URL=database_url, ALLOWED_ORIGINS=site, MODERATION="all") as server:
        write_pages(server, tmp_path)
        page.goto(f"{site}/page.html")
        send(page, "Ada", "Hello")
        expect(page.get_by_role("status")).to_have_text("Your comment waits for approval.")
        expect(page.get_by_label("Comment")).to_have_value("")
        expect(page.locator("li")).to_have_count(0)


def test_the_page_says_that_the_service_is_away_and_a_second_attempt_sends_the_comment(
    page: Page, site: str, service: Server, database_url: str
) -> None:
    assert service.stop() == 0
    page.goto(f"{site}/page.html")
    expect(page.get_by_role("status")).to_have_text(AWAY)
    with page.expect_event("requestfailed"):
        send(page, "Ada", "Hello")
    expect(page.get_by_role("status")).to_have_text(AWAY)
    expect(page.get_by_label("Comment")).to_have_value("Hello")
    port = int(service.url.rpartition(":")[2])
    with serving(port=port, PORT=port, DATABASE_URL=database_url, ALLOWED_ORIGINS=site):
        page.get_by_role("button", name="Send").click()
        expect(page.locator("li p")).to_have_text(["Hello"])
        expect(page.get_by_role("status")).to_be_empty()


def test_a_page_of_another_origin_gets_nothing_and_says_so(page: Page, site: str, service: Server) -> None:
    service.post("Ada", "Hello", thread="/page.html")
    page.goto(f"{site.replace('127.0.0.1', 'localhost')}/page.html")
    expect(page.get_by_role("status")).to_have_text(AWAY)
    expect(page.get_by_role("listitem")).to_have_count(0)


def test_two_copies_on_a_page_leave_each_other_and_the_names_of_the_site_alone(
    page: Page, site: str, service: Server
) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{site}/twice.html")
    second = page.locator("section").nth(1)
    second.get_by_label("Name").fill("Ada")
    second.get_by_label("Comment").fill("Hello")
    second.get_by_role("button").click()
    expect(second.locator("li p")).to_have_text(["Hello"])
    page.reload()
    expect(page.locator("section li p")).to_have_text(["Hello", "Hello"])
    expect(page.locator("#comments")).to_be_empty()
    assert page.evaluate("[service, thread, list, send, key, message.textContent]") == ["ours"] * 6
    assert errors == []

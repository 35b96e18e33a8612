"""README.md's page, in a real browser and from another origin than the service's."""

import os
import re
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from support.postgres import sql
from support.processes import ROOT, Server, serving

CHROMIUM = shutil.which("chromium")
HOSTILE = "<b>bold</b><script>document.title = 'owned'</script> שלום 👩‍👩‍👧‍👦"

if not CHROMIUM and "CI" in os.environ:
    raise RuntimeError("CI must run these tests: install Debian's package chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="there is no chromium (on Debian: apt install chromium)")


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
    """The service, which allows the site's origin, and the README's page on the site."""
    (html,) = re.findall(r"^```html\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    with serving(DATABASE_URL=database_url, ALLOWED_ORIGINS=site) as server:
        for name in ("page.html", "other.html"):
            (tmp_path / name).write_text(
                '<!doctype html><meta charset="utf-8">' + html.replace("http://localhost:5000", server.url)
            )
        yield server


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_page()
        browser.close()


def send(page: Page, name: str, comment: str) -> None:
    page.get_by_placeholder("Name").fill(name)
    page.get_by_placeholder("Comment").fill(comment)
    page.get_by_role("button", name="Send").click()


def test_the_page_lists_a_thread_and_posts_to_it(page: Page, site: str, service: Server, database_url: str) -> None:
    page.goto(f"{site}/page.html")
    send(page, "Ada", HOSTILE)
    expect(page.get_by_role("listitem")).to_have_text([f"Ada: {HOSTILE}"])
    send(page, "Grace", "Hello, Ada")
    expect(page.get_by_role("listitem")).to_have_text([f"Ada: {HOSTILE}", "Grace: Hello, Ada"])
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


def test_the_page_shows_what_is_wrong(page: Page, site: str, service: Server) -> None:
    page.goto(f"{site}/page.html")
    send(page, " ", "Hello")
    expect(page.get_by_role("status")).to_have_text("Name is required.")
    expect(page.get_by_placeholder("Comment")).to_have_value("Hello")


def test_a_page_of_another_origin_gets_nothing(page: Page, site: str, service: Server) -> None:
    service.post("Ada", "Hello", thread="/page.html")
    page.goto(f"{site.replace('127.0.0.1', 'localhost')}/page.html")
    with page.expect_event("requestfailed"):
        page.reload()
    expect(page.get_by_role("listitem")).to_have_count(0)

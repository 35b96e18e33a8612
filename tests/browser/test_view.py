"""The page of a thread in a real browser: without JavaScript, by the keyboard, with axe, and as pictures."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from support.browser import NEEDS_CHROMIUM, check
from support.processes import Server, serving

pytestmark = NEEDS_CHROMIUM

TARGETS = "button:visible, .reply a:visible, input:visible"


@pytest.fixture
def service(database_url: str) -> Iterator[Server]:
    with serving(DATABASE_URL=database_url) as server:
        yield server


def post(service: Server, comment: str, name: str = "Ada", parent_id: int | None = None) -> int:
    body = {"name": name, "comment": comment, "thread": "/two-disks", "parent_id": parent_id}
    answer = service.http.post("/comments", json=body)
    assert answer.status_code == 201
    found: int = answer.json()["id"]
    return found


def test_each_state_is_usable_by_all(page: Page, service: Server) -> None:
    page.goto(f"{service.url}/view?thread=/two-disks")
    check(page, "view-empty", TARGETS)
    question = post(service, "Does this work with **two** disks?\n\n> It does with one.\n\nI tried `sync`.", "Grace")
    first = post(service, "It does. See [the manual](https://example.org/manual).", "Ada Lovelace", question)
    parent_id = post(service, "שלום, a text in two directions", "שלום", first)
    for number in range(4):
        parent_id = post(service, f"Deeper {number}", "A-very-long-name-" * 5, parent_id)
    post(service, "x" * 300, "Linus")
    page.reload()
    check(page, "view", TARGETS)
    page.get_by_role("link", name="Reply to Grace").click()
    expect(page.get_by_role("heading", name="Reply to Grace")).to_be_visible()
    page.get_by_role("textbox", name="Name").fill("Ada")
    page.get_by_role("textbox", name="Comment").fill("Thank you, **Grace**")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("heading", name="Preview")).to_be_visible()
    check(page, "view-preview", TARGETS)
    page.get_by_role("textbox", name="Name").fill(" ")
    page.get_by_role("button", name="Post").click()
    expect(page.get_by_role("alert")).to_have_text("Name is required.")
    expect(page.get_by_role("textbox", name="Comment")).to_have_value("Thank you, **Grace**")
    check(page, "view-error", TARGETS)
    page.get_by_role("textbox", name="Name").fill("Ada")
    page.get_by_role("button", name="Post").click()
    expect(page.get_by_role("status")).to_have_text("Your comment is posted.")
    check(page, "view-posted", TARGETS)


def test_without_javascript_the_keyboard_is_enough(browser: Browser, service: Server) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{service.url}/view?thread=/two-disks")
    page.keyboard.press("Tab")
    page.keyboard.type("Ada")
    page.keyboard.press("Tab")
    page.keyboard.type("Hello")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("article")).to_contain_text("Hello")
    assert page.url.endswith("#comment-1")
    context.close()

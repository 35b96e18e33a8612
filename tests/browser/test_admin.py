"""The pages of moderators in a real browser: by the keyboard, with axe, and as pictures."""

from collections.abc import Iterator
from hashlib import sha256

import pytest
from playwright.sync_api import Browser, Page, expect

from support.browser import NEEDS_CHROMIUM, check
from support.moderator import ADMIN
from support.processes import Server, serving

pytestmark = NEEDS_CHROMIUM

TARGETS = "button:visible, .tabs a:visible, input[type=checkbox]:visible"
GOOD = "I had the same trouble with two disks. The [second answer](https://example.org/disks) helped: `sync` first."
BAD = "CHEAP WATCHES!!! Visit [my page](https://spam.example/a?b=c) now"


@pytest.fixture
def service(database_url: str) -> Iterator[Server]:
    with serving(DATABASE_URL=database_url, ADMIN_TOKEN=ADMIN, MODERATION="all") as server:
        yield server


def post(service: Server, comment: str, name: str = "Ada", **fields: object) -> int:
    key = {"Authorization": f"Bearer {sha256(name.encode()).hexdigest()}"}
    answer = service.http.post("/comments", json={"name": name, "comment": comment, **fields}, headers=key)
    assert answer.status_code == 201
    found: int = answer.json()["id"]
    return found


def decide(service: Server, status: str, *ids: int) -> None:
    body = {"ids": ids, "status": status}
    service.http.patch("/comments", json=body, headers={"Authorization": f"Bearer {ADMIN}"}).raise_for_status()


def sign_in(page: Page, service: Server) -> None:
    page.goto(f"{service.url}/admin")
    page.get_by_label("ADMIN_TOKEN").fill(ADMIN)
    with page.expect_navigation():  # to the end: the keys work from then on
        page.keyboard.press("Enter")


def test_each_state_is_usable_by_all(page: Page, service: Server) -> None:
    page.goto(f"{service.url}/admin")
    check(page, "sign-in", TARGETS)
    page.get_by_label("ADMIN_TOKEN").fill("a-wrong-token-of-moderators")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    check(page, "wrong-token", TARGETS)
    sign_in(page, service)
    check(page, "empty", TARGETS)
    question = post(service, "Does this work with **two** disks?", "Grace", thread="/two-disks")
    decide(service, "published", question)
    post(service, GOOD, "Ada Lovelace", thread="/two-disks", parent_id=question)
    post(service, BAD, "Cheap " * 15, thread="/a-very-long-path/" + "of-a-post-" * 20)
    post(service, "שלום, a text in two directions", "שלום", thread="/two-disks")
    page.reload()
    check(page, "queue", TARGETS)
    page.get_by_role("button", name="Delete the comment of Ada").click()
    expect(page.get_by_role("heading", name="Delete this comment?")).to_be_visible()
    check(page, "delete", TARGETS)
    page.goto(f"{service.url}/admin/rules")
    page.get_by_label("Word").fill("casino")
    page.keyboard.press("Enter")
    expect(page.get_by_text("is a rule now")).to_be_visible()
    check(page, "rules", TARGETS)
    page.goto(f"{service.url}/admin/closed-threads")
    page.get_by_label("Thread").fill("/two-disks")
    page.keyboard.press("Enter")
    expect(page.get_by_text("is closed")).to_be_visible()
    check(page, "closed-threads", TARGETS)
    page.goto(f"{service.url}/admin/nowhere")
    check(page, "error", TARGETS)


def test_a_queue_is_cleared_with_the_keyboard(page: Page, service: Server) -> None:
    bad = [post(service, BAD if number % 2 else f"{GOOD} {number}", f"Author {number}") for number in range(10)][1::2]
    sign_in(page, service)
    page.keyboard.press("j")
    for number in range(10):
        page.keyboard.press("x" if number % 2 else "j")  # both go on to the next one
    with page.expect_navigation():
        page.keyboard.press("s")
    expect(page.get_by_text("5 comments were marked as spam")).to_be_visible()
    page.keyboard.press("t")
    with page.expect_navigation():
        page.keyboard.press("a")
    expect(page.get_by_text("5 comments were published")).to_be_visible()
    found = service.http.get("/comments").json()["comments"]
    assert len(found) == 5
    assert not {comment["id"] for comment in found} & set(bad)


def test_no_key_decides_while_somebody_types(page: Page, service: Server) -> None:
    post(service, GOOD)
    sign_in(page, service)
    page.get_by_label("Name or text").press_sequentially("asdhx")
    expect(page.get_by_label("Name or text")).to_have_value("asdhx")
    assert service.http.get("/comments").json() == {"comments": []}


def test_all_works_without_javascript(browser: Browser, service: Server) -> None:
    post(service, GOOD)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, service)
    page.get_by_role("button", name="Approve the comment of Ada").click()
    expect(page.get_by_text("1 comment was published")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name="Approve the comment of Ada")).to_be_visible()
    context.close()

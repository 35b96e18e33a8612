"""The pages of moderators in a real browser: by the keyboard, with axe, and as pictures.

With PICTURES=DIRECTORY, each state is written there as a picture: docs/images/ has one of them.
"""

import os
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from support.moderator import ADMIN
from support.processes import Server, serving

CHROMIUM = shutil.which("chromium")
if not CHROMIUM and "CI" in os.environ:
    raise RuntimeError("CI must run these tests: install Debian's package chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="there is no chromium (on Debian: apt install chromium)")

PICTURES = os.environ.get("PICTURES")
GOOD = "I had the same trouble with two disks. The [second answer](https://example.org/disks) helped: `sync` first."
BAD = "CHEAP WATCHES!!! Visit [my page](https://spam.example/a?b=c) now"


@pytest.fixture
def service(database_url: str) -> Iterator[Server]:
    with serving(DATABASE_URL=database_url, ADMIN_TOKEN=ADMIN, MODERATION="all") as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=[(1280, "light"), (320, "dark")], ids=["wide and light", "narrow and dark"])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, locale="en-GB")
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert [error for error in errors if "status of 4" not in error] == [], "the policy refuses nothing that is ours"


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
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.wait_for_load_state()  # the keys work from then on


def check(page: Page, name: str) -> None:
    """Nobody is kept from using this state of the page; and take its picture."""
    found = Axe().run(page).response["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
    for target in page.locator("button:visible, .tabs a:visible, input[type=checkbox]:visible").all():
        box = target.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 24 or box["width"] <= 1, target.inner_text()
    if PICTURES:
        assert page.viewport_size
        page.screenshot(path=Path(PICTURES, f"{name}-{page.viewport_size['width']}.png"))


def test_each_state_is_usable_by_all(page: Page, service: Server) -> None:
    page.goto(f"{service.url}/admin")
    check(page, "sign-in")
    page.get_by_label("ADMIN_TOKEN").fill("a-wrong-token-of-moderators")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    check(page, "wrong-token")
    sign_in(page, service)
    check(page, "empty")
    question = post(service, "Does this work with **two** disks?", "Grace", thread="/two-disks")
    decide(service, "published", question)
    post(service, GOOD, "Ada Lovelace", thread="/two-disks", parent_id=question)
    post(service, BAD, "Cheap " * 15, thread="/a-very-long-path/" + "of-a-post-" * 20)
    post(service, "שלום, a text in two directions", "שלום", thread="/two-disks")
    page.reload()
    check(page, "queue")
    page.get_by_role("button", name="Delete the comment of Ada").click()
    check(page, "delete")
    page.goto(f"{service.url}/admin/rules")
    page.get_by_label("Word").fill("casino")
    page.keyboard.press("Enter")
    expect(page.get_by_text("is a rule now")).to_be_visible()
    check(page, "rules")
    page.goto(f"{service.url}/admin/closed-threads")
    page.get_by_label("Thread").fill("/two-disks")
    page.keyboard.press("Enter")
    expect(page.get_by_text("is closed")).to_be_visible()
    check(page, "closed-threads")
    page.goto(f"{service.url}/admin/nowhere")
    check(page, "error")


def test_a_queue_is_cleared_with_the_keyboard(page: Page, service: Server) -> None:
    bad = [post(service, BAD if number % 2 else f"{GOOD} {number}", f"Author {number}") for number in range(10)][1::2]
    sign_in(page, service)
    page.keyboard.press("j")
    for number in range(10):
        page.keyboard.press("x" if number % 2 else "j")  # both go on to the next one
    page.keyboard.press("s")
    expect(page.get_by_text("5 comments were marked as spam")).to_be_visible()
    page.keyboard.press("t")
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

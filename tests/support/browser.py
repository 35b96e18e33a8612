"""A real browser, and what must be true of every page in it."""

import os
import shutil
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium")
if not CHROMIUM and "CI" in os.environ:
    raise RuntimeError("CI must run these tests: install Debian's package chromium")
NEEDS_CHROMIUM = pytest.mark.skipif(not CHROMIUM, reason="there is no chromium (on Debian: apt install chromium)")

# With PICTURES=DIRECTORY, each state is written there as a picture: docs/images/ has some of them.
PICTURES = os.environ.get("PICTURES")


def check(page: Page, name: str, targets: str) -> None:
    """Nobody is kept from using this state of the page; and take its picture. `targets` selects what is clicked."""
    page.wait_for_load_state()
    found = Axe().run(page).response["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
    for target in page.locator(targets).all():
        box = target.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 24 or box["width"] <= 1, target.inner_text()
    if PICTURES:
        assert page.viewport_size
        page.screenshot(path=Path(PICTURES, f"{name}-{page.viewport_size['width']}.png"))

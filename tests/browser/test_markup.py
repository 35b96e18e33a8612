"""The HTML of hostile comments in a real browser: nothing runs, nothing is loaded, nothing around it changes."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Locator, Page, Route

import markup

from support.browser import NEEDS_CHROMIUM
from support.xss import VECTORS

pytestmark = NEEDS_CHROMIUM

# A blog's page, without a Content-Security-Policy. The comment is there twice: in the HTML, and by a script.
BLOG = "http://blog.test/"
PAGE = """<!doctype html><meta charset="utf-8"><title>Blog</title>
<script>const fired = []; function xss() { fired.push("xss()") }</script>
<h1>Blog</h1><article class="comment">%s</article><article class="comment"></article><footer>The end</footer>"""
INSERT = "html => { document.querySelectorAll('.comment')[1].innerHTML = html }"

# What the user does, and what scripts wait for.
TOUCH = """() => {
    const names = ["pointerover", "mouseover", "mouseenter", "mousemove", "mousedown", "mouseup", "keydown", "focus",
        "blur", "input", "change", "load", "error", "toggle", "begin", "start", "animationstart", "transitionend"]
    for (const element of document.querySelectorAll(".comment *")) {
        names.forEach(name => element.dispatchEvent(new Event(name, {bubbles: true, cancelable: true})))
        element.focus?.()
    }
}"""
# The page without its two comments, and how it looks.
AROUND = """() => {
    const copy = document.documentElement.cloneNode(true)
    copy.querySelectorAll(".comment").forEach(comment => comment.replaceChildren())
    const looks = ["body", "h1", "footer"].map(name => {
        const {color, display, position} = getComputedStyle(document.querySelector(name) ?? document.body)
        return [name, color, display, position]
    })
    return JSON.stringify([copy.outerHTML, looks, document.baseURI, typeof document.cookie, location.href])
}"""
# Of what the page would show, one of each kind.
SEEN = [
    "<script>xss(1)</script>",
    "<img src=x onerror=xss(1)>",
    "<a href=javascript:xss(1)>a</a>",
    "<b onmouseover=xss(1)>a</b>",
    "<input autofocus onfocus=xss(1)>",
    "<img src=http://evil.test/a.png>",
    "<p id=fired>a</p>",
    "<base href=http://evil.test/>",
    "<style>body{color:red}</style>",
    "</article></body><p>outside</p>",
    "<script>alert(1)</script>",
    "<script>throw 1</script>",
    "<script>open('/')</script>",
]
NAMED = ".comment [id], .comment [name], .comment [class], .comment [style]"


class Blog:
    """A page of the blog in a browser, and what has happened to it."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._html = ""
        self._found: list[str] = []
        page.route("**/*", self._answer)
        page.on("dialog", self._dismiss)
        page.on("console", self._read)
        page.on("pageerror", lambda error: self._found.append(f"an error: {error}"))
        page.on("popup", lambda popup: self._found.append("a window"))
        page.on("download", lambda download: self._found.append("a download"))
        self._before = self._open("")

    def show(self, html: str) -> list[str]:
        """What happens when the page has this comment, and a user who touches all of it and follows its links."""
        after = self._open(html)
        self._page.evaluate(TOUCH)
        for element in self._visible("*"):
            element.hover(force=True)
        self._found += ["a name or a style"] * bool(self._page.locator(NAMED).count())
        self._html = ""
        for link in self._visible(":is(a, button)"):
            link.click(force=True, no_wait_after=True)
        fired = self._page.evaluate("fired")
        return [*self._found, *fired, *["a change of the page"] * (not self._before == after == self._around())]

    def _open(self, html: str) -> object:
        """Open the page with a comment; the page around it."""
        self._html = html or "A comment"
        self._found.clear()
        self._page.goto(BLOG)
        self._page.evaluate(INSERT, html)
        return self._around()

    def _around(self) -> object:
        return self._page.evaluate(AROUND)

    def _visible(self, selector: str) -> list[Locator]:
        return [found for found in self._page.locator(f".comment {selector}").all() if found.is_visible()]

    def _answer(self, route: Route) -> None:
        """Only the page itself is there. The status 204 leaves the browser where it is."""
        url = route.request.url
        if url == BLOG and self._html:
            route.fulfill(body=PAGE % self._html, content_type="text/html")
            return
        is_followed = not self._html and route.request.is_navigation_request() and url.startswith("http")
        self._found += [f"a request: {url}"] * (not is_followed)
        route.fulfill(status=204)

    def _dismiss(self, dialog: Dialog) -> None:
        self._found.append("a dialog")
        dialog.dismiss()

    def _read(self, message: ConsoleMessage) -> None:
        self._found += [f"the console: {message.text}"] * (message.type in ("error", "warning"))


@pytest.fixture
def blog(browser: Browser) -> Iterator[Blog]:
    """In a new page: Chromium slows down one that has followed very many links."""
    page = browser.new_page()
    page.set_default_timeout(10_000)
    yield Blog(page)
    page.close()


# Together, and each of the two lines of defence by itself.
WAYS: dict[str, Callable[[str], str]] = {
    "render": markup.render,
    "the parser": markup._parse,
    "the cleaner": markup._CLEANER.clean,
}
AT_ONCE = 20


@pytest.mark.parametrize("first", range(0, len(VECTORS), AT_ONCE))
@pytest.mark.parametrize("way", WAYS)
def test_nothing_runs_nothing_is_loaded_and_nothing_changes(blog: Blog, way: str, first: int) -> None:
    comments = {text: WAYS[way](text) for text in VECTORS[first : first + AT_ONCE]}
    if found := blog.show("\n".join(comments.values())):
        assert {text: blog.show(html) for text, html in comments.items()} == {text: [] for text in comments}, found


@pytest.mark.parametrize("html", SEEN)
def test_this_page_would_show_it(blog: Blog, html: str) -> None:
    assert blog.show(html) != []

"""HTML as a browser would read it: its tags, attributes and text."""

from html.parser import HTMLParser
from urllib.parse import urlsplit

EMPTY = {"br", "hr"}


class Document(HTMLParser):
    """Fails if the HTML has anything but tags that are nested well, and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []  # tag, name, value
        self.text = ""
        self.shown = ""  # the text, with the address of each link behind its text
        self._open: list[str] = []
        self._hrefs: list[str] = []  # of the links that are open
        self.feed(html)
        self.close()
        assert not self._open, html

    @property
    def hrefs(self) -> list[str]:
        return [value for _, name, value in self.attributes if name == "href"]

    @property
    def schemes(self) -> set[str]:
        return {urlsplit(href).scheme for href in self.hrefs}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in EMPTY:
            self._open.append(tag)
        if tag == "a":
            self._hrefs.append(dict(attrs).get("href") or "")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        self.shown += self._hrefs.pop() if tag == "a" else ""

    def handle_data(self, data: str) -> None:
        self.text += data
        self.shown += data

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        raise AssertionError(tag)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(decl)

    def handle_pi(self, data: str) -> None:
        raise AssertionError(data)

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(data)

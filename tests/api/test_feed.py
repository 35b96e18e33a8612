"""GET /feed.atom: a feed as RFC 4287 has it."""

import io
import re
from typing import Any
from xml.etree import ElementTree

import feedparser  # type: ignore[import-untyped]
import pytest
from flask.testing import FlaskClient
from werkzeug.test import EnvironBuilder, TestResponse, run_wsgi_app

from app import create_app
from comment import Comment, Edit
from config import Config
from db import CommentDatabase

from support.moderator import Site
from support.postgres import sql

ATOM = "{http://www.w3.org/2005/Atom}"
BLOG = "https://blog.example.org"
HERE = "http://localhost"  # where the client finds the service
FORBIDDEN = "".join(map(chr, [*range(1, 9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF]))  # PostgreSQL stores no NUL


class Part:
    """A feed, or an entry of it."""

    def __init__(self, element: ElementTree.Element) -> None:
        self.element = element

    def __getitem__(self, path: str) -> str:
        """The text of an element that is there once; "author/name" for one in another."""
        [found] = self.element.findall("/".join(f"{ATOM}{name}" for name in path.split("/")))
        return found.text or ""

    def link(self, rel: str) -> str:
        [found] = [link for link in self.element.findall(f"{ATOM}link") if link.get("rel") == rel]
        return found.attrib["href"]

    @property
    def entries(self) -> list["Part"]:
        return [Part(element) for element in self.element.findall(f"{ATOM}entry")]

    @property
    def contents(self) -> list[str]:
        return [entry["content"] for entry in self.entries]


def read(response: TestResponse) -> Part:
    assert response.status_code == 200
    assert response.content_type == "application/atom+xml; charset=utf-8"
    element = ElementTree.fromstring(response.data)  # noqa: S314
    assert element.tag == f"{ATOM}feed"
    return Part(element)


def feed_of(client: FlaskClient, thread: str | None = None, **options: Any) -> Part:
    return read(client.get("/feed.atom", query_string={} if thread is None else {"thread": thread}, **options))


def client_for(database: CommentDatabase, site_url: str | None = BLOG) -> FlaskClient:
    return create_app(Config(site_url=site_url), database).test_client()


def post(database: CommentDatabase, text: str = "Hello", thread: str = "/a", **fields: Any) -> Comment:
    html = f"<p>{text}</p>"
    return database.create_comment(Comment(None, **{"name": "Ada"} | fields, comment=text, thread=thread, html=html))


def test_a_feed_without_entries(client: FlaskClient) -> None:
    feed = feed_of(client)
    assert (feed["title"], feed["updated"], feed.entries) == ("Comments", "2000-01-01T00:00:00Z", [])
    assert (feed["id"], feed.link("self")) == (f"{HERE}/#comments", f"{HERE}/feed.atom")
    assert client.get("/feed.atom").data == client.get("/feed.atom").data


def test_an_entry_has_a_comment(client: FlaskClient, database: CommentDatabase) -> None:
    comment = post(database)
    feed = feed_of(client)
    [entry] = feed.entries
    assert (entry["title"], entry["author/name"]) == ("Ada on /a", "Ada")
    assert (entry["published"], entry["updated"], feed["updated"]) == (comment.created_at,) * 3
    assert entry["content"] == "<p>Hello</p>"
    [content] = entry.element.findall(f"{ATOM}content")
    assert content.get("type") == "html"
    assert re.fullmatch("urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", entry["id"])


def test_the_newest_50_of_all_threads_the_newest_first(client: FlaskClient, database: CommentDatabase) -> None:
    for n in range(51):
        post(database, f"{n}", "/a" if n % 2 else "/b")
    feed = feed_of(client)
    assert feed.contents == [f"<p>{n}</p>" for n in range(50, 0, -1)]
    assert feed["updated"] == feed.entries[0]["updated"]
    assert len({entry["id"] for entry in feed.entries}) == 50


def test_one_thread(client: FlaskClient, database: CommentDatabase) -> None:
    threads = ("/a", "", "/a b&c=d", "/a")
    for n, thread in enumerate(threads):
        post(database, f"{n}", thread)
    feed = feed_of(client, "/a")
    assert feed.contents == ["<p>3</p>", "<p>0</p>"]
    assert (feed["id"], feed["title"]) == (f"{HERE}/#comments=/a", "Comments on /a")
    assert feed.link("self") == f"{HERE}/feed.atom?thread=/a"
    feed = feed_of(client, "/a b&c=d")
    assert feed.contents == ["<p>2</p>"]
    assert (feed["id"], feed["title"]) == (f"{HERE}/#comments=/a%20b%26c%3Dd", "Comments on /a b&c=d")
    assert read(client.get(feed.link("self"))).contents == feed.contents
    feed = feed_of(client, "")
    assert (feed.contents, feed["title"], feed.entries[0]["title"]) == (["<p>1</p>"], "Comments", "Ada")
    assert feed["id"] != feed_of(client)["id"]
    assert read(client.get(feed.link("self"))).contents == feed.contents
    assert feed_of(client, "/nobody").entries == []


def test_only_what_is_published(database_url: str) -> None:
    site = Site(database_url)
    for text in ("deleted", "published", "held", "spam"):
        site.post(text, thread="/a")
    site.post("answer", thread="/a", parent_id=1)
    for number, status in ((1, "deleted"), (3, "pending"), (4, "spam")):
        site.decide(number, status)
    assert site.ids() == [1, 2, 5], "a deleted comment has a place among the comments"
    for thread in (None, "/a"):
        assert feed_of(site.http, thread).contents == ["<p>answer</p>", "<p>published</p>"]


@pytest.mark.parametrize("text", ["<b>&amp;</b>", "\"'", "]]>", "<!--", "<![CDATA[", "é\u2028\U0001f600", "</name>"])
def test_any_text_comes_back(client: FlaskClient, database: CommentDatabase, text: str) -> None:
    post(database, text, f"/{text}", name=text)
    feed = feed_of(client, f"/{text}")
    [entry] = feed.entries
    assert (entry["author/name"], entry["title"], feed["title"]) == (text, f"{text} on /{text}", f"Comments on /{text}")
    assert entry["content"] == f"<p>{text}</p>"


def test_what_xml_forbids_is_removed(database_url: str, database: CommentDatabase) -> None:
    """Comments of earlier releases may have such characters in all their texts."""
    insert = "INSERT INTO comments (name, comment, thread, html) VALUES (%s, %s, %s, %s)"
    sql(database_url, insert, f"A{FORBIDDEN}da", "x", f"/a{FORBIDDEN}", f"<p>\t{FORBIDDEN}\x7f\n</p>")
    feed = feed_of(client_for(database), f"/a{FORBIDDEN}")
    [entry] = feed.entries
    assert (entry["author/name"], entry["title"], feed["title"]) == ("Ada", "Ada on /a", "Comments on /a")
    assert entry["content"] == "<p>\t\x7f\n</p>"
    assert entry.link("alternate").startswith(f"{BLOG}/a%01%02%03")
    assert feed["id"] != feed_of(client_for(database), "/a")["id"], "of another thread"


@pytest.mark.parametrize(
    ("thread", "site_url", "link"),
    [
        ("/post", BLOG, f"{BLOG}/post#comment-1"),
        ("/post", "https://example.org/blog", "https://example.org/blog/post#comment-1"),
        ("/", BLOG, f"{BLOG}/#comment-1"),
        ("/a b/é", BLOG, f"{BLOG}/a%20b/%C3%A9#comment-1"),
        ("/caf%C3%A9/100%", BLOG, f"{BLOG}/caf%C3%A9/100%25#comment-1"),  # as JavaScript's location has it
        ("/a?b=c&d=\"<'>#e", BLOG, f"{BLOG}/a?b=c&d=%22%3C'%3E#comment-1"),
        ("//evil.example/", BLOG, f"{BLOG}//evil.example/#comment-1"),
        ("/\\[^`{|}]", BLOG, f"{BLOG}/%5C%5B%5E%60%7B%7C%7D%5D#comment-1"),
        ("/post", None, f"{HERE}/comments/1"),
        ("https://a.example/b c#d e#f", BLOG, "https://a.example/b%20c#d%20e%23f"),
        ("HTTP://[::1]:8000?a=é", None, "HTTP://[::1]:8000?a=%C3%A9"),
        ("https://a.example", None, "https://a.example"),
        ("", BLOG, f"{HERE}/comments/1"),
        ("post", BLOG, f"{HERE}/comments/1"),
        ("javascript:alert(1)", BLOG, f"{HERE}/comments/1"),
        ("https:a.example", BLOG, f"{HERE}/comments/1"),
        ("https:///a", BLOG, f"{HERE}/comments/1"),
        ("https://blog.example.org@evil.example/", BLOG, f"{HERE}/comments/1"),
        ("https://a.example:x/", BLOG, f"{HERE}/comments/1"),
        ("https://a b/", BLOG, f"{HERE}/comments/1"),
    ],
)
def test_where_an_entry_leads(database: CommentDatabase, thread: str, site_url: str | None, link: str) -> None:
    post(database, thread=thread)
    [entry] = feed_of(client_for(database, site_url)).entries
    assert entry.link("alternate") == link


def test_an_edit_changes_an_entry_but_makes_no_new_one(client: FlaskClient, database: CommentDatabase) -> None:
    comment = post(database)
    post(database, "newer")
    before = feed_of(client)
    edited = database.edit_comment(comment, Edit("Grace", "Hi", "<p>Hi</p>"))
    assert edited
    after = feed_of(client)
    old, new = before.entries[1], after.entries[1]
    assert (new["author/name"], new["title"], new["content"]) == ("Grace", "Grace on /a", "<p>Hi</p>")
    assert (new["id"], new["published"], new["updated"]) == (old["id"], comment.created_at, edited.edited_at)
    assert new["updated"] > old["updated"]
    assert (before["updated"], after["updated"]) == (before.entries[0]["updated"], edited.edited_at)
    assert after["id"] == before["id"]


def test_no_host_and_no_restart_changes_an_id(client: FlaskClient, database: CommentDatabase) -> None:
    """It is the same entry in the feed of its thread, in another process, and for a client that lies about the host."""
    post(database)
    [entry] = feed_of(client).entries
    for site_url in (BLOG, None):
        for thread in ("/a", None):
            feeds = [
                feed_of(client_for(database, site_url), thread, headers={"Host": host})
                for host in ("a.example", "evil.example")
            ]
            assert {feed.entries[0]["id"] for feed in feeds} == {entry["id"]}
            if site_url:
                assert {feed["id"] for feed in feeds} == {f"{BLOG}/#comments" + ("=/a" if thread else "")}
            assert [feed.link("self").split("/")[2] for feed in feeds] == ["a.example", "evil.example"]


def test_the_service_s_own_url_is_where_the_client_found_it(client: FlaskClient, database: CommentDatabase) -> None:
    post(database)
    for headers, origin in (
        ({"Host": "a.example:5000"}, "http://a.example:5000"),
        ({"Host": "[::1]:5000"}, "http://[::1]:5000"),
        ({"Host": "a.example", "X-Forwarded-Proto": "https"}, "https://a.example"),
        ({"Host": "a.example", "X-Forwarded-Proto": "javascript", "X-Forwarded-Host": "b"}, "http://a.example"),
        ({"Host": "a_b"}, HERE),
    ):
        feed = feed_of(client, headers=headers)
        assert (feed.link("self"), feed["id"]) == (f"{origin}/feed.atom", f"{origin}/#comments")
        assert feed.entries[0].link("alternate") == f"{origin}/comments/1"
    environ = EnvironBuilder("/feed.atom").get_environ() | {"SERVER_PROTOCOL": "HTTP/1.0"}
    del environ["HTTP_HOST"]
    body = b"".join(run_wsgi_app(client.application.wsgi_app, environ)[0])
    assert Part(ElementTree.fromstring(body)).link("self") == f"{HERE}/feed.atom"  # noqa: S314


def test_a_feed_with_another_host_is_never_confirmed(client: FlaskClient, database: CommentDatabase) -> None:
    """A cache that has a feed with a wrong host or scheme asks before it gives it to others. It gets the right one."""
    post(database)
    for lie in ({"Host": "evil.example"}, {"X-Forwarded-Proto": "https"}):
        poisoned = client.get("/feed.atom", headers=lie)
        assert poisoned.headers["Cache-Control"] == "no-cache"
        answer = client.get("/feed.atom", headers={"If-None-Match": poisoned.headers["ETag"]})
        assert read(answer).link("self") == f"{HERE}/feed.atom"


def test_304_until_something_changes(client: FlaskClient, database: CommentDatabase) -> None:
    comment = post(database)
    tag = client.get("/feed.atom").headers["ETag"]
    for method in ("GET", "HEAD"):
        unchanged = client.open("/feed.atom", method=method, headers={"If-None-Match": tag})
        assert (unchanged.status_code, unchanged.data, unchanged.headers["ETag"]) == (304, b"", tag)
    database.edit_comment(comment, Edit("Grace"))
    changed = client.get("/feed.atom", headers={"If-None-Match": tag})
    assert read(changed).entries[0]["author/name"] == "Grace"
    assert changed.headers["ETag"] != tag


def test_head_is_a_get_without_the_body(client: FlaskClient, database: CommentDatabase) -> None:
    post(database)
    get, head = client.get("/feed.atom"), client.head("/feed.atom")
    assert (head.status_code, head.data) == (200, b"")
    for name in ("Content-Type", "Content-Length", "ETag"):
        assert head.headers[name] == get.headers[name]


def test_pages_of_allowed_origins_may_read_it(database: CommentDatabase) -> None:
    client = create_app(Config(allowed_origins=(BLOG,)), database).test_client()
    assert client.get("/feed.atom", headers={"Origin": BLOG}).headers["Access-Control-Allow-Origin"] == BLOG
    assert "Access-Control-Allow-Origin" not in client.get("/feed.atom", headers={"Origin": "https://b"}).headers


@pytest.mark.parametrize("feed_first", [True, False])
def test_the_page_of_the_api_that_is_cached_too_is_another_answer(
    client: FlaskClient, database: CommentDatabase, feed_first: bool
) -> None:
    post(database)
    for _ in range(2):  # the second time, the page is cached
        if feed_first:
            assert feed_of(client).contents == ["<p>Hello</p>"]
        page = client.get("/comments?limit=50&order=newest")
        assert [comment["html"] for comment in page.get_json()["comments"]] == ["<p>Hello</p>"]
        assert feed_of(client).contents == ["<p>Hello</p>"]


@pytest.mark.parametrize("character", ["'", "&", "\U0001f600"])
def test_a_feed_ends_at_a_megabyte(client: FlaskClient, database_url: str, character: str) -> None:
    """And the largest comment fits: its HTML has 150,000 characters, and a character six bytes at the most."""
    insert = "INSERT INTO comments (name, comment, thread, html) SELECT %s, %s, %s, %s FROM generate_series(1, 50)"
    sql(database_url, insert, character * 100, "x", character * 512, character * 150_000)
    response = client.get("/feed.atom")
    assert len(response.data) <= 1_000_000
    feed = read(response)
    assert feed.contents[0] == character * 150_000
    assert 1 <= len(feed.entries) < 50
    assert feed["updated"] == feed.entries[0]["updated"]


def test_a_feed_reader_reads_it(database: CommentDatabase) -> None:
    """feedparser, which also says whether the XML and the Content-Type are right."""
    first = post(database, "<em>one</em>", "/a b", name="<b>Ada & Bob</b>")
    second = post(database, "two", "https://blog.example.org/c?d=e&f")
    edited = database.edit_comment(first, Edit("<b>Ada</b>"))
    assert edited

    def parse(path: str) -> Any:
        response = client_for(database).get(path, headers={"Host": "comments.example.org"})
        headers = {name.lower(): value for name, value in response.headers}
        return feedparser.parse(io.BytesIO(response.data), response_headers=headers)

    empty = parse("/feed.atom?thread=/nobody")
    assert (empty.bozo, empty.version, empty.entries) == (False, "atom10", [])
    read = parse("/feed.atom")
    assert (read.bozo, read.version, read.encoding) == (False, "atom10", "utf-8")
    assert (read.feed.id, read.feed.title, read.feed.updated) == (f"{BLOG}/#comments", "Comments", edited.edited_at)
    [link] = read.feed.links
    assert (link.rel, link.href) == ("self", "http://comments.example.org/feed.atom")
    assert read.feed.updated_parsed
    two, one = read.entries
    assert (two.title, two.author) == ("Ada on https://blog.example.org/c?d=e&f", "Ada")
    assert (two.published, two.updated, two.link) == (second.created_at,) * 2 + ("https://blog.example.org/c?d=e&f",)
    assert (one.title, one.title_detail.type) == ("<b>Ada</b> on /a b", "text/plain")
    assert (one.author, one.link) == ("<b>Ada</b>", f"{BLOG}/a%20b#comment-1")
    assert (one.published, one.updated) == (first.created_at, edited.edited_at)
    assert one.published_parsed <= one.updated_parsed
    [content] = one.content
    assert (content.type, content.value) == ("text/html", "<p><em>one</em></p>")
    assert one.id.startswith("urn:uuid:")
    assert one.id != two.id

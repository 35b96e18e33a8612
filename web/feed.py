"""The newest comments as an Atom feed (RFC 4287), for feed readers."""

import re
from html import escape
from urllib.parse import quote, urlencode
from uuid import UUID, uuid5

from comment import Comment, clean_thread
from web.answer import Answer, conditional, tagged_answer
from web.paging import that_fit
from web.request import Request

MAX_ENTRIES = 50
CONTENT_TYPE = "application/atom+xml; charset=utf-8"
NEVER = "2000-01-01T00:00:00Z"  # when a feed without entries has changed; the W3C's validator takes no time before 1990
NAMESPACE = UUID("7d0f3a5e-51c4-4c0b-9d3b-1f6b0a2c8e47")  # of our ids; it never changes

# What XML 1.0 does not allow, not even as a reference (https://www.w3.org/TR/xml/#charsets).
FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# A thread that is a URL: its scheme and host, and what follows. There is no user in it, who would look like the host.
URL = re.compile(r"(?i)(https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]+)?)([/?#].*)?", re.DOTALL)


def show_feed(request: Request) -> Answer:
    """`GET /feed.atom`: what is published of the newest 50 comments, of all threads or of one. The newest is first.

    Deleted comments that still have a place among the 50 are left out: then there are fewer entries. There are fewer
    also if their XML would be larger than a page of `GET /comments`. Raises InvalidInput and DatabaseUnavailable.

    The page is that of `GET /comments?limit=50&order=newest`, and cached with it. The feed is not: it names the host.
    """
    query = request.query()
    thread = clean_thread(query["thread"]) if "thread" in query else None
    page = request.database.get_page(MAX_ENTRIES, thread=thread, newest_first=True)
    comments = [comment for comment in page.comments if comment.status == "published"]
    entries = that_fit([entry(comment, link_to(comment, request)) for comment in comments], str.encode)
    updated = max(map(changed_at, comments[: len(entries)]), default=NEVER)
    body = "".join([*head(request, thread, updated), *entries, "</feed>\n"])
    return conditional(request, tagged_answer(body.encode(), CONTENT_TYPE))


def head(request: Request, thread: str | None, updated: str) -> list[str]:
    """What stands before the entries.

    With SITE_URL, the id depends on it and on the thread only. Without it, the Host that the client has sent must do.
    """
    about = "" if thread is None else "=" + quote(thread, safe="/")
    own = "" if thread is None else "?" + urlencode({"thread": thread}, safe="/")
    return [
        '<?xml version="1.0" encoding="utf-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom">\n',
        element("id", f"{request.config.site_url or request.origin}/#comments{about}"),
        element("title", f"Comments on {thread}" if thread else "Comments"),
        element("updated", updated),
        element("link", rel="self", href=f"{request.origin}/feed.atom{own}"),
    ]


def entry(comment: Comment, link: str) -> str:
    """A comment. Its id is a hash of what never changes: neither an edit nor another host makes it a new entry."""
    return "".join(
        [
            "<entry>\n",
            element("id", uuid5(NAMESPACE, f"{comment.created_at} {comment.id}").urn),
            element("title", f"{comment.name} on {comment.thread}" if comment.thread else comment.name),
            f"<author>\n{element('name', comment.name)}</author>\n",
            element("published", comment.created_at or ""),
            element("updated", changed_at(comment)),
            element("link", rel="alternate", href=link),
            element("content", comment.html or "", type="html"),
            "</entry>\n",
        ]
    )


def element(name: str, text: str = "", **attributes: str) -> str:
    """An element of XML that contains this text. What XML forbids is removed from it."""
    given = "".join(f' {key}="{escape(value)}"' for key, value in attributes.items())
    return f"<{name}{given}>{escape(FORBIDDEN.sub('', text))}</{name}>\n"


def changed_at(comment: Comment) -> str:
    """When a comment has changed last. All these times have the same form, so they are compared as text."""
    return comment.edited_at or comment.created_at or NEVER


def link_to(comment: Comment, request: Request) -> str:
    """Where to read a comment: its place on a page of the site, if its thread is a path, or the URL that its thread is.

    For any other thread, and for a path without SITE_URL, it is the comment in this API.
    """
    thread = comment.thread
    if page := page_url(thread, request.config.site_url):
        return f"{page}#comment-{comment.id}"
    if found := URL.fullmatch(thread):
        return found[1] + "#".join(map(encoded, (found[2] or "").split("#", 1)))
    return f"{request.origin}/comments/{comment.id}"


def page_url(thread: str, site_url: str | None) -> str | None:
    """The page of the site that a thread names by its path, or None."""
    return f"{site_url}{encoded(thread.partition('#')[0])}" if site_url and thread.startswith("/") else None


def encoded(text: str) -> str:
    """A path or a part of a URL (RFC 3986). What is percent-encoded already, as in JavaScript's location, stays."""
    return quote(re.sub("%(?![0-9A-Fa-f]{2})", "%25", text), safe="%/?!$&'()*+,:;=@")

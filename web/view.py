"""A thread as a page, for readers without JavaScript, and as a piece of HTML for sites that are built beforehand."""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple
from urllib.parse import urlencode

from werkzeug.exceptions import HTTPException, Unauthorized

from comment import Comment, InvalidInput, clean_thread
from db import KeyReused
from markup import render as render_markdown
from moderation.facts import Asked
from moderation.limits import LimitReached
from postgres.deadline import new_deadline
from postgres.errors import DatabaseUnavailable
from web import page
from web.answer import Answer, Headers, conditional, tagged_answer
from web.comments import SIGN_IN, store
from web.errors import Problem, explain, log_error
from web.feed import page_url
from web.identity import ANONYMOUS
from web.judging import CLOSED, count_address
from web.paging import read_after
from web.request import Request, choice, is_id, new_id

AWAY = "The comments are not available now. Please try again: your comment is stored only once."
MAX_DEPTH = 4  # of replies below replies; deeper ones stand beside each other
PAGE = 100  # comments
MAX_HTML = 500_000  # characters of their HTML; the last one may exceed it

# The style is in the page: its hash lets the browser apply it, and no other (https://www.w3.org/TR/CSP3/#hash-source).
STYLE = (page.HERE / "static" / "view.css").read_text()
HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS: Headers = [
    (
        "Content-Security-Policy",
        f"default-src 'none'; style-src 'sha256-{HASH}'; img-src data:; form-action 'self';"
        " frame-ancestors 'none'; base-uri 'none'",
    ),
    ("Referrer-Policy", "no-referrer"),
]

KEY = re.compile("[0-9a-f]{32}")  # as new_id() makes them
POSTED = {"published": "Your comment is posted.", "pending": "Your comment waits for approval."}


class Node(NamedTuple):
    """A comment and the replies below it.

    `answers` is the name that it answers if it is not below that comment: "" if that comment is on another page.
    """

    comment: Comment
    replies: list["Node"]
    answers: str | None


class Draft(NamedTuple):
    """What somebody has typed into the form. A form that is sent twice has the same `key`, and is one comment."""

    key: str
    name: str = ""
    comment: str = ""
    parent_id: int | None = None


def tree(comments: Sequence[Comment]) -> list[Node]:
    """Comments by ascending id as a tree of at most MAX_DEPTH levels below the first."""
    roots: list[Node] = []
    found: dict[int | None, tuple[Node, list[Node], int]] = {}  # a node, the list that it is in, and its depth
    for comment in comments:
        siblings, depth, answers = roots, 0, None
        if comment.parent_id in found:
            parent, siblings, depth = found[comment.parent_id]
            if depth < MAX_DEPTH:
                siblings, depth = parent.replies, depth + 1
            else:
                answers = parent.comment.name
        elif comment.parent_id is not None:
            answers = ""
        node = Node(comment, [], answers)
        siblings.append(node)
        found[comment.id] = node, siblings, depth
    return roots


def show_view(request: Request) -> Answer:
    """`GET /view`: the page of a thread. Raises InvalidInput, HTTPException and DatabaseUnavailable."""
    query = request.query()
    parent_id = int(query["reply_to"]) if is_id(query.get("reply_to", "")) else None
    said = POSTED.get(choice(query, "posted", ("", *POSTED)))
    return view(request, Draft(new_id(), parent_id=parent_id), said=said)


def post_view(request: Request) -> Answer:
    """`POST /view`: store the comment of the form, or show it. An error is on the page, with what was typed.

    Raises InvalidInput if the thread is not valid, and HTTPException if the body is not a form.
    """
    form, thread = request.form(), read_thread(request)
    parent_id = int(form["parent_id"]) if is_id(form.get("parent_id", "")) else None
    key = form.get("key", "")
    draft = Draft(key if KEY.fullmatch(key) else new_id(), form.get("name", ""), form.get("comment", ""), parent_id)
    try:
        fields = {**draft._asdict(), "thread": thread, "fax": form.get("fax")}
        comment = Comment.from_json(json.dumps(fields).encode())
        if request.config.require_auth == "on":
            raise Unauthorized(SIGN_IN)
        if "preview" in form:
            count_address(request, "preview", new_deadline())
            return view(request, draft, preview=render_markdown(comment.comment))
        stored = store(request, comment, draft.key, ANONYMOUS)
        return page.see_other(url_after(request, stored))
    except (InvalidInput, KeyReused, LimitReached, HTTPException, DatabaseUnavailable) as error:
        return view(request, draft, failure=error)


def url_after(request: Request, stored: Comment) -> str:
    """The page on which a new comment is, and its place there."""
    if stored.is_held:
        return f"{url_of(stored.thread, posted='pending')}#said"
    has_more = request.database.get_page(PAGE, None, stored.thread).has_more
    after = (stored.id or 0) - 1 if has_more else None
    return f"{url_of(stored.thread, after=after, posted='published')}#comment-{stored.id}"


def view(
    request: Request,
    draft: Draft,
    *,
    said: str | None = None,
    preview: str | None = None,
    failure: Exception | None = None,
) -> Answer:
    """The page of a thread with the form. If the database is away, it is the form alone."""
    thread, after = read_thread(request), read_after(request.query())
    comments: Sequence[Comment] = []
    parent, next_id, no_form = None, None, None
    try:
        comments, next_id = read_comments(request, thread, after)
        parent = request.database.get_comment(draft.parent_id) if draft.parent_id is not None else None
        no_form = why_no_form(request, thread)
    except DatabaseUnavailable as error:
        failure = failure or error
    status, sentence, headers = explain(failure, request) if failure else Problem(200, "", [])
    if failure:
        log_error(failure, request)
    return page.render(
        "view.html",
        status,
        [*HEADERS, *headers],
        style=STYLE,
        thread=thread,
        page_url=page_url(thread, request.config.site_url),
        feed=f"/feed.atom?{urlencode({'thread': thread}, safe='/')}",
        nodes=tree(comments),
        url=lambda **parameters: url_of(thread, **parameters),
        after=after,
        next=next_id,
        draft=draft,
        parent=parent if parent and parent.thread == thread else None,
        no_form=no_form,
        said=said,
        preview=preview,
        error=AWAY if isinstance(failure, DatabaseUnavailable) else sentence,
    )


def show_fragment(request: Request) -> Answer:
    """`GET /fragment`: the comments of a thread as HTML, for another page.

    Raises InvalidInput, HTTPException and DatabaseUnavailable.
    """
    thread = read_thread(request)
    comments, next_id = read_comments(request, thread, read_after(request.query()))
    body = page.templates.get_template("fragment.html").render(nodes=tree(comments)).encode("utf-8", "replace")
    more = f"/fragment?{urlencode({'thread': thread, 'after': next_id}, safe='/')}"
    headers = [] if next_id is None else [("Link", f'<{more}>; rel="next"')]
    return conditional(request, tagged_answer(body, "text/html; charset=utf-8", headers))


def read_thread(request: Request) -> str:
    """The thread that the query names. Raises InvalidInput."""
    return clean_thread(request.query().get("thread"))


def read_comments(request: Request, thread: str, after: int | None) -> tuple[Sequence[Comment], int | None]:
    """The comments of a page, and the id after which the next page begins, or None. Raises DatabaseUnavailable."""
    found = request.database.get_page(PAGE, after, thread)
    before = accumulate((len(comment.html or "") for comment in found.comments), initial=0)
    comments = [comment for comment, size in zip(found.comments, before, strict=False) if size <= MAX_HTML]
    has_more = found.has_more or len(comments) < len(found.comments)
    return comments, comments[-1].id if has_more else None


def why_no_form(request: Request, thread: str) -> str | None:
    """Why nobody can post here; None if everybody can. Raises DatabaseUnavailable."""
    config = request.config
    if config.require_auth == "on":
        return SIGN_IN
    if not config.is_moderated:
        return None
    known, _ = request.moderation.facts(Asked(thread, config.close_after_days))
    return CLOSED if known.is_closed or known.is_old else None


def url_of(thread: str, **parameters: object) -> str:
    """The path of the page of a thread. Parameters that are None are left out."""
    given = {"thread": thread} | {name: each for name, each in parameters.items() if each is not None}
    return f"/view?{urlencode(given, safe='/')}"

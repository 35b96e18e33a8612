"""The calls on comments. app.py says on which paths they are, openapi.yaml what they promise."""

import re
from itertools import accumulate, takewhile
from urllib.parse import urlencode

from werkzeug.exceptions import Forbidden, HTTPException, NotFound, PreconditionFailed, Unauthorized

from comment import MAX_ID, Comment, Edit, clean_thread
from statements import Found, Page
from web.answer import (
    CHANGED,
    Answer,
    Headers,
    conditional,
    entity_tag,
    require_match,
    tagged_answer,
    to_json,
    unstored_answer,
)
from web.identity import Identity, identify
from web.request import Request, choice, whole_number

MAX_LIMIT = 200  # comments of a page
DEFAULT_LIMIT = 100
DEFAULT_ORDER = "oldest"
MAX_PAGE = 990_000  # bytes of the comments of a page: with the path of the next page, its body stays below a megabyte
SIGN_IN = "Only users who are signed in on this site can comment."
NO_COMMENT = "There is no comment with this id."
SMALL_PAGE = 100_000  # characters that surely fit: a character has at most 6 bytes in JSON


def list_comments(request: Request) -> Answer:
    """`GET /comments`: a page. Raises InvalidInput, BadRequest and DatabaseUnavailable."""
    query = request.query()
    thread = clean_thread(query["thread"]) if "thread" in query else None
    limit = whole_number(query, "limit", low=1, high=MAX_LIMIT) if "limit" in query else DEFAULT_LIMIT
    after = whole_number(query, "after", low=0, high=MAX_ID) if "after" in query else None
    order = choice(query, "order", ("oldest", "newest"), default=DEFAULT_ORDER)
    page = request.database.get_page(limit, after, thread, order == "newest")
    if not isinstance(page.rendered, Answer):  # a page that is kept has its answer with it
        page.rendered = render_page(page, limit, thread, order)
    return conditional(request, page.rendered)


def render_page(page: Page, limit: int, thread: str | None, order: str) -> Answer:
    """The answer that a page makes, with the path of the next page if there is one."""
    comments = those_that_fit(page)
    value: dict[str, object] = {"comments": [comment.to_dict() for comment in comments]}
    if not page.has_more and len(comments) == len(page.comments):
        return tagged_answer(to_json(value))
    query = {
        "after": comments[-1].id,
        "limit": limit if limit != DEFAULT_LIMIT else None,
        "order": order if order != DEFAULT_ORDER else None,
        "thread": thread,
    }
    given = {name: value for name, value in query.items() if value is not None}
    next_path = f"/comments?{urlencode(given, safe='/')}"
    return tagged_answer(to_json({**value, "next": next_path}), headers=[("Link", f'<{next_path}>; rel="next"')])


def those_that_fit(page: Page) -> list[Comment]:
    """The first comments of the page, in at most MAX_PAGE bytes of JSON. One has at most 300,000, with its HTML."""
    if page.size <= SMALL_PAGE:
        return page.comments
    sizes = accumulate(len(to_json(comment.to_dict())) for comment in page.comments)
    return [comment for comment, _ in zip(page.comments, takewhile(lambda size: size <= MAX_PAGE, sizes), strict=False)]


def create_comment(request: Request) -> Answer:
    """`POST /comments`. Raises InvalidInput, HTTPException, KeyReused and DatabaseUnavailable."""
    identity = identify(request)
    if request.config.require_auth == "on" and not identity.is_verified:
        raise Unauthorized(SIGN_IN)
    comment = Comment.from_json(request.json_body(), identity.name)
    if identity.is_verified:  # a moderator types his name
        comment = comment._replace(verified=True)
    stored = request.database.create_comment(comment, request.idempotency_key(), identity.author_hash)
    return comment_answer(201, stored, [("Location", f"/comments/{stored.id}")])


def get_comment(request: Request, id: str) -> Answer:
    """`GET /comments/ID`. Raises NotFound and DatabaseUnavailable."""
    comment = request.database.get_comment(int(id)) if is_id(id) else None
    if comment is None:
        raise NotFound(NO_COMMENT)
    return conditional(request, tagged_answer(to_json(comment.to_dict())))


def edit_comment(request: Request, id: str) -> Answer:
    """`PATCH /comments/ID`, by its author, in time. Raises InvalidInput, HTTPException and DatabaseUnavailable."""
    identity = identify(request)
    author_hash = required_author(identity)
    edit = Edit.from_json(request.json_body(), identity.name)
    found = own_comment(request, id, author_hash)
    minutes = request.config.edit_minutes
    if minutes == 0:
        raise Forbidden("Comments can't be edited here.")
    if found.age > minutes * 60:
        raise Forbidden(f"A comment can be edited for {minutes} minutes after it was posted.")
    edited = request.database.edit_comment(found.comment, edit, if_unchanged=names_a_version(request))
    if edited is None:
        raise overtaken(request)
    return comment_answer(200, edited)


def delete_comment(request: Request, id: str) -> Answer:
    """`DELETE /comments/ID`, by its author. Raises HTTPException and DatabaseUnavailable."""
    found = own_comment(request, id, required_author(identify(request)))
    if not request.database.delete_comment(found.comment, if_unchanged=names_a_version(request)):
        raise overtaken(request)
    return Answer(204, [("Cache-Control", "no-store")], b"")


def required_author(identity: Identity) -> bytes:
    """The hash by which an author is known. Raises Unauthorized."""
    if identity.author_hash is None:
        raise Unauthorized("This needs the key of the comment's author: Authorization: Bearer KEY.")
    return identity.author_hash


def own_comment(request: Request, id: str, author_hash: bytes) -> Found:
    """The comment, for its author only. Raises NotFound, Forbidden, PreconditionFailed and DatabaseUnavailable."""
    found = request.database.find_comment(int(id), author_hash) if is_id(id) else None
    if found is None:
        raise NotFound(NO_COMMENT)
    if not found.is_own:
        raise Forbidden("This is not the key of the comment's author.")
    require_match(request, entity_tag(to_json(found.comment.to_dict())))
    return found


def names_a_version(request: Request) -> bool:
    """Whether If-Match names a version: then the comment is changed only if it still is that version."""
    return request.header("If-Match") not in (None, "*")


def overtaken(request: Request) -> HTTPException:
    """The error if somebody else has changed or deleted the comment since own_comment() found it."""
    return PreconditionFailed(CHANGED) if names_a_version(request) else NotFound(NO_COMMENT)


def comment_answer(status: int, comment: Comment, headers: Headers | None = None) -> Answer:
    """The answer with a comment that was posted or edited, and its entity tag."""
    body = to_json(comment.to_dict())
    return unstored_answer(status, body, [("ETag", entity_tag(body)), *(headers or [])])


def is_id(text: str) -> bool:
    """Whether this can be the id of a comment, written as the service writes it."""
    return re.fullmatch("[1-9][0-9]{0,18}", text) is not None and int(text) <= MAX_ID

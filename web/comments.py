"""The calls on comments. app.py says on which paths they are, openapi.yaml what they promise."""

import re
from itertools import accumulate
from urllib.parse import urlencode

from werkzeug.exceptions import NotFound

from comment import Comment, clean_thread
from db import MAX_ID, Page
from web.answer import Answer, conditional, json_answer, tagged_answer, to_json
from web.request import Request, choice, whole_number

MAX_LIMIT = 200  # comments of a page
DEFAULT_LIMIT = 100
DEFAULT_ORDER = "oldest"
MAX_PAGE = 990_000  # bytes of the comments of a page: with the path of the next page, its body stays below a megabyte
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
    """The first comments of the page, in at most MAX_PAGE bytes of JSON. One comment has at most 65 kB."""
    if page.size <= SMALL_PAGE:
        return page.comments
    sizes = accumulate(len(to_json(comment.to_dict())) for comment in page.comments)
    return [comment for comment, size in zip(page.comments, sizes, strict=True) if size <= MAX_PAGE]


def create_comment(request: Request) -> Answer:
    """`POST /comments`. Raises InvalidInput, HTTPException, KeyReused and DatabaseUnavailable."""
    comment = Comment.from_json(request.json_body())
    stored = request.database.create_comment(comment, request.idempotency_key())
    return json_answer(201, stored.to_dict(), [("Location", f"/comments/{stored.id}")])


def get_comment(request: Request, id: str) -> Answer:
    """`GET /comments/ID`. Raises NotFound and DatabaseUnavailable."""
    comment = request.database.get_comment(int(id)) if is_id(id) else None
    if comment is None:
        raise NotFound("There is no comment with this id.")
    return conditional(request, tagged_answer(to_json(comment.to_dict())))


def is_id(text: str) -> bool:
    """Whether this can be the id of a comment, written as the service writes it."""
    return re.fullmatch("[1-9][0-9]{0,18}", text) is not None and int(text) <= MAX_ID

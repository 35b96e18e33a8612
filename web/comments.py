"""The calls on comments. app.py says on which paths they are, openapi.yaml what they promise."""

from werkzeug.exceptions import Forbidden, HTTPException, NotFound, PreconditionFailed, Unauthorized

from comment import Comment, Edit, InvalidInput, clean_thread, read_object
from moderation.finding import Found
from postgres.deadline import new_deadline
from statements import Page
from web import moderation
from web.answer import (
    CHANGED,
    Answer,
    Headers,
    conditional,
    entity_tag,
    no_content,
    require_match,
    tagged_answer,
    to_json,
    unstored_answer,
)
from web.identity import ANONYMOUS, Identity, identify
from web.judging import judge_edited, judge_new
from web.paging import read_after, read_limit, read_order, that_fit, with_next
from web.request import NO_COMMENT, Request, is_id

SIGN_IN = "Only users who are signed in on this site can comment."
SMALL_PAGE = 100_000  # characters that surely fit: a character has at most 6 bytes in JSON
MAX_THREADS = 100  # whose comments are counted at once
ATTEMPTS = 3  # to change a comment, which moderators may hold or publish meanwhile


def list_comments(request: Request) -> Answer:
    """`GET /comments`: a page. Raises InvalidInput, HTTPException and DatabaseUnavailable."""
    query = request.query()
    if query.keys() & moderation.SEARCHES:
        return moderation.search(request)
    thread = clean_thread(query["thread"]) if "thread" in query else None
    limit, after, order = read_limit(query), read_after(query), read_order(query)
    page = request.database.get_page(limit, after, thread, order == "newest")
    if not isinstance(page.rendered, Answer):  # a page that is kept has its answer with it
        page.rendered = render_page(page, limit, thread, order)
    return conditional(request, page.rendered)


def render_page(page: Page, limit: int, thread: str | None, order: str) -> Answer:
    """The answer that a page makes, with the path of the next page if there is one."""
    comments = [comment.to_dict() for comment in page.comments]
    if page.size > SMALL_PAGE:
        comments = that_fit(comments)
    value: dict[str, object] = {"comments": comments}
    if not page.has_more and len(comments) == len(page.comments):
        return tagged_answer(to_json(value))
    value, link = with_next(value, "/comments", after=comments[-1]["id"], limit=limit, order=order, thread=thread)
    return tagged_answer(to_json(value), headers=link)


def count_comments(request: Request) -> Answer:
    """`GET /counts`: how many published comments threads have. Raises InvalidInput and DatabaseUnavailable."""
    given = request.query_values("thread")
    if not 1 <= len(given) <= MAX_THREADS:
        raise InvalidInput(f"Thread must be given 1 to {MAX_THREADS} times.")
    counts = request.database.count_comments(list(dict.fromkeys(map(clean_thread, given))))
    value: dict[str, object] = {"counts": {thread: count.comments for thread, count in counts.items()}}
    if more := [thread for thread, count in counts.items() if count.has_more]:
        value["more"] = more
    return conditional(request, tagged_answer(to_json(value)))


def create_comment(request: Request) -> Answer:
    """`POST /comments`. Raises InvalidInput, HTTPException, KeyReused and DatabaseUnavailable."""
    identity = identify_author(request)
    comment = Comment.from_json(request.json_body(), identity.name)
    stored = store(request, comment, request.idempotency_key(), identity)
    return comment_answer(201, stored, [("Location", f"/comments/{stored.id}")])


def store(request: Request, comment: Comment, idempotency_key: str | None, identity: Identity) -> Comment:
    """Judge a new comment and store it. Raises HTTPException, LimitReached, KeyReused and DatabaseUnavailable."""
    if identity.is_verified:  # the ADMIN_TOKEN has no name, so from_json() has not set it
        comment = comment._replace(verified=True)
    deadline = new_deadline()
    comment = judge_new(request, comment, idempotency_key, identity, deadline)
    return request.database.create_comment(comment, idempotency_key, identity.author_hash, deadline)


def identify_author(request: Request) -> Identity:
    """Who wants to post. Raises Unauthorized."""
    identity = identify(request)
    if request.config.require_auth == "on" and not identity.is_verified:
        raise Unauthorized(SIGN_IN)
    return identity


def get_comment(request: Request, id: str) -> Answer:
    """`GET /comments/ID`. Only its author and moderators get a held comment.

    Raises NotFound and DatabaseUnavailable.
    """
    comment = None
    if is_id(id):
        if held := for_insiders(request, int(id)):
            return held
        comment = request.database.get_comment(int(id))
    if comment is None:
        raise NotFound(NO_COMMENT)
    return conditional(request, tagged_answer(to_json(comment.to_dict())))


def for_insiders(request: Request, comment_id: int) -> Answer | None:
    """The answer for a moderator, or for the author of a held comment; None for others. Nobody is refused."""
    try:
        identity = identify(request)
    except Unauthorized:
        return None  # a proxy's password, for instance
    if identity == ANONYMOUS:
        return None
    found = request.database.find_comment(comment_id, None if identity.is_moderator else identity.author_hash)
    if found and identity.is_moderator:
        return moderation.answer_with(found.comment)
    return comment_answer(200, found.comment) if found and found.is_own and found.comment.is_held else None


def edit_comment(request: Request, id: str) -> Answer:
    """`PATCH /comments/ID`: the author edits the comment, or a moderator sets its status.

    Raises InvalidInput, HTTPException and DatabaseUnavailable.
    """
    identity = identify(request)
    author_hash = required_author(identity)
    body = request.json_body()
    fields = read_object(body).keys()
    if "status" in fields and (identity.is_moderator or not fields & {"name", "comment"}):
        return moderation.decide(request, id, body)
    edit = Edit.from_json(body, identity.name)
    for _ in range(ATTEMPTS):
        found = own_comment(request, id, author_hash)
        require_time(request, found)
        deadline = new_deadline()
        verdict = judge_edited(request, found.comment.edited(edit), identity, deadline)
        edited = request.database.edit_comment(found.comment, edit, names_a_version(request), verdict, deadline)
        if edited is not None:
            return comment_answer(200, edited)
    raise overtaken(request)


def require_time(request: Request, found: Found) -> None:
    """Return if it is not too late for an edit. Raises Forbidden."""
    minutes = request.config.edit_minutes
    if minutes == 0:
        raise Forbidden("Comments can't be edited here.")
    if found.age > minutes * 60:
        raise Forbidden(f"A comment can be edited for {minutes} minutes after it was posted.")


def delete_comment(request: Request, id: str) -> Answer:
    """`DELETE /comments/ID`, by its author or a moderator. Raises HTTPException and DatabaseUnavailable."""
    identity = identify(request)
    author_hash = required_author(identity)
    for _ in range(ATTEMPTS):
        found = own_comment(request, id, author_hash, or_moderator=identity.is_moderator)
        if request.database.delete_comment(found.comment, if_unchanged=names_a_version(request)):
            return no_content()
    raise overtaken(request)


def required_author(identity: Identity) -> bytes:
    """The hash by which an author is known. Raises Unauthorized."""
    if identity.author_hash is None:
        raise Unauthorized("This needs the key of the comment's author: Authorization: Bearer KEY.")
    return identity.author_hash


def own_comment(request: Request, id: str, author_hash: bytes, or_moderator: bool = False) -> Found:
    """The comment, for its author only, or for a moderator.

    Raises NotFound, Forbidden, PreconditionFailed and DatabaseUnavailable.
    """
    found = request.database.find_comment(int(id), None if or_moderator else author_hash) if is_id(id) else None
    if found is None:
        raise NotFound(NO_COMMENT)
    if not found.is_own and not or_moderator:
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

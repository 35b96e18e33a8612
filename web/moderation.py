"""The calls of moderators. Each needs the ADMIN_TOKEN, or a signed token with the role of a moderator."""

from werkzeug.exceptions import Conflict, Forbidden, NotFound, PreconditionFailed, Unauthorized

from comment import MAX_ID, Comment, InvalidInput, clean_thread
from moderation.finding import Search
from moderation.input import STATUSES, Decision, NewRule, clean_search
from moderation.rules import MAX_RULES
from web.answer import CHANGED, Answer, entity_tag, json_answer, no_content, require_match, to_json
from web.identity import ANONYMOUS, identify
from web.paging import read_after, read_limit, read_order, that_fit, with_next
from web.request import NO_COMMENT, Request, choice, is_id, whole_number

# The parameters that only moderators may send.
SEARCHES = {"status", "q", "author_of"}


def require_moderator(request: Request) -> None:
    """Return if a moderator sends this. Raises Unauthorized and Forbidden."""
    identity = identify(request)
    if identity == ANONYMOUS:
        raise Unauthorized("This needs the token of a moderator: Authorization: Bearer TOKEN.")
    if not identity.is_moderator:
        raise Forbidden("Only a moderator may do this.")


def search(request: Request) -> Answer:
    """`GET /comments` with one of SEARCHES: a page of a moderator's search.

    Raises InvalidInput, HTTPException and DatabaseUnavailable.
    """
    require_moderator(request)
    query = request.query()
    what = Search(
        status=choice(query, "status", STATUSES) if "status" in query else None,
        text=clean_search(query["q"]) if "q" in query else None,
        author_of=whole_number(query, "author_of", low=1, high=MAX_ID) if "author_of" in query else None,
        thread=clean_thread(query["thread"]) if "thread" in query else None,
    )
    limit, order = read_limit(query), read_order(query)
    page = request.moderation.search(what, limit, read_after(query), order == "newest")
    shown = that_fit([comment.for_moderators() for comment in page.comments])
    next_id = page.next if len(shown) == len(page.comments) else shown[-1]["id"]
    value: dict[str, object] = {"comments": shown}
    if next_id is None:
        return json_answer(200, value)
    searched = {"q": what.text, "status": what.status, "thread": what.thread}
    return json_answer(
        200,
        *with_next(value, "/comments", after=next_id, author_of=what.author_of, limit=limit, order=order, **searched),
    )


def decide(request: Request, id: str, body: bytes) -> Answer:
    """`PATCH /comments/ID` with a status. Raises InvalidInput, HTTPException and DatabaseUnavailable."""
    require_moderator(request)
    status = Decision.from_json(body, needs_ids=False).status
    found = request.database.find_comment(int(id)) if is_id(id) else None
    if found is None:
        raise NotFound(NO_COMMENT)
    require_match(request, entity_tag(to_json(found.comment.to_dict())))
    seen = {int(id): found.comment.edited_at} if request.header("If-Match") else None
    changed = request.moderation.set_status([int(id)], status, seen)
    now = request.database.find_comment(int(id))
    if now is None and status == "deleted":
        return no_content()
    if now is None:
        raise NotFound(NO_COMMENT)
    if seen and not changed and now.comment.status != status:
        raise PreconditionFailed(CHANGED)
    return answer_with(now.comment)


def answer_with(comment: Comment) -> Answer:
    """The answer with a comment as moderators see it. For If-Match, its entity tag is the one that its author gets."""
    etag = entity_tag(to_json(comment.to_dict()))
    return json_answer(200, comment.for_moderators(), [("ETag", etag)])


def decide_several(request: Request) -> Answer:
    """`PATCH /comments`: a status for several comments. Raises InvalidInput, HTTPException and DatabaseUnavailable."""
    require_moderator(request)
    decision = Decision.from_json(request.json_body(), needs_ids=True)
    return json_answer(200, {"changed": request.moderation.set_status(decision.ids or [], decision.status)})


def list_rules(request: Request) -> Answer:
    """`GET /rules`. Raises HTTPException and DatabaseUnavailable."""
    require_moderator(request)
    return json_answer(200, {"rules": [rule.to_dict() for rule in request.moderation.rules()]})


def add_rule(request: Request) -> Answer:
    """`POST /rules`. Raises InvalidInput, HTTPException and DatabaseUnavailable."""
    require_moderator(request)
    new = NewRule.from_json(request.json_body())
    author_hash = request.moderation.author_of(int(new.value)) if new.kind == "author" else None
    rule = request.moderation.add_rule(new.rule(author_hash))
    if rule is None:
        raise Conflict(f"There are {MAX_RULES:,} rules already, and there can't be more.")
    return json_answer(201, rule.to_dict())


def delete_rule(request: Request, id: str) -> Answer:
    """`DELETE /rules/ID`. Raises HTTPException and DatabaseUnavailable."""
    require_moderator(request)
    if not is_id(id) or not request.moderation.delete_rule(int(id)):
        raise NotFound("There is no rule with this id.")
    return no_content()


def list_closed_threads(request: Request) -> Answer:
    """`GET /closed-threads`: a page, by name. Raises InvalidInput, HTTPException and DatabaseUnavailable."""
    require_moderator(request)
    query = request.query()
    after = clean_thread(query["after"]) if "after" in query else None
    limit = read_limit(query)
    found = request.moderation.closed_threads(limit + 1, after)
    value: dict[str, object] = {"threads": found[:limit]}
    if len(found) <= limit:
        return json_answer(200, value)
    return json_answer(200, *with_next(value, "/closed-threads", after=found[limit - 1], limit=limit))


def close_thread(request: Request) -> Answer:
    """`PUT /closed-threads?thread=…`. Raises InvalidInput, HTTPException and DatabaseUnavailable."""
    require_moderator(request)
    request.moderation.close_thread(required_thread(request))
    return no_content()


def open_thread(request: Request) -> Answer:
    """`DELETE /closed-threads?thread=…`. Raises InvalidInput, HTTPException and DatabaseUnavailable."""
    require_moderator(request)
    request.moderation.open_thread(required_thread(request))
    return no_content()


def required_thread(request: Request) -> str:
    """The thread that the query names; it may be empty. Raises InvalidInput."""
    query = request.query()
    if "thread" not in query:
        raise InvalidInput("Thread is required.")
    return clean_thread(query["thread"])

"""Whether a new or edited comment is published, held or refused."""

from werkzeug.exceptions import Forbidden

from comment import Comment
from moderation.facts import Asked, Known
from moderation.judge import Facts, Rules, Verdict, judge
from moderation.limits import LimitReached
from web.client import client_of
from web.identity import Identity
from web.request import Request

CLOSED = "This thread is closed."


def judge_new(
    request: Request, comment: Comment, idempotency_key: str | None, identity: Identity, deadline: float
) -> Comment:
    """The posted comment with its status, and the reason if it is held.

    A retry gets the comment that is stored with its idempotency key, even if the thread is closed or a limit is
    reached. It is judged too, since that comment may be deleted meanwhile.

    Raises Forbidden, LimitReached and DatabaseUnavailable.
    """
    config = request.config
    if not config.is_moderated:
        return comment
    asked = Asked(comment.thread, config.close_after_days, asked_author(request, identity), idempotency_key)
    known, rules = request.moderation.facts(asked, deadline)
    is_over_limit = False
    if not known.is_retry:
        if known.is_closed or known.is_old:
            raise Forbidden(CLOSED)
        is_over_limit = not identity.is_moderator and count_post(request, deadline)
    verdict = judge(comment, facts_of(request, known, rules, identity, is_over_limit))
    return comment._replace(status=verdict.status, reason=verdict.reason)


def judge_edited(request: Request, comment: Comment, identity: Identity, deadline: float) -> Verdict:
    """The verdict on a stored comment as it would be after an edit. A held comment stays held.

    Raises DatabaseUnavailable.
    """
    before = Verdict(comment.status, comment.reason)
    if not request.config.is_moderated:
        return before
    asked = Asked(comment.thread, author_hash=asked_author(request, identity))
    known, rules = request.moderation.facts(asked, deadline)
    verdict = judge(comment, facts_of(request, known, rules, identity))
    return verdict if verdict.status == "spam" or not comment.is_held else before


def asked_author(request: Request, identity: Identity) -> bytes | None:
    """The author about whom the database is asked: only MODERATION=first needs that."""
    return identity.author_hash if request.config.moderation == "first" else None


def count_post(request: Request, deadline: float) -> bool:
    """Count a comment; whether it is above SITE_LIMIT. Raises LimitReached if it is above POST_LIMIT."""
    count_address(request, "post", deadline)
    limit = request.config.site_limit
    return limit is not None and request.moderation.take_limit("site", None, limit, deadline) > 0


def count_address(request: Request, kind: str, deadline: float) -> None:
    """Count a request of this kind for the client's address. Raises LimitReached if it is above POST_LIMIT."""
    limit = request.config.post_limit
    if limit:
        address = client_of(request.environ, request.config.trusted_proxies)
        if seconds := request.moderation.take_limit(kind, address, limit, deadline):
            raise LimitReached(seconds)


def facts_of(request: Request, known: Known, rules: Rules, identity: Identity, is_over_limit: bool = False) -> Facts:
    """What judge() must know besides the comment."""
    return Facts(
        moderation=request.config.moderation,
        max_links=request.config.max_links,
        has_published=known.has_published,
        is_over_limit=is_over_limit,
        rules=rules,
        author_hash=identity.author_hash,
        is_moderator=identity.is_moderator,
    )

"""What a comment becomes that somebody posts or edits: published, held, or refused."""

from werkzeug.exceptions import Forbidden

from comment import Comment
from moderation.facts import Asked
from moderation.judge import Facts, Verdict, judge
from web.identity import Identity
from web.request import Request

CLOSED = "This thread is closed."


def judge_new(request: Request, comment: Comment, identity: Identity) -> Comment:
    """A comment that is posted, with its status and the reason if it is held.

    A retry is judged too: what is stored has been deleted, perhaps. But neither a thread that is closed nor a limit
    keeps the client from the stored comment. Raises Forbidden, LimitReached, BadRequest and DatabaseUnavailable.
    """
    config = request.config
    if not config.is_moderated:
        return comment
    author_hash = identity.author_hash if config.moderation == "first" else None
    asked = Asked(comment.thread, config.close_after_days, author_hash, request.idempotency_key())
    known, rules = request.moderation.facts(asked)
    if (known.is_closed or known.is_old) and not known.is_retry:
        raise Forbidden(CLOSED)
    facts = Facts(
        moderation=config.moderation,
        max_links=config.max_links,
        has_published=known.has_published,
        rules=rules,
        author_hash=identity.author_hash,
        is_moderator=identity.is_moderator,
    )
    verdict = judge(comment, facts)
    return comment._replace(status=verdict.status, reason=verdict.reason)


def judge_edited(request: Request, comment: Comment, identity: Identity) -> Verdict:
    """The verdict on a stored comment with the name and the text that its author gives it.

    What is held stays held: only a moderator publishes it. Raises DatabaseUnavailable.
    """
    config = request.config
    verdict = Verdict(comment.status, comment.reason)
    if config.is_moderated:
        author_hash = identity.author_hash if config.moderation == "first" else None
        known, rules = request.moderation.facts(Asked(comment.thread, author_hash=author_hash))
        facts = Facts(
            moderation=config.moderation,
            max_links=config.max_links,
            has_published=known.has_published,
            rules=rules,
            author_hash=identity.author_hash,
            is_moderator=identity.is_moderator,
        )
        new = judge(comment, facts)
        if new.status == "spam" or not comment.is_held:
            verdict = new
    return verdict

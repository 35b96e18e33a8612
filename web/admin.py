"""The pages of moderators: comments and decisions, rules, closed threads. They work without JavaScript."""

import re
from collections.abc import Iterable, Sequence
from html import unescape
from itertools import accumulate
from typing import NamedTuple, Self
from urllib.parse import urlencode

from werkzeug.exceptions import BadRequest, Conflict

from comment import MAX_ID, Comment, InvalidInput, clean_thread
from moderation.finding import Search
from moderation.input import EFFECTS, MAX_IDS, NewRule, clean_search
from moderation.judge import normalize_word
from moderation.rules import MAX_RULES
from web.answer import Answer
from web.paging import read_after
from web.request import choice, is_id, whole_number
from web.session import Done, Visit, for_moderators, read_done

PAGE = 50  # comments of a page
MAX_HTML = 500_000  # characters of their HTML; the last one may exceed it
THREADS = 100  # closed threads of a page
SHOWN = 60  # characters of a thread in a sentence

STATUSES = ("pending", "spam", "published")
LISTS = (*STATUSES, "all")

# A comment as the moderator has seen it: its id, its status, and when it was edited.
MARK = re.compile(r"([1-9][0-9]{0,18}) (pending|spam|published) (-|[0-9TZ:.-]{20,27})")

LINK = re.compile(r'<a href="([^"]*)"[^>]*>(.*?)</a>', re.DOTALL)
TAG = re.compile(r"<[^>]*>")

REASONS = {
    "all": "every comment waits here",
    "author": "a rule holds its author",
    "first": "nothing of its author was published before",
    "honeypot": "it fills in a field that only bots see",
    "limit": "too many comments came at once",
    "links": "it has many links",
    "moderator": "a moderator has held it",
    "words": "it has a word that a rule holds",
}
DECISIONS = {"published": "published", "pending": "held", "spam": "marked as spam", "deleted": "deleted"}


class View(NamedTuple):
    """Which comments a page shows."""

    status: str = "pending"
    q: str | None = None
    thread: str | None = None
    author_of: int | None = None
    after: int | None = None

    @classmethod
    def from_query(cls, query: dict[str, str]) -> Self:
        """Read the query. Raises InvalidInput and BadRequest."""
        return cls(
            choice(query, "status", LISTS, default="pending"),
            clean_search(query["q"]) if query.get("q", "").strip() else None,
            clean_thread(query["thread"]) if "thread" in query else None,
            whole_number(query, "author_of", low=1, high=MAX_ID) if "author_of" in query else None,
            read_after(query),
        )

    @property
    def is_newest_first(self) -> bool:
        """The pending comment that waits longest comes first. In the other lists, new comments are more interesting."""
        return self.status != "pending"

    def search(self) -> Search:
        status = None if self.status == "all" else self.status
        return Search(status, self.q, self.author_of, self.thread)

    def url(self, **changes: object) -> str:
        """The path of this page, or of one that differs from it."""
        values = self._replace(after=None)._replace(**changes)._asdict()  # type: ignore[arg-type]
        given = {
            name: each for name, each in values.items() if each is not None and (name, each) != ("status", "pending")
        }
        return "/admin" + (f"?{urlencode(given)}" if given else "")


class Mark(NamedTuple):
    """A comment that a form names, as the moderator has seen it."""

    id: int
    status: str
    edited_at: str | None

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises BadRequest."""
        found = MARK.fullmatch(text)
        if not found or int(found[1]) > MAX_ID:
            raise BadRequest("The form names a comment in a way that is not ours.")
        return cls(int(found[1]), found[2], None if found[3] == "-" else found[3])

    @classmethod
    def of(cls, comment: Comment) -> Self:
        return cls(comment.id or 0, comment.status, comment.edited_at)

    def __str__(self) -> str:
        return f"{self.id} {self.status} {self.edited_at or '-'}"


class Item(NamedTuple):
    """A comment of a list. `parent` is the comment that it answers; None if it answers none, or a deleted one."""

    comment: Comment
    parent: Comment | None
    has_author: bool

    @property
    def mark(self) -> Mark:
        return Mark.of(self.comment)

    @property
    def reason(self) -> str | None:
        return REASONS.get(self.comment.reason or "")

    @property
    def links(self) -> list[tuple[str, str]]:
        """Text and target of each link whose text is not its target."""
        found = LINK.findall(self.comment.html or "")
        pairs = [(unescape(TAG.sub("", text)).strip(), unescape(target)) for target, text in found]
        return [(text, target) for text, target in dict.fromkeys(pairs) if text != target]


@for_moderators
def show_comments(visit: Visit) -> Answer:
    """`GET /admin`: a list of comments, by default the pending ones.

    Raises InvalidInput, BadRequest and DatabaseUnavailable.
    """
    view = View.from_query(visit.request.query())
    done = read_done(visit.request)
    page = visit.request.moderation.search(view.search(), PAGE, view.after, view.is_newest_first)
    items = list(with_context(visit, left_of_page(done, view, that_fit(page.comments))))
    next_id = items[-1].comment.id if len(items) < len(page.comments) else page.next
    return visit.render(
        "comments.html",
        view=view,
        items=items,
        focus=focus_after(done, view, items),
        next=None if next_id is None else view.url(after=next_id),
        is_ticked=visit.request.query().get("tick") == "all",
    )


def focus_after(done: Done | None, view: View, items: Sequence[Item]) -> int | None:
    """The id of the comment that has the focus after a decision: the next one, else the last one."""
    if done is None or done.at is None or not items:
        return None
    sign = -1 if view.is_newest_first else 1
    ids = [item.comment.id or 0 for item in items]
    return next((each for each in ids if sign * each >= sign * done.at), ids[-1])


def left_of_page(done: Done | None, view: View, comments: Sequence[Comment]) -> Sequence[Comment]:
    """The comments that are left of the page where a decision was made. If none is left, all of `comments`.

    So a moderator who ticks all ticks only comments that were on the page before.
    """
    if done is None or done.last is None:
        return comments
    sign = -1 if view.is_newest_first else 1
    return [comment for comment in comments if sign * (comment.id or 0) <= sign * done.last] or comments


def that_fit(comments: Sequence[Comment]) -> list[Comment]:
    """The first comments: those after MAX_HTML characters of HTML are left out."""
    before = accumulate((len(comment.html or "") for comment in comments), initial=0)
    return [comment for comment, size in zip(comments, before, strict=False) if size <= MAX_HTML]


def with_context(visit: Visit, comments: Sequence[Comment]) -> Iterable[Item]:
    """Each comment with the one that it answers, and whether its author is known."""
    moderation = visit.request.moderation
    parents = {comment.parent_id for comment in comments if comment.parent_id is not None}
    answered = {each.id: each for each in moderation.find_comments(list(parents))} if parents else {}
    known = moderation.with_author([comment.id or 0 for comment in comments]) if comments else set()
    for comment in comments:
        yield Item(comment, answered.get(comment.parent_id), comment.id in known)


@for_moderators
def decide(visit: Visit) -> Answer:
    """`POST /admin`: a decision about one comment, about all that are ticked, or about an author.

    A button has the name of a status, or of a rule on an author. Its value is a mark, or "ticked".
    Raises HTTPException, InvalidInput and DatabaseUnavailable.
    """
    view = View.from_query(visit.request.query())
    here = view.url(after=view.after)
    last = int(visit.form["last"]) if is_id(visit.form.get("last", "")) else None
    for effect in EFFECTS:
        if f"author_{effect}" in visit.form:
            done = hold_author(visit, visit.form[f"author_{effect}"], effect)
            return visit.done(here, done._replace(last=last))
    status = next((status for status in DECISIONS if status in visit.form), None)
    if status is None:
        raise BadRequest("The form does not say what to do.")
    names = visit.form.getlist("ticked") if visit.form[status] == "ticked" else [visit.form[status]]
    marks = [Mark.read(name) for name in names[: MAX_IDS + 1]]
    if len(marks) > MAX_IDS:
        raise BadRequest(f"Only {MAX_IDS} comments can be decided at once.")
    if not marks:
        return visit.done(here, Done("No comment is ticked. Nothing was changed.", last=last))
    if status == "deleted" and "sure" not in visit.form:
        return ask(visit, view, marks, last)
    return visit.done(here, change(visit, marks, status)._replace(last=last))


def ask(visit: Visit, view: View, marks: Sequence[Mark], last: int | None) -> Answer:
    """The page that asks whether to delete these comments for good."""
    found = {comment.id: comment for comment in visit.request.moderation.find_comments([mark.id for mark in marks])}
    comments = [found[mark.id] for mark in marks if mark.id in found]
    return visit.render("delete.html", view=view, comments=comments, marks=marks, last=last)


def change(visit: Visit, marks: Sequence[Mark], status: str) -> Done:
    """Give the comments this status, unless they were edited since the moderator read them; the message about it."""
    moderation = visit.request.moderation
    ids = [mark.id for mark in marks]
    changed = moderation.set_status(ids, status, {mark.id: mark.edited_at for mark in marks})
    sentences = [f"{changed:,} {'comment was' if changed == 1 else 'comments were'} {DECISIONS[status]}."]
    undo = None
    if changed < len(set(ids)):
        found = {comment.id: comment for comment in moderation.find_comments(ids)}
        left = [found[mark.id] for mark in marks if mark.id in found and found[mark.id].status != status]
        if left:
            sentences.append(f"{was_or_were(len(left))} edited meanwhile, and not changed: please read again.")
        if others := len(set(ids)) - changed - len(left):
            sentences.append(f"{was_or_were(others)} gone, or decided already.")
    elif status != "deleted" and len(before := {mark.status for mark in marks}) == 1:
        [former] = before
        undo = (former, [str(mark._replace(status=status)) for mark in marks])
    return Done(" ".join(sentences), undo, ids[-1])


def hold_author(visit: Visit, comment_id: str, effect: str) -> Done:
    """Add a rule on the author of this comment; the message about it."""
    new = NewRule("author", whole_number({"comment": comment_id}, "comment", low=1, high=MAX_ID), effect)
    what = "will wait" if effect == "pending" else "will be spam"
    add_rule(visit, new, visit.request.moderation.author_of(int(new.value)))
    return Done(f"New comments of the author of comment {new.value} {what}.", at=int(new.value))


def add_rule(visit: Visit, new: NewRule, author_hash: bytes | None = None) -> None:
    """Store a rule. Raises InvalidInput and Conflict."""
    if visit.request.moderation.add_rule(new.rule(author_hash)) is None:
        raise Conflict(f"There are {MAX_RULES:,} rules already, and there can't be more. Delete some first.")


@for_moderators
def show_rules(visit: Visit) -> Answer:
    """`GET /admin/rules`. Raises DatabaseUnavailable."""
    return rules_page(visit, 200, None)


@for_moderators
def change_rules(visit: Visit) -> Answer:
    """`POST /admin/rules`: add a word, or delete a rule. Raises HTTPException and DatabaseUnavailable."""
    form = visit.form
    if "delete" in form:
        is_there = is_id(form["delete"]) and visit.request.moderation.delete_rule(int(form["delete"]))
        return visit.done("/admin/rules", Done("The rule was deleted." if is_there else "The rule is gone already."))
    try:
        new = NewRule("word", normalize_word(form.get("word")), choice(form, "effect", EFFECTS))
        add_rule(visit, new)
    except (InvalidInput, Conflict) as error:
        return rules_page(visit, *sentence_of(error))
    return visit.done("/admin/rules", Done(f"“{new.value}” is a rule now."))


def rules_page(visit: Visit, status: int, sentence: str | None) -> Answer:
    rules = visit.request.moderation.rules()
    return visit.render("rules.html", status, rules=rules, sentence=sentence, form=visit.form)


@for_moderators
def show_closed_threads(visit: Visit) -> Answer:
    """`GET /admin/closed-threads`. Raises InvalidInput and DatabaseUnavailable."""
    return closed_threads_page(visit, 200, None)


@for_moderators
def change_closed_threads(visit: Visit) -> Answer:
    """`POST /admin/closed-threads`: close or open a thread. Raises HTTPException and DatabaseUnavailable."""
    form, here = visit.form, "/admin/closed-threads"
    try:
        if "open" in form:
            thread = clean_thread(form["open"])
            visit.request.moderation.open_thread(thread)
            return visit.done(here, Done(f"{named(thread)} is open."))
        thread = clean_thread(form.get("close", form.get("thread")))
        if not thread and "close" not in form:  # in the form that is typed
            raise InvalidInput("Thread is required.")
    except InvalidInput as error:
        return closed_threads_page(visit, *sentence_of(error))
    visit.request.moderation.close_thread(thread)
    return visit.done(here, Done(f"{named(thread)} is closed: it takes no new comments."))


def closed_threads_page(visit: Visit, status: int, sentence: str | None) -> Answer:
    query = visit.request.query()
    after = clean_thread(query["after"]) if "after" in query else None
    found = visit.request.moderation.closed_threads(THREADS + 1, after)
    more = urlencode({"after": found[THREADS - 1]}) if len(found) > THREADS else None
    return visit.render(
        "closed-threads.html",
        status,
        threads=found[:THREADS],
        next=more and f"/admin/closed-threads?{more}",
        sentence=sentence,
        form=visit.form,
    )


def sentence_of(error: InvalidInput | Conflict) -> tuple[int, str]:
    """The status and the message of an error that a form shows."""
    return (400, str(error)) if isinstance(error, InvalidInput) else (409, error.description or "")


def named(thread: str) -> str:
    """A thread, in a sentence."""
    if not thread:
        return "The thread without a name"
    return f"The thread {thread}" if len(thread) <= SHOWN else f"The thread {thread[:SHOWN]}…"


def was_or_were(count: int) -> str:
    """1 was, 2 were."""
    return f"{count:,} was" if count == 1 else f"{count:,} were"

"""db.py: concurrent changes. One is not committed yet when the other one comes."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import permutations
from typing import Any

import pytest

import inserts
import statements
from comment import Comment, Edit, InvalidInput
from db import CommentDatabase
from postgres import deadline
from postgres.deadline import Connection

from support.model import check_table
from support.postgres import sql
from support.processes import wait_for

KEY = b"k" * 32  # the hash of the author's key

WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    " AND pid <> pg_backend_pid()"
)

Run = Callable[..., Future[Any]]


@pytest.fixture(autouse=True)
def time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """No call reaches its deadline while it waits for another one, however slow this machine is."""
    monkeypatch.setattr(deadline, "CALL_TIMEOUT", 60)
    monkeypatch.setattr(statements, "CHANGE_LOCK_TIMEOUT", 60_000)


@pytest.fixture(autouse=True)
def whole_table(database_url: str) -> Iterator[None]:
    """Whatever has met, the table is as it must be."""
    yield
    check_table(database_url)


@pytest.fixture
def thread_of(database: CommentDatabase) -> Callable[[int], list[Comment]]:
    """Stores a chain of this many comments: each answers the one before."""

    def store(length: int) -> list[Comment]:
        comments: list[Comment] = []
        for _ in range(length):
            comments.append(post(database, comments[-1] if comments else None))
        return comments

    return store


@pytest.fixture
def meanwhile(database_url: str, pool: ThreadPoolExecutor) -> Run:
    """Start a call in another thread; returns when the call waits for a lock, or has ended."""

    def run(call: Callable[..., Any], *arguments: Any) -> Future[Any]:
        before = sql(database_url, WAITING)[0][0]
        future = pool.submit(call, *arguments)
        wait_for(lambda: future.done() or sql(database_url, WAITING)[0][0] > before, "the call to wait")
        return future

    return run


@contextmanager
def under_way(url: str, statement: Callable[..., Any], *arguments: Any, is_undone: bool = False) -> Iterator[Any]:
    """Run a statement in a transaction of its own, which is committed (or rolled back) at the end of the block."""
    with closing(Connection(url, float("inf"))) as other:
        other.autocommit = False
        yield statement(other, *arguments)
        if is_undone:
            other.rollback()
        else:
            other.commit()


def post(database: CommentDatabase, parent: Comment | None = None, key: str | None = None) -> Comment:
    return database.create_comment(answer(parent), key, KEY)


def answer(parent: Comment | None) -> Comment:
    return Comment(None, "Ada", "Hello", "/post", parent_id=parent and parent.id, html="<p>Hello</p>")


def row(parent: Comment | None, text: str = "Hello") -> inserts.NewRow:
    return inserts.NewRow("/post", "Grace", text, parent and parent.id, None, KEY, None)


def left(url: str) -> list[tuple[int, str]]:
    return sql(url, "SELECT id, status FROM comments ORDER BY id")


@pytest.mark.parametrize("key", [None, "key"])
def test_a_comment_that_is_deleted_while_a_reply_is_stored_becomes_a_tombstone(
    database: CommentDatabase, database_url: str, meanwhile: Run, key: str | None
) -> None:
    parent = post(database, key=key)
    with under_way(database_url, inserts.insert, row(parent)):
        deletion = meanwhile(database.delete_comment, parent)
        assert not deletion.done()
    assert deletion.result() is True
    assert left(database_url) == [(1, "deleted"), (2, "published")]


def test_a_tombstone_stays_if_a_reply_is_stored_while_its_last_one_is_deleted(
    database: CommentDatabase, database_url: str, meanwhile: Run, thread_of: Callable[[int], list[Comment]]
) -> None:
    parent, reply = thread_of(2)
    database.delete_comment(parent)
    with under_way(database_url, inserts.insert, row(parent)):
        deletion = meanwhile(database.delete_comment, reply)
        assert not deletion.done()
    assert deletion.result() is True
    assert left(database_url) == [(1, "deleted"), (3, "published")]


def test_if_the_reply_is_not_stored_after_all_the_comment_is_gone(
    database: CommentDatabase, database_url: str, meanwhile: Run
) -> None:
    parent = post(database)
    with under_way(database_url, inserts.insert, row(parent), is_undone=True):
        deletion = meanwhile(database.delete_comment, parent)
    assert deletion.result() is True
    assert left(database_url) == []


def test_a_reply_to_a_comment_that_is_being_deleted_is_refused(
    database: CommentDatabase, database_url: str, meanwhile: Run
) -> None:
    parent = post(database)
    with under_way(database_url, statements.delete, parent, False):
        reply = meanwhile(post, database, parent)
        assert not reply.done()
    with pytest.raises(InvalidInput, match="does not exist"):
        reply.result()
    assert left(database_url) == []


def test_a_reply_to_a_comment_that_is_not_deleted_after_all_is_stored(
    database: CommentDatabase, database_url: str, meanwhile: Run
) -> None:
    parent = post(database)
    with under_way(database_url, statements.delete, parent, False, is_undone=True):
        reply = meanwhile(post, database, parent)
    assert reply.result().parent_id == parent.id
    assert left(database_url) == [(1, "published"), (2, "published")]


@pytest.mark.parametrize("key", [None, "key"])
def test_a_reply_to_a_comment_that_becomes_a_tombstone_is_stored(
    database: CommentDatabase, database_url: str, meanwhile: Run, key: str | None
) -> None:
    parent = post(database, key=key)
    post(database, parent)
    with under_way(database_url, statements.delete, parent, False):
        reply = meanwhile(post, database, parent)
    assert reply.result().parent_id == parent.id
    assert left(database_url) == [(1, "deleted"), (2, "published"), (3, "published")]


def test_a_reply_to_a_tombstone_that_goes_with_its_last_reply_is_refused(
    database: CommentDatabase, database_url: str, meanwhile: Run, thread_of: Callable[[int], list[Comment]]
) -> None:
    parent, reply = thread_of(2)
    database.delete_comment(parent)
    with under_way(database_url, statements.delete, reply, False):
        other = meanwhile(post, database, parent)
    with pytest.raises(InvalidInput, match="does not exist"):
        other.result()
    assert left(database_url) == []


def test_with_its_last_two_replies_deleted_at_once_a_tombstone_goes(
    database: CommentDatabase, database_url: str, meanwhile: Run
) -> None:
    parent = post(database)
    one, other = (post(database, parent) for _ in range(2))
    database.delete_comment(parent)
    with under_way(database_url, statements.delete, one, False):
        deletion = meanwhile(database.delete_comment, other)
    assert deletion.result() is True
    assert left(database_url) == []


@pytest.mark.parametrize("order", list(permutations(range(2))) + list(permutations(range(3))))
def test_comments_that_answer_each_other_and_are_deleted_at_once_are_all_gone(
    database: CommentDatabase,
    database_url: str,
    meanwhile: Run,
    thread_of: Callable[[int], list[Comment]],
    order: tuple[int, ...],
) -> None:
    comments = thread_of(len(order))
    first, *others = [comments[place] for place in order]
    with under_way(database_url, statements.delete, first, False):
        deletions = [meanwhile(database.delete_comment, comment) for comment in others]
    assert [deletion.result() for deletion in deletions] == [True] * len(others)
    assert left(database_url) == []


def test_of_two_deletions_of_a_comment_one_deletes_it(
    database: CommentDatabase, database_url: str, meanwhile: Run, thread_of: Callable[[int], list[Comment]]
) -> None:
    for comment in thread_of(2):  # the first becomes a tombstone
        with under_way(database_url, statements.delete, comment, False) as is_deleted:
            deletion = meanwhile(database.delete_comment, comment)
        assert (is_deleted, deletion.result()) == (True, False)
    assert left(database_url) == []


@pytest.mark.parametrize("if_unchanged", [False, True])
@pytest.mark.parametrize("has_reply", [False, True])
def test_a_comment_that_is_being_deleted_is_not_edited(
    database: CommentDatabase, database_url: str, meanwhile: Run, if_unchanged: bool, has_reply: bool
) -> None:
    comment = post(database)
    if has_reply:
        post(database, comment)
    with under_way(database_url, statements.delete, comment, False):
        edit = meanwhile(database.edit_comment, comment, Edit("Grace"), if_unchanged)
        assert not edit.done()
    assert edit.result() is None
    assert left(database_url) == ([(1, "deleted"), (2, "published")] if has_reply else [])


@pytest.mark.parametrize("if_unchanged", [False, True])
def test_a_comment_that_is_being_edited_is_deleted_but_for_whoever_wants_it_unchanged(
    database: CommentDatabase, database_url: str, meanwhile: Run, if_unchanged: bool
) -> None:
    comment = post(database)
    with under_way(database_url, statements.edit, comment, Edit("Grace"), False) as edited:
        deletion = meanwhile(database.delete_comment, comment, if_unchanged)
        assert not deletion.done()
    assert deletion.result() is not if_unchanged
    assert database.get_comment(1) == (edited if if_unchanged else None)


def test_of_two_edits_of_the_same_version_one_wins(
    database: CommentDatabase, database_url: str, meanwhile: Run
) -> None:
    comment = post(database)
    with under_way(database_url, statements.edit, comment, Edit("Grace"), True) as edited:
        other = meanwhile(database.edit_comment, comment, Edit("Alan"), True)
        assert not other.done()
    assert other.result() is None
    assert database.get_comment(1) == edited


def test_of_two_edits_of_any_version_each_changes_what_it_names(
    database: CommentDatabase, database_url: str, meanwhile: Run
) -> None:
    comment = post(database)
    with under_way(database_url, statements.edit, comment, Edit("Grace"), False):
        other = meanwhile(database.edit_comment, comment, Edit(None, "Bye", "<p>Bye</p>"), False)
    assert other.result() == database.get_comment(1)
    assert (other.result().name, other.result().comment, other.result().html) == ("Grace", "Bye", "<p>Bye</p>")


def test_a_change_does_not_wait_for_one_in_another_thread(database: CommentDatabase, database_url: str) -> None:
    comment, other = post(database), database.create_comment(Comment(None, "Ada", "Hello", "/other"))
    with under_way(database_url, statements.delete, comment, False):
        assert database.edit_comment(other, Edit("Grace"))
        assert database.delete_comment(other)


def test_a_comment_that_came_with_others_is_edited_and_deleted_alone(
    database: CommentDatabase, database_url: str
) -> None:
    with under_way(database_url, inserts.insert_several, [row(None, text) for text in "abc"]) as stored:
        pass
    edited = database.edit_comment(stored[1], Edit("Alan"), if_unchanged=True)
    assert edited is not None
    assert database.get_page(9).comments == [stored[0], edited, stored[2]]
    assert database.delete_comment(edited, if_unchanged=True)
    assert database.get_page(9).comments == [stored[0], stored[2]]


def test_a_comment_that_is_deleted_while_several_replies_are_stored_keeps_them_all(
    database: CommentDatabase, database_url: str, meanwhile: Run
) -> None:
    parent = post(database)
    with under_way(database_url, inserts.insert_several, [row(parent, text) for text in "abc"]):
        deletion = meanwhile(database.delete_comment, parent)
        assert not deletion.done()
    assert deletion.result() is True
    assert left(database_url) == [(1, "deleted"), (2, "published"), (3, "published"), (4, "published")]

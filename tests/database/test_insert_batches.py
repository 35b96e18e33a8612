"""db.py: comments that arrive together are stored by one statement, and one that fails harms no other."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import make_dsn

import db
import inserts
from comment import Comment, InvalidInput
from db import CommentDatabase, KeyReused
from inserts import NewRow, insert_several
from postgres import batches
from postgres.deadline import Connection
from postgres.errors import DatabaseUnavailable

from support.batches import arrive
from support.postgres import sql
from support.processes import wait_for

pytestmark = pytest.mark.usefixtures("patience")

Stored = list[Future[Comment]]


class Sent(list[int]):
    """How many comments each INSERT has, in the order in which they are sent. The next can be held."""

    held: threading.Event | None = None

    def add(self, parameters: Sequence[Any]) -> None:
        self.append(len(parameters[0]) if isinstance(parameters[0], list) else 1)
        if self.held:
            held, self.held = self.held, None
            assert held.wait(20)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    sent = Sent()
    fetch = Connection.fetch

    def noted(connection: Connection, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        if "INSERT" in statement:
            sent.add(parameters)
        return fetch(connection, statement, parameters)

    monkeypatch.setattr(Connection, "fetch", noted)
    return sent


def hello(text: str = "Hello", thread: str = "", parent_id: int | None = None) -> Comment:
    return Comment(None, "Ada", text, thread, parent_id=parent_id)


@contextmanager
def under_way(database: CommentDatabase, sent: Sent, pool: ThreadPoolExecutor) -> Iterator[None]:
    """An INSERT that is under way as long as the block lasts."""
    held = sent.held = threading.Event()
    first = pool.submit(database.create_comment, hello("first"))
    wait_for(lambda: sent.held is None, "the INSERT to be under way")
    yield
    held.set()
    first.result()


@contextmanager
def holding(url: str, thread: str) -> Iterator[None]:
    """Another transaction that has stored a comment in the thread, with its name as the key, and is rolled back."""
    row = "(id, thread, idempotency_key, name, comment) VALUES (0, %s, %s, 'Grace', 'Hello')"
    with closing(psycopg2.connect(url)) as holder, holder.cursor() as cursor:
        cursor.execute(f"INSERT INTO comments {row}", (thread, thread))
        yield


def arrive_together(database: CommentDatabase, pool: ThreadPoolExecutor, *calls: tuple[Any, ...]) -> Stored:
    """These calls of create_comment(), which come one after another, and wait."""
    return arrive(database._insert_batches, pool, [partial(database.create_comment, *call) for call in calls])


def test_they_are_one_statement_and_each_call_gets_its_own_comment(
    database: CommentDatabase, database_url: str, sent: Sent, pool: ThreadPoolExecutor
) -> None:
    comments = [hello(f"{9 - n}", thread=f"{n % 2}") for n in range(8)]
    with under_way(database, sent, pool):
        futures = arrive_together(database, pool, *((comment,) for comment in comments))
    stored = [future.result() for future in futures]
    assert sent == [1, 8]
    assert [(comment.comment, comment.thread) for comment in stored] == [(c.comment, c.thread) for c in comments]
    assert [comment.id for comment in stored] == [*range(2, 10)], "in the order in which they came"
    assert database.get_page(9, after=1).comments == stored


def test_with_keys_the_ids_ascend_in_the_order_in_which_they_came_too(
    database: CommentDatabase, database_url: str, sent: Sent, pool: ThreadPoolExecutor
) -> None:
    """They are inserted in the order of their keys."""
    with under_way(database, sent, pool):
        futures = arrive_together(database, pool, *((hello(key), key) for key in "cabd"))
    stored = [future.result() for future in futures]
    assert [(comment.id, comment.comment) for comment in stored] == [(2, "c"), (3, "a"), (4, "b"), (5, "d")]
    assert sent == [1, 4]


def test_a_comment_that_is_there_already_is_left_out_and_the_others_get_their_own(
    database: CommentDatabase, database_url: str, sent: Sent, pool: ThreadPoolExecutor
) -> None:
    before = database.create_comment(hello("b"), "key b")
    with under_way(database, sent, pool):
        futures = arrive_together(database, pool, *((hello(text), f"key {text}") for text in "abc"))
    a, b, c = (future.result() for future in futures)
    assert (a.comment, b, c.comment) == ("a", before, "c")
    assert sent == [1, 1, 3], "the retry was looked up"
    assert sql(database_url, "SELECT comment FROM comments ORDER BY id") == [("b",), ("first",), ("a",), ("c",)]


def test_two_calls_with_one_key_in_a_batch_store_one_comment(
    database: CommentDatabase, database_url: str, sent: Sent, pool: ThreadPoolExecutor
) -> None:
    with under_way(database, sent, pool):
        calls = [(hello("one"), "key"), (hello("one"), "key"), (hello("two"), "key"), (hello("two", "other"), "key")]
        one, again, reused, other = arrive_together(database, pool, *calls)
    assert one.result() == again.result()
    with pytest.raises(KeyReused):
        reused.result()
    assert (one.result().id, other.result().thread) == (2, "other")
    assert sql(database_url, "SELECT count(*) FROM comments") == [(3,)]
    assert sent == [1, 4]


def test_one_that_fails_fails_alone(
    database: CommentDatabase, database_url: str, sent: Sent, pool: ThreadPoolExecutor
) -> None:
    with under_way(database, sent, pool):
        good, bad, fine = arrive_together(
            database, pool, (hello("good"),), (hello("x" * 10_001),), (hello("fine"), "key")
        )
    with pytest.raises(psycopg2.errors.CheckViolation):
        bad.result()
    assert [good.result().comment, fine.result().comment] == ["good", "fine"]
    assert sent == [1, 3, 1, 1, 1], "each is tried by itself"
    assert sql(database_url, "SELECT count(*) FROM comments") == [(3,)]


@pytest.mark.parametrize("parent_id", [1, 3, 4, 99], ids=["another thread's", "its own id", "the next id", "no id"])
def test_a_reply_without_a_parent_is_refused_alone(
    database: CommentDatabase, database_url: str, sent: Sent, pool: ThreadPoolExecutor, parent_id: int
) -> None:
    """The others are stored by the statement that they came with."""
    with under_way(database, sent, pool):
        calls = [(hello("good", "/post"),), (hello("bad", "/post", parent_id), "key"), (hello("fine", "/other"), "key")]
        good, bad, fine = arrive_together(database, pool, *calls)
    with pytest.raises(InvalidInput, match="does not exist"):
        bad.result()
    assert [good.result().comment, fine.result().comment] == ["good", "fine"]
    assert sent == [1, 3]
    assert sql(database_url, "SELECT id, comment FROM comments ORDER BY id") == [(1, "first"), (2, "good"), (4, "fine")]


def test_replies_to_several_comments_are_one_statement(
    database: CommentDatabase, database_url: str, sent: Sent, pool: ThreadPoolExecutor
) -> None:
    parents = [database.create_comment(hello(thread=thread)) for thread in ("/post", "/other")]
    with under_way(database, sent, pool):
        calls = [(hello("reply", parent.thread, parent.id), "key") for parent in parents] * 2
        replies = arrive_together(database, pool, *calls)
    assert [reply.result().parent_id for reply in replies] == [1, 2, 1, 2]
    assert sent == [1, 1, 1, 4], "the two retries were looked up"
    assert sql(database_url, "SELECT parent_id FROM comments WHERE id > 3 ORDER BY parent_id") == [(1,), (2,)]


def test_whoever_guesses_the_id_of_a_comment_that_comes_with_his_own_answers_it_when_it_is_there(
    database: CommentDatabase, database_url: str, sent: Sent, pool: ThreadPoolExecutor
) -> None:
    with under_way(database, sent, pool):
        question, reply = arrive_together(database, pool, (hello("question"),), (hello("reply", parent_id=2),))
    assert (question.result().id, reply.result().parent_id) == (2, 2)
    assert sent == [1, 2, 1]
    [(question_xmin,), (reply_xmin,)] = sql(database_url, "SELECT xmin::text FROM comments WHERE id > 1 ORDER BY id")
    assert question_xmin != reply_xmin, "the reply was stored after it"


@contextmanager
def deleting(url: str, comment_id: int | None) -> Iterator[None]:
    """Another transaction that has deleted the comment, and is committed at the end of the block."""
    with closing(psycopg2.connect(url)) as other, other.cursor() as cursor:
        cursor.execute("DELETE FROM comments WHERE id = %s", (comment_id,))
        yield
        other.commit()


def test_a_reply_to_a_comment_that_is_being_deleted_harms_no_other(
    database: CommentDatabase, database_url: str, sent: Sent, pool: ThreadPoolExecutor
) -> None:
    """The statement waits for a moment. Then each comment is tried by itself, and only the reply waits on."""
    parent = database.create_comment(hello("parent"))
    with deleting(database_url, parent.id):
        with under_way(database, sent, pool):
            calls = [(hello("good"),), (hello("reply", parent_id=parent.id),), (hello("fine"), "key")]
            good, reply, fine = arrive_together(database, pool, *calls)
        assert [good.result().comment, fine.result().comment] == ["good", "fine"]
        assert not reply.done()
    with pytest.raises(InvalidInput, match="does not exist"):
        reply.result()
    assert sent[:5] == [1, 1, 3, 1, 1]
    assert sent[5:] in ([], [1]), "the reply by itself, unless it came to that after the deletion"


def test_no_statement_with_a_reply_without_a_parent_is_refused(
    database: CommentDatabase, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL would log the statement, with all that the author wrote."""
    refused = []
    fetch = Connection.fetch

    def record(connection: Connection, *statement: Any) -> Any:
        try:
            return fetch(connection, *statement)
        except psycopg2.Error as error:
            refused.append(error)
            raise

    monkeypatch.setattr(Connection, "fetch", record)
    for key in (None, "key"):
        with pytest.raises(InvalidInput, match="does not exist"):
            database.create_comment(hello(parent_id=99), key)
    assert refused == []


def test_one_that_waits_for_another_transaction_does_not_hold_the_others_up(
    database: CommentDatabase, database_url: str, sent: Sent, pool: ThreadPoolExecutor
) -> None:
    with holding(database_url, "held"):
        with under_way(database, sent, pool):
            calls = [(hello("good"),), (hello(thread="held"), "held"), (hello("fine"), "key")]
            good, blocked, fine = arrive_together(database, pool, *calls)
        assert [good.result().comment, fine.result().comment] == ["good", "fine"]
        with pytest.raises(DatabaseUnavailable, match="took too long"):
            blocked.result()


def test_one_that_waits_for_another_transaction_by_itself_does_not_hold_those_behind_it_up(
    database: CommentDatabase, database_url: str, sent: Sent, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "PATIENCE", 0.05)
    with holding(database_url, "held"):
        blocked = pool.submit(database.create_comment, hello(thread="held"), "held")
        wait_for(lambda: sent, "the INSERT to be sent")
        assert database.create_comment(hello("good")).comment == "good"
        assert not blocked.done()
    assert blocked.result().thread == "held"


def test_if_the_connection_is_lost_nobody_tries_again(
    database: CommentDatabase, database_url: str, sent: Sent, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comments may be stored. Without a key, a second try could store them twice."""
    ended = f"{inserts.INSERT_SEVERAL}; SELECT pg_terminate_backend(pg_backend_pid())"
    monkeypatch.setattr(inserts, "INSERT_SEVERAL", ended)
    with under_way(database, sent, pool):
        futures = arrive_together(database, pool, (hello("a"),), (hello("b"),))
    assert {str(future.exception()) for future in futures} == {"The database does not answer; try again later."}
    assert sent == [1, 2]


@pytest.mark.parametrize(("size", "expected"), [(10, [64, 16]), (3_000, [33, 33, 14]), (10_000, [9] * 8 + [8])])
def test_a_batch_is_bounded(
    database: CommentDatabase, database_url: str, sent: Sent, pool: ThreadPoolExecutor, size: int, expected: list[int]
) -> None:
    assert (db.MAX_ROWS, db.MAX_CHARACTERS) == (64, 100_000)
    with under_way(database, sent, pool):
        futures = arrive_together(database, pool, *[(hello("x" * size),)] * 80)
    assert [future.result().id for future in futures] == [*range(2, 82)]
    assert sent == [1, *expected]


@pytest.mark.parametrize("how", ["no sharing", "Citus"])
def test_without_sharing_or_with_citus_each_comment_has_a_statement_of_its_own(
    database_url: str, sent: Sent, pool: ThreadPoolExecutor, how: str
) -> None:
    url = make_dsn(database_url, options="-c citus.version=13.0") if how == "Citus" else database_url
    database = CommentDatabase(url, shares=how != "no sharing")
    texts = [str(n) for n in range(50)]
    stored = list(pool.map(lambda text: database.create_comment(hello(text), text), texts))
    assert [comment.comment for comment in stored] == texts
    assert sent == [1] * 50
    database.close()


def test_batches_of_two_processes_with_the_same_keys_do_not_deadlock(
    database_url: str, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each inserts in the order of the keys, whatever the order in which the comments came."""
    monkeypatch.setattr(inserts, "LOCK_TIMEOUT", 10_000)  # longer than PostgreSQL takes to find a deadlock
    one, other = (Connection(database_url, float("inf")) for _ in range(2))
    with closing(one), closing(other):
        for n in range(200):
            rows = [NewRow("", "Ada", "Hello", None, "", None, f"{n} {key}") for key in "abcdefgh"]
            both = [pool.submit(insert_several, one, rows), pool.submit(insert_several, other, rows[::-1])]
            assert sum(stored is not None for future in both for stored in future.result()) == len(rows)

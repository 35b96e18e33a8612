"""How many rows the statements of moderation read, however much spam there is."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from comment import Comment, Edit
from db import CommentDatabase
from inserts import NewRow
from moderation import held
from moderation.database import QUEUE, ModerationDatabase
from moderation.facts import Asked
from moderation.finding import SCANNED, Search
from moderation.judge import Verdict
from postgres.migrations import migrate

from support.plans import record_plans, rows_read
from support.postgres import sql

AUTHOR, ANOTHER = b"a" * 32, b"b" * 32
SPAM, WAITING = 150_000, 250_000  # an id of each

# A thread of 100 comments, among those of 1,000 threads, and 100,000 of spam and 100,000 that wait in the same thread.
ROWS = """
INSERT INTO comments (thread, name, comment, idempotency_key, author_hash)
SELECT CASE WHEN n % 1000 = 0 THEN 'big' ELSE (n % 1000)::text END, 'Ada', 'Hello', n::text,
    CASE WHEN n % 2 = 0 THEN repeat('a', 32)::bytea END
FROM generate_series(1, 100000) n;
INSERT INTO held_comments (thread, id, name, comment, author_hash, idempotency_key, verified, status, reason, held_at)
SELECT 'big', nextval('comments_id_seq'), 'Ada', 'Cheap watches', repeat('b', 32)::bytea, n::text, false,
    CASE WHEN n <= 200000 THEN 'spam' ELSE 'pending' END, 'words', now() - interval '40 days'
FROM generate_series(100001, 300000) n;
ANALYZE comments, held_comments"""


@pytest.fixture(scope="module")
def url(new_database: Callable[..., str]) -> str:
    url = new_database()
    migrate(url)
    for statement in ROWS.split(";\n"):
        sql(url, statement)
    return url


@pytest.fixture
def database(url: str) -> Iterator[CommentDatabase]:
    database = CommentDatabase(url, caches_pages=False, may_hold=True)
    yield database
    database.close()


@pytest.fixture
def moderation(database: CommentDatabase) -> ModerationDatabase:
    return ModerationDatabase(database)


def most_rows(plans: list[dict[str, Any]], statements: int) -> float:
    """The rows that the largest of so many plans has read."""
    assert len(plans) == statements
    return max(map(rows_read, plans))


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("after", [None, 50_500, 99_000])
def test_a_page_reads_its_comments_and_no_spam(
    database: CommentDatabase, monkeypatch: pytest.MonkeyPatch, after: int | None, newest_first: bool
) -> None:
    plans = record_plans(monkeypatch)
    assert database.get_page(20, after, "big", newest_first).comments
    assert most_rows(plans, 1) <= 21
    assert "held_comments" not in str(plans)


def test_what_must_be_known_of_a_new_comment_is_some_rows(
    moderation: ModerationDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    moderation.rules()
    plans = record_plans(monkeypatch)
    for author_hash in (AUTHOR, ANOTHER, b"c" * 32):
        known, _ = moderation.facts(Asked("big", 30, author_hash, "250000"))
        assert (known.has_published, known.is_retry) == (author_hash == AUTHOR, True)
    assert max(map(rows_read, plans)) <= 2


def test_a_comment_that_is_held_is_found_edited_and_stored_by_some_rows(
    database: CommentDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = record_plans(monkeypatch)
    found = database.find_comment(WAITING, ANOTHER)
    assert found
    database.edit_comment(found.comment, Edit("Grace"), verdict=Verdict("pending", "words"))
    database.delete_comment(found.comment)
    row = NewRow("big", "Ada", "Hello", None, "", ANOTHER, "another")
    with database.pool.connection(to_write=True) as connection:
        held.insert(connection, row, "spam", "words")
    new = Comment(None, "Ada", "Cheap watches", "big", status="pending", reason="words")
    assert database.create_comment(new, "249999", ANOTHER).id == 249_999
    assert max(map(rows_read, plans)) <= 2


def test_a_decision_reads_the_comments_that_it_is_about(
    moderation: ModerationDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = record_plans(monkeypatch)
    ids = [*range(SPAM, SPAM + 50), *range(WAITING, WAITING + 50)]
    for status in ("spam", "pending", "published"):
        moderation.set_status(ids, status)
    moderation.set_status([2_000, SPAM + 100], "spam")
    moderation.set_status([3_000, SPAM + 101], "deleted")
    moderation.author_of(SPAM)
    moderation.with_author(ids)
    assert max(map(rows_read, plans)) <= 2 * len(ids)


@pytest.mark.parametrize(
    "what",
    [
        Search("pending"),
        Search("spam"),
        Search("published"),
        Search(),
        Search("spam", thread="big"),
        Search("published", thread="big"),
        Search("deleted"),
        Search(author_of=SPAM),
        Search("pending", author_of=2_000),
        Search(text="nothing like that"),
        Search("spam", text="watches", thread="7"),
    ],
    ids=str,
)
@pytest.mark.parametrize("newest_first", [False, True])
def test_a_search_reads_no_more_than_it_may(
    moderation: ModerationDatabase, monkeypatch: pytest.MonkeyPatch, what: Search, newest_first: bool
) -> None:
    plans = record_plans(monkeypatch)
    moderation.search(what, 50, newest_first=newest_first)
    assert max(map(rows_read, plans)) <= 2 * SCANNED


def test_the_queue_is_counted_up_to_a_number(moderation: ModerationDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = record_plans(monkeypatch)
    assert moderation.count_pending() == QUEUE
    assert most_rows(plans, 1) == QUEUE


def test_a_purge_reads_what_it_removes(database: CommentDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = record_plans(monkeypatch)
    with database.pool.connection(to_write=True) as connection:
        assert held.purge(connection, days=30, limit=100) == 100
        assert held.purge(connection, days=60, limit=100) == 0
    assert max(map(rows_read, plans)) <= 100

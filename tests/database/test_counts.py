"""How many rows a count reads, however many comments there are."""

from collections.abc import Callable, Iterator

import pytest

from db import CommentDatabase
from postgres.migrations import migrate
from statements import COUNTED, Count

from support.plans import record_plans, rows_read
from support.postgres import sql

# A thread of 100,000 comments, among as many of 1,000 threads. Half of `gone` are tombstones.
KNOWN = """
INSERT INTO comments (thread, name, comment)
SELECT CASE WHEN n <= 100000 THEN 'big' ELSE (n % 1000)::text END, 'Ada', 'Hello' FROM generate_series(1, 200000) n;
INSERT INTO comments (thread, name, comment, html, status)
SELECT 'gone', name, name, '', CASE name WHEN '' THEN 'deleted' ELSE 'published' END
FROM (SELECT CASE WHEN n <= 10000 THEN '' ELSE 'Ada' END AS name FROM generate_series(1, 20000) n) AS named"""
# Newer ones, of which the statistics know nothing.
NEW = """
INSERT INTO comments (thread, name, comment)
SELECT CASE WHEN n % 2 = 0 THEN 'new' ELSE 'big' END, 'Ada', 'Hello' FROM generate_series(1, 50000) n"""


@pytest.fixture(scope="module", params=[True, False], ids=["with statistics", "without statistics"])
def url(request: pytest.FixtureRequest, new_database: Callable[..., str]) -> str:
    url = new_database()
    migrate(url)
    for statement in (*KNOWN.split(";\n"), *(["ANALYZE comments"] if request.param else []), NEW):
        sql(url, statement)
    return url


@pytest.fixture
def database(url: str) -> Iterator[CommentDatabase]:
    database = CommentDatabase(url)
    yield database
    database.close()


@pytest.mark.parametrize(
    ("thread", "expected", "rows"),
    [
        ("big", Count(COUNTED, True), COUNTED + 1),
        ("new", Count(COUNTED, True), COUNTED + 1),
        ("gone", Count(0, True), COUNTED + 1),
        ("7", Count(100, False), 100),
        ("nobody's", Count(0, False), 1),  # that of the answer
    ],
)
def test_a_count_reads_a_thousand_rows_and_one(
    database: CommentDatabase, monkeypatch: pytest.MonkeyPatch, thread: str, expected: Count, rows: int
) -> None:
    plans = record_plans(monkeypatch)
    assert database.count_comments([thread]) == {thread: expected}
    [plan] = plans
    assert rows_read(plan) == rows


def test_a_hundred_threads_are_one_statement_that_reads_so_much_of_each(
    database: CommentDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = record_plans(monkeypatch)
    threads = ["big", "new", "gone", *(str(n) for n in range(97))]
    expected = [Count(COUNTED, True), Count(COUNTED, True), Count(0, True), *[Count(100, False)] * 97]
    assert database.count_comments(threads) == dict(zip(threads, expected, strict=True))
    [plan] = plans
    assert rows_read(plan) == pytest.approx(3 * (COUNTED + 1) + 97 * 100, abs=1)  # PostgreSQL rounds

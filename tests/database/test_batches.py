"""postgres/batches.py: calls that wait at the same time share a statement, and none is answered too early."""

import random
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import pytest

from postgres import batches as batches_module
from postgres.batches import Batches, Call
from postgres.deadline import new_deadline

from support.batches import arrive
from support.processes import wait_for


class Statement:
    """A function for Batches: it notes its batches, and each ends when the test says so."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.deadlines: list[float] = []
        self.failing: set[str] = set()
        self._may_end = threading.Semaphore(0)

    def __call__(self, items: list[str], deadline: float) -> list[str]:
        self.batches.append(items)
        self.deadlines.append(deadline)
        assert self._may_end.acquire(timeout=20)
        if self.failing.intersection(items):
            raise ValueError(*items)
        return [item.upper() for item in items]

    def end(self, batches: int = 1) -> None:
        self._may_end.release(batches)


pytestmark = pytest.mark.usefixtures("patience")


@pytest.fixture
def statement() -> Statement:
    return Statement()


@contextmanager
def under_way(batches: Batches[str, str], statement: Statement, pool: ThreadPoolExecutor) -> Iterator[None]:
    """A batch of one call that has begun, and may end with the block."""
    pool.submit(batches.submit, "first", new_deadline())
    wait_for(lambda: len(statement.batches) == 1, "a batch to begin")
    yield
    statement.end()


def submit(
    batches: Batches[str, str], pool: ThreadPoolExecutor, *items: str, size: int = 0, deadline: float | None = None
) -> list[Future[str]]:
    calls = [partial(batches.submit, item, deadline or new_deadline(), size=size) for item in items]
    return arrive(batches, pool, calls)


def test_a_call_that_is_alone_is_a_batch_at_once(statement: Statement) -> None:
    batches = Batches(statement)
    statement.end(2)
    assert [batches.submit(item, new_deadline()) for item in ("a", "b")] == ["A", "B"]
    assert statement.batches == [["a"], ["b"]]


def test_a_call_that_comes_while_a_batch_is_under_way_is_not_in_it(
    statement: Statement, pool: ThreadPoolExecutor
) -> None:
    """What that batch has read may be older than the call."""
    batches = Batches(statement)
    with under_way(batches, statement, pool):
        [late] = submit(batches, pool, "late")
    wait_for(lambda: len(statement.batches) == 2, "the next batch")
    assert not late.done()
    statement.end()
    assert late.result() == "LATE"
    assert statement.batches == [["first"], ["late"]]


def test_the_calls_that_wait_are_the_next_batch_in_their_order_and_each_gets_its_own_result(
    statement: Statement, pool: ThreadPoolExecutor
) -> None:
    batches = Batches(statement)
    with under_way(batches, statement, pool):
        futures = submit(batches, pool, "c", "a", "b")
    statement.end()
    assert [future.result() for future in futures] == ["C", "A", "B"]
    assert statement.batches == [["first"], ["c", "a", "b"]]
    assert batches._waiting == {}


def test_a_batch_has_at_most_so_many_items(statement: Statement, pool: ThreadPoolExecutor) -> None:
    batches = Batches(statement, max_items=2)
    with under_way(batches, statement, pool):
        futures = submit(batches, pool, *"abcde")
    statement.end(3)
    assert [future.result() for future in futures] == [*"ABCDE"]
    assert statement.batches[1:] == [["a", "b"], ["c", "d"], ["e"]]


def test_a_batch_is_at_most_so_large_and_what_is_larger_goes_alone(
    statement: Statement, pool: ThreadPoolExecutor
) -> None:
    batches = Batches(statement, max_size=10)
    with under_way(batches, statement, pool):
        futures = [
            *submit(batches, pool, "a", "b", size=5),
            *submit(batches, pool, "c", size=1),
            *submit(batches, pool, "d", size=11),
            *submit(batches, pool, "e", size=1),
        ]
    statement.end(4)
    assert [future.result() for future in futures] == [*"ABCDE"]
    assert statement.batches[1:] == [["a", "b"], ["c"], ["d"], ["e"]]


def test_what_a_batch_raises_is_raised_to_all_its_calls_and_to_no_other(
    statement: Statement, pool: ThreadPoolExecutor
) -> None:
    batches = Batches(statement, max_items=2)
    statement.failing = {"b"}
    with under_way(batches, statement, pool):
        futures = submit(batches, pool, *"abc")
    statement.end(2)
    assert [type(future.exception()) for future in futures] == [ValueError, ValueError, type(None)]
    assert batches._waiting == {}


def test_an_error_has_the_same_traceback_for_each_call(statement: Statement, pool: ThreadPoolExecutor) -> None:
    """The error is one object: each call that raises it could make its traceback longer."""
    batches = Batches(statement)
    statement.failing = {"a"}
    with under_way(batches, statement, pool):
        futures = submit(batches, pool, *["a"] * 20)
    statement.end()
    lengths = [len(traceback.format_exception(error)) for future in futures if (error := future.exception())]
    assert len(lengths) == 20
    assert max(lengths) < 20


def test_a_function_that_does_not_answer_every_item_is_an_error() -> None:
    batches: Batches[str, str] = Batches(lambda items, deadline: [])
    with pytest.raises(ValueError, match="shorter"):
        batches.submit("a", new_deadline())


def test_lanes_do_not_wait_for_each_other(statement: Statement, pool: ThreadPoolExecutor) -> None:
    batches = Batches(statement)
    with under_way(batches, statement, pool):
        other = pool.submit(batches.submit, "other", new_deadline(), lane="other")
        wait_for(lambda: len(statement.batches) == 2, "the batch of the other lane")
    statement.end()
    assert other.result() == "OTHER"


def test_a_batch_must_end_when_the_first_of_its_calls_must(statement: Statement, pool: ThreadPoolExecutor) -> None:
    batches = Batches(statement)
    deadlines = [new_deadline() + seconds for seconds in (2, 1, 3)]
    with under_way(batches, statement, pool):
        for deadline in deadlines:
            submit(batches, pool, "a", deadline=deadline)
    statement.end()
    wait_for(lambda: len(statement.batches) == 2, "the batch")
    assert statement.deadlines[1] == deadlines[1]


def test_a_call_whose_patience_ends_leads_the_next_batch_beside_the_one_that_is_under_way(
    statement: Statement, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a slow statement would leave too little time to each batch after it."""
    batches = Batches(statement)
    first = pool.submit(batches.submit, "first", new_deadline())
    wait_for(lambda: len(statement.batches) == 1, "a batch to begin")
    patient = submit(batches, pool, "a", "b")
    monkeypatch.setattr(batches_module, "PATIENCE", 0.01)
    impatient = pool.submit(batches.submit, "impatient", new_deadline())
    wait_for(lambda: len(statement.batches) == 2, "the next batch")
    assert statement.batches[1] == ["impatient", "a", "b"], "which takes the others along"
    statement.end()
    wait_for(lambda: first.done() or impatient.done(), "one of the two to end")
    statement.end()
    assert [future.result() for future in (first, impatient, *patient)] == ["FIRST", "IMPATIENT", "A", "B"]
    assert batches._waiting == {}


def test_beside_each_other_all_batches_are_answered(pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a patience that ends at any moment: also as another call begins to lead."""
    monkeypatch.setattr(batches_module, "PATIENCE", 0.0005)
    running: set[str] = set()

    def run(items: list[str], deadline: float) -> list[str]:
        assert not running.intersection(items), "no item is in two batches"
        running.update(items)
        time.sleep(random.choice((0, 0.0005, 0.001, 0.003)))  # noqa: S311
        running.difference_update(items)
        return [item.upper() for item in items]

    batches = Batches(run, max_items=4)

    def submit_many(number: int) -> None:
        for n in range(200):
            assert batches.submit(f"{number} a {n}", new_deadline()) == f"{number} A {n}"

    list(pool.map(submit_many, range(20)))
    assert batches._waiting == {}


def test_a_call_whose_patience_ends_when_it_must_lead_does_lead_once(
    statement: Statement, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    class LateLock:
        """It is released when the first patience has just ended."""

        def __init__(self) -> None:
            self._lock = threading.Lock()
            self.release = self._lock.release
            self._is_late = True

        def acquire(self, timeout: float = -1) -> bool:
            self._lock.acquire()
            if timeout < 0 or not self._is_late:
                return True
            self._is_late = False
            self._lock.release()
            return False

    def late_call(item: str, size: int, deadline: float) -> Call[str, str]:
        return Call(item, size, deadline, LateLock())  # type: ignore[arg-type]

    monkeypatch.setattr(batches_module, "Call", late_call)
    batches = Batches(statement)
    with under_way(batches, statement, pool):
        futures = submit(batches, pool, "a") + submit(batches, pool, "b")
    statement.end()
    assert [future.result() for future in futures] == ["A", "B"]
    assert statement.batches == [["first"], ["a", "b"]]
    assert batches._waiting == {}

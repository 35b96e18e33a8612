"""Calls that wait for a batch, and calls that arrive one after another."""

from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from postgres.batches import Batches

from support.processes import wait_for

T = TypeVar("T")


def waiting(batches: Batches[Any, Any], lane: Hashable = None) -> int:
    """How many calls wait in the lane, but for those of the batch that is under way."""
    return len(batches._waiting.get(lane, ()))


def arrive(batches: Batches[Any, Any], pool: Executor, calls: Iterable[Callable[[], T]]) -> list[Future[T]]:
    """Let these calls come one after another, while a batch is under way."""
    futures = []
    for call in calls:
        before = waiting(batches)
        futures.append(pool.submit(call))
        wait_for(lambda before=before: waiting(batches) == before + 1, "the call to wait")  # type: ignore[misc]
    return futures

"""Batches: calls that wait at the same time share a statement. Databases do so with commits: group commit.

A call that comes alone runs its statement at once. Those that come while it is under way wait for its end. They are the
next batch, and the one that has waited longest runs the statement for all of them.

- A batch begins after each of its calls has come. So what it reads shows all that was answered before.
- The batches of a lane run one after another in FIFO order. Each has the earliest deadline of its calls.
- A call waits for PATIENCE at the most. Then it leads the next batch, beside the one that is under way. So a statement
  that is slow, or waits for a lock, does not use up the time of the calls behind it.
"""

import threading
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Generic, TypeVar

PATIENCE = 0.25  # seconds

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True, eq=False)
class Call(Generic[Item, Result]):
    """An item and its result, or its error. `turn` is released when that is known, or when this call must lead."""

    item: Item
    size: int
    deadline: float
    turn: threading.Lock = field(default_factory=threading.Lock)
    leads: bool = False
    results: list[Result] = field(default_factory=list)  # one, or none yet
    # With the traceback as it was: each call that raises the error makes it longer.
    error: tuple[BaseException, TracebackType | None] | None = None


@dataclass(eq=False)
class Batches(Generic[Item, Result]):
    """Calls `run(items, deadline)` for each batch. It returns one result for each item, in their order.

    A batch has at most `max_items`, and their sizes add up to at most `max_size`. A larger item is a batch by itself.
    """

    run: Callable[[list[Item], float], list[Result]]
    max_items: float = float("inf")
    max_size: float = float("inf")
    # The calls that wait, for each lane that has a batch under way.
    _waiting: dict[Hashable, deque[Call[Item, Result]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def submit(self, item: Item, deadline: float, lane: Hashable = None, size: int = 0) -> Result:
        """The result of the item. Raises what `run` raises for its batch."""
        call: Call[Item, Result] = Call(item, size, deadline)
        call.turn.acquire()
        with self._lock:
            call.leads = lane not in self._waiting
            self._waiting.setdefault(lane, deque()).append(call)
        if not call.leads:
            self._wait(call, lane)
        if call.leads:
            self._lead(lane)
        if call.error:
            raise call.error[0].with_traceback(call.error[1])
        return call.results[0]

    def _wait(self, call: Call[Item, Result], lane: Hashable) -> None:
        while not call.turn.acquire(timeout=PATIENCE):
            with self._lock:
                queue = self._waiting.get(lane)
                if queue and call in queue and not queue[0].leads:
                    call.leads = True
                    self._waiting[lane] = deque([call, *(other for other in queue if other is not call)])
                    return

    def _lead(self, lane: Hashable) -> None:
        with self._lock:
            queue = self._waiting[lane]
            batch = self._take(queue)
        try:
            results = self.run([call.item for call in batch], min(call.deadline for call in batch))
            for call, result in zip(batch, results, strict=True):
                call.results.append(result)
        except BaseException as error:
            for call in batch:
                call.error = (error, error.__traceback__)
        self._let_next_lead(lane, queue)  # first: its statement runs while the calls of this batch go on
        for call in batch[1:]:
            call.turn.release()

    def _take(self, queue: deque[Call[Item, Result]]) -> list[Call[Item, Result]]:
        """The call that leads, and those behind it as far as a batch may have them."""
        batch = [queue.popleft()]
        size = batch[0].size
        while queue and len(batch) < self.max_items and (size := size + queue[0].size) <= self.max_size:
            batch.append(queue.popleft())
        return batch

    def _let_next_lead(self, lane: Hashable, queue: deque[Call[Item, Result]]) -> None:
        """Unless a call without patience leads: that has begun another queue."""
        with self._lock:
            if self._waiting.get(lane) is queue:
                if queue:
                    queue[0].leads = True
                    queue[0].turn.release()
                else:
                    del self._waiting[lane]

"""The connections of a process: a pool whose calls wait in a fair queue, and end at a deadline."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2

from postgres.deadline import CALL_TIMEOUT, MARGIN, Connection
from postgres.errors import SLOW, DatabaseUnavailable, explain
from postgres.hosts import Hosts


class ConnectionPool:
    """At most `size` connections to one database, each opened when it is first needed.

    A call has one connection to itself. The one that was used last is given out first, because what is kept of a page
    belongs to a connection (page_cache.py).

    Calls that write leave one connection to the others, so that reads go on while writes wait: for a lock, or for a
    standby that must confirm them. Calls that read have half of the connections: each connection more would have to
    prove, and to read again after a change, the same pages.
    """

    def __init__(self, hosts: Hosts, size: int) -> None:
        self._hosts = hosts
        places = FairSemaphore(size)
        self._needed_to_read = (FairSemaphore(max(1, size // 2)), places)
        self._needed_to_write = (FairSemaphore(max(1, size - 1)), places)
        self._idle: list[Connection] = []

    @contextmanager
    def connection(self, to_write: bool = False) -> Iterator[Connection]:
        """A connection for one call, which has CALL_TIMEOUT for all that it does: to wait for this, to connect, to ask.

        After any error the connection is closed. Raises DatabaseUnavailable instead of psycopg2's errors that pass by
        themselves.
        """
        deadline = time.monotonic() + CALL_TIMEOUT
        taken = []
        try:
            for semaphore in self._needed_to_write if to_write else self._needed_to_read:
                semaphore.acquire(deadline - MARGIN - time.monotonic())
                taken.append(semaphore)
            connection = self._idle_or_new(deadline)
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            self._idle.append(connection)
        except TimeoutError as error:
            raise DatabaseUnavailable(SLOW) from error
        except psycopg2.Error as error:
            if explanation := explain(error):
                raise explanation from error
            raise
        finally:
            for semaphore in reversed(taken):
                semaphore.release()

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            self._idle.pop().close()

    def _idle_or_new(self, deadline: float) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_hung_up():
                connection.deadline = deadline
                return connection
            connection.close()
        return self._hosts.connect(deadline)


class FairSemaphore:
    """A semaphore that lets in whoever has waited longest.

    Those of threading and gevent promise no order: somebody who comes at the right moment passes all who wait.
    """

    def __init__(self, value: int) -> None:
        self._value = value
        self._waiting: deque[threading.Lock] = deque()
        self._lock = threading.Lock()

    def acquire(self, timeout: float) -> None:
        """Take a place. Raises TimeoutError if none became free within `timeout` seconds."""
        with self._lock:
            if self._value > 0:
                self._value -= 1
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        if turn.acquire(timeout=max(0, timeout)):
            return
        with self._lock:
            if turn in self._waiting:  # else it became our turn in the very moment in which the time was over
                self._waiting.remove(turn)
                raise TimeoutError("no connection of the pool became free in time")

    def release(self) -> None:
        """Give the place to whoever has waited longest, or back."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._value += 1

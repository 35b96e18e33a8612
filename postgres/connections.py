"""The connections of a process: a pool with a fair queue. Every call ends at a deadline."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2

from postgres.deadline import MARGIN, Connection, new_deadline
from postgres.errors import SLOW, DatabaseUnavailable, translate
from postgres.hosts import Hosts


class ConnectionPool:
    """At most `size` connections to one database. Each is opened when it is first needed.

    The pool is LIFO: connections that are not needed stay idle. Reads leave one connection to writes, and writes one to
    reads, if `size` is 2 or more. So reads go on while writes wait for a lock or for a standby.
    """

    def __init__(self, hosts: Hosts, size: int) -> None:
        """Connects to nothing."""
        self._hosts = hosts
        in_all = FairSemaphore(size)
        self._semaphores = {to_write: (FairSemaphore(max(1, size - 1)), in_all) for to_write in (False, True)}
        self._idle: list[Connection] = []

    @contextmanager
    def connection(self, to_write: bool = False, deadline: float | None = None) -> Iterator[Connection]:
        """Lend a connection for one call. The deadline covers waiting for it, connecting and all statements.

        Without a deadline the call begins now. An error that the call does not handle closes the connection. Temporary
        errors of psycopg2 are raised as DatabaseUnavailable.
        """
        deadline = deadline or new_deadline()
        acquired = []
        try:
            for semaphore in self._semaphores[to_write]:
                semaphore.acquire(deadline - MARGIN - time.monotonic())
                acquired.append(semaphore)
            if deadline - MARGIN <= time.monotonic():
                raise TimeoutError("no time is left for a statement")
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
            # Only the message may be logged: the details of an error can have the values of a row.
            error.args = (error.diag.message_primary or str(error),)
            if translated := translate(error):
                raise translated from error
            raise
        finally:
            for semaphore in reversed(acquired):
                semaphore.release()

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            self._idle.pop().close()

    def _idle_or_new(self, deadline: float) -> Connection:
        connection = self._open_idle() or self._hosts.connect(deadline)
        connection.deadline = deadline
        return connection

    def _open_idle(self) -> Connection | None:
        """The idle connection that was used last, if the server has not closed it."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed_by_server():
                return connection
            connection.close()
        return None


class FairSemaphore:
    """A FIFO semaphore. In those of threading and gevent, a new caller can overtake those who wait."""

    def __init__(self, value: int) -> None:
        self._value = value
        self._waiting: deque[threading.Lock] = deque()
        self._lock = threading.Lock()

    def acquire(self, timeout: float) -> None:
        """Take a permit. Raises TimeoutError if none became free within `timeout` seconds."""
        with self._lock:
            if self._value > 0:
                self._value -= 1
                return
            turn = threading.Lock()  # release() opens it when it is our turn
            turn.acquire()
            self._waiting.append(turn)
        if turn.acquire(timeout=max(0, timeout)):
            return
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
                raise TimeoutError("no connection of the pool became free in time")
        # release() gave us the permit at the very end of the timeout.

    def release(self) -> None:
        """Give the permit to whoever has waited longest, or back."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._value += 1

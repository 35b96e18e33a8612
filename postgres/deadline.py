"""A connection with a deadline: a call ends in time, whatever PostgreSQL does.

Neither statement_timeout nor libpq's own settings help if the server is stopped or cannot be reached. So the client
stops waiting at the deadline: psycopg2 waits by wait_until_deadline(). The server gets a timeout too, so that it does
not go on with a statement for which nobody waits.
"""

import math
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ, set_wait_callback
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812

from postgres.waiting import can_be_read, wait_for

# Seconds that a call has for everything: waiting for a connection, connecting, its statements.
CALL_TIMEOUT = 1.75
# Seconds before the deadline. No statement starts after that point, and the server's timeout ends there, or up to 0.1 s
# later.
MARGIN = 0.25

Rows = list[tuple[Any, ...]]


def new_deadline() -> float:
    """When a call that begins now has to end, in the time of time.monotonic()."""
    return time.monotonic() + CALL_TIMEOUT


class DeadlineExceeded(psycopg2.OperationalError):
    """PostgreSQL did not answer before the deadline."""


class Connection(PsycopgConnection):
    """A connection to PostgreSQL in autocommit: what a statement has written is committed when it returns.

    `deadline` is when it stops waiting for the server, in the time of time.monotonic().
    """

    def __init__(self, dsn: str, deadline: float) -> None:
        """Connect. Raises psycopg2.OperationalError."""
        set_wait_callback(wait_until_deadline)
        self.deadline = deadline
        super().__init__(dsn)
        self.autocommit = True

    def fetch(self, statement: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> Rows:
        """Run one statement that returns rows, in one round trip. Raises psycopg2.Error.

        Statements that are separated by semicolons run in one transaction. The rows are those of the last one.

        SET LOCAL and the statement are one transaction, so the timeout is for this statement only. A setting of the
        session would leak to other clients behind PgBouncer in transaction mode.
        """
        with self.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = {self._server_timeout()}; {statement}", parameters)
            return cursor.fetchall()

    @cached_property
    def is_distributed(self) -> bool:
        """Whether tables may be spread over machines with Citus. It is asked once. Raises psycopg2.Error."""
        return self.fetch("SELECT current_setting('citus.version', true) IS NOT NULL") == [(True,)]

    def _server_timeout(self) -> int:
        """Milliseconds that the server gets for a statement, in steps of 100 (0: no bound). Raises DeadlineExceeded."""
        left = self.deadline - MARGIN - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded("no time is left for another statement")
        return 0 if left == math.inf else math.ceil(left * 10) * 100

    def is_closed_by_server(self) -> bool:
        """Whether there is something to read on this idle connection. Nearly always that is its end.

        A `SELECT 1` would be a second round trip.
        """
        return bool(self.closed) or can_be_read(self.fileno())


def wait_until_deadline(connection: PsycopgConnection) -> None:
    """Wait for what libpq waits for. After the deadline it raises DeadlineExceeded, and psycopg2 closes the connection.

    psycopg2 has one such function for all connections of the process; those of others have no deadline.
    https://www.psycopg.org/docs/advanced.html#support-for-coroutine-libraries
    """
    while (state := connection.poll()) != POLL_OK:
        left = getattr(connection, "deadline", math.inf) - time.monotonic()
        try:
            wait_for(connection.fileno(), state == POLL_READ, left)
        except TimeoutError:
            raise DeadlineExceeded("no answer in time") from None

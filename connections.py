"""The way to PostgreSQL: a connection a thread, a bound on the time of every call, and what an error means."""

import math
import random
import re
import select
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ, make_dsn, parse_dsn, set_wait_callback
from psycopg2.extensions import connection as Connection  # noqa: N812

# Seconds. The bound on a statement is kept by the server, where then nothing goes on that nobody waits for; the one on
# a call is ours, for a server that says nothing. A request may wait for a thread while others use up their time, for a
# trial then (see Gate), and then be the next trial itself: it is answered within five.
STATEMENT_TIMEOUT = 1.5
CALL_TIMEOUT = 1.75

# Seconds for which others wait for the call that tries whether the database is back.
TRIAL_PATIENCE = 0.5

# SQLSTATEs, https://www.postgresql.org/docs/current/errcodes-appendix.html
CONNECTION_EXCEPTION = "08000"
UNDEFINED_TABLE = "42P01"

AWAY = "The database does not answer; try again later."
SLOW = "The database took too long; try again later."

# What passes by itself: the beginning of its SQLSTATE, and the sentence for clients.
UNAVAILABLE = {
    "08": AWAY,  # connection exception
    "57P": AWAY,  # shut down, crashed or starting up
    "53": "The database is full or has no connection left; try again later.",  # insufficient resources
    "25006": "The database is read-only for now; try again later.",  # read-only SQL transaction
    "42501": "The service lacks a right in the database; the log says which.",  # insufficient privilege
}
OUT_OF_TIME = {
    "57014": SLOW,  # query canceled, by the server's timeout
    "55P03": SLOW,  # lock not available
}


class InvalidDatabaseURL(ValueError):
    """libpq can't read the URL. It says nothing more: libpq's own words repeat the URL, and so its password."""


class DatabaseUnavailable(Exception):
    """The database can't do it now and may do it later. The text is for clients, the cause for the log."""


class OutOfTime(DatabaseUnavailable):
    """The call took all the time that it had."""


class SchemaNotCurrent(DatabaseUnavailable):
    """A migration that this release needs is not applied."""

    def __init__(self) -> None:
        super().__init__("The database schema is not current: run `flask migrate`.")


class Silence(psycopg2.OperationalError):
    """The server has said nothing until the deadline."""


class Connections:
    """The connections to one database: each thread that calls has one of its own, opened by its first call.

    So nothing is shared, not even by processes that fork, and there are never more connections than threads.
    """

    def __init__(self, database_url: str) -> None:
        """Takes a postgresql:// URL with any of libpq's parameters; connects to nothing. Raises InvalidDatabaseURL."""
        try:
            parameters = parse_dsn(database_url)
        except (psycopg2.ProgrammingError, UnicodeError):
            raise InvalidDatabaseURL from None
        # What a password with a / or @ that is not percent-encoded leads to: part of it would be shown as host or port.
        # A host that begins with a slash is the directory of a socket.
        is_host = re.fullmatch("/.*|[^@]*", parameters.get("host", ""))
        if not is_host or not re.fullmatch("[0-9,]*", parameters.get("port", "")):
            raise InvalidDatabaseURL
        self._hosts = _a_dsn_for_each_host(parameters)
        self._is_shuffled = parameters.get("load_balance_hosts") == "random"
        self._local = threading.local()

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement that returns rows, in one round trip and in autocommit: what it has written is committed.

        The two that are sent together are one transaction, so that the timeout is this statement's only: behind
        PgBouncer in transaction mode a setting of the session would be another client's next. Raises
        DatabaseUnavailable, within CALL_TIMEOUT.
        """
        try:
            with deadline_in(CALL_TIMEOUT), self._connection().cursor() as cursor:
                cursor.execute(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}s'; {statement}", parameters)
                return cursor.fetchall()
        except psycopg2.Error as error:
            self.close()
            if error.pgcode == UNDEFINED_TABLE:
                raise SchemaNotCurrent from error
            if explanation := explain(error):
                raise explanation from error
            raise

    def connect(self) -> Connection:
        """A new connection in autocommit, whose statements have no deadline. Raises DatabaseUnavailable."""
        try:
            with deadline_in(CALL_TIMEOUT):
                return self._connect()
        except psycopg2.Error as error:
            if explanation := explain(error):
                raise explanation from error
            raise

    def memory(self) -> dict[Any, Any]:
        """What the calling thread keeps with its connection: empty for a new one, and lost where there is none."""
        memory: dict[Any, Any] = getattr(self._local, "memory", {})
        return memory

    def close(self) -> None:
        """Close the calling thread's connection; its next call opens another."""
        connection: Connection | None = getattr(self._local, "connection", None)
        self._local.connection = None
        self._local.memory = {}
        if connection is not None:
            connection.close()

    def _connection(self) -> Connection:
        """The calling thread's connection; a new one where the server has closed the old one meanwhile."""
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None or _is_hung_up(connection):
            self.close()
            connection = self._local.connection = self._connect()
            self._local.memory = {}
        return connection

    def _connect(self) -> Connection:
        """A connection to the first host that will do; one that is silent has its share of the time, no more."""
        hosts = list(self._hosts.items())
        if self._is_shuffled:
            random.shuffle(hosts)
        errors: dict[str, psycopg2.OperationalError] = {}
        for number, (name, dsn) in enumerate(hosts):
            try:
                with deadline_in(_time_left() / (len(hosts) - number)):
                    connection = psycopg2.connect(dsn, client_encoding="UTF8")
                connection.autocommit = True
                return connection
            except psycopg2.OperationalError as error:
                errors[name] = error
        kind = Silence if any(isinstance(error, Silence) for error in errors.values()) else psycopg2.OperationalError
        raise kind("; ".join(f"{name}: {str(error).strip()}" for name, error in errors.items()))


class Gate:
    """Keeps calls to a database that does not answer from taking every thread: others would wait with them for nothing.

    Once a call has run out of time, one call at a time tries again, until one does not; the others are refused at once,
    or wait for the moment in which a database that is well would answer.
    """

    def __init__(self) -> None:
        self._is_closed = False
        self._trial = threading.Lock()
        self._trial_began = -math.inf

    def close(self) -> None:
        """Let one call at a time through from now on."""
        self._is_closed = True

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Around a call, which opens the gate unless it runs out of time. Raises DatabaseUnavailable: it is refused."""
        is_trial = self._is_closed
        if is_trial:
            self._begin_trial()
        is_in_time = True
        try:
            yield
        except OutOfTime:
            is_in_time = False
            raise
        finally:
            self._is_closed = not is_in_time
            if is_trial:
                self._trial.release()

    def _begin_trial(self) -> None:
        left = self._trial_began + TRIAL_PATIENCE - time.monotonic()
        if not self._trial.acquire(timeout=max(0, left)):
            raise DatabaseUnavailable(AWAY)
        self._trial_began = time.monotonic()


def explain(error: psycopg2.Error) -> DatabaseUnavailable | None:
    """What an error means that passes by itself, by its SQLSTATE; None for any other."""
    if isinstance(error, Silence):
        return OutOfTime(AWAY)
    # libpq gives no state to a connection that it could not open, or lost.
    state = error.pgcode or (CONNECTION_EXCEPTION if isinstance(error, psycopg2.OperationalError) else "")
    for kind, sentences in ((DatabaseUnavailable, UNAVAILABLE), (OutOfTime, OUT_OF_TIME)):
        for prefix, sentence in sentences.items():
            if state.startswith(prefix):
                return kind(sentence)
    return None


def _a_dsn_for_each_host(parameters: dict[str, str]) -> dict[str, str]:
    """The hosts of a URL apart, by their names: libpq would wait for the first that is silent, for ever.

    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-MULTIPLE-HOSTS
    """
    lists = {name: parameters[name].split(",") for name in ("host", "hostaddr", "port") if name in parameters}
    count = max([1, *map(len, lists.values())])
    each: list[dict[str, str]] = [
        {name: values[n % len(values)] for name, values in lists.items()} for n in range(count)
    ]
    if count > 1 and parameters.get("target_session_attrs") == "prefer-standby":
        each = [host | {"target_session_attrs": wanted} for wanted in ("standby", "any") for host in each]
    return {make_dsn(**host) or "default host": make_dsn(**parameters | host) for host in each}


def _is_hung_up(connection: Connection) -> bool:
    """Whether the server has closed an idle connection: only then is there something to read on it.

    It takes microseconds, where a `SELECT 1` would be a second round trip. select() would fail above descriptor 1,023.
    """
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


class _Deadline(threading.local):
    """When the calling thread gives up waiting for PostgreSQL, in the time of time.monotonic()."""

    at = math.inf


_deadline = _Deadline()


def _time_left() -> float:
    return _deadline.at - time.monotonic()


@contextmanager
def deadline_in(seconds: float) -> Iterator[None]:
    """Bound the time for which the calling thread waits for PostgreSQL in this, altogether; an earlier bound stays."""
    outer = _deadline.at
    _deadline.at = min(outer, time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.at = outer


def _wait(connection: Connection) -> None:
    """Wait for what libpq waits for, until the thread's deadline. Then psycopg2 closes the connection.

    Neither statement_timeout nor libpq's own settings end a call to a server that is stopped or cut off. It is one
    function for all connections of the process: https://www.psycopg.org/docs/advanced.html#support-for-coroutine-libraries
    """
    while (state := connection.poll()) != POLL_OK:
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN if state == POLL_READ else select.POLLOUT)
        left = _time_left()
        if not poll.poll(None if left == math.inf else max(0, math.ceil(left * 1000))):
            raise Silence("no answer in time")


set_wait_callback(_wait)

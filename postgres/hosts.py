"""The servers that a DATABASE_URL names. They are tried in turn, and each has a limit on its time.

libpq itself has no limit: it waits for ever for a name server, or for a host, that does not answer.
https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-MULTIPLE-HOSTS
"""

import random
import re
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import psycopg2
from psycopg2.extensions import make_dsn, parse_dsn

from postgres.deadline import Connection
from postgres.errors import InvalidDatabaseURL

# What libpq knows of a server, by libpq's own names: host, hostaddr, port, target_session_attrs. All are strings.
Host = dict[str, str]


class Hosts:
    """The servers of one URL. Names are looked up in threads, so that the caller can time out."""

    def __init__(self, database_url: str) -> None:
        """Takes a postgresql:// URL with any of libpq's parameters. Connects to nothing. Raises InvalidDatabaseURL."""
        self._parameters = parse_url(database_url)
        self._hosts = split_hosts(self._parameters)
        self._lookups = ThreadPoolExecutor(10, thread_name_prefix="lookup")

    def connect(self, deadline: float) -> Connection:
        """A connection to the first server that will do; `deadline` is in the time of time.monotonic().

        Raises psycopg2.OperationalError, whose text says for each server what was wrong.
        """
        return first_that_connects(self._in_turn(), deadline, self._connect_by_name)

    def _in_turn(self) -> list[Host]:
        """The servers in the order in which they are to be tried."""
        hosts = list(self._hosts)
        if self._parameters.get("load_balance_hosts") == "random":
            random.shuffle(hosts)
        if len(hosts) > 1 and self._parameters.get("target_session_attrs") == "prefer-standby":
            return [host | {"target_session_attrs": wanted} for wanted in ("standby", "any") for host in hosts]
        return hosts

    def _connect_by_name(self, host: Host, deadline: float) -> Connection:
        return first_that_connects(self._look_up(host, deadline), deadline, self._connect)

    def _look_up(self, host: Host, deadline: float) -> list[Host]:
        """The host once for each of its addresses. Raises psycopg2.OperationalError."""
        name = host.get("host", "")
        if "hostaddr" in host or re.fullmatch(r"|/.*|[0-9.]+|.*:.*", name):  # the directory of a socket, or an address
            return [host]
        lookup = self._lookups.submit(socket.getaddrinfo, name, None, type=socket.SOCK_STREAM)
        try:
            found = lookup.result(timeout=max(0, deadline - time.monotonic()))
        except (OSError, UnicodeError) as error:  # a TimeoutError is an OSError
            lookup.cancel()
            reason = str(error) or "the lookup of the name took too long"
            raise psycopg2.OperationalError(f"host={name}: {reason}") from None
        return [host | {"hostaddr": str(address[0])} for *_, address in found]

    def _connect(self, host: Host, deadline: float) -> Connection:
        try:
            return Connection(make_dsn(**self._parameters | host | {"client_encoding": "UTF8"}), deadline)
        except psycopg2.OperationalError as error:
            raise psycopg2.OperationalError(f"{make_dsn(**host) or 'default host'}: {str(error).strip()}") from error


def parse_url(database_url: str) -> dict[str, str]:
    """libpq's parameters in a URL. Raises InvalidDatabaseURL."""
    try:
        parameters = parse_dsn(database_url)
    except UnicodeError:
        raise InvalidDatabaseURL from None
    except psycopg2.ProgrammingError as error:
        # After an @, what looks like a parameter may be a part of the password: see below.
        is_certain = "@" not in database_url.partition("?")[2]
        raise InvalidDatabaseURL(parameter_in(error) if is_certain else "") from None
    # A / or @ in a password must be percent-encoded. Otherwise libpq takes a part of the password for a host or a port,
    # and error messages would show it. A host that begins with a slash is the directory of a socket.
    is_host = re.fullmatch("/.*|[^@]*", parameters.get("host", ""))
    if not is_host or not re.fullmatch("[0-9,]*", parameters.get("port", "")):
        raise InvalidDatabaseURL
    check_values(parameters)
    return parameters


def check_values(parameters: dict[str, str]) -> None:
    """Let libpq check the values. It does so before it connects: here, to a socket that does not exist.

    Raises InvalidDatabaseURL.
    """
    nowhere = {"host": "/nonexistent", "hostaddr": "", "port": ""}
    try:
        psycopg2.connect(make_dsn(**parameters | nowhere), async_=True).close()
    except psycopg2.OperationalError as error:
        if name := parameter_in(error):
            raise InvalidDatabaseURL(name) from None


def parameter_in(error: psycopg2.Error) -> str:
    """The name of the parameter that libpq's message calls invalid, or nothing."""
    found = re.search(r'invalid (?:URI query parameter: "(\w+)"|"?(\w+)"? value)', str(error))
    return (found[1] or found[2]) if found else ""


def split_hosts(parameters: dict[str, str]) -> list[Host]:
    """Each host of a URL by itself, in the order of the URL. Raises InvalidDatabaseURL if there are too many ports."""
    lists = {name: parameters[name].split(",") for name in ("host", "hostaddr", "port") if name in parameters}
    count = max([len(lists.get("host", [])), len(lists.get("hostaddr", [])), 1])
    if any(len(values) not in (1, count) for values in lists.values()):
        raise InvalidDatabaseURL
    return [{name: values[n % len(values)] for name, values in lists.items()} for n in range(count)]


def first_that_connects(
    hosts: Sequence[Host], deadline: float, connect: Callable[[Host, float], Connection]
) -> Connection:
    """What `connect` returns for the first host for which it does not raise. Each has an equal share of the time left.

    Raises psycopg2.OperationalError, with what was said of each.
    """
    errors = []
    for number, host in enumerate(hosts):
        now = time.monotonic()
        try:
            return connect(host, now + (deadline - now) / (len(hosts) - number))
        except psycopg2.OperationalError as error:
            errors.append(str(error))
    raise psycopg2.OperationalError("; ".join(errors))

"""The servers that a DATABASE_URL names, tried in turn as libpq tries them, but each with a bound on its time.

libpq itself looks up a host's name without any bound, and waits for ever for a host that is silent.
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
    """The servers of one URL. A lookup of a name runs in a thread, so that the caller need not wait for its end."""

    def __init__(self, database_url: str) -> None:
        """Takes a postgresql:// URL with any of libpq's parameters. Connects to nothing. Raises InvalidDatabaseURL."""
        self._parameters = parse_url(database_url)
        self._hosts = split_hosts(self._parameters)
        self._lookups = ThreadPoolExecutor(2, thread_name_prefix="lookup")

    def connect(self, deadline: float) -> Connection:
        """A connection to the first server that will do; `deadline` is in the time of time.monotonic().

        Raises psycopg2.OperationalError, whose text says for each server what was wrong.
        """
        hosts = list(self._hosts)
        if self._parameters.get("load_balance_hosts") == "random":
            random.shuffle(hosts)
        return first_that_connects(hosts, deadline, self._connect_by_name)

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
            return Connection(make_dsn(**self._parameters | host, client_encoding="UTF8"), deadline)
        except psycopg2.OperationalError as error:
            raise psycopg2.OperationalError(f"{make_dsn(**host) or 'default host'}: {str(error).strip()}") from error


def parse_url(database_url: str) -> dict[str, str]:
    """libpq's parameters in a URL. Raises InvalidDatabaseURL."""
    try:
        parameters = parse_dsn(database_url)
    except (psycopg2.ProgrammingError, UnicodeError):
        raise InvalidDatabaseURL from None
    # A / or @ in a password must be percent-encoded. If not, a part of the password is taken for a host or a port, and
    # would be shown as one. A host that begins with a slash is the directory of a socket.
    is_host = re.fullmatch("/.*|[^@]*", parameters.get("host", ""))
    if not is_host or not re.fullmatch("[0-9,]*", parameters.get("port", "")):
        raise InvalidDatabaseURL
    return parameters


def split_hosts(parameters: dict[str, str]) -> list[Host]:
    """Each host of a URL by itself, in the order in which libpq tries them."""
    lists = {name: parameters[name].split(",") for name in ("host", "hostaddr", "port") if name in parameters}
    count = max([1, *map(len, lists.values())])
    hosts: list[Host] = [{name: values[n % len(values)] for name, values in lists.items()} for n in range(count)]
    if count > 1 and parameters.get("target_session_attrs") == "prefer-standby":
        return [host | {"target_session_attrs": wanted} for wanted in ("standby", "any") for host in hosts]
    return hosts


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

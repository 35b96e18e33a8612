"""Rate limits of clients, counted in PostgreSQL for all processes: the tables `limits` and `daily_keys`.

The algorithm is GCRA (https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm). A row has one time only: `tat`, when
the client has its full limit again. Each request that is allowed moves it by seconds / count into the future.
"""

import hmac
import secrets
from datetime import date, timedelta
from ipaddress import ip_address

from config import Limit
from postgres.deadline import Connection

PURGED_AT_ONCE = 10_000  # rows

# `one` is the time of one request, `others` that of count - 1. A request is refused if `tat` is later than now +
# `others`; then nothing is written. clock_timestamp(), because now() is before the wait for the lock on the row. The
# SELECT can't see what others wrote during that wait: then it finds no row, and the answer is `one`, the longest wait.
TAKE = """WITH taken AS (
        INSERT INTO limits AS found (key, tat) VALUES (%(key)s, clock_timestamp() + %(one)s)
        ON CONFLICT (key) DO UPDATE SET tat = greatest(found.tat, clock_timestamp()) + %(one)s
        WHERE found.tat <= clock_timestamp() + %(others)s
        RETURNING key
    )
    SELECT CASE WHEN EXISTS (SELECT FROM taken) THEN 0 ELSE ceil(extract(epoch FROM coalesce(
        (SELECT tat - clock_timestamp() - %(others)s FROM limits
         WHERE key = %(key)s AND tat > clock_timestamp() + %(others)s), %(one)s
    )))::int END"""

# It sets the key that is there already to itself, so that it is returned.
DAILY_KEY = """INSERT INTO daily_keys AS found (day, key) VALUES (%s, %s)
    ON CONFLICT (day) DO UPDATE SET key = found.key RETURNING key"""

PURGE = """DELETE FROM limits WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM limits WHERE tat < clock_timestamp() LIMIT %s FOR UPDATE SKIP LOCKED
    )) RETURNING 1"""

PURGE_KEYS = "DELETE FROM daily_keys WHERE day < (now() AT TIME ZONE 'UTC')::date RETURNING 1"


class LimitReached(Exception):
    """The client must wait for so many `seconds` (1 or more). The text is for clients."""

    def __init__(self, seconds: int, sentence: str = "Too many comments from your address; try again later.") -> None:
        super().__init__(sentence)
        self.seconds = seconds


def take(connection: Connection, key: bytes, limit: Limit) -> int:
    """Take one request from a limit. 0: it is allowed. Otherwise, in how many seconds one is allowed (1 or more).

    `limit.count` are allowed at once, and then one more every seconds / count.
    """
    one = timedelta(seconds=limit.seconds) / limit.count
    parameters = {"key": key, "one": one, "others": one * (limit.count - 1)}
    [(seconds,)] = connection.fetch(TAKE, parameters)
    return int(seconds)


def client_key(daily_key: bytes, kind: str, address: str | None, limit: Limit) -> bytes:
    """The key of a client in `limits`: 16 bytes. Without the key of the day, they do not reveal the address.

    All addresses of an IPv6 /64 are one client. So are all whose address is None: not known. A new value of a limit
    starts new counts.
    """
    text = f"{kind} {limit.count}/{limit.seconds} "
    packed = ip_address(address).packed if address else b""
    network = packed[:8] if len(packed) == 16 else packed
    return hmac.digest(daily_key, text.encode() + network, "sha256")[:16]


def daily_key(connection: Connection, day: date) -> bytes:
    """The secret key of a day (32 bytes), the same for all processes. Whoever needs it first makes it."""
    [(key,)] = connection.fetch(DAILY_KEY, (day, secrets.token_bytes(32)))
    return bytes(key)


def purge(connection: Connection) -> int:
    """Delete rows of clients that have their full limit again, at most PURGED_AT_ONCE; returns how many."""
    return len(connection.fetch(PURGE, (PURGED_AT_ONCE,)))


def purge_keys(connection: Connection) -> int:
    """Delete the keys of the days before; returns how many."""
    return len(connection.fetch(PURGE_KEYS))

"""moderation/limits.py on a real PostgreSQL: what all processes count together."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from math import ceil, inf
from typing import Any

import psycopg2
import pytest

from config import Limit
from db import CommentDatabase
from moderation import database as moderation_database
from moderation import limits
from moderation.database import ModerationDatabase, Purged, today
from postgres.deadline import Connection
from postgres.errors import DatabaseUnavailable

from support.postgres import sql
from support.processes import wait_for

FIVE = Limit(5, 86_400)  # none comes back within a test
ADDRESS = "198.51.100.7"
KEY = bytes(16)


@pytest.fixture
def moderation(database: CommentDatabase) -> ModerationDatabase:
    return ModerationDatabase(database)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    connection = Connection(database_url, inf)
    yield connection
    connection.close()


def let_pass(url: str, seconds: float) -> None:
    """Let the time of every limit pass, by moving what is stored into the past."""
    sql(url, "UPDATE limits SET tat = tat - %s", timedelta(seconds=seconds))


def keys(url: str) -> set[bytes]:
    return {bytes(key) for (key,) in sql(url, "SELECT key FROM limits")}


def test_so_many_are_allowed_at_once_and_no_more_however_many_ask(database_url: str) -> None:
    """Two processes with four threads each."""
    databases = [CommentDatabase(database_url) for _ in range(2)]
    processes = [ModerationDatabase(database) for database in databases]

    def take_50(number: int) -> list[int]:
        return [processes[number % 2].take_limit("post", ADDRESS, FIVE) for _ in range(50)]

    with ThreadPoolExecutor(8) as pool:
        waits = [wait for taken in pool.map(take_50, range(8)) for wait in taken]
    for database in databases:
        database.close()
    refused = [wait for wait in waits if wait]
    assert len(waits) - len(refused) == 5
    assert min(refused) >= 86_400 / 5 - 60
    assert max(refused) <= 86_400 / 5
    assert len(keys(database_url)) == 1


@pytest.mark.parametrize("limit", [Limit(1, 1), Limit(1, 60), Limit(3, 3600), Limit(7, 86_400), Limit(1000, 86_400)])
def test_retry_after_is_right(connection: Connection, database_url: str, limit: Limit) -> None:
    """After so many seconds one is allowed, and only one; after half of them, none is."""
    full = "INSERT INTO limits VALUES (%s, clock_timestamp() + interval '1 s' * %s)"
    sql(database_url, full, KEY, limit.seconds)
    wait = limits.take(connection, KEY, limit)
    assert 0 <= ceil(limit.seconds / limit.count) - wait <= 1  # it is the next second already
    if wait > 1:
        let_pass(database_url, wait / 2)
        assert limits.take(connection, KEY, limit) > 0
        let_pass(database_url, wait / 2)
        assert [limits.take(connection, KEY, limit) > 0 for _ in range(2)] == [False, True]
    else:
        wait_for(lambda: limits.take(connection, KEY, limit) == 0, "one that is allowed", patience=2)


def test_a_limit_comes_back_one_by_one_and_never_more_than_all_of_it(connection: Connection, database_url: str) -> None:
    def allowed() -> int:
        return [limits.take(connection, KEY, FIVE) for _ in range(7)].count(0)

    assert allowed() == 5
    for days, expected in ((1 / 5, 1), (2 / 5, 2), (4 / 5, 4), (1, 5), (300, 5)):
        let_pass(database_url, days * 86_400)
        assert allowed() == expected


def test_who_is_refused_does_not_wait_longer_for_it(connection: Connection, database_url: str) -> None:
    first, *_, last = [limits.take(connection, KEY, FIVE) for _ in range(50)][5:]
    assert last <= first


def test_one_who_waits_for_another_call_has_the_time_at_which_it_ends(
    connection: Connection, database_url: str
) -> None:
    """The lock is held until the time for one more has come: by now() it would be refused."""
    sql(database_url, "INSERT INTO limits VALUES (%s, clock_timestamp() + '0.5 s')", KEY)
    with ThreadPoolExecutor(1) as pool:
        hold = "BEGIN; SELECT pg_sleep(0.7) FROM (SELECT FROM limits FOR UPDATE) AS held; COMMIT"
        held = pool.submit(sql, database_url, hold)
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query = %s"
        wait_for(lambda: sql(database_url, waiting, hold) == [(1,)], "the lock")
        assert limits.take(connection, KEY, Limit(1, 1)) == 0
        held.result()


def test_one_who_waits_for_another_call_is_refused_by_what_that_has_taken(
    connection: Connection, database_url: str
) -> None:
    """Its own statement began when one was still allowed, and can't see what the other one has written."""
    one = Limit(1, 86_400)
    sql(database_url, "INSERT INTO limits VALUES (%s, now() - interval '1 s')", KEY)
    with ThreadPoolExecutor(1) as pool, closing(psycopg2.connect(database_url)) as other:
        other.cursor().execute("UPDATE limits SET tat = clock_timestamp() + interval '1 day'")
        wait = pool.submit(limits.take, connection, KEY, one)
        waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND pid = %s"
        wait_for(lambda: sql(database_url, waiting, connection.info.backend_pid), "the lock")
        other.commit()
        assert wait.result() == 86_400


def test_an_address_has_a_limit_of_its_own_for_each_kind(moderation: ModerationDatabase) -> None:
    one = Limit(1, 86_400)
    for kind, address in (("post", "192.0.2.1"), ("post", "192.0.2.2"), ("sign-in", "192.0.2.1"), ("post", None)):
        assert moderation.take_limit(kind, address, one) == 0
        assert moderation.take_limit(kind, address, one) > 0


def test_an_ipv6_address_counts_with_its_64(moderation: ModerationDatabase) -> None:
    one = Limit(1, 86_400)
    waits = [
        moderation.take_limit("post", address, one)
        for address in ("2001:db8:0:1::7", "2001:db8:0:1:ffff:ffff:ffff:ffff", "2001:db8:0:2::7", "2001:db8:1:1::7")
    ]
    assert [wait > 0 for wait in waits] == [False, True, False, False]


def test_a_new_limit_does_not_count_what_the_old_one_has(moderation: ModerationDatabase) -> None:
    assert moderation.take_limit("post", ADDRESS, Limit(1, 86_400)) == 0
    assert moderation.take_limit("post", ADDRESS, Limit(1, 86_400)) > 0
    assert moderation.take_limit("post", ADDRESS, Limit(1, 60)) == 0


def test_another_day_has_another_key(
    moderation: ModerationDatabase, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    moderation.take_limit("post", ADDRESS, FIVE)
    [before] = keys(database_url)
    monkeypatch.setattr(moderation_database, "today", lambda: datetime.now(UTC).date() + timedelta(1))
    moderation.take_limit("post", ADDRESS, FIVE)
    assert len(keys(database_url) - {before}) == 1
    assert sql(database_url, "SELECT count(*), count(DISTINCT key) FROM daily_keys") == [(2, 2)]


def test_all_processes_have_the_same_key_of_the_day_however_many_make_it_at_once(
    database_url: str, pool: ThreadPoolExecutor
) -> None:
    processes = [CommentDatabase(database_url, connections=1) for _ in range(20)]
    list(pool.map(lambda process: ModerationDatabase(process).take_limit("post", ADDRESS, FIVE), processes))
    for process in processes:
        process.close()
    assert len(keys(database_url)) == 1
    assert sql(database_url, "SELECT day, octet_length(key) FROM daily_keys") == [(today(), 32)]


def test_the_key_of_the_day_is_asked_for_once(moderation: ModerationDatabase, database_url: str) -> None:
    moderation.take_limit("post", ADDRESS, FIVE)
    sql(database_url, "DELETE FROM daily_keys")
    moderation.take_limit("post", ADDRESS, FIVE)
    assert sql(database_url, "SELECT * FROM daily_keys") == []
    assert len(keys(database_url)) == 1


def test_no_address_is_in_the_database(moderation: ModerationDatabase, database_url: str) -> None:
    """Neither as text nor as bytes: a key has nothing of it, and is another one with another key of the day."""
    addresses = ("192.0.2.77", "2001:db8:7777:7777::1")
    for address in addresses:
        moderation.take_limit("post", address, FIVE)
    stored = b"".join(keys(database_url))
    assert len(stored) == 2 * 16
    for part in (b"192.0.2.77", bytes((192, 0, 2, 77)), b"7777", bytes.fromhex("20010db8")):
        assert part not in stored
    one, other = (limits.client_key(bytes([n]) * 32, "post", addresses[0], FIVE) for n in range(2))
    assert one != other


def test_a_call_reads_one_row_of_however_many(connection: Connection, database_url: str) -> None:
    """One that is allowed is found by the index; one that is refused is read once more, for its time."""
    rows = "SELECT substr(sha256(n::text::bytea), 1, 16), now() + '1 day' FROM generate_series(1, 100000) n"
    sql(database_url, f"INSERT INTO limits {rows}; ANALYZE limits")
    for expected in (0, 1):
        nodes = plan(connection, Limit(1, 86_400))
        reads = [node for node in nodes if node.get("Relation Name") == "limits" and node["Node Type"] != "ModifyTable"]
        assert [node["Node Type"] for node in reads] == ["Index Scan"]
        assert sum(node["Actual Rows"] * node["Actual Loops"] for node in reads) == expected
        [root] = nodes[:1]
        assert root["Shared Hit Blocks"] + root["Shared Read Blocks"] < 20


def plan(connection: Connection, limit: Limit) -> list[dict[str, Any]]:
    """Take from the limit; all nodes of the plan by which that was done."""
    statement = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {limits.TAKE}"
    parameters = {"key": KEY, "one": timedelta(seconds=limit.seconds) / limit.count, "others": timedelta(0)}
    [(found,)] = connection.fetch(statement, parameters)
    found = json.loads(found) if isinstance(found, str) else found

    def below(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield node
        for child in node.get("Plans", []):
            yield from below(child)

    return list(below(found[0]["Plan"]))


def test_who_is_refused_writes_nothing(connection: Connection, database_url: str) -> None:
    before = [limits.take(connection, KEY, Limit(1, 86_400)), sql(database_url, "SELECT ctid, tat FROM limits")]
    assert limits.take(connection, KEY, Limit(1, 86_400)) > 0
    assert before == [0, sql(database_url, "SELECT ctid, tat FROM limits")]


def test_purge_removes_what_has_no_effect_any_more_and_nothing_else(
    moderation: ModerationDatabase, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PURGED_AT_ONCE", 100)
    moderation.take_limit("post", ADDRESS, FIVE)
    left = keys(database_url)
    rows = "SELECT substr(sha256(n::text::bytea), 1, 16), now() - interval '1 s' * n FROM generate_series(1, 1000) n"
    sql(database_url, f"INSERT INTO limits {rows}")
    days = "SELECT (now() AT TIME ZONE 'UTC')::date - n, sha256(n::text::bytea) FROM generate_series(1, 3) n"
    sql(database_url, f"INSERT INTO daily_keys {days}")
    assert moderation.purge(30) == Purged(spam=0, limits=1000, daily_keys=3)
    assert moderation.purge(30) == Purged(spam=0, limits=0, daily_keys=0)
    assert keys(database_url) == left
    assert sql(database_url, "SELECT day FROM daily_keys") == [(today(),)]


def test_a_batch_of_purge_is_bounded(
    connection: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PURGED_AT_ONCE", 100)
    rows = "SELECT substr(sha256(n::text::bytea), 1, 16), now() - interval '1 s' * n FROM generate_series(1, 150) n"
    sql(database_url, f"INSERT INTO limits {rows}")
    assert [limits.purge(connection) for _ in range(3)] == [100, 50, 0]


def test_a_read_only_database_is_no_error_of_the_service(database_url: str) -> None:
    separator = "&" if "?" in database_url else "?"
    read_only = CommentDatabase(f"{database_url}{separator}options=-c%20default_transaction_read_only%3Don")
    with pytest.raises(DatabaseUnavailable, match="read-only"):
        ModerationDatabase(read_only).take_limit("post", ADDRESS, FIVE)
    read_only.close()

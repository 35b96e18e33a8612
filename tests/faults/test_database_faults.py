"""PostgreSQL fails, under the load of 64 clients: nothing accepted is lost, and every other answer is bounded."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg2
import pytest

from comment import MAX_ID
from config import Limit
from db import CommentDatabase
from moderation.database import ModerationDatabase
from postgres import embedded
from postgres.errors import DatabaseUnavailable

from support.cluster import Cluster, a_directory, cluster
from support.forwarder import forwarder
from support.load import Load, check, loaded
from support.processes import free_port, serving, wait_for

# Ends the connections of the service.
DISCONNECT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'comments' AND query LIKE 'SET LOCAL%'"
)


def killed(postgresql: Cluster, load: Load) -> None:
    postgresql.kill()
    load.wait_for_many(503)
    postgresql.start()


def restarted_fast(postgresql: Cluster, load: Load) -> None:
    postgresql.pg_ctl("restart", "-m", "fast", "-l", str(postgresql.directory / "log"))


def restarted_immediately(postgresql: Cluster, load: Load) -> None:
    postgresql.pg_ctl("restart", "-m", "immediate", "-l", str(postgresql.directory / "log"))


def disconnected(postgresql: Cluster, load: Load) -> None:
    """Every connection, twenty times: one that is idle costs no request."""
    for _ in range(20):
        assert postgresql.admin(DISCONNECT)
        load.wait_for_many(201)


def crowded_out(postgresql: Cluster, load: Load) -> None:
    """Others take every connection that the service needs again."""
    with ExitStack() as stack:
        for _ in range(3):
            while True:
                try:
                    stack.enter_context(closing(psycopg2.connect(postgresql.url)))
                except psycopg2.OperationalError:
                    break
            postgresql.admin(DISCONNECT)
        load.wait_for_many(503)


def limited(postgresql: Cluster, load: Load) -> None:
    """The role may not connect any more."""
    postgresql.admin("ALTER ROLE comments CONNECTION LIMIT 0")
    postgresql.admin(DISCONNECT)
    load.wait_for_many(503)
    postgresql.admin("ALTER ROLE comments CONNECTION LIMIT -1")


def stopped(postgresql: Cluster, load: Load) -> None:
    postgresql.signal(signal.SIGSTOP)
    time.sleep(15)
    postgresql.signal(signal.SIGCONT)


def locked(postgresql: Cluster, load: Load) -> None:
    with closing(psycopg2.connect(postgresql.url)) as holder, holder.cursor() as cursor:
        cursor.execute("LOCK TABLE comments IN ACCESS EXCLUSIVE MODE")
        time.sleep(20)


SHORT: dict[str, Callable[[Cluster, Load], None]] = {
    "`kill -9` of PostgreSQL": killed,
    "`pg_ctl restart -m fast`": restarted_fast,
    "`pg_ctl restart -m immediate`": restarted_immediately,
    "every connection terminated, twenty times": disconnected,
    "every connection taken by others": crowded_out,
    "the role's connection limit at 0": limited,
}
LONG: dict[str, Callable[[Cluster, Load], None]] = {
    "PostgreSQL stopped (SIGSTOP) for 15 s": stopped,
    "the table locked for 20 s": locked,
}
FAULTS = [
    *(pytest.param(name, fault, id=name) for name, fault in SHORT.items()),
    *(pytest.param(name, fault, id=name, marks=pytest.mark.slow) for name, fault in LONG.items()),
]


@pytest.mark.parametrize(("name", "fault"), FAULTS)
def test_nothing_accepted_is_lost_and_it_heals_by_itself(name: str, fault: Callable[[Cluster, Load], None]) -> None:
    with cluster() as postgresql:
        with loaded(postgresql.url) as load:
            fault(postgresql, load)
            load.end_fault()
        report = load.report(name, postgresql.url)
    check(report, health_bound=0.5 if name in LONG else 5)
    assert report.refused > 0, "the fault was felt"
    assert report.broken == 0, "every request was answered"
    assert all(answer.retry_after for answer in load.answers if answer.status == 503)
    assert {answer.status for answer in load.answers} == {200, 201, 503}
    assert {answer.status for answer in load.answers if answer.path == "/healthz"} == {200}


@pytest.mark.slow
def test_the_path_to_the_database_goes_silent() -> None:
    with cluster() as postgresql:
        with forwarder(postgresql.url) as path, loaded(path.url) as load:
            path.is_open.clear()
            time.sleep(15)
            path.is_open.set()
            load.end_fault()
        report = load.report("the path to PostgreSQL silent for 15 s", postgresql.url)
    check(report, health_bound=0.5)
    assert (report.refused > 0, report.broken) == (True, 0)


def test_a_database_made_read_only_reads_and_says_so_to_writers() -> None:
    with cluster() as postgresql:
        with loaded(postgresql.url) as load:
            postgresql.admin("ALTER DATABASE comments SET default_transaction_read_only = on", "postgres")
            postgresql.admin(DISCONNECT)
            load.wait_for_many(503)
            began = time.monotonic()
            load.wait_for_many(200)
            reads = [answer for answer in load.answers if answer.method == "GET" and answer.began > began]
            assert {answer.status for answer in reads} == {200}
            postgresql.admin("ALTER DATABASE comments RESET ALL", "postgres")
            postgresql.admin(DISCONNECT)
            load.end_fault()
        check(load.report("the database read-only", postgresql.url))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 250 MB in memory."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=250m", "tmpfs", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def fill(path: Path) -> None:
    with path.open("wb") as file:
        while True:
            file.write(bytes(1 << 20))


@pytest.mark.slow
def test_a_full_disk_stops_writers_only(small_disk: Path) -> None:
    filler = small_disk / "filler"
    with cluster(small_disk, max_wal_size="32MB", min_wal_size="32MB") as postgresql:
        with loaded(postgresql.url) as load:
            with pytest.raises(OSError, match="No space left"):
                fill(filler)
            load.wait_for_many(503)
            load.wait_for_many(200)
            filler.unlink()
            load.end_fault()
        report = load.report("the disk full", postgresql.url)
    check(report)
    assert report.refused > 0


def test_at_the_end_of_the_ids_writers_get_500_and_readers_what_is_there() -> None:
    with cluster() as postgresql, serving(DATABASE_URL=postgresql.url) as server:
        assert server.post("Ada", "the first").status_code == 201
        postgresql.admin(f"SELECT setval('comments_id_seq', {MAX_ID} - 1)")
        assert server.post("Ada", "the last").json()["id"] == MAX_ID
        assert server.post("Ada", "one too many").status_code == 500
        assert 'reached maximum value of sequence \\"comments_id_seq\\"' in server.output()
        assert [comment["comment"] for comment in server.http.get("/comments").json()["comments"]] == [
            "the first",
            "the last",
        ]


@contextmanager
def standby_of(primary: Cluster) -> Iterator[Cluster]:
    """One that has every comment before its client is told 201."""
    with a_directory() as home:
        standby = Cluster(home, free_port())
        source = f"postgresql://postgres@127.0.0.1:{primary.port}/postgres?application_name=standby"
        embedded.run_program("pg_basebackup", home, "-d", source, "-R", "-c", "fast")
        standby.configure(port=str(standby.port))
        standby.start()
        primary.admin("ALTER SYSTEM SET synchronous_standby_names = standby")
        primary.admin("SELECT pg_reload_conf()")
        wait_for(lambda: primary.admin("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"), "the standby")
        yield standby
        standby.stop()


def test_a_failover_to_a_synchronous_standby_loses_nothing() -> None:
    with cluster() as primary, standby_of(primary) as standby:
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        with loaded(f"postgresql://comments@{hosts}/comments?target_session_attrs=read-write") as load:
            primary.kill()
            load.wait_for_many(503)
            standby.pg_ctl("promote")
            load.end_fault()
        check(load.report("failover to a synchronous standby", standby.url))


def test_a_hot_standby_counts_no_limits_and_says_so() -> None:
    """The table is unlogged: a standby can't read it, and it is empty after a failover."""
    minute = Limit(1, 60)
    with cluster() as primary, standby_of(primary) as standby:
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        database = CommentDatabase(f"postgresql://comments@{hosts}/comments")
        moderation = ModerationDatabase(database)
        assert moderation.take_limit("post", None, minute) == 0
        assert moderation.take_limit("post", None, minute) > 0
        primary.kill()
        with pytest.raises(DatabaseUnavailable, match="read-only"):
            moderation.take_limit("post", None, minute)
        standby.pg_ctl("promote")
        assert moderation.take_limit("post", None, minute) == 0
        assert moderation.take_limit("post", None, minute) > 0
        database.close()


def test_a_hot_standby_keeps_no_page() -> None:
    """The name of its snapshot does not tell of a transaction between others that ends."""
    insert = "INSERT INTO comments (name, comment) VALUES ('Ada', 'Hello')"
    with (
        cluster() as primary,
        standby_of(primary) as standby,
        closing(psycopg2.connect(primary.url)) as oldest,
        closing(psycopg2.connect(primary.url)) as older,
        serving(DATABASE_URL=standby.url, WEB_CONCURRENCY=1, DATABASE_CONNECTIONS=1) as reader,
    ):
        primary.admin("ALTER SYSTEM SET synchronous_commit = remote_apply")
        primary.admin("SELECT pg_reload_conf()")
        for connection in (oldest, older):
            connection.cursor().execute(f"SET synchronous_commit = remote_apply; {insert}")
        primary.admin(insert)
        assert len(reader.http.get("/comments").json()["comments"]) == 1
        older.commit()
        assert len(reader.http.get("/comments").json()["comments"]) == 2

"""`flask migrate`: explicit, idempotent, and safe however many run and however one ends."""

import re
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812

from db import CommentDatabase
from postgres import migrations
from postgres.errors import DatabaseUnavailable
from postgres.migrations import MigrationFailed, migrate

from support.postgres import sql
from support.processes import FLASK, ROOT, environment, run, wait_for

NewDatabase = Callable[..., str]
Busy = tuple[str, PsycopgConnection]  # the URL, and who has locked the table

# What the command says that makes the schema.
APPLIED = "".join(f"Applied {name}.\n" for name in migrations.names())


def tables(url: str) -> set[str]:
    found = sql(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {name for (name,) in found}


def test_the_command_makes_the_schema_once(new_database: NewDatabase) -> None:
    url = new_database()
    for expected in (APPLIED, "The schema is up to date.\n"):
        done = run([*FLASK, "migrate"], DATABASE_URL=url)
        assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")
    assert {"comments", "schema_migrations"} <= tables(url)


def test_status_says_what_is_applied_and_alters_nothing(new_database: NewDatabase) -> None:
    url = new_database()
    done = run([*FLASK, "migrate", "--status"], DATABASE_URL=url)
    assert (done.returncode, done.stdout) == (0, "".join(f"{name}  pending\n" for name in migrations.names()))
    assert tables(url) == set()
    run([*FLASK, "migrate"], DATABASE_URL=url)
    done = run([*FLASK, "migrate", "--status"], DATABASE_URL=url)
    for name, line in zip(migrations.names(), done.stdout.splitlines(), strict=True):
        assert re.fullmatch(rf"{name}  20\d\d-.*", line)


def test_eight_at_once_on_a_fresh_database(new_database: NewDatabase) -> None:
    url = new_database()
    started = [
        subprocess.Popen(
            [*FLASK, "migrate"], cwd=ROOT, env=environment(DATABASE_URL=url), stdout=subprocess.PIPE, text=True
        )
        for _ in range(8)
    ]
    said = sorted(process.communicate(timeout=60)[0] for process in started)
    assert [process.returncode for process in started] == [0] * 8
    applied = [line for text in said for line in text.splitlines(keepends=True) if line.startswith("Applied")]
    assert "".join(sorted(applied)) == APPLIED, "each once"
    CommentDatabase(url).check_ready()


def test_two_releases_at_once_apply_what_both_carry_once(new_database: NewDatabase, checkout: Path) -> None:
    """The newer one has a migration more, and neither waits for the other to be done."""
    url = new_database()
    (checkout / "migrations" / "9999_second.sql").write_text("CREATE TABLE second ();")
    started = [
        subprocess.Popen([*FLASK, "migrate"], cwd=release, env=environment(DATABASE_URL=url), stdout=subprocess.PIPE)
        for release in [ROOT, checkout] * 3
    ]
    said = b"".join(process.communicate(timeout=60)[0] for process in started)
    assert [process.returncode for process in started] == [0] * 6
    applied = [line for line in said.decode().splitlines(keepends=True) if line.startswith("Applied")]
    assert "".join(sorted(applied)) == APPLIED + "Applied 9999_second.\n", "each once"
    assert {"comments", "second"} <= tables(url)
    CommentDatabase(url).check_ready()


def test_one_that_is_killed_half_way_leaves_nothing(new_database: NewDatabase, checkout: Path) -> None:
    """It waits in the middle of its second migration for a table that we hold; then its process is killed."""
    url = new_database()
    second = checkout / "migrations" / "9999_second.sql"
    second.write_text("CREATE TABLE half (); LOCK TABLE gate; CREATE TABLE whole ();")
    sql(url, "CREATE TABLE gate ()")
    with closing(psycopg2.connect(url)) as holder, holder.cursor() as cursor:
        cursor.execute("LOCK TABLE gate")
        process = subprocess.Popen([*FLASK, "migrate"], cwd=checkout, env=environment(DATABASE_URL=url))
        waits = "SELECT 1 FROM pg_locks JOIN pg_class ON oid = relation WHERE relname = 'gate' AND NOT granted"
        wait_for(lambda: sql(url, waits), "the migration to wait for the table")
        process.kill()
        process.wait()
    assert not {"half", "whole"} & tables(url)
    done = run([*FLASK, "migrate"], cwd=checkout, DATABASE_URL=url)
    assert (done.returncode, done.stdout) == (0, "Applied 9999_second.\n")
    assert {"half", "whole"} <= tables(url)


def release(monkeypatch: pytest.MonkeyPatch, directory: Path, **statements: str) -> None:
    for name, statement in statements.items():
        (directory / f"{name}.sql").write_text(statement)
    monkeypatch.setattr(migrations, "DIRECTORY", directory)


def test_they_are_applied_in_order_and_one_that_fails_leaves_those_before_it(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = new_database()
    release(
        monkeypatch, tmp_path, m10="CREATE TABLE b ()", m02="CREATE TABLE a ()", m30="CREATE TABLE c (); SELECT 1/0"
    )
    with pytest.raises(MigrationFailed) as caught:
        migrate(url)
    assert isinstance(caught.value.__cause__, psycopg2.errors.DivisionByZero)
    assert tables(url) == {"a", "b", "schema_migrations"}
    assert [(name, applied is not None) for name, applied in migrations.status(url)] == [
        ("m02", True),
        ("m10", True),
        ("m30", False),
    ]


@pytest.fixture
def busy(new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Busy]:
    """A database with a migration of the table `busy`, which another transaction has locked."""
    url = new_database()
    sql(url, "CREATE TABLE busy ()")
    monkeypatch.setattr(migrations, "LOCK_TIMEOUT", 0.3)
    monkeypatch.setattr(migrations, "PAUSE", 0.3)
    release(monkeypatch, tmp_path, m1="ALTER TABLE busy ADD COLUMN x int")
    with closing(psycopg2.connect(url)) as holder, holder.cursor() as cursor:
        cursor.execute("SET idle_in_transaction_session_timeout = '10s'; LOCK TABLE busy")  # lest we wait for ever
        yield url, holder


def test_a_table_that_stays_busy_is_given_up(busy: Busy, monkeypatch: pytest.MonkeyPatch) -> None:
    url, holder = busy
    monkeypatch.setattr(migrations, "ATTEMPTS", 3)
    with pytest.raises(DatabaseUnavailable, match="took too long"):
        migrate(url)
    holder.rollback()
    assert migrate(url) == ["m1"]


def test_a_busy_table_is_tried_again_and_in_between_others_may_use_it(busy: Busy, pool: ThreadPoolExecutor) -> None:
    url, holder = busy
    waits = "SELECT 1 FROM pg_locks WHERE relation = 'busy'::regclass AND NOT granted"
    migrated = pool.submit(migrate, url)
    for _ in range(2):
        wait_for(lambda: sql(url, waits), "the migration to wait for the table")
        wait_for(lambda: not sql(url, waits), "it to let others pass")
    holder.rollback()
    assert migrated.result() == ["m1"]


def test_a_migration_waits_for_another_one_but_not_in_a_statement(new_database: NewDatabase) -> None:
    """An index that is built CONCURRENTLY waits for every statement that runs."""
    url = new_database()
    with closing(psycopg2.connect(url)) as holder, holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (migrations.ADVISORY_LOCK,))
        process = subprocess.Popen([*FLASK, "migrate"], cwd=ROOT, env=environment(DATABASE_URL=url))
        has_asked = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query = 'ROLLBACK'"
        wait_for(lambda: sql(url, has_asked), "the migration to have asked for the lock")
        assert sql(url, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == []
        assert process.poll() is None
        assert tables(url) == set()
    assert process.wait(30) == 0
    CommentDatabase(url).check_ready()


INDEX = "DROP INDEX CONCURRENTLY IF EXISTS grown_idx;\nCREATE INDEX CONCURRENTLY grown_idx ON grown (x);\n"


def test_an_index_is_built_while_others_write(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    url = new_database()
    sql(url, "CREATE TABLE grown (x int)")
    release(monkeypatch, tmp_path, m1=INDEX)
    with closing(psycopg2.connect(url)) as writer, writer.cursor() as cursor:
        cursor.execute("INSERT INTO grown VALUES (1)")  # the index waits for the end of this transaction
        migrated = [pool.submit(migrate, url) for _ in range(3)]
        wait_for(lambda: sql(url, "SELECT 1 FROM pg_locks WHERE NOT granted"), "the index to wait")
        cursor.execute("INSERT INTO grown VALUES (2)")
        sql(url, "INSERT INTO grown VALUES (3)")
        assert not any(future.done() for future in migrated)
        writer.commit()
    assert sorted(future.result() for future in migrated) == [[], [], ["m1"]]
    assert sql(url, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'grown_idx'::regclass") == [(True,)]


def test_an_index_that_failed_half_way_is_built_again(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = new_database()
    sql(url, "CREATE TABLE grown (x int)")
    sql(url, "INSERT INTO grown VALUES (1), (1)")
    release(monkeypatch, tmp_path, m1=INDEX.replace("CREATE", "CREATE UNIQUE"))
    with pytest.raises(MigrationFailed):
        migrate(url)
    assert migrations.status(url)[0].applied_at is None
    assert sql(url, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'grown_idx'::regclass") == [(False,)]
    sql(url, "DELETE FROM grown")
    assert migrate(url) == ["m1"]
    assert sql(url, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'grown_idx'::regclass") == [(True,)]


def test_an_index_whose_migration_is_killed_is_built_by_the_next_one(
    new_database: NewDatabase, checkout: Path, pool: ThreadPoolExecutor
) -> None:
    """PostgreSQL goes on with the index of the one that was killed, and the next one comes meanwhile."""
    url = new_database()
    sql(url, "CREATE TABLE grown (x int)")
    (checkout / "migrations" / "9999_index.sql").write_text(INDEX)
    with closing(psycopg2.connect(url)) as writer, writer.cursor() as cursor:
        cursor.execute("INSERT INTO grown VALUES (1)")  # the index waits for the end of this transaction
        process = subprocess.Popen([*FLASK, "migrate"], cwd=checkout, env=environment(DATABASE_URL=url))
        builds = "SELECT count(*) FROM pg_locks WHERE relation = 'grown'::regclass AND mode LIKE 'ShareUpdate%'"
        wait_for(lambda: sql(url, builds) == [(1,)], "the index to be built")
        process.kill()
        process.wait()
        second = pool.submit(run, [*FLASK, "migrate"], checkout, DATABASE_URL=url)
        wait_for(lambda: sql(url, f"{builds} AND NOT granted") == [(1,)], "the next one to wait for it")
        writer.commit()
    done = second.result()
    assert (done.returncode, done.stdout) == (0, "Applied 9999_index.\n"), done.stderr
    assert sql(url, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'grown_idx'::regclass") == [(True,)]


def test_a_database_of_another_encoding_is_refused(new_database: NewDatabase) -> None:
    url = new_database("ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(MigrationFailed, match="UTF8, not LATIN1"):
        migrate(url)
    done = run([*FLASK, "migrate"], DATABASE_URL=url)
    assert (done.returncode, done.stderr) == (1, "Error: The database must have the encoding UTF8, not LATIN1.\n")
    assert tables(url) == set()


def test_without_a_database_the_command_says_so_in_one_line() -> None:
    for command in (["migrate"], ["migrate", "--status"], ["delete-comment", "1"]):
        done = run([*FLASK, *command], DATABASE_URL="postgresql://127.0.0.1:1/x")
        assert done.returncode == 1
        assert done.stderr.startswith("Error: The database does not answer; try again later. (")
        assert "Connection refused" in done.stderr
        assert done.stderr.count("\n") == 1

"""db.py: CommentDatabase against a real PostgreSQL."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import pytest
from psycopg2.extensions import make_dsn

from comment import MAX_ID, Comment, Edit, InvalidInput
from db import CommentDatabase, KeyReused
from inserts import NewRow, insert_several
from postgres import migrations
from postgres.errors import DatabaseUnavailable, InvalidDatabaseURL, SchemaNotCurrent
from postgres.migrations import migrate
from statements import Page

from support.plans import record_plans, rows_read
from support.postgres import sql
from support.processes import wait_for


def store(database: CommentDatabase, *texts: str, thread: str = "") -> list[Comment]:
    return [database.create_comment(Comment(None, "Ada", text, thread)) for text in texts]


def connections(url: str) -> int:
    """How many connections others have to the database."""
    count: int = sql(
        url,
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
    )[0][0]
    return count


def end_connections(url: str) -> None:
    sql(
        url,
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )


def test_a_stored_comment_has_an_id_and_a_time(database: CommentDatabase) -> None:
    stored = database.create_comment(Comment(None, "Ada", "Hello", "/post"))
    assert (stored.id, stored.name, stored.comment, stored.thread) == (1, "Ada", "Hello", "/post")
    assert stored.created_at is not None
    assert abs(datetime.now(UTC) - datetime.fromisoformat(stored.created_at)) < timedelta(minutes=1)


def test_a_stored_comment_is_committed(database: CommentDatabase, database_url: str) -> None:
    store(database, "Hello")
    assert sql(database_url, "SELECT comment FROM comments") == [("Hello",)]


def test_a_comment_by_its_id(database: CommentDatabase) -> None:
    first, second = store(database, "one", "two")
    assert database.get_comment(1) == first
    assert database.get_comment(2) == second
    assert database.get_comment(3) is None
    assert database.get_comment(2**63 - 1) is None


def test_pages_are_by_ascending_id(database: CommentDatabase) -> None:
    comments = store(database, "one", "two", "three", "four")
    assert database.get_page(limit=2).comments == comments[:2]
    assert database.get_page(limit=2, after=2).comments == comments[2:]
    assert database.get_page(limit=2, after=4).comments == []


def test_pages_are_by_descending_id_where_asked(database: CommentDatabase) -> None:
    comments = store(database, "one", "two", "three", "four")[::-1]
    assert database.get_page(limit=2, newest_first=True) == Page(comments[:2], has_more=True)
    assert database.get_page(limit=2, after=3, newest_first=True) == Page(comments[2:], has_more=False)
    assert database.get_page(limit=2, after=1, newest_first=True).comments == []


def test_pages_of_one_thread(database: CommentDatabase) -> None:
    a1, b1, a2, none = (store(database, "x", thread=thread)[0] for thread in ("a", "b", "a", ""))
    assert database.get_page(limit=9, thread="a").comments == [a1, a2]
    assert database.get_page(limit=9, after=a1.id or 0, thread="a").comments == [a2]
    assert database.get_page(limit=9, thread="").comments == [none]
    assert database.get_page(limit=9, thread="%").comments == []
    assert database.get_page(limit=9).comments == [a1, b1, a2, none]


def test_delete(database: CommentDatabase) -> None:
    one, _ = store(database, "one", "two")
    assert database.delete_comment(one) is True
    assert database.delete_comment(one) is False
    assert [comment.comment for comment in database.get_page(limit=9).comments] == ["two"]


@pytest.mark.parametrize(
    ("column", "value"), [("name", "x" * 101), ("name", ""), ("comment", "x" * 10_001), ("thread", "x" * 513)]
)
def test_the_schema_is_the_last_line(database: CommentDatabase, database_url: str, column: str, value: str) -> None:
    comment = Comment(None, "Ada", "Hello")._replace(**{column: value})  # type: ignore[arg-type]
    with pytest.raises(psycopg2.errors.CheckViolation):
        database.create_comment(comment)
    assert sql(database_url, "SELECT * FROM comments") == []


def test_nothing_is_connected_before_the_first_call(own_database_url: str) -> None:
    wait_for(lambda: connections(own_database_url) == 0, "the migration's connection to go")
    database = CommentDatabase(own_database_url)
    assert connections(own_database_url) == 0
    database.get_comment(1)
    database.get_comment(1)
    assert connections(own_database_url) == 1
    database.close()


def test_calls_share_the_connections_and_each_has_one_to_itself(own_database_url: str) -> None:
    database = CommentDatabase(own_database_url, connections=3)

    def call(number: int) -> bool:
        stored = store(database, f"{number}")[0]
        return database.get_comment(stored.id or 0) == stored

    with ThreadPoolExecutor(12) as pool:
        assert all(pool.map(call, range(200)))
    assert 1 <= connections(own_database_url) <= 3
    database.close()
    wait_for(lambda: connections(own_database_url) == 0, "all of them to be closed")


def test_a_connection_that_the_server_closed_costs_no_call(database: CommentDatabase, database_url: str) -> None:
    for _ in range(3):
        store(database, "Hello")
        end_connections(database_url)
    assert len(database.get_page(limit=9).comments) == 3


@pytest.mark.parametrize(
    ("refusal", "comment"),
    [(KeyReused, Comment(None, "Ada", "Other")), (InvalidInput, Comment(None, "Ada", "Hello", "/post", parent_id=1))],
)
def test_a_comment_that_is_refused_costs_no_connection(
    own_database_url: str, refusal: type[Exception], comment: Comment
) -> None:
    database = CommentDatabase(own_database_url)
    database.create_comment(Comment(None, "Ada", "Hello"), "key")
    processes = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    before = sql(own_database_url, processes)
    with pytest.raises(refusal):
        database.create_comment(comment, "key")
    database.get_comment(1)
    assert {*sql(own_database_url, processes)} <= {*before}
    database.close()


def test_the_time_is_in_utc_with_all_six_digits_whatever_the_server_prefers(database_url: str) -> None:
    database = CommentDatabase(make_dsn(database_url, options="-c datestyle=German -c timezone=Asia/Kathmandu"))
    store(database, "Hello")
    sql(database_url, "UPDATE comments SET created_at = '2026-11-23 10:10:00.12+02:00'")
    assert database.get_page(limit=1).comments[0].created_at == "2026-11-23T08:10:00.120000Z"
    database.close()


def test_a_statement_that_takes_too_long_is_given_up(database: CommentDatabase, database_url: str) -> None:
    with psycopg2.connect(database_url) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE comments")
        with pytest.raises(DatabaseUnavailable, match="took too long"):
            database.get_page(limit=1)
        other.rollback()
    other.close()
    assert database.get_page(limit=1).comments == []


def test_the_bound_on_a_statement_is_the_statement_s_own(database: CommentDatabase) -> None:
    """Behind PgBouncer another client would inherit a session's setting."""
    database.get_page(limit=1)
    with database.pool.connection() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)


@pytest.mark.parametrize(
    "url", ["postgresql://127.0.0.1:1/x", "postgresql:///x?host=/nowhere", "postgresql://no.invalid/x"]
)
def test_a_database_that_is_not_there_is_unavailable(url: str) -> None:
    with pytest.raises(DatabaseUnavailable, match=r"^The database does not answer; try again later\.$"):
        CommentDatabase(url).get_page(limit=1)


def test_a_database_that_does_not_exist_is_unavailable(database_url: str) -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        CommentDatabase(urlunsplit(urlsplit(database_url)._replace(path="/nothing"))).get_page(limit=1)
    assert 'database "nothing" does not exist' in str(caught.value.__cause__)
    assert "nothing" not in str(caught.value)


@pytest.mark.parametrize(
    "schema", ["", "CREATE TABLE comments (thread text, id bigint)"], ids=["no table", "a column less"]
)
def test_a_database_without_the_schema_says_what_to_do(new_database: Callable[..., str], schema: str) -> None:
    url = new_database()
    if schema:
        sql(url, schema)
    database = CommentDatabase(url)
    for call in (lambda: database.get_page(limit=1), database.check_ready, lambda: database.get_comment(1)):
        with pytest.raises(SchemaNotCurrent, match="flask migrate"):
            call()
    database.close()


@pytest.mark.parametrize(
    ("state", "unavailable"),
    [
        *((state, True) for state in ["08000", "08006", "53100", "53200", "53300", "57P01", "57P02", "57P03"]),
        *((state, True) for state in ["57014", "55P03", "25006", "42P01", "42703", "42501", "40001", "40P01"]),
        *((state, False) for state in ["22003", "23514", "2200H", "XX000", "0A000"]),
    ],
)
def test_the_sqlstate_decides(database: CommentDatabase, state: str, unavailable: bool) -> None:
    failing = f"DO $$ BEGIN RAISE EXCEPTION 'secret' USING ERRCODE = '{state}'; END $$"
    with (
        pytest.raises(DatabaseUnavailable if unavailable else psycopg2.Error) as caught,
        database.pool.connection() as connection,
    ):
        connection.fetch(failing)
    if unavailable:
        assert "secret" not in str(caught.value)
    assert database.get_page(limit=1).comments == [], "the next call has a new connection"


def test_a_read_only_database_reads_and_says_so_to_writes(database: CommentDatabase, database_url: str) -> None:
    separator = "&" if "?" in database_url else "?"
    read_only = CommentDatabase(f"{database_url}{separator}options=-c%20default_transaction_read_only%3Don")
    store(database, "Hello")
    assert len(read_only.get_page(limit=9).comments) == 1
    with pytest.raises(DatabaseUnavailable, match="read-only"):
        store(read_only, "Hello")
    read_only.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:s3cret%zz@h/x",
        "postgresql://u:s3cret@h/x?nonsense=1",
        "postgresql://[",
        "postgresql://h/%ff",
        "postgresql://u:s3cret/x@h/c",
        "postgresql://u:a@s3cret@h",
        "postgresql://a,b/x?port=1,2,3",
    ],
)
def test_a_url_that_libpq_can_not_read(url: str) -> None:
    with pytest.raises(InvalidDatabaseURL) as caught:
        CommentDatabase(url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("nonsense=1", "nonsense"),
        ("sslmode=nonsense", "sslmode"),
        ("target_session_attrs=best", "target_session_attrs"),
        ("ssl_min_protocol_version=0", "ssl_min_protocol_version"),
    ],
)
def test_a_bad_parameter_of_a_url_is_named(query: str, name: str) -> None:
    with pytest.raises(InvalidDatabaseURL) as caught:
        CommentDatabase(f"postgresql://u:s3cret@h/x?application_name=x&{query}")
    assert str(caught.value) == name


def test_a_part_of_a_password_is_not_taken_for_a_parameter() -> None:
    with pytest.raises(InvalidDatabaseURL) as caught:
        CommentDatabase("postgresql://u:1/word?s3cret=x@h/x")
    assert str(caught.value) == ""


def test_ready(database: CommentDatabase, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    database.check_ready()
    (tmp_path / "9999_more.sql").touch()
    monkeypatch.setattr(migrations, "DIRECTORY", tmp_path)
    with pytest.raises(SchemaNotCurrent):
        database.check_ready()
    (tmp_path / "9999_more.sql").unlink()
    database.check_ready()  # a roll-back: the database knows a migration that this release does not


def test_text_is_utf8_whatever_the_client_s_environment_says(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    database = CommentDatabase(database_url)
    assert store(database, "\u2603 \U0001f600")[0].comment == "\u2603 \U0001f600"
    database.close()


def test_a_client_encoding_in_the_url_is_no_matter(database_url: str) -> None:
    database = CommentDatabase(f"{database_url}{'&' if '?' in database_url else '?'}client_encoding=LATIN1")
    assert store(database, "\u2603")[0].comment == "\u2603"
    database.close()


def test_no_statement_reads_more_than_a_page(new_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With a million rows, and the worst case for the choice of an index: a thread has half of them, all the last.

    And one comment has a tenth of them as its replies.
    """
    url = new_database()
    database = CommentDatabase(url)
    migrate(url)
    sql(
        url,
        "INSERT INTO comments (thread, name, comment, idempotency_key, parent_id)"
        " SELECT CASE WHEN n < 500000 THEN (n % 1000)::text ELSE 'big' END, 'Ada', 'Hello', n::text,"
        " CASE WHEN n > 900000 THEN 500000 END FROM generate_series(1, 1000000) n",
    )
    sql(url, "ANALYZE comments")
    # And then newer ones, of which the statistics know nothing.
    sql(
        url,
        "INSERT INTO comments (thread, name, comment)"
        " SELECT CASE WHEN n % 2 = 0 THEN 'new' ELSE 'big' END, 'Ada', 'Hello' FROM generate_series(1, 50000) n",
    )
    plans = record_plans(monkeypatch)
    for after in (0, 499_900, 750_000, 999_990, 1_025_000, MAX_ID):
        for thread in (None, "big", "7", "new", "nobody's"):
            database.get_page(100, after, thread)
            database.get_page(100, after, thread, newest_first=True)
    database.get_comment(750_000)
    asked, last = (database.find_comment(comment_id, b"x" * 32) for comment_id in (500_000, 1_000_000))
    assert asked is not None
    assert last is not None
    database.edit_comment(asked.comment, Edit("Grace"))
    database.delete_comment(last.comment)
    database.delete_comment(asked.comment)  # it has replies
    for thread in ("big", "7"):
        database.create_comment(Comment(None, "Ada", "Hello", thread), "700000" if thread == "big" else "7")
    database.check_ready()
    rows = [NewRow(thread, "Ada", "Hello", 500_000, "", None, None) for thread in ("big", "7")]
    with database.pool.connection(to_write=True) as connection:
        assert [stored is not None for stored in insert_several(connection, rows)] == [True, False]
    assert len(plans) == 73
    assert [plan for plan in plans if rows_read(plan) > 101] == []
    database.close()

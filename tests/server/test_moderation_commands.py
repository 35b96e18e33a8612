"""`flask comments`, `flask rules` and `flask threads`."""

from typing import Any

from comment import Comment
from db import CommentDatabase

from support.moderator import ADMIN
from support.processes import FLASK, ROOT, run


def flask(database_url: str, *arguments: str, **variables: str) -> Any:
    return run([*FLASK, *arguments], ROOT, DATABASE_URL=database_url, **variables)


def hold(database: CommentDatabase, text: str, **fields: Any) -> Comment:
    comment = Comment(None, "Ada", text, status="pending", reason="all", **fields)
    return database.create_comment(comment, author_hash=b"x" * 32)


def test_what_waits_is_listed_and_decided(database: CommentDatabase, database_url: str) -> None:
    for number in range(4):
        hold(database, f"Hello {number}", thread="/a")
    listed = flask(database_url, "comments", "list", "--limit", "3", "--search", "hello")
    assert listed.stdout.splitlines() == [f"{n}\tpending\tall\t/a\tAda\tHello {n - 1}" for n in (1, 2, 3)]
    assert flask(database_url, "comments", "approve", "1", "2").stdout == "Published 2 of 2.\n"
    assert flask(database_url, "comments", "spam", "2", "3").stdout == "Marked as spam 2 of 2.\n"
    assert flask(database_url, "comments", "delete", "1", "9").stdout == "Deleted 1 of 2.\n"
    assert flask(database_url, "comments", "list", "--status", "spam").stdout.count("\n") == 2
    assert database.get_page(9).comments == []
    again = flask(database_url, "comments", "spam", "3")
    assert (again.returncode, again.stderr) == (
        1,
        "Error: Nothing has changed: each is gone, or has this status already.\n",
    )


def test_no_text_changes_the_terminal(database: CommentDatabase, database_url: str) -> None:
    hold(database, "a\n2\tb\u202e\u009b31m")
    listed = flask(database_url, "comments", "list").stdout
    assert listed == "1\tpending\tall\t-\tAda\ta 2 b 31m\n"


def test_a_held_comment_is_deleted_by_the_old_command_too(database: CommentDatabase, database_url: str) -> None:
    hold(database, "Hello")
    assert flask(database_url, "delete-comment", "1").stdout == "Deleted comment 1.\n"
    assert flask(database_url, "delete-comment", "1").returncode == 1


def test_rules_are_added_listed_and_deleted(database: CommentDatabase, database_url: str) -> None:
    hold(database, "Hello")
    added = flask(database_url, "rules", "add", "word", "CASINO", "--effect", "spam", ADMIN_TOKEN=ADMIN)
    assert (added.stdout, added.stderr) == ("Added rule 1.\n", "")
    assert flask(database_url, "rules", "add", "author", "1", ADMIN_TOKEN=ADMIN).stdout == "Added rule 2.\n"
    assert flask(database_url, "rules", "list").stdout == "1\tword\tspam\tcasino\n2\tauthor\tpending\t1\n"
    assert flask(database_url, "rules", "delete", "1").stdout == "Deleted rule 1.\n"
    assert flask(database_url, "rules", "delete", "1").stderr == "Error: There is no rule 1.\n"
    assert flask(database_url, "rules", "add", "word", "...").stderr.startswith("Error: Value must contain")
    missing = flask(database_url, "rules", "add", "author", "9")
    assert missing.stderr == "Error: There is no comment with this id, or it was posted without a key.\n"


def test_it_says_where_a_rule_or_a_closed_thread_has_no_effect(database_url: str) -> None:
    for command in (("rules", "add", "word", "casino"), ("threads", "close", "/a")):
        done = flask(database_url, *command)
        assert done.stderr == "This has no effect: neither ADMIN_TOKEN nor MODERATION is set here.\n"


def test_threads_are_closed_listed_and_opened(database_url: str) -> None:
    for thread in ("/b", "/a"):
        assert flask(database_url, "threads", "close", thread, MODERATION="all").stdout == "Closed.\n"
    assert flask(database_url, "threads", "list").stdout == "/a\n/b\n"
    assert flask(database_url, "threads", "open", "/a").stdout == "Opened.\n"
    assert flask(database_url, "threads", "list").stdout == "/b\n"
    assert flask(database_url, "threads", "close", "x" * 513).returncode == 1


def test_without_a_database_it_is_one_line() -> None:
    done = flask("postgresql://127.0.0.1:1/x", "comments", "list")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)

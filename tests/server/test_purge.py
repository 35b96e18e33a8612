"""`flask purge`."""

from config import Limit
from db import CommentDatabase
from moderation.database import ModerationDatabase

from support.postgres import sql
from support.processes import FLASK, run

PURGE = [*FLASK, "purge"]


def test_it_says_what_it_has_removed(database: CommentDatabase, database_url: str) -> None:
    moderation = ModerationDatabase(database)
    moderation.take_limit("post", "192.0.2.1", Limit(1, 60))
    moderation.take_limit("post", "192.0.2.2", Limit(1, 86_400))
    sql(database_url, "UPDATE limits SET tat = tat - interval '1 hour'")
    sql(database_url, "UPDATE daily_keys SET day = day - 1")
    done = run(PURGE, DATABASE_URL=database_url)
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "Removed 0 spam comments, 1 limits and 1 daily keys.\n",
        "",
    )
    assert sql(database_url, "SELECT count(*) FROM limits") == [(1,)]


def test_without_a_database_it_says_so() -> None:
    done = run(PURGE, DATABASE_URL="postgresql://127.0.0.1:1/x")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: The database does not answer")

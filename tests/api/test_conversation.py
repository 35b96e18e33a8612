"""Posts, replies, edits, deletions and reads in any order, against a model in memory."""

from flask.testing import FlaskClient

from app import create_app
from config import Config
from db import CommentDatabase

from support.conversation import converse


def test_whatever_people_do_the_pages_are_those_of_the_model(client: FlaskClient, database_url: str) -> None:
    """Two applications take turns: each has its own cache of pages. `make fuzz` does this for longer."""
    database = CommentDatabase(database_url)
    other = create_app(Config(), database).test_client()
    converse([client, other], database_url, examples=20)
    database.close()

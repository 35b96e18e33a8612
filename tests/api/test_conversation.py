"""Posts, replies, edits, deletions and reads in any order, against a model in memory.

`make fuzz` does it for longer.
"""

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from app import create_app
from config import Config
from db import CommentDatabase

from support.conversation import converse
from support.moderator import ADMIN, Site


@pytest.fixture
def moderated(database_url: str) -> Iterator[list[FlaskClient]]:
    """Two applications, each with its own cache of pages and of rules."""
    sites = [Site(database_url, moderation="first") for _ in range(2)]
    yield [site.http for site in sites]
    for site in sites:
        site.database.close()


def test_whatever_people_do_the_pages_are_those_of_the_model(client: FlaskClient, database_url: str) -> None:
    """Two applications take turns: each has its own cache of pages."""
    database = CommentDatabase(database_url)
    other = create_app(Config(), database).test_client()
    converse([client, other], database_url, examples=12)
    database.close()


def test_whatever_moderators_do_the_pages_are_those_of_the_model(
    moderated: list[FlaskClient], database_url: str
) -> None:
    converse(moderated, database_url, examples=12, moderator=ADMIN)

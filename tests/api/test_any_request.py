"""Whatever a request is made of: no 5xx, one shape of error, nothing stored on a 4xx.

What was found stands as cases of their own in test_errors.py.
"""

from flask.testing import FlaskClient

from support.attacks import attack_in_process
from support.moderator import Site


def test_any_request_in_process(client: FlaskClient) -> None:
    attack_in_process(client=client)


def test_any_request_in_process_where_moderators_decide(database_url: str) -> None:
    site = Site(database_url, moderation="first", max_links=0)
    attack_in_process(client=site.http)
    site.database.close()

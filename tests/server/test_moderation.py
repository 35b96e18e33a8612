"""Moderation, on a server of two processes."""

from support.clearing import clear
from support.moderator import ADMIN
from support.processes import serving


def test_what_moderators_decide_while_60_authors_post_is_what_is_shown(own_database_url: str) -> None:
    """`make faults` lets them go on for a minute."""
    with serving(
        DATABASE_URL=own_database_url, MODERATION="all", ADMIN_TOKEN=ADMIN, WEB_CONCURRENCY=2, LOG_LEVEL="warning"
    ) as server:
        found = clear(server, own_database_url, seconds=3)
    assert found.untrue == []
    assert found.statuses.keys() <= {200, 201, 204, 400, 404}

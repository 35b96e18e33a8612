"""60 authors post for a minute while moderators decide: what was decided is what is shown."""

import pytest

from support.clearing import clear
from support.load import record_figure
from support.moderator import ADMIN
from support.processes import serving

pytestmark = pytest.mark.slow


def test_what_moderators_decide_while_60_authors_post_is_what_is_shown(own_database_url: str) -> None:
    with serving(
        DATABASE_URL=own_database_url, MODERATION="all", ADMIN_TOKEN=ADMIN, WEB_CONCURRENCY=2, LOG_LEVEL="warning"
    ) as server:
        found = clear(server, own_database_url, seconds=60)
    record_figure("this many were not true:", f"{len(found.untrue)} of {found.statuses.total():,}")
    assert found.untrue == []
    assert found.statuses.keys() <= {200, 201, 204, 400, 404}, "no answer is a 5xx"

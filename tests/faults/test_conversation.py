"""64 clients answer, edit and delete the same comments for a minute: what each was told is true at the end."""

import pytest

from support.load import record_figure
from support.processes import serving
from support.talk import talk

pytestmark = pytest.mark.slow


def test_whatever_64_clients_were_told_at_once_is_true_at_the_end(own_database_url: str) -> None:
    with serving(DATABASE_URL=own_database_url, WEB_CONCURRENCY=2, LOG_LEVEL="warning") as server:
        found = talk(server, own_database_url, seconds=60)
    record_figure("this many were not true:", f"{len(found.untrue)} of {found.statuses.total():,}")
    assert found.untrue == []
    assert found.statuses.keys() == {200, 201, 204, 400, 404, 412}, "all of them meet, and no answer is a 5xx"

"""The conversation, on a server of two processes: each request may reach the one or the other."""

from support.conversation import converse
from support.over_http import client_of
from support.processes import serving
from support.talk import talk


def test_whatever_people_do_the_pages_are_those_of_the_model(own_database_url: str) -> None:
    with serving(DATABASE_URL=own_database_url, WEB_CONCURRENCY=2, LOG_LEVEL="warning") as server:
        converse([client_of(server.url)], own_database_url, examples=6)
        assert server.output().count("Traceback") == 0


def test_whatever_64_clients_were_told_at_once_is_true_at_the_end(own_database_url: str) -> None:
    """`make faults` lets them go on for a minute."""
    with serving(DATABASE_URL=own_database_url, WEB_CONCURRENCY=2, LOG_LEVEL="warning") as server:
        found = talk(server, own_database_url, seconds=3)
    assert found.untrue == []
    assert found.statuses.keys() <= {200, 201, 204, 400, 404, 412}

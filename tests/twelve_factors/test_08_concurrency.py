"""VIII. Concurrency: scale out by the process model (https://12factor.net/concurrency)."""

from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from support.postgres import sql
from support.processes import serving


@pytest.mark.parametrize(("processes", "connections"), [(1, 1), (3, 2)])
def test_connections_stay_within_the_pools_of_the_processes(
    own_database_url: str, processes: int, connections: int
) -> None:
    """No two calls share a connection at the same time: that would mix up their answers."""
    running = serving(DATABASE_URL=own_database_url, WEB_CONCURRENCY=processes, DATABASE_CONNECTIONS=connections)
    with running as server, ThreadPoolExecutor(12) as pool:
        assert len(psutil.Process(server.process.pid).children()) == processes
        names = [f"client {n}" for n in range(200)]
        answers = list(pool.map(lambda name: server.post(name, "Hello").json(), names))
        assert [answer["name"] for answer in answers] == names
        assert len({answer["id"] for answer in answers}) == 200
        count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        assert 1 <= sql(own_database_url, count)[0][0] <= processes * connections

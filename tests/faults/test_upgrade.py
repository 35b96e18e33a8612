"""The schema is brought up to date under the load of 64 clients, and no request fails or waits for it."""

from pathlib import Path

import pytest

from support.cluster import cluster
from support.load import check, loaded
from support.postgres import sql
from support.processes import FLASK, run
from support.releases import release_before

pytestmark = pytest.mark.slow

ROWS = "SELECT (n % 1000)::text, 'Ada', 'Hello', 'seed ' || n FROM generate_series(1, 1000000) n"


def test_a_migration_of_a_million_rows_fails_no_request(tmp_path: Path) -> None:
    """The release before serves meanwhile."""
    before = release_before(tmp_path)
    with cluster(release=before) as postgresql:
        sql(postgresql.url, f"INSERT INTO comments (thread, name, comment, idempotency_key) {ROWS}")
        with loaded(postgresql.url, before) as load:
            done = run([*FLASK, "migrate"], DATABASE_URL=postgresql.url)
            assert (done.returncode, done.stderr, done.stdout.count("Applied")) == (0, "", 4)
            load.end_fault()
        sql(postgresql.url, "DELETE FROM comments WHERE comment = 'Hello'")
        report = load.report("`flask migrate` with 1,000,000 comments, beside the release before", postgresql.url)
    check(report)
    assert {answer.status for answer in load.answers} == {200, 201}
    assert report.longest < 1

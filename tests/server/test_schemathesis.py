"""schemathesis attacks a running service with what openapi.yaml allows, and with what it does not."""

import re
from pathlib import Path

from app import ROUTES

from support.attacks import schemathesis
from support.moderator import ADMIN
from support.processes import serving


def test_schemathesis_finds_no_failure(database_url: str, tmp_path: Path) -> None:
    """`make fuzz` does this for longer, and never the same twice."""
    with serving(DATABASE_URL=database_url, LOG_LEVEL="info", ADMIN_TOKEN=ADMIN) as server:
        done = schemathesis(server.url, tmp_path, "--max-examples", "15", "--generation-deterministic")
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert f"{len(ROUTES)} selected / {len(ROUTES)} total" in done.stdout
    for phase in ("Examples", "Coverage", "Fuzzing", "Stateful"):
        assert re.search(rf"✅ +{phase}", done.stdout)

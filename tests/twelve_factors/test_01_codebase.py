"""I. Codebase: one codebase tracked in revision control, many deploys (https://12factor.net/codebase)."""

import hashlib
import json
import subprocess

import pytest

from support.containers import in_image, inspect
from support.processes import ROOT

pytestmark = pytest.mark.container

# Tracked, and not in the image: it is for development.
NOT_DEPLOYED = {"postgres/embedded.py"}

HASHES = """
import hashlib, json, pathlib
files = [path for path in pathlib.Path("/app").rglob("*") if path.is_file()]
print(json.dumps({str(path.relative_to("/app")): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}))
"""


def test_the_image_holds_exactly_the_tracked_files_that_run(image: str) -> None:
    patterns = [
        "*.py",
        "openapi.yaml",
        "migrations/*.sql",
        "web/static/*",
        "web/templates/*",
        "Pipfile*",
        ":!bench",
        ":!tests",
    ]
    done = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    tracked = set(done.stdout.split()) - NOT_DEPLOYED
    expected = {name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest() for name in tracked}
    assert json.loads(in_image(image, HASHES)) == expected


def test_the_label_names_the_revision(image: str, revision: str) -> None:
    labels = inspect(image, "Config.Labels")
    assert isinstance(labels, dict)
    assert labels["org.opencontainers.image.revision"] == revision

"""The release before this one, with its own code, from git."""

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from support.processes import ROOT

BEFORE = "02189a4e34aa114ec6c79c99cc2fd316ae386da3"


def release_before(directory: Path) -> Path:
    """Its files, in this directory. The packages are those of this release."""
    done = subprocess.run(["git", "archive", BEFORE], cwd=ROOT, capture_output=True)
    if done.returncode:
        pytest.skip(f"git does not have the release before, {BEFORE[:7]}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(directory, filter="data")
    return directory

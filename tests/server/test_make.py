"""What make says where it can't go on: a sentence."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support.processes import ROOT, environment


@pytest.fixture
def fresh(checkout: Path) -> Path:
    """A checkout in which nothing is installed yet."""
    shutil.copy(ROOT / "Makefile", checkout)
    return checkout


def make(directory: Path, *arguments: str, **variables: str) -> tuple[int, str]:
    """Run make; returns its status and the lines on stderr that are not make's own."""
    done = subprocess.run(
        ["make", *arguments],
        cwd=directory,
        env=environment(directory, **variables),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, "".join(line for line in done.stderr.splitlines(True) if not line.startswith("make: ***"))


def stand_in(directory: Path, name: str, script: str) -> str:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_help_names_every_target() -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    (targets,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in targets.split():
        assert f"\nmake {target} " in f"\n{done.stdout}"


def test_a_python_that_is_too_old(fresh: Path) -> None:
    old = stand_in(fresh, "python3.9", "exit 0")  # says nothing when asked whether it is 3.11 or later
    status, said = make(fresh, "run", f"PYTHON={old}")
    assert status != 0
    assert said == "Python 3.11 or later is needed: install it, or name it: make PYTHON=/path/to/python3 …\n"


def test_no_venv_module(fresh: Path) -> None:
    python = stand_in(fresh, "python3.12", 'case "$2" in *ensurepip*) exit 1;; *) echo yes;; esac')
    status, said = make(fresh, "test", f"PYTHON={python}")
    assert status != 0
    assert said.startswith(f"The venv module of {python} is missing: install it (")
    assert said.count("\n") == 1


def test_no_network(fresh: Path) -> None:
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0", "PIP_CONFIG_FILE": os.devnull}
    status, said = make(fresh, "run", PIP_NO_INDEX="", PIP_NO_CACHE_DIR="1", **nowhere)
    assert status != 0
    assert said.startswith("The packages could not be installed (is there a network?)")
    assert said.count("\n") == 1
    assert not (fresh / ".venv" / "ready").exists()

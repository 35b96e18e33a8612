"""What make says where it can't go on, and which tests it has left out: a sentence."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support.processes import PYTHON, ROOT, environment, run


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


@pytest.mark.parametrize("processes", ["0", "2"])
def test_a_run_says_which_tests_it_has_left_out_and_how_to_run_them(processes: str) -> None:
    files = ["tests/container/test_name_server.py", "tests/faults/test_crowds.py"]
    done = run([PYTHON, "-m", "pytest", f"--numprocesses={processes}", *files])
    said = re.sub(r"\(\d+\)", "(N)", done.stdout)
    assert "\nNot run: tests that need Docker (N). `make test-container` runs them.\n" in said
    assert "\nNot run: tests that take minutes (N). `make faults` runs them.\n" in said


def test_a_run_does_not_speak_of_tests_that_were_not_asked_for() -> None:
    done = run([PYTHON, "-m", "pytest", "--numprocesses=0", "tests/twelve_factors", "-k", "test_no_index_is_named"])
    assert done.returncode == 0
    assert "Not run" not in done.stdout


def test_a_test_that_is_skipped_says_why(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("import pytest\ndef test_it(): pytest.skip('the reason')\n")
    done = run([PYTHON, "-m", "pytest", "--config-file=pyproject.toml", "--numprocesses=0", str(tmp_path)])
    assert "the reason" in done.stdout

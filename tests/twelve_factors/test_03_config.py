"""III. Config: in the environment (https://12factor.net/config)."""

import ast
import re
from pathlib import Path

import pytest
from dotenv import dotenv_values

from config import Config

from support.containers import docker, inspect, project
from support.processes import ROOT
from support.program import program

README = (ROOT / "README.md").read_text()


def variables_of_config() -> set[str]:
    """The names that config.py has as strings, and the one that libpq reads by itself."""
    nodes = ast.walk(ast.parse((ROOT / "config.py").read_text()))
    strings = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {name for name in strings if re.fullmatch("[A-Z]+(_[A-Z]+)*", name)} | {"PGPASSWORD"}


def test_the_environment_is_read_in_one_file() -> None:
    for path in program():
        if path.name != "config.py":
            assert not re.search(r"os\.environ|getenv|from os import", path.read_text()), path


def test_no_address_of_a_backing_service_is_in_the_program() -> None:
    for path in program():
        named = set(re.findall(r"postgres(?:ql)?://[^\s\"']+", path.read_text()))
        assert named <= {"postgresql://user@host/database."}, path


def test_the_variables_are_the_same_everywhere() -> None:
    expected = variables_of_config()
    assert {"DATABASE_URL", "PORT"} < expected
    assert set(re.findall(r"^# ([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)) == expected
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", README, re.MULTILINE)) == expected


def test_the_lines_of_the_example_are_the_defaults() -> None:
    assert dotenv_values(ROOT / ".env.example") == {}
    lines = re.findall(r"^# ([A-Z_]+)=(.+)$", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert Config.from_environment(dict(lines)) == Config()


@pytest.mark.container
def test_the_image_knows_no_database_and_no_secret(image: str) -> None:
    environment = inspect(image, "Config.Env")
    assert isinstance(environment, list)
    assert {line.partition("=")[0] for line in environment} & variables_of_config() == {"HOST", "LOG_FORMAT"}
    done = docker("run", "--rm", "--network", "none", image, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("DATABASE_URL must be set")
    assert done.stderr.count("\n") == 1


@pytest.mark.container
def test_the_same_image_is_two_deployments_by_environment_alone(image: str) -> None:
    with project() as one, project(LOG_LEVEL="warning", ALLOWED_ORIGINS="*") as two:
        assert one.post("to one").status_code == 201
        assert (one.comments(), two.comments()) == (["to one"], [])
        assert inspect(one.container("web"), "Image") == inspect(two.container("web"), "Image")


@pytest.mark.container
def test_a_copy_of_the_example_starts_and_what_is_for_local_use_stays_out(image: str, tmp_path: Path) -> None:
    local = "DATABASE_URL=postgresql://nowhere/nothing\nHOST=127.0.0.1\n"
    (tmp_path / ".env").write_text((ROOT / ".env.example").read_text() + local)
    with project(env_file=str(tmp_path / ".env")) as running:
        assert running.post("Hello").status_code == 201

"""README.md: its examples are true, and it names every route and every file."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT
from processes import GUNICORN, environment, serving

from app import create_app
from config import Config
from db import CommentDatabase

README = (ROOT / "README.md").read_text()


def test_only_two_files_import_psycopg2_and_comment_imports_neither_flask_nor_sql() -> None:
    for path in ROOT.glob("*.py"):
        imported = re.findall(r"^\s*(?:from|import) (\w+)", path.read_text(), re.MULTILINE)
        assert ("psycopg2" in imported) == (path.name in ("connections.py", "db.py")), path
        assert path.name != "comment.py" or not {"flask", "connections", "db", "app", "config"} & set(imported)


def test_every_route_is_in_the_readme() -> None:
    for rule in create_app(Config(), CommentDatabase("postgresql:///x")).url_map.iter_rules():
        path = rule.rule.replace("<comment_id>", "ID")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            assert f"| `{method} {path}` |" in README


def test_every_file_of_the_program_is_in_the_readme() -> None:
    for path in ROOT.glob("*.py"):
        assert f"[{path.name}]({path.name})" in README


def examples() -> list[tuple[str, str]]:
    """The commands of the console blocks, each with what it prints."""
    blocks = re.findall(r"^```console\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return re.findall(r"^\$ (.*)\n([^$]*)", "".join(blocks), re.MULTILINE)


def without_times(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", "TIME", text)


@pytest.mark.skipif(not shutil.which("curl"), reason="the examples need curl")
def test_the_examples_of_the_readme(database_url: str, tmp_path: Path) -> None:
    assert len(examples()) >= 7
    with serving(GUNICORN, DATABASE_URL=database_url) as server:
        for command, expected in examples():
            command = command.replace("localhost:5000", server.url.removeprefix("http://"))
            done = subprocess.run(
                ["bash", "-c", command], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
            )
            assert without_times(done.stdout) == without_times(expected), command

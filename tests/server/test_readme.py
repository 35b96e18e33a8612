"""README.md: its examples are true, and it names every route and every room."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from app import ROUTES

from support.processes import GUNICORN, ROOT, environment, serving
from support.program import program

README = (ROOT / "README.md").read_text()


def test_every_route_is_in_the_readme() -> None:
    for route in ROUTES:
        assert f"| `{route.method} {re.sub('<(.*?)>', lambda found: found[1].upper(), route.path)}` |" in README


def test_every_room_of_the_program_is_in_the_readme() -> None:
    rooms = {path.relative_to(ROOT).parts[0] for path in program()}
    assert {"app.py", "web"} < rooms
    for room in rooms:
        assert f"[{room}{'' if room.endswith('.py') else '/'}]({room})" in README


@pytest.mark.parametrize(
    "path", sorted((ROOT / "tests" / "twelve_factors").glob("test_*.py")), ids=lambda path: path.stem
)
def test_the_readme_says_which_proofs_of_a_factor_need_docker(path: Path) -> None:
    source = path.read_text()
    proofs, in_containers = source.count("\ndef test_"), source.count("\n@pytest.mark.container\n")
    of_the_whole_file = "\npytestmark = pytest.mark.container\n" in source
    needed = "all" if of_the_whole_file or in_containers == proofs else "some" if in_containers else "none"
    name = f"[{path.name}](tests/twelve_factors/{path.name})"
    assert f"| {name} | {needed} |" in README


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

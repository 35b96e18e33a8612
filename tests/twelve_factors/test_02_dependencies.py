"""II. Dependencies: explicitly declared and isolated (https://12factor.net/dependencies)."""

import json
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from support.containers import in_image
from support.processes import PYTHON, ROOT, run
from support.program import EMBEDDED, imports, program

PIPFILE = tomllib.loads((ROOT / "Pipfile").read_text())
LOCK = json.loads((ROOT / "Pipfile.lock").read_text())


def foreign(path: Path) -> set[str]:
    """The packages of an index that a file imports from."""
    own = {found.relative_to(ROOT).parts[0].removesuffix(".py") for found in program()}
    packages = packages_distributions()
    names = set(imports(path)) - own - sys.stdlib_module_names
    return {packages[name][0].lower() for name in names}


def test_every_import_is_declared() -> None:
    assert {name for path in program() for name in foreign(path)} <= PIPFILE["packages"].keys()
    assert foreign(EMBEDDED) <= PIPFILE["packages"].keys() | PIPFILE["dev-packages"].keys()


def test_the_lock_is_fresh() -> None:
    done = run([PYTHON, "-m", "pipenv", "verify"])
    assert done.returncode == 0, done.stderr


def test_no_index_is_named() -> None:
    assert "source" not in PIPFILE
    assert LOCK["_meta"]["sources"] == []


def test_no_tool_of_the_system_is_called() -> None:
    for path in program():
        assert "subprocess" not in set(imports(path)), path
        assert "os.system" not in path.read_text(), path


INSTALLED = """
import json, re
from importlib.metadata import distributions
found = distributions(path=["/venv/lib/python3.13/site-packages"])
print(json.dumps({re.sub("[._]", "-", found.name.lower()): "==" + found.version for found in found}))
"""


@pytest.mark.container
def test_the_image_has_the_packages_of_the_lock_and_no_others(image: str) -> None:
    expected = {name.replace(".", "-"): package["version"] for name, package in LOCK["default"].items()}
    assert json.loads(in_image(image, INSTALLED)) == expected

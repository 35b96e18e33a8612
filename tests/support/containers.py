"""The service in containers: the image built from this checkout, and Compose projects of it."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from support.processes import PATIENCE, free_port, wait_for

ROOT = Path(__file__).parents[2]

# The image of this checkout. Each project has a name for it of its own, as docker-compose.yml wants it.
IMAGE = "comments-test"

# The Compose file that adds the proxy.
PROXY = "deploy/docker-compose.proxy.yml"

# How long building an image or starting a project may take, in seconds.
CONTAINER_PATIENCE = 300


def quick(*services: str) -> str:
    """A Compose file in which the health of these services is looked at each second, so that a test waits less."""
    often = {"healthcheck": {"interval": "1s", "retries": 60}}
    return json.dumps({"services": dict.fromkeys(services, often)})


def docker(*arguments: str, check: bool = True, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run docker in the checkout, with nothing of the developer's own configuration but how to reach Docker."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(("DOCKER_", "PATH", "HOME"))}
    done = subprocess.run(
        ["docker", *arguments],
        cwd=ROOT,
        env=kept | variables,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=CONTAINER_PATIENCE,
        check=False,
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@dataclass
class Project:
    """A Compose project: the service, its PostgreSQL, and the port on which it is published."""

    name: str
    variables: dict[str, str]
    files: tuple[str, ...] = ("docker-compose.yml",)
    env_file: str = os.devnull  # no .env of a developer's
    http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.variables['PORT']}", timeout=PATIENCE)

    def compose(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        options = ["compose", "--project-name", self.name, "--env-file", self.env_file]
        options += [f"--file={name}" for name in (*self.files, "-")]
        services = ("web", "proxy") if PROXY in self.files else ("web",)
        return docker(*options, *arguments, check=check, stdin=quick(*services), **self.variables)

    def up(self, *options: str) -> None:
        self.compose("up", "--detach", "--wait", *options)

    def containers(self, service: str) -> list[str]:
        return self.compose("ps", "--all", "--quiet", service).stdout.split()

    def container(self, service: str) -> str:
        [found] = self.containers(service)
        return found

    def post(self, comment: str, **headers: str) -> httpx.Response:
        return self.http.post("/comments", json={"name": "Ada", "comment": comment}, headers=headers)

    def comments(self) -> list[str]:
        return [comment["comment"] for comment in self.http.get("/comments?limit=200").json()["comments"]]

    def is_ready(self) -> bool:
        return is_ready(self.http)


def is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def project(
    *options: str, files: tuple[str, ...] = Project.files, env_file: str = Project.env_file, **variables: str
) -> Iterator[Project]:
    """`docker compose up` with these options under a name of its own, and down with all it has stored."""
    port = free_port()
    running = Project(f"comments-test-{port}", {"PORT": str(port), **variables}, files, env_file)
    docker("tag", IMAGE, running.name)
    try:
        running.up(*options)
        yield running
    finally:
        running.http.close()
        running.compose("down", "--volumes", "--timeout", "15")
        docker("rmi", running.name)


def inspect(container_or_image: str, what: str) -> object:
    """A part of what `docker inspect` says."""
    return json.loads(docker("inspect", "--format", f"{{{{json .{what}}}}}", container_or_image).stdout)


def in_image(image: str, script: str) -> str:
    """What a Python script prints in the image; nothing of the service is started."""
    return docker("run", "--rm", "--network", "none", image, "python", "-c", script).stdout


@contextmanager
def container(image: str, *options: str, command: tuple[str, ...] = ()) -> Iterator[str]:
    """A container of the image, in the background; its id."""
    found = docker("run", "--detach", *options, image, *command).stdout.strip()
    try:
        yield found
    finally:
        docker("rm", "--force", found)


def wait_until_ready(running: Project) -> None:
    wait_for(running.is_ready, "the service to be ready")


def is_there() -> bool:
    """Whether Docker can be used here."""
    try:
        return docker("version", check=False).returncode == 0
    except FileNotFoundError:
        return False

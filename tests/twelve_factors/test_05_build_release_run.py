"""V. Build, release, run: strictly separate stages (https://12factor.net/build-release-run)."""

from dataclasses import replace
from pathlib import Path

import pytest

from support.containers import IMAGE, Project, docker, inspect, project, wait_until_ready
from support.processes import FLASK, run, serving, wait_for

READY = ("python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:5000/readyz')")

# Prints the origin that may read an answer to a page of the origin of argv.
ALLOWED = """
import sys, urllib.request
request = urllib.request.Request("http://127.0.0.1:5000/comments", headers={"Origin": sys.argv[1]})
print(urllib.request.urlopen(request).headers["Access-Control-Allow-Origin"])
"""


@pytest.mark.container
def test_the_web_process_writes_to_no_disk(deployed: Project) -> None:
    assert deployed.post("Hello").status_code == 201
    web = deployed.container("web")
    assert inspect(web, "HostConfig.ReadonlyRootfs") is True
    assert docker("diff", web).stdout == ""


@pytest.mark.container
def test_a_build_is_named_by_its_commit(image: str, revision: str) -> None:
    assert inspect(f"{IMAGE}:{revision}", "Id") == image
    assert inspect(image, "Config.Labels")["org.opencontainers.image.revision"] == revision  # type: ignore[index]


@pytest.mark.container
def test_a_release_is_a_build_and_a_configuration(deployed: Project, image: str) -> None:
    """One build and two configurations are two releases, side by side."""
    one, two = "https://one.example", "https://two.example"
    runs = [start_release(deployed, one), start_release(deployed, two)]
    try:
        assert [inspect(started, "Image") for started in runs] == [image, image]
        assert [allowed_origin(started, one) for started in runs] == [one, "None"]
        assert [allowed_origin(started, two) for started in runs] == ["None", two]
    finally:
        docker("rm", "--force", *runs)


def start_release(deployed: Project, origin: str) -> str:
    """Run one more `web` container, with this ALLOWED_ORIGINS; its id."""
    release = replace(deployed, variables=deployed.variables | {"ALLOWED_ORIGINS": origin})
    [started] = release.compose("run", "--detach", "--no-deps", "web").stdout.split()
    wait_for(lambda: docker("exec", started, *READY, check=False).returncode == 0, "the release to be ready")
    return started


def allowed_origin(started: str, origin: str) -> str:
    """What a container answers to a page of the origin."""
    return docker("exec", started, "python", "-c", ALLOWED, origin).stdout.strip()


@pytest.mark.container
def test_what_runs_cannot_be_changed_in_place(deployed: Project) -> None:
    """Not even by root, in the container."""
    change = ("exec", "--user=0", "--no-TTY", "web", "sh", "-c", "echo 'raise SystemExit' > /app/app.py")
    done = deployed.compose(*change, check=False)
    assert done.returncode != 0
    assert "Read-only file system" in done.stderr


@pytest.mark.container
def test_migrating_is_a_step_of_its_own_and_a_roll_back_works(image: str, tmp_path: Path) -> None:
    """A newer release adds a column; the release before it goes on, and starts again, on the newer schema."""
    (tmp_path / "9999_stars.sql").write_text("ALTER TABLE comments ADD COLUMN stars int NOT NULL DEFAULT 0;")
    mount = f"{tmp_path}/9999_stars.sql:/app/migrations/9999_stars.sql:ro"
    with project() as running:
        assert running.post("before").status_code == 201
        running.compose("run", "--rm", "--volume", mount, "migrate")
        assert running.post("meanwhile").status_code == 201
        running.compose("up", "--detach", "--wait", "--force-recreate", "web")
        wait_until_ready(running)
        assert running.post("after").status_code == 201
        assert running.comments() == ["before", "meanwhile", "after"]


def test_a_new_release_waits_for_its_migration(own_database_url: str, checkout: Path) -> None:
    """It needs a column that the schema does not have yet. It says so, and goes on by itself when it has it."""
    (checkout / "migrations/9999_stars.sql").write_text("ALTER TABLE comments ADD COLUMN stars int NOT NULL DEFAULT 0;")
    for file, column, with_stars in (
        ("statements.py", 'COLUMNS = f"id, name,', 'COLUMNS = f"id, name || left(stars::text, 0),'),
        ("inserts.py", 'DECIDED = f"id,', 'DECIDED = f"id + 0 * stars,'),
    ):
        code = (checkout / file).read_text()
        (checkout / file).write_text(code.replace(column, with_stars))
    calls = [("GET", "/readyz"), ("GET", "/comments"), ("GET", "/comments/1"), ("POST", "/comments")]
    comment = {"name": "Ada", "comment": "Hello"}
    with serving(cwd=checkout, DATABASE_URL=own_database_url) as server:
        for method, path in calls:
            answer = server.http.request(method, path, json=comment)
            assert (answer.status_code, "run `flask migrate`" in answer.json()["error"]) == (503, True), path
        assert run([*FLASK, "migrate"], checkout, DATABASE_URL=own_database_url).returncode == 0
        assert server.post(**comment).status_code == 201
        for _, path in calls:
            assert server.http.get(path).status_code == 200

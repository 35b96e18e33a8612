"""V. Build, release, run: strictly separate stages (https://12factor.net/build-release-run)."""

from pathlib import Path

import pytest

from support.containers import Project, docker, inspect, project, wait_until_ready
from support.processes import FLASK, run, serving

GRANTS = """
CREATE ROLE server LOGIN PASSWORD 'server';
GRANT SELECT, INSERT, DELETE ON ALL TABLES IN SCHEMA public TO server;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO server;
"""


@pytest.mark.container
def test_the_web_process_writes_to_no_disk(deployed: Project) -> None:
    assert deployed.post("Hello").status_code == 201
    web = deployed.container("web")
    assert inspect(web, "HostConfig.ReadonlyRootfs") is True
    assert docker("diff", web).stdout == ""


@pytest.mark.container
def test_the_web_process_needs_no_right_to_alter_the_schema(deployed: Project) -> None:
    deployed.compose("exec", "db", "psql", "--username=comments", "--set=ON_ERROR_STOP=1", f"--command={GRANTS}")
    url = "postgresql://server:server@db/comments"
    script = (
        "from app import create_app; client = create_app().test_client();"
        "print(client.get('/readyz').status_code, client.get('/comments').status_code,"
        " client.post('/comments', json={'name': 'Ada', 'comment': 'Hello'}).status_code)"
    )
    options = (
        "--rm",
        "--no-deps",
        "--env",
        f"DATABASE_URL={url}",
        "--env",
        "PGPASSWORD=server",
        "--env",
        "LOG_LEVEL=error",
    )
    done = deployed.compose("run", *options, "web", "python", "-c", script)
    assert done.stdout.split() == ["200", "200", "201"]


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
    code = (checkout / "db.py").read_text()
    (checkout / "db.py").write_text(code.replace('"id, name, comment', '"id, name || left(stars::text, 0), comment'))
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

"""docker-compose.yml: what it publishes, who reaches the database, and what of a former release it keeps."""

import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.containers import Project, docker, inspect, project, wait_until_ready
from support.processes import wait_for

pytestmark = pytest.mark.container

FILES = ("docker-compose.yml", "deploy/docker-compose.proxy.yml")

PSQL = ("exec", "--no-TTY", "db", "psql", "--username=comments", "--tuples-only", "--no-align", "--command")

# Prints the SQLSTATE of each statement of argv.
RUN = """
import os, psycopg2, sys
for statement in sys.argv[1:]:
    connection = psycopg2.connect(os.environ["DATABASE_URL"])
    try:
        connection.cursor().execute(statement)
        print("00000")
    except psycopg2.Error as error:
        print(error.pgcode)
"""

# What only a superuser may do.
BREAK_OUT = (
    "COPY comments FROM PROGRAM 'id'",
    "COPY comments TO '/tmp/comments'",
    "SELECT pg_read_file('/etc/passwd')",
    "CREATE ROLE another",
    "SET ROLE comments",
    "ALTER ROLE comments_owner SUPERUSER",
)

# What only the owner of the schema may do.
ALTER = (
    "CREATE TABLE another ()",
    "CREATE TEMPORARY TABLE another ()",
    "CREATE SCHEMA another",
    "ALTER TABLE comments ADD COLUMN stars int",
    "TRUNCATE comments",
    "DROP TABLE comments",
    "SET ROLE comments_owner",
)

# A release in which `web` was a superuser, with a password, over the network.
FORMER = """
services:
  db:
    image: postgres:18
    environment: {POSTGRES_USER: comments, POSTGRES_PASSWORD: comments}
    volumes: ["db:/var/lib/postgresql"]
    healthcheck: {test: [CMD, pg_isready, --host=127.0.0.1, --username=comments], interval: 1s, retries: 60}
  web:
    image: $COMPOSE_PROJECT_NAME
    command: [sh, -c, flask migrate && gunicorn]
    environment: {DATABASE_URL: postgresql://comments@db/comments, PGPASSWORD: comments}
    ports: ["127.0.0.1:$PORT:5000"]
    healthcheck: {test: [CMD, python, -c, "import urllib.request as u; u.urlopen('http://127.0.0.1:5000/readyz')"]}
    depends_on: {db: {condition: service_healthy}}
volumes: {db: {}}
"""

FORBIDDEN = "42501"


def sqlstates(running: Project, service: str, statements: tuple[str, ...]) -> list[str]:
    options = ("--rm", "--no-TTY", "--no-deps", service)
    return running.compose("run", *options, "python", "-c", RUN, *statements).stdout.split()


def configuration(project_name: str = "", **variables: str) -> dict[str, Any]:
    """What Compose makes of both files."""
    files = [f"--file={name}" for name in FILES]
    options = ("--env-file", os.devnull, *files, "config", "--format", "json")
    variables["COMPOSE_PROJECT_NAME"] = project_name
    return dict(json.loads(docker("compose", *options, check=True, stdin="", **variables).stdout))


def test_only_this_machine_reaches_the_port(deployed: Project) -> None:
    published = docker("port", deployed.container("web")).stdout
    assert published == f"5000/tcp -> 127.0.0.1:{deployed.variables['PORT']}\n"


def test_the_database_has_no_network(deployed: Project) -> None:
    [network] = dict(inspect(deployed.container("db"), "NetworkSettings.Networks")).values()  # type: ignore[call-overload]
    assert network["IPAddress"] == ""
    assert inspect(deployed.container("db"), "HostConfig.NetworkMode") == "none"


def test_another_user_of_the_machine_does_not_reach_its_socket(deployed: Project) -> None:
    directory = Path(str(inspect_volume(deployed, "Mountpoint")))
    nobody = 65534 if os.geteuid() == 0 else None
    done = subprocess.run(["ls", directory], user=nobody, capture_output=True, text=True, check=False)
    assert (done.stdout, "Permission denied" in done.stderr) == ("", True)


@pytest.mark.parametrize("user", ["33", "10001", "10002"])
@pytest.mark.parametrize("role", ["comments", "comments_owner", "comments_web"])
def test_a_user_who_reaches_the_socket_has_its_own_role_and_no_other(deployed: Project, user: str, role: str) -> None:
    own = {"10001": "comments_web", "10002": "comments_owner"}
    mount = f"--volume={deployed.name}_socket:/var/run/postgresql:ro"
    psql = ("psql", "--host=/var/run/postgresql", f"--username={role}", "--dbname=comments", "--command=SELECT 1")
    done = docker("run", "--rm", "--network=none", f"--user={user}", mount, "postgres:18", *psql, check=False)
    assert (done.returncode == 0) == (own.get(user) == role)
    assert ("Peer authentication failed" in done.stderr) == (own.get(user) != role)


def test_no_password_opens_the_database(deployed: Project) -> None:
    assert "PASSWORD" not in json.dumps(inspect(deployed.container("web"), "Config.Env"))
    login = ("exec", "--no-TTY", "--env=PGPASSWORD=comments", "db", "psql", "--host=127.0.0.1", "--username=comments")
    assert "password authentication failed" in deployed.compose(*login, check=False).stderr


def test_the_serving_role_reads_and_writes_rows_and_does_nothing_else(deployed: Project) -> None:
    allowed = (
        "SELECT FROM comments",
        "INSERT INTO comments (name, comment) VALUES ('Ada', 'Hello')",
        "UPDATE comments SET name = 'Grace'",
        "DELETE FROM comments",
    )
    assert sqlstates(deployed, "web", allowed) == ["00000"] * len(allowed)
    assert sqlstates(deployed, "web", ALTER + BREAK_OUT) == [FORBIDDEN] * len(ALTER + BREAK_OUT)


def test_the_migrating_role_owns_the_schema_and_is_no_superuser(deployed: Project) -> None:
    assert sqlstates(deployed, "migrate", ALTER[:-1]) == ["00000"] * len(ALTER[:-1])  # without a COMMIT
    assert sqlstates(deployed, "migrate", BREAK_OUT) == [FORBIDDEN] * len(BREAK_OUT)


def test_a_bad_value_is_said_in_one_line_before_the_service_starts(deployed: Project) -> None:
    wrong = replace(deployed, variables=deployed.variables | {"MAX_LINKS": "abc"})
    done = wrong.compose("run", "--rm", "--no-TTY", "--no-deps", "migrate", check=False)
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if line.startswith("MAX_LINKS must be")]
    assert "Traceback" not in done.stderr


def test_every_setting_reaches_the_migration_and_the_service() -> None:
    example = (Path(__file__).parents[2] / ".env.example").read_text()
    local = {"DATABASE_URL", "PGPASSWORD", "HOST", "PORT"}
    given = dict.fromkeys(set(re.findall(r"^# ([A-Z_]+)=", example, re.MULTILINE)) - local, "given")
    assert len(given) > 10
    services = configuration(**given)["services"]
    for service in ("migrate", "web"):
        environment = services[service]["environment"]
        assert {name: environment.get(name) for name in given} == given


def test_a_hundred_processes_fit_into_a_container(image: str) -> None:
    with project(WEB_CONCURRENCY="100", DATABASE_CONNECTIONS="1") as running:
        web = running.container("web")
        wait_for(lambda: "Ready." in docker("logs", web).stdout, "the last process to be up")
        assert docker("top", web).stdout.count("/venv/bin/gunicorn") == 1 + 100
        assert running.post("Hello").status_code == 201
        assert "signal" not in docker("logs", web).stdout, "no process was killed, and replaced"


def test_the_data_of_a_release_with_passwords_and_a_superuser_is_kept(image: str, tmp_path: Path) -> None:
    (tmp_path / "former.yml").write_text(FORMER)
    with project(files=(str(tmp_path / "former.yml"),)) as running:
        wait_until_ready(running)
        stored = running.post("before").json()
        running.files = Project.files
        running.up()
        assert running.http.get(f"/comments/{stored['id']}").json() == stored
        assert running.post("after").status_code == 201
        assert sqlstates(running, "web", ALTER + BREAK_OUT) == [FORBIDDEN] * len(ALTER + BREAK_OUT)
        assert sqlstates(running, "migrate", ALTER[:-1]) == ["00000"] * len(ALTER[:-1])


def test_every_log_has_a_limit() -> None:
    services = configuration()["services"]
    assert {"db", "roles", "migrate", "web", "proxy"} == services.keys()
    for service in services.values():
        assert service["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}}


def test_the_name_of_the_project_names_its_data_and_its_image_whatever_the_directory_is_called() -> None:
    for project_name, name in (("", "comments"), ("another", "another")):
        found = configuration(project_name)
        assert found["name"] == name
        assert found["volumes"]["db"]["name"] == f"{name}_db"
        assert {found["services"][service]["image"] for service in ("migrate", "web")} == {name}


def inspect_volume(running: Project, what: str) -> object:
    return json.loads(docker("volume", "inspect", "--format", f"{{{{json .{what}}}}}", f"{running.name}_socket").stdout)

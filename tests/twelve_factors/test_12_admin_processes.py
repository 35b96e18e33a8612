"""XII. Admin processes: run as one-off processes in the same image (https://12factor.net/admin-processes)."""

import re

import pytest

from support.containers import Project

pytestmark = pytest.mark.container

RUN = ("run", "--rm", "web")
MIGRATE = ("run", "--rm", "migrate")


def test_they_run_in_the_same_image_with_the_same_configuration(deployed: Project) -> None:
    assert deployed.compose(*MIGRATE).stdout == "The schema is up to date.\n"
    status = deployed.compose(*RUN, "flask", "migrate", "--status").stdout
    assert re.fullmatch(r"(\d{4}_\w+  20\d\d-.*\n)+", status)


def test_a_comment_is_deleted_beside_the_running_service(deployed: Project) -> None:
    stored = deployed.post("Goodbye").json()
    assert deployed.compose(*RUN, "flask", "delete-comment", str(stored["id"])).returncode == 0
    assert deployed.http.get(f"/comments/{stored['id']}").status_code == 404
    done = deployed.compose(*RUN, "flask", "delete-comment", str(stored["id"]), check=False)
    assert (done.returncode, f"There is no comment {stored['id']}." in done.stderr) == (1, True)

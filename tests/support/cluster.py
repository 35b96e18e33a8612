"""A PostgreSQL of a test's own, to be killed, stopped and starved."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from postgres import embedded

from support.postgres import sql
from support.processes import FLASK, ROOT, free_port, run


@dataclass
class Cluster:
    """A server on a port of 127.0.0.1, with the database of the service, and its role, which is no superuser."""

    directory: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql://comments@127.0.0.1:{self.port}/comments"

    def admin(self, statement: str, database: str = "comments") -> list[tuple[object, ...]]:
        return sql(f"postgresql://postgres@127.0.0.1:{self.port}/{database}", statement)

    def configure(self, **settings: str) -> None:
        with (self.directory / "postgresql.conf").open("a") as configuration:
            configuration.writelines(f"{name} = {value}\n" for name, value in settings.items())

    def start(self) -> None:
        (self.directory / "postmaster.pid").unlink(missing_ok=True)  # of one that was killed
        self.pg_ctl("start", "-l", str(self.directory / "log"))

    def stop(self) -> None:
        if embedded._is_running(self.directory):
            self.pg_ctl("stop", "-m", "immediate")

    def pg_ctl(self, *arguments: str) -> None:
        embedded.run_program("pg_ctl", self.directory, "-w", *arguments)

    def processes(self) -> list[psutil.Process]:
        """The postmaster, and then its children."""
        postmaster = psutil.Process(int((self.directory / "postmaster.pid").read_text().split()[0]))
        return [postmaster, *postmaster.children()]

    def signal(self, number: signal.Signals) -> None:
        """To the postmaster first, so that it makes no new child meanwhile."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):  # it ended by itself meanwhile
                process.send_signal(number)

    def kill(self) -> None:
        """`kill -9` of every process."""
        processes = self.processes()
        self.signal(signal.SIGKILL)
        psutil.wait_procs(processes, timeout=10)


@contextmanager
def a_directory(parent: Path | None = None) -> Iterator[Path]:
    """An empty one for a server's data."""
    home = Path(tempfile.mkdtemp(prefix="comments-faults-", dir=parent))
    embedded.hand_over(home)
    yield home
    shutil.rmtree(home)


@contextmanager
def cluster(parent: Path | None = None, release: Path = ROOT, **settings: str) -> Iterator[Cluster]:
    """One with these settings, migrated by a release, in a directory of its own (below `parent`)."""
    with a_directory(parent) as home:
        found = Cluster(home, free_port())
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--username=postgres"]
        embedded.run_program("initdb", home, *options)
        found.configure(port=str(found.port), unix_socket_directories="''", max_connections="40", **settings)
        found.start()
        try:
            found.admin("CREATE ROLE comments LOGIN", "postgres")
            found.admin("CREATE DATABASE comments OWNER comments", "postgres")
            assert run([*FLASK, "migrate"], release, DATABASE_URL=found.url).returncode == 0
            yield found
        finally:
            found.stop()

"""The service's own processes fail, or are replaced, under the load of 64 clients."""

import signal
import socket

import psutil

from support.cluster import cluster
from support.load import Load, check, loaded
from support.processes import serving, wait_for


def workers(load: Load) -> set[int]:
    return {child.pid for child in psutil.Process(load.server.process.pid).children()}


def wait_for_workers(load: Load, before: set[int], *, kept: int) -> None:
    """Wait until there are two again, of which so many were there before."""
    wait_for(lambda: len(workers(load)) == 2 and len(workers(load) & before) == kept, "new workers")


def test_the_kill_of_a_worker_costs_only_what_it_was_at() -> None:
    with cluster() as postgresql:
        with loaded(postgresql.url) as load:
            for _ in range(3):
                before = workers(load)
                killed = min(before)
                psutil.Process(killed).kill()
                load.wait_for_many(201)
                wait_for_workers(load, before, kept=1)
            load.end_fault()
        report = load.report("`kill -9` of a worker, three times", postgresql.url)
    check(report)
    assert {answer.status for answer in load.answers} <= {200, 201, None}
    assert report.broken <= 3 * 2 * 64


def test_the_kill_of_the_master_leaves_no_orphan_on_the_port() -> None:
    with cluster() as postgresql:
        with loaded(postgresql.url) as load:
            orphans = [psutil.Process(pid) for pid in workers(load)]
            load.server.process.kill()
            _, alive = psutil.wait_procs(orphans, timeout=30)
            assert alive == []
            port = int(load.server.url.rpartition(":")[2])
            with socket.socket() as free:
                free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                free.bind(("127.0.0.1", port))
            with serving(port=port, PORT=port, DATABASE_URL=postgresql.url, LOG_LEVEL="error"):
                load.end_fault()
                load.stop()
        check(load.report("`kill -9` of the master, and a new start", postgresql.url))


def test_a_reload_fails_nobody() -> None:
    """Whose every request is on a new connection."""
    with cluster() as postgresql:
        with loaded(postgresql.url) as load:
            for _ in range(3):
                before = workers(load)
                load.server.process.send_signal(signal.SIGHUP)
                wait_for_workers(load, before, kept=0)
                load.wait_for_many(201)
            load.end_fault()
        report = load.report("reload (SIGHUP), three times", postgresql.url)
    check(report)
    assert {answer.status for answer in load.answers} == {200, 201}

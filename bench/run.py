"""Measures the service beside its peers and its limits, in one run, and writes bench/RESULTS.md and bench/results.svg.

Every contender answers the same calls with two processes, from the same PostgreSQL and the same table (but other
comment systems: by calls of their own, from their own tables); the answers are compared before anything is timed.
Rounds are interleaved: in each, all have their turns at every workload. What is reported is the median of the ratios
within a round, with the least and the greatest. `make bench` and `make bench-full` run it.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
from contenders import (
    BEFORE,
    BENCH,
    COMMENTS,
    FASTAPI,
    FLASK,
    READ,
    STARLETTE,
    THEIRS,
    UNKEPT,
    WRITTEN,
    Contender,
    compare,
    fill_system,
    free_port,
    ours,
    peers,
    release_before,
)
from report import Results, bars, markdown
from texts import SEEDS
from turns import CLIENTS, Round, one_round, turn

from markup import render
from postgres import embedded
from postgres.migrations import migrate

ROWS = 100_000
SIZES = (1_000, 100_000, 1_000_000)  # rows
ROUNDS = 5
STARTS = 3  # of each contender


@contextmanager
def postgresql() -> Iterator[tuple[str, Path]]:
    """A server of the run's own, with the service's schema: its URL, and a directory.

    It is as initdb configures it, but for the number of connections: all contenders keep theirs, besides pgbench's.
    """
    home = Path(tempfile.mkdtemp(prefix="comments-bench-"))
    home.chmod(0o755)  # as root, PostgreSQL runs as another user
    try:
        sql(embedded.start(home / "postgres"), "ALTER SYSTEM SET max_connections = 200")
        embedded.stop(home / "postgres")
        yield embedded.start(home / "postgres"), home
    finally:
        embedded.stop(home / "postgres")
        shutil.rmtree(home)


def sql(database_url: str, statement: str, values: Sequence[object] | None = None) -> None:
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(statement, values)


def server_version(database_url: str) -> str:
    with closing(psycopg2.connect(database_url)) as connection:
        return str(connection.info.parameter_status("server_version"))


def fill(database_url: str, rows: int) -> None:
    """A thread of 100 comments, and the other rows in threads of as many.

    Every third comment replies to the one before it, and of twenty one was edited.
    """
    sql(
        database_url,
        "INSERT INTO comments (id, thread, name, comment, html, parent_id, edited_at)"
        " SELECT n, CASE WHEN n <= 100 THEN %s ELSE '/post/' || (n - 1) / 100 END, 'Ada Lovelace',"
        " (%s)[mod(n, %s) + 1], (%s)[mod(n, %s) + 1],"
        " CASE WHEN mod(mod(n, 100), 3) = 2 THEN n - 1 END, CASE WHEN mod(n, 20) = 0 THEN now() END"
        f" FROM generate_series(1, {rows}) n",
        (READ, list(SEEDS), len(SEEDS), [render(text) for text in SEEDS], len(SEEDS)),
    )
    sql(database_url, f"SELECT setval('comments_id_seq', {rows})")
    sql(database_url, "VACUUM ANALYZE comments")


def forget(database_url: str) -> None:
    """Delete what a round has written."""
    sql(database_url, f"DELETE FROM comments WHERE thread = '{WRITTEN}'")
    sql(database_url, "VACUUM ANALYZE comments")


def forget_xtd(database_url: str) -> None:
    """The same in the tables of django-comments-xtd, whose second page is the one that is written to."""
    written = "(SELECT id FROM django_comments WHERE object_pk = '2')"
    sql(database_url, f"DELETE FROM django_comments_xtd_xtdcomment WHERE comment_ptr_id IN {written}")
    sql(database_url, "DELETE FROM django_comments WHERE object_pk = '2'")
    sql(database_url, "VACUUM ANALYZE django_comments, django_comments_xtd_xtdcomment")


def start(contenders: list[Contender]) -> dict[str, list[float]]:
    """Start them all; the seconds that each has taken, several times."""
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for number in range(STARTS):
        for contender in contenders:
            contender.stop()
            seconds[contender.name].append(contender.start())
            if contender.calls and number == 0:
                fill_system(contender)
    return seconds


def measure(database_url: str, contenders: list[Contender], clients: int) -> list[Round]:
    done = []
    for number in range(ROUNDS):
        print(f"{clients} clients, round {number + 1} of {ROUNDS}", file=sys.stderr)
        done.append(one_round(database_url, contenders, clients))
        forget(database_url)
        forget_xtd(database_url)
    return done


def measure_memory(contenders: list[Contender]) -> dict[str, float]:
    """The bytes of each, with nobody else who runs, after a turn at each of its workloads."""
    found = {}
    for contender in contenders:
        contender.start()
        for workload in contender.workloads:
            turn(contender, workload, CLIENTS)
        found[contender.name] = float(contender.memory())
        contender.stop()
    return found


def measure_sizes(database_url: str) -> list[Round]:
    """The service on databases of several sizes, in the place of contenders, and reading each page."""
    urls = {f"{rows:,}": urlsplit(database_url)._replace(path=f"/rows_{rows}").geturl() for rows in SIZES}
    sized = [ours(size, free_port(), url, PAGE_CACHE="off") for size, url in urls.items()]
    for rows, url in zip(SIZES, urls.values(), strict=True):
        sql(database_url, f"CREATE DATABASE rows_{rows}")
        migrate(url)
        fill(url, rows)
    with running(sized):
        done: list[Round] = []
        for number in range(ROUNDS):
            print(f"{', '.join(urls)} rows, round {number + 1} of {ROUNDS}", file=sys.stderr)
            order = random.sample(sized, len(sized))
            turns = {work: {each.name: turn(each, work, CLIENTS) for each in order} for work in ("GET", "POST")}
            done.append({work: {size: turns[work][size] for size in urls} for work in turns})
            for url in urls.values():
                forget(url)
    return done


@contextmanager
def running(contenders: list[Contender]) -> Iterator[dict[str, list[float]]]:
    """Contenders that run, and the seconds that each has taken to start."""
    with ExitStack() as stack:
        for contender in contenders:
            stack.callback(contender.stop)
        yield start(contenders)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", action="store_true", help="with 1 and 64 clients too, and with 1e3, 1e5 and 1e6 rows")
    parser.add_argument("--before", metavar="REVISION", help="beside the service as it was at this revision of git")
    arguments = parser.parse_args()
    is_full = arguments.full
    with postgresql() as (database_url, home):
        fill(database_url, ROWS)
        service = [ours(COMMENTS, free_port(), database_url), ours(UNKEPT, free_port(), database_url, PAGE_CACHE="off")]
        if arguments.before:
            service.append(release_before(arguments.before, home, database_url))
        with running(service[:1]):
            page_size = len(service[0].get())
        contenders = [*service, *peers(database_url, home, page_size)]
        with running(contenders) as starts:
            compare(contenders)
            page_sizes = {each.name: len(each.get()) for each in contenders}
            rounds = {CLIENTS: measure(database_url, contenders, CLIENTS)}
            few = [each for each in contenders if each.name in (COMMENTS, UNKEPT, BEFORE, FASTAPI, STARLETTE, FLASK)]
            for clients in (1, 64) if is_full else ():
                rounds[clients] = measure(database_url, few, clients)
        memory = measure_memory(contenders)
        results = Results(
            command="make bench-full" if is_full else "make bench",
            postgresql=server_version(database_url),
            rounds=rounds,
            sizes=measure_sizes(database_url) if is_full else [],
            starts=starts,
            page_sizes=page_sizes,
            memory=memory,
        )
    (BENCH / "RESULTS.md").write_text(markdown(results))
    subprocess.run(
        [THEIRS / "python", BENCH / "plot.py", BENCH / "results.svg"],
        input=json.dumps(bars(results)),
        text=True,
        check=True,
    )


if __name__ == "__main__":
    main()

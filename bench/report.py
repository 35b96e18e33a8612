"""bench/RESULTS.md: the ratios of a run, beside the goals."""

import os
import platform
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from operator import ge, le

from contenders import BEFORE, COMMENTS, CONSTANT, FASTAPI, FLASK, ISSO, STARLETTE, UNKEPT, WITH_MARKUP, XTD
from turns import CLIENTS, LEAST_SHARE, PGBENCH, SECONDS, TRIES, WORKLOADS, Round

ORDER = (COMMENTS, UNKEPT, BEFORE, FASTAPI, STARLETTE, FLASK, ISSO, XTD, CONSTANT, PGBENCH)
METRICS = ("rate", "p50", "p99")
# The goals against the release before, with any number of clients: the workload, must, aim.
AGAINST_BEFORE = (
    ("GET", 0.95, 1.0),
    ("POST", 0.9, 1.0),
    (WITH_MARKUP, 0.8, 0.9),
    ("90/10", 0.9, 1.0),
)
TITLES = {
    "GET": "GET a page",
    "304": "GET a page that the client has: 304",
    "POST": "POST a comment",
    WITH_MARKUP: "POST a comment with markup",
    "90/10": "Nine GETs to a POST",
}


@dataclass
class Results:
    """What a run gave."""

    command: str
    postgresql: str  # its version
    rounds: dict[int, list[Round]]  # by the number of clients
    sizes: list[Round]  # of the service alone, "by contender" being by the number of rows; perhaps none
    starts: dict[str, list[float]]  # seconds until it has answered a page, by contender
    page_sizes: dict[str, int]  # bytes, by contender
    memory: dict[str, float]  # bytes, by contender


@dataclass(frozen=True)
class Spread:
    """The median of the ratios within each round, with the least and the greatest."""

    median: float
    least: float
    greatest: float

    def __str__(self) -> str:
        if self.least == self.greatest:
            return f"{self.median:.2f}"
        return f"{self.median:.2f} ({self.least:.2f} to {self.greatest:.2f})"


def spread(ratios: Iterable[float]) -> Spread:
    found = sorted(ratios)
    return Spread(statistics.median(found), found[0], found[-1])


def ratio(rounds: list[Round], over: tuple[str, str], under: tuple[str, str], metric: str = "rate") -> Spread:
    """Of two turns, each a workload and a contender, in the same round."""
    return spread(done[over[0]][over[1]][metric] / done[under[0]][under[1]][metric] for done in rounds)


def bars(results: Results) -> dict[str, dict[str, float]]:
    """For the plot: by contender and workload, the rate against FastAPI's at 16 clients."""
    rounds = results.rounds[CLIENTS]
    return {
        name: {workload: ratio(rounds, (workload, name), (workload, FASTAPI)).median for workload in ("GET", "POST")}
        for name in ORDER
        if name in rounds[0]["POST"] and name != PGBENCH
    }


def markdown(results: Results) -> str:
    rounds = results.rounds[CLIENTS]
    parts = [
        "# How fast it is, beside its peers\n",
        f"Written by `{results.command}`, and every figure is of that one run: on {os.cpu_count()} cores, which the"
        f" clients (wrk) and PostgreSQL {results.postgresql} shared with the service; Python"
        f" {platform.python_version()}; {len(rounds)} interleaved rounds of turns of {SECONDS} seconds, at {CLIENTS}"
        " clients if nothing else is said. A ratio is the median of those within each round, with the least and the"
        " greatest. What is absolute is of this machine, and no promise.\n",
        "Each has two processes, and up to six connections to PostgreSQL in each. The service runs as it ships: with"
        " request ids, deadlines, and a line in the log for each request, which goes to /dev/null. The others have no"
        " log. A page is the 100 comments of a thread, in a table of 100,000. What is written goes to another thread."
        " The service keeps pages that it knows to be unchanged ([page_cache.py](../postgres/page_cache.py)), and its"
        " requests share statements ([batches.py](../postgres/batches.py)). With `PAGE_CACHE=off` it reads a page each"
        " time, once for all requests that wait for it. FastAPI, Starlette and Flask make HTML of a comment when it is"
        " posted, with the service's two libraries. Isso has a SQLite of its own, and makes HTML when a comment is"
        " read. django-comments-xtd has tables of its own in the same PostgreSQL, with the 100 comments and no more; it"
        " makes no HTML. The release before may have fewer fields, and so a smaller page. `pgbench` runs the statements"
        f" alone, on {CLIENTS} connections. CPU seconds are those of the contender's own processes.\n",
        "The clients keep their connections, and open them all at once. Where one process took nearly all of them, and"
        f" the other one had less than {LEAST_SHARE:.0%} of the CPU time, the turn was taken again, up to {TRIES - 1}"
        " times, for every contender alike: the last column says how often.\n",
        "![Requests a second, against FastAPI](results.svg)\n",
        "## The goals\n",
        table(["", "must", "aim", "measured", ""], goals(results)),
    ]
    for workload in WORKLOADS:
        parts += [f"## {TITLES[workload]}\n", workload_table(rounds, workload)]
    parts += ["## Start, memory and size\n", process_table(results)]
    for clients in sorted(results.rounds.keys() - {CLIENTS}):
        parts += [f"## With {clients} client{'s' * (clients > 1)}\n", clients_table(results.rounds[clients])]
    if results.sizes:
        parts += ["## With more rows\n", sizes_table(results.sizes)]
    return "\n".join(parts)


def goals(results: Results) -> Iterable[list[str]]:
    rounds = results.rounds[CLIENTS]
    get, post, mixed = ("GET", COMMENTS), ("POST", COMMENTS), ("90/10", COMMENTS)

    def goal(what: str, must: float, aim: float, measured: Spread, at_most: bool = False) -> list[str]:
        reaches = le if at_most else ge
        word = (
            "reached" if reaches(measured.median, aim) else "good" if reaches(measured.median, must) else "**missed**"
        )
        sign = "≤" if at_most else "≥"
        return [what, f"{sign} {must}", f"{sign} {aim}", str(measured), word]

    if BEFORE in rounds[0]["GET"]:
        for clients in sorted(results.rounds):
            for workload, must, aim in AGAINST_BEFORE:
                measured = ratio(results.rounds[clients], (workload, COMMENTS), (workload, BEFORE))
                what = f"{workload} at {clients} client{'s' * (clients > 1)}, against the release before"
                yield goal(what, must, aim, measured)
        for clients in sorted(results.rounds):
            for workload, *_ in AGAINST_BEFORE if clients >= CLIENTS else ():
                measured = ratio(results.rounds[clients], (workload, COMMENTS), (workload, BEFORE), "p99")
                what = f"p99 of {workload} at {clients} clients, against that of the release before"
                yield goal(what, 1.25, 1.0, measured, True)
        memory = spread([results.memory[COMMENTS] / results.memory[BEFORE]])
        yield goal("memory, against the release before", 1.2, 1.0, memory, True)
    yield goal("GET page, against FastAPI + asyncpg", 2.0, 2.5, ratio(rounds, get, ("GET", FASTAPI)))
    yield goal("GET page, against Starlette + orjson + asyncpg", 1.3, 1.6, ratio(rounds, get, ("GET", STARLETTE)))
    yield goal("GET page, against the same worker with a constant", 0.33, 0.5, ratio(rounds, get, ("GET", CONSTANT)))
    yield goal("POST, against FastAPI + asyncpg", 1.0, 1.2, ratio(rounds, post, ("POST", FASTAPI)))
    yield goal("POST, against Starlette + orjson + asyncpg", 0.75, 0.9, ratio(rounds, post, ("POST", STARLETTE)))
    yield goal("POST, against pgbench's insert", 0.11, 0.17, ratio(rounds, post, ("POST", PGBENCH)))
    yield goal("90/10, against FastAPI + asyncpg", 1.6, 2.0, ratio(rounds, mixed, ("90/10", FASTAPI)))
    yield goal("90/10, against Starlette + orjson + asyncpg", 1.0, 1.3, ratio(rounds, mixed, ("90/10", STARLETTE)))
    yield goal("GET, against Isso", 50, 70, ratio(rounds, get, ("GET", ISSO)))
    for workload in ("GET", "POST") if results.sizes else ():
        least, *_, most = results.sizes[0][workload]
        measured = ratio(results.sizes, (workload, most), (workload, least))
        yield goal(f"{workload} at {most} rows, against {least}", 0.8, 0.95, measured)
    for clients in sorted(results.rounds):
        for workload in ("GET", "POST", "90/10"):
            if clients >= CLIENTS:
                measured = ratio(results.rounds[clients], (workload, COMMENTS), (workload, FASTAPI), "p99")
                yield goal(f"p99 of {workload} at {clients} clients, against FastAPI's", 0.6, 0.5, measured, True)
    memory = spread([results.memory[COMMENTS] / results.memory[FASTAPI]])
    yield goal("memory of all processes, against FastAPI's", 1.2, 0.8, memory, True)


def workload_table(rounds: list[Round], workload: str) -> str:
    yardstick = FASTAPI if FASTAPI in rounds[0][workload] else COMMENTS
    header = ["", f"rate, against {yardstick}", "requests/s", "p50, ms", "p99, ms", "CPU s for 1,000", "turns again"]
    rows = []
    for name in sorted(rounds[0][workload], key=ORDER.index):
        turns = [done[workload][name] for done in rounds]
        middle = {metric: statistics.median(turn[metric] for turn in turns) for metric in turns[0]}
        row = [name, str(ratio(rounds, (workload, name), (workload, yardstick))), f"{middle['rate']:,.0f}"]
        row += [f"{middle[metric]:.2f}" if metric in middle else "" for metric in ("p50", "p99", "cpu")]
        rows.append([*row, f"{sum(turn.get('tries', 1) - 1 for turn in turns):.0f}"])
    return table(header, rows)


def process_table(results: Results) -> str:
    header = [
        "",
        "seconds from start to a page",
        "memory alone, after a turn at each, MB",
        "against FastAPI",
        "a page, kB",
    ]
    return table(
        header,
        (
            [
                name,
                f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})",
                f"{results.memory[name] / 1e6:.0f}",
                f"{results.memory[name] / results.memory[FASTAPI]:.2f}",
                f"{results.page_sizes[name] / 1000:.0f}",
            ]
            for name, seconds in results.starts.items()
        ),
    )


def clients_table(rounds: list[Round]) -> str:
    header = ["against FastAPI", "rate", "p50", "p99"]
    return table(
        header,
        (
            [f"{workload}, {name}", *(str(ratio(rounds, (workload, name), (workload, FASTAPI), of)) for of in METRICS)]
            for workload in ("GET", "POST", WITH_MARKUP, "90/10")
            for name in ORDER
            if name in rounds[0][workload] and name not in (FASTAPI, PGBENCH)
        ),
    )


def sizes_table(rounds: list[Round]) -> str:
    least, *more = rounds[0]["GET"]
    header = [f"rate with PAGE_CACHE=off, against {least} rows", *(f"{size} rows" for size in more)]
    return table(
        header,
        ([work, *(str(ratio(rounds, (work, size), (work, least))) for size in more)] for work in ("GET", "POST")),
    )


def table(header: list[str], rows: Iterable[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)

"""What is measured: a turn of one contender at one workload, and rounds of turns."""

import json
import random
import re
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from contenders import BENCH, READ, WITH_MARKUP, WRITTEN, Contender
from texts import MARKUP, TEXT

import inserts
import statements
from markup import render
from postgres import embedded

CLIENTS = 16  # of the goals
WORKLOADS = ("GET", "304", "POST", WITH_MARKUP, "90/10")
SECONDS = 2  # of a turn
TRIES = 10  # of a turn, at most
LEAST_SHARE = 0.25  # of the second process in the CPU time

PGBENCH = "pgbench"


class Recorder:
    """In the place of a connection: it keeps the statement that is sent, with its values, and without the timeout."""

    statement = ""

    def fetch(self, statement: str, values: Sequence[object]) -> list[Any]:
        self.statement = statement % tuple(map(literal, values)) + ";"
        return []


def sent(send: Callable[[Any], object]) -> str:
    """The statement that this sends over a connection."""
    connection = Recorder()
    send(connection)
    return connection.statement


def literal(value: object) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return "NULL" if value is None else str(value)


def new_row(text: str) -> inserts.NewRow:
    return inserts.NewRow(WRITTEN, "Ada Lovelace", text, None, render(text), None, None)


# What the service sends for a request that comes alone.
STATEMENTS = {
    "GET": sent(lambda connection: statements.read_page(connection, "NULL", 100, thread=READ)),
    "POST": sent(lambda connection: inserts.insert(connection, new_row(TEXT))),
    WITH_MARKUP: sent(lambda connection: inserts.insert(connection, new_row(MARKUP))),
}

Metrics = dict[str, float]
# By workload and contender.
Round = dict[str, dict[str, Metrics]]


def turn(contender: Contender, workload: str, clients: int) -> Metrics:
    """`rate` in requests a second, `p50` and `p99` in milliseconds, `cpu` in seconds for 1,000 requests.

    The clients open their connections all at once, and now and then one process takes nearly all of them, while the
    other one has no core to run on: such a turn measures one process, and is taken again, for every contender alike.
    """
    for tries in range(1, TRIES + 1):
        metrics, share = one_turn(contender, workload, clients)
        metrics["tries"] = tries
        if share >= LEAST_SHARE or clients == 1:
            break
    return metrics


def one_turn(contender: Contender, workload: str, clients: int) -> tuple[Metrics, float]:
    """What it has measured, and which part of the CPU time the second process has used."""
    body = json.dumps(contender.body)
    arguments = {
        "GET": ["GET", contender.page, ""],
        "304": ["GET", contender.page, "", *([contender.tag()] if workload == "304" else [])],
        "POST": ["POST", contender.post, body],
        WITH_MARKUP: ["POST", contender.post, json.dumps(contender.saying(MARKUP))],
        "90/10": ["MIX", contender.page, body, contender.post],
    }[workload]
    command = ["wrk", "-t1", f"-c{clients}", f"-d{SECONDS}s", "--timeout=30s", f"-s{BENCH}/request.lua"]
    before = contender.cpu_seconds()
    done = subprocess.run([*command, contender.url(), "--", *arguments], capture_output=True, text=True, check=True)
    cpu = sorted(seconds - before.get(pid, 0) for pid, seconds in contender.cpu_seconds().items())
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["errors"] == 0, (contender.name, workload, said)
    metrics = {
        "rate": said["requests"] / said["seconds"],
        "p50": said["p50"] / 1000,
        "p99": said["p99"] / 1000,
        "cpu": sum(cpu) / said["requests"] * 1000,
    }
    return metrics, cpu[-2] / sum(cpu)


def pgbench(database_url: str, statement: str, clients: int) -> Metrics:
    """The `rate` of the statement by itself."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(statement)
        script.flush()
        command = ["pgbench", "-n", f"-c{clients}", f"-T{SECONDS}", f"-f{script.name}", database_url]
        program = embedded.POSTGRES_BIN_PATH / "pgbench"  # type: ignore[attr-defined]
        done = subprocess.run(command, executable=program, capture_output=True, text=True, check=True)
    [rate] = re.findall(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
    return {"rate": float(rate)}


def one_round(database_url: str, contenders: list[Contender], clients: int) -> Round:
    """A turn of each contender at each of its workloads, in an order that nobody has chosen."""
    done: Round = {workload: {} for workload in WORKLOADS}
    for workload in WORKLOADS:
        for contender in random.sample(contenders, len(contenders)):
            if workload in contender.workloads:
                done[workload][contender.name] = turn(contender, workload, clients)
        if workload in STATEMENTS and clients == CLIENTS:
            done[workload][PGBENCH] = pgbench(database_url, STATEMENTS[workload], clients)
    return done

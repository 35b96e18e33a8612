"""Times markup.render() on typical texts and on the worst ones, and writes the table of docs/markdown.md.

`make markdown` runs it.
"""

import os
import platform
import statistics
import time
from collections.abc import Iterable

from markup import render

from support.markdown import GROWING, LONG, PROSE, REPLY, UNITS, is_parsed, repeated
from support.processes import ROOT

DOCUMENT = ROOT / "docs" / "markdown.md"
RUNS = 31
SHOWN = 15  # of the worst
INTRODUCTION = "`make markdown` writes this table."


def milliseconds(text: str, runs: int) -> list[float]:
    times = []
    for _ in range(runs):
        start = time.thread_time()
        render(text)
        times.append((time.thread_time() - start) * 1_000)
    return times


def hostile() -> dict[str, str]:
    """Each text by its name."""
    texts = {f"{unit!r}, repeated": repeated(unit) for unit in UNITS}
    return texts | {f"{text[:12]!r}, growing": text for text in GROWING}


def rows(texts: dict[str, str]) -> Iterable[str]:
    for name, text in texts.items():
        times = milliseconds(text, RUNS)
        how = "markup" if is_parsed(text) else "plain"
        figures = f"{len(text):,} | {len(render(text)):,} | {how} | {statistics.median(times):.3f} | {max(times):.3f}"
        yield f"| {name.replace('|', '&#124;')} | {figures} |"


def main() -> None:
    typical = {
        "Hello, world": "Hello, world",
        "a paragraph of prose": PROSE,
        "prose": repeated(PROSE + "\n").strip(),
        "a reply with code, lists, links and a quote": REPLY,
        "such replies": LONG,
    }
    worst = hostile()
    order = sorted(worst, key=lambda name: min(milliseconds(worst[name], 5)), reverse=True)
    lines = [
        "| text | characters | of HTML | shown as | median, ms of CPU time | worst |",
        "| --- | --- | --- | --- | --- | --- |",
        *rows(typical),
        *rows({name: worst[name] for name in order[:SHOWN]}),
    ]
    note = (
        f"{INTRODUCTION} It has the {SHOWN} slowest of {len(worst)} hostile texts. Each was rendered {RUNS} times, with"
        f" Python {platform.python_version()}, on one of {os.cpu_count()} cores that did other work too.\n"
    )
    before, _, _ = DOCUMENT.read_text().partition(INTRODUCTION)
    DOCUMENT.write_text(before + "\n".join([note, *lines]) + "\n")


if __name__ == "__main__":
    main()

"""The plot of RESULTS.md: python plot.py FILE, with report.bars() as JSON on standard input. Run in bench/.venv."""

import json
import sys

from matplotlib import pyplot

pyplot.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "comments", "font.size": 9}
bars = json.load(sys.stdin)
figure, (get, post) = pyplot.subplots(1, 2, figsize=(9, 2.6), sharey=True, layout="constrained")
for axes, workload, title in ((get, "GET", "GET a page of 100 comments"), (post, "POST", "POST a comment")):
    names = [name for name in reversed(bars) if workload in bars[name]]
    colors = ["#1f6feb" if name.startswith("comments") else "#9aa4b2" for name in names]
    drawn = axes.barh(names, [bars[name][workload] for name in names], color=colors)
    axes.bar_label(drawn, fmt="%.2f", padding=3)
    axes.set_title(title)
    axes.set_xlabel("requests a second, FastAPI + asyncpg = 1")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.12)
figure.savefig(sys.argv[1], metadata={"Date": None})

#!/usr/bin/env python3
"""Draws the curves of `cargo bench -p chat-server -- growth`.

    plot.py FILE.jsonl DIRECTORY

writes four SVGs into the directory. Needs matplotlib (pip install matplotlib). The same file and
the same matplotlib give the same bytes.
"""

import collections
import json
import pathlib
import statistics
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

# In the order of the legend: colours that colour-blind readers can distinguish, and markers.
SERVERS = {
    "chat-server": dict(color="#0072b2", marker="o", linewidth=2.4, zorder=3),
    "floor": dict(color="#000000", marker="", linestyle="--"),
    "redis": dict(color="#d55e00", marker="s"),
    "nats": dict(color="#009e73", marker="^"),
    "broadcast": dict(color="#cc79a7", marker="D"),
}
LABELS = {"floor": "floor: minimal, one thread", "broadcast": "tokio::sync::broadcast"}

MEMBERS = "members"
RATE = "deliveries/s"
CPU = "server CPU per delivery, µs"

# File, scenario, x, y, axis titles, title.
CURVES = [
    ("rate-by-members", "members", "members", "deliveries_per_second", MEMBERS, RATE,
     "Deliveries/s when saturated"),
    ("cpu-by-members", "members", "members", "server_micros", MEMBERS, CPU,
     "CPU per delivery, by members"),
    ("cpu-by-payload", "payload", "payload", "server_micros", "bytes of a message", CPU,
     "CPU per delivery to 1,000 members, by message size"),
    ("cpu-by-publishers", "publishers", "publishers", "server_micros", "publishers", CPU,
     "CPU per delivery to 1,000 members, by publishers"),
]

STYLE = {
    # Text stays text: smaller files, and the reader's font.
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans"],
    # Without a salt, identifiers in the file are random.
    "svg.hashsalt": "chat-server",
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 11,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
}


def load(path):
    """Runs by (scenario, server, x), without noisy ones if quiet ones exist."""
    runs = collections.defaultdict(list)
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            run = json.loads(line)
            if run.get("error"):
                continue
            for _, scenario, x, *_ in CURVES[1:]:
                if run["scenario"] == scenario:
                    runs[scenario, run["server"], run[x]].append(run)
    return {key: [run for run in all_ if not run["noisy"]] or all_ for key, all_ in runs.items()}


def points(runs, scenario, server, figure):
    """Medians by x."""
    return sorted(
        (x, statistics.median(run[figure] for run in these))
        for (a_scenario, a_server, x), these in runs.items()
        if (a_scenario, a_server) == (scenario, server)
    )


def spaced(xs):
    """The ticks whose labels do not overlap."""
    ticks = []
    for x in sorted(xs):
        if not ticks or x >= 2.5 * ticks[-1]:
            ticks.append(x)
    return ticks


def plain(value, _):
    """1000 as 1,000 and a million as 1M, not as powers of ten."""
    if value >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value:,.0f}" if value >= 1000 else f"{value:g}"


def draw(runs, directory, curve):
    """Writes one file, if there are runs for it."""
    name, scenario, _, figure, x_title, y_title, title = curve
    drawn = {server: points(runs, scenario, server, figure) for server in SERVERS}
    drawn = {server: line for server, line in drawn.items() if line}
    if not drawn:
        return
    fig, axes = plt.subplots(figsize=(6.4, 4.2))
    for server, line in drawn.items():
        axes.plot(*zip(*line), label=LABELS.get(server, server), **SERVERS[server])
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(spaced({x for line in drawn.values() for x, _ in line}))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(plain))
    axes.yaxis.set_major_formatter(FuncFormatter(plain))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="minor", bottom=False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel(x_title)
    axes.set_ylabel(y_title)
    axes.set_title(title, fontsize=12, loc="left")
    axes.legend(frameon=False, fontsize=9.5, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.17))
    path = directory / f"{name}.svg"
    fig.savefig(path, bbox_inches="tight", metadata={"Date": None, "Creator": None})
    plt.close(fig)
    print(path)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    runs = load(sys.argv[1])
    if not runs:
        sys.exit(f"{sys.argv[1]} has no runs of the growth scenarios")
    directory = pathlib.Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(STYLE):
        for curve in CURVES:
            draw(runs, directory, curve)


if __name__ == "__main__":
    main()

"""Draw the result as three SVG plots: `python -m benchmarks.detectors.report.plots RESULT.json`.

Requires matplotlib, which the environment of the peers contains.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

SETTINGS = {"svg.hashsalt": "plumbline", "svg.fonttype": "none", "font.size": 9}
"""Identical results give identical files; text remains text."""

ZERO = 0.02
"""Position of zero alarms on the logarithmic axis."""


def colours(result: dict[str, Any]) -> dict[str, Any]:
    """Return a colour for each contestant: greys for Plumbline, a palette for the others."""
    palette = iter(mpl.colormaps["tab10"].colors)
    ours = sum(entry["role"] == "ours" for entry in result["peers"].values())
    greys = iter([str(0.65 * i / max(1, ours - 1)) for i in range(ours)])
    return {
        name: next(greys if entry["role"] == "ours" else palette)
        for name, entry in result["peers"].items()
        if entry["role"] != "baseline"
    }


def delay_by_shift(result: dict[str, Any]) -> Any:
    """Plot the median delay against the size of a shift of the mean, one panel per rate."""
    rates = result["protocol"]["rates"]
    figure, panels = plt.subplots(1, len(rates), figsize=(9, 4), sharey=True, squeeze=False)
    shifts = {c: about["shift"] for c, about in result["change_streams"].items() if about["shift"]}
    first = min(result["plan"]["afters"])
    for panel, rate in zip(panels[0], rates, strict=True):
        for name, colour in colours(result).items():
            points = sorted(
                (shifts[row["change"]], row["median"])
                for row in result["changes"]
                if (row["peer"], row["setting"], row["after"]) == (name, f"at_{rate:g}", first)
                and row["change"] in shifts
                and row["median"] is not None
            )
            if points:
                label = result["peers"][name]["title"]
                panel.plot(*zip(*points, strict=True), "o-", color=colour, label=label)
        panel.set(xscale="log", yscale="log", title=f"at {rate:g} false alarms per million records")
        panel.set_xticks(sorted(shifts.values()), [f"{s:g}" for s in sorted(shifts.values())])
        panel.minorticks_off()
        panel.set_xlabel("shift of the mean, standard deviations")
        panel.grid(alpha=0.3)
    panels[0][0].set_ylabel("median delay, records")
    panels[0][-1].legend(fontsize=7)
    return figure


def false_alarms_by_stream(result: dict[str, Any]) -> Any:
    """Plot false alarms on every null stream, of contestants tuned to one per million."""
    rate = result["protocol"]["rates"][0]
    shown = [s for s in result["streams"] if any(r["stream"] == s for r in result["nulls"])]
    figure, axes = plt.subplots(figsize=(9, 5))
    names = colours(result)
    for i, (name, colour) in enumerate(names.items()):
        rows = [r for r in result["nulls"] if (r["peer"], r["setting"]) == (name, f"at_{rate:g}")]
        if not rows:
            continue
        positions = [shown.index(row["stream"]) + (i / len(names) - 0.5) * 0.7 for row in rows]
        middles = [max(row["per_million"][0], ZERO) for row in rows]
        lower = [m - max(r["per_million"][1], ZERO) for m, r in zip(middles, rows, strict=True)]
        upper = [r["per_million"][2] - m for m, r in zip(middles, rows, strict=True)]
        axes.errorbar(
            positions,
            middles,
            [[max(0.0, error) for error in lower], upper],
            fmt="o",
            ms=4,
            lw=1,
            color=colour,
            label=result["peers"][name]["title"],
        )
    axes.axhline(rate, color="gray", ls="--", lw=1)
    axes.set(yscale="log", ylabel=f"false alarms per million records (zero is drawn at {ZERO:g})")
    texts = [result["streams"][stream] for stream in shown]
    axes.set_xticks(range(len(shown)), texts, rotation=35, ha="right", fontsize=8)
    axes.grid(alpha=0.3, axis="y")
    axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    axes.set_title(
        f"Tuned to {rate:g} per million on N(0, 1); on the stream itself where it has changes"
    )
    return figure


def cost(result: dict[str, Any]) -> Any:
    """Plot microseconds per record and feature."""
    figure, axes = plt.subplots(figsize=(9, 3.2))
    known = colours(result)
    rows = sorted((r for r in result["costs"] if r["peer"] in known), key=lambda row: -row["us"])
    titles = [result["peers"][row["peer"]]["title"] for row in rows]
    axes.barh(titles, [row["us"] for row in rows], color=[known[row["peer"]] for row in rows])
    axes.set(xscale="log", xlabel="CPU time per record and feature, microseconds")
    for position, row in enumerate(rows):
        axes.annotate(f" {row['us']:.3g}", (row["us"], position), va="center", fontsize=8)
    axes.set_xlim(right=10 ** (math.log10(max(row["us"] for row in rows)) + 0.5))
    return figure


PLOTS = {"delay": delay_by_shift, "false_alarms": false_alarms_by_stream, "cost": cost}


def main() -> None:
    """Write the plots of a result file into its folder."""
    path = Path(sys.argv[1])
    result = json.loads(path.read_text(encoding="utf-8"))
    with mpl.rc_context(SETTINGS):
        for name, draw in PLOTS.items():
            figure = draw(result)
            figure.tight_layout()
            figure.savefig(path.with_name(f"{path.stem}_{name}.svg"), metadata={"Date": None})
            plt.close(figure)


if __name__ == "__main__":
    main()

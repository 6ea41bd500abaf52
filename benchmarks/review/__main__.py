"""Simulate review queues: bias, error and coverage of the mean of all items, by design.

    .venv/bin/python -m benchmarks.review [--runs N] [--items N] [--labels N] [--out FILE]

Writes the result as JSON and as a table in Markdown. benchmarks/README.md describes it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.review.designs import BASE, BOOST, DESIGNS
from benchmarks.review.populations import KINDS, draw
from monitor.statistics.agreement import Floats
from monitor.statistics.review.queue import uniform_number

RESULT: Final = Path(__file__).parents[1] / "results" / "review.json"


def simulate(kind: str, runs: int, size: int, labels: int) -> list[dict[str, Any]]:
    """Return bias, RMSE, coverage and mean width of each design, on the same items.

    The items of each run are new, and its salt is. The truth of a run is the mean of its items.
    Errors and widths are shares of the highest score.
    """
    rng = np.random.default_rng(KINDS.index(kind))
    ids = [f"request-{number}" for number in range(size)]
    found = np.full((len(DESIGNS), runs, 3), np.nan)
    for run in range(runs):
        items = draw(kind, size, rng)
        u = np.array([uniform_number(f"salt of run {run}", each) for each in ids])
        truth = float(items.human.mean())
        for row, design in enumerate(DESIGNS.values()):
            estimate = design(items, u, labels, rng)
            if estimate is not None:
                value, lower, upper = estimate
                error, width = (value - truth) / items.highest, (upper - lower) / items.highest
                found[row, run] = error, lower <= truth <= upper, width
    return [
        {"kind": kind, "design": name, "runs": runs} | _summary(found[row])
        for row, name in enumerate(DESIGNS)
    ]


def _summary(runs: Floats) -> dict[str, Any]:
    known = runs[~np.isnan(runs[:, 0])]
    if not len(known):
        return {"undefined": len(runs)}
    error, covered, width = known.T
    return {
        "undefined": len(runs) - len(known),
        "bias": round(float(error.mean()), 5),
        "rmse": round(float(np.sqrt((error**2).mean())), 5),
        "coverage": round(float(covered.mean()), 4),
        "width": round(float(width.mean()), 5),
    }


def table(result: dict[str, Any]) -> str:
    """Return the result as Markdown."""
    runs = result["rows"][0]["runs"]
    lines = [
        "# Simulated review queues",
        "",
        f"`make bench-review`. {result['items']:,} items, {result['labels']} labels,"
        f" {runs:,} runs of each row; pi = min(1, {BASE:g} + {BOOST:g} x difficulty). *Bias*,"
        " *RMSE* and *width* of the 95 % interval are shares of the range of the scores."
        " *Coverage*: share of intervals that contain the mean human score of all items, with a"
        " standard error of"
        f" {100 * (0.05 * 0.95 / runs) ** 0.5:.1f} points.",
    ]
    for kind in dict.fromkeys(row["kind"] for row in result["rows"]):
        lines += ["", f"## {kind[0].upper()}{kind[1:]}", ""]
        lines += ["| design | bias | RMSE | coverage | width |", "|---|---|---|---|---|"]
        lines += [
            f"| {row['design']} | {row['bias']:+.4f} | {row['rmse']:.4f} | {row['coverage']:.1%} |"
            f" {row['width']:.3f} |"
            for row in result["rows"]
            if row["kind"] == kind
        ]
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1_500)
    parser.add_argument("--items", type=int, default=5_000)
    parser.add_argument("--labels", type=int, default=200)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args(argv)
    rows = []
    for kind in KINDS:
        rows += simulate(kind, arguments.runs, arguments.items, arguments.labels)
        print(kind, flush=True)
    result = {"items": arguments.items, "labels": arguments.labels, "rows": rows}
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    arguments.out.with_suffix(".md").write_text(table(result))


if __name__ == "__main__":
    main()

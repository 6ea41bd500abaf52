"""Simulate replays with the functions of the product: false verdicts, and the items they take.

    .venv/bin/python -m benchmarks.replay.run                # the full form: 5 minutes of CPU time
    .venv/bin/python -m benchmarks.replay.run --form quick   # 20 seconds

Writes the result as JSON and as tables in Markdown. benchmarks/README.md describes it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.replay import report
from benchmarks.replay.items import CLUSTER, Kind, Population
from benchmarks.replay.runs import CHUNK, OUTCOMES, product, simulate, single_look, verdicts
from benchmarks.replay.tasks import family
from replay.verdict.criteria import Criteria

RESULTS: Final = Path(__file__).parents[1] / "results"
SIZES: Final = (50, 100, 200, 400, 1_000)
CORRELATIONS: Final = (0.5, 0.7, 0.8, 0.9)
KINDS: Final[tuple[Kind, ...]] = ("binary", "shrunk", "failing", "clusters")
HARM: Final = 0.1
"""Drop for which the items needed are reported."""
OTHERS: Final = ((0.03, 0.5), (0.05, 0.95), (0.1, 0.8))
"""More cases of binary scores: margin, and accuracy of the baseline."""


@dataclass(frozen=True, slots=True)
class Form:
    """Size of the simulation: runs of each case, runs of several tasks, runs of the check."""

    runs: int
    families: int
    checked: int


FORMS: Final = {"full": Form(4_000, 400, 40), "quick": Form(200, 10, 3), "test": Form(20, 2, 1)}


def measure(population: Population, items: int, runs: int, criteria: Criteria) -> dict[str, Any]:
    """Return the results of one case: without a drop, at the margin, and at HARM."""
    kind, correlation, accuracy = population.kind, population.correlation, population.accuracy
    cell: dict[str, Any] = {
        "kind": kind,
        "correlation": correlation,
        "accuracy": accuracy,
        "margin": criteria.margin,
        "items": items,
        "runs": runs,
    }
    for number, (name, drop) in enumerate(
        (("no_drop", 0.0), ("at_margin", criteria.margin), ("at_harm", HARM))
    ):
        case = Population(kind, drop, correlation, accuracy)
        found = simulate(case, items, runs, 10 * items + number, criteria)
        cell[name] = {outcome: found.share(outcome) for outcome in OUTCOMES}
        cell[name]["mean_items"] = float(found.items.mean())
    cell["single"] = single_look(population, items, runs, criteria)
    return cell


def check(runs: int) -> int:
    """Return the runs on which `look` and `decide` agree with the arrays; raise if one differs."""
    generator = np.random.default_rng(7)
    criteria, count = Criteria(), 0
    for kind in KINDS:
        size = CLUSTER if kind == "clusters" else 1
        for drop in (0.0, criteria.margin, HARM):
            drops = Population(kind, drop, 0.7).draw((runs, 200 // size), generator)
            found = verdicts(drops, size, kind == "binary", criteria)
            for row, outcome, items in zip(drops, found.outcomes, found.items, strict=True):
                expected = product(row, size, kind == "binary", criteria)
                if expected != (OUTCOMES[outcome], items):
                    raise AssertionError(f"{kind}, {drop}: {expected}, {OUTCOMES[outcome]}")
                count += 1
    return count


def simulate_all(form: Form) -> dict[str, Any]:
    """Return all results."""
    print("check against look and decide", flush=True)
    checked = check(form.checked)
    cells = []
    for kind in KINDS:
        for correlation in CORRELATIONS if kind != "clusters" else (0.0,):
            for items in SIZES:
                cell = measure(Population(kind, 0.0, correlation), items, form.runs, Criteria())
                cells.append(cell)
            print(kind, correlation, flush=True)
    for margin, accuracy in OTHERS:
        for items in SIZES:
            population = Population("binary", 0.0, 0.7, accuracy)
            cells.append(measure(population, items, form.runs, Criteria(margin=margin)))
        print(margin, accuracy, flush=True)
    print("several tasks", flush=True)
    families = [family(drops, form.families) for drops in ((0.0,) * 3, (0.05, 0.0, 0.0))]
    return {"chunk": CHUNK, "checked": checked, "cells": cells, "families": families}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--form", choices=sorted(FORMS), default="full")
    parser.add_argument("--out", type=Path, default=RESULTS / "replay.json")
    arguments = parser.parse_args(argv)
    result = simulate_all(FORMS[arguments.form])
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    arguments.out.with_suffix(".md").write_text(report.tables(result))


if __name__ == "__main__":
    main()

"""Simulate experiments with the functions of the product, and compare them with other tests.

    .venv/bin/python -m benchmarks.experiments.run                # the full form: 20 minutes
    .venv/bin/python -m benchmarks.experiments.run --form quick   # a minute
    .venv/bin/python -m benchmarks.experiments.run --part further   # one part, the others stay

Writes the result as JSON, a table in Markdown and a plot in SVG. benchmarks/README.md describes it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.experiments import (
    cuped,
    decisions,
    false_winners,
    mismatch,
    quantiles,
    report,
    several,
)
from benchmarks.experiments.traffic import STREAMS
from monitor.experiments.design import Scale

RESULTS: Final = Path(__file__).parents[1] / "results"
SPLITS: Final = (0.5, 0.1)
"""Share of users in the second arm."""


@dataclass(frozen=True, slots=True)
class Form:
    """Size of the simulation.

    runs, looks: of each experiment without a difference. decisions: runs of each effect.
    mismatches: runs with another split than planned. quiet: runs with the planned split.
    further: runs of each case with CUPED, quantiles or several metrics.
    """

    runs: int
    looks: int
    decisions: int
    mismatches: int
    quiet: int
    further: int


FORMS: Final = {
    "full": Form(2_000, 500, 2_000, 1_000, 2_000, 1_000),
    "quick": Form(60, 100, 25, 200, 200, 20),
    "test": Form(4, 20, 2, 20, 20, 2),
}
PLANNED: Final = (0.5, 0.5)
MISMATCHES: Final = ((0.52, 0.48), (0.51, 0.49), (0.55, 0.45))


def simulate(form: Form) -> dict[str, Any]:
    """Return all results."""
    return {name: part(form) for name, part in PARTS.items()}


def _false_winners(form: Form) -> list[dict[str, Any]]:
    print("false winners", flush=True)
    winners = []
    for number, stream in enumerate(STREAMS):
        for share in SPLITS:
            found = false_winners.measure(stream, share, form.runs, form.looks, 100 + number)
            print(" ", found["stream"], found["split"], found["false_winners"], flush=True)
            winners.append(found)
    return winners


def _decisions(form: Form) -> list[dict[str, Any]]:
    print("time to a decision", flush=True)
    times = []
    for population in decisions.POPULATIONS:
        for number, factor in enumerate(decisions.FACTORS):
            runs = form.decisions * (2 if factor < 0.5 else 1)  # its times vary the most
            timed = decisions.measure(population, factor, runs, 200 + number)
            print(" ", timed["population"], factor, timed["mean"], flush=True)
            times.append(timed)
    return times


def _mismatches(form: Form) -> list[dict[str, Any]]:
    print("sample ratio mismatch", flush=True)
    ratios = [
        mismatch.measure(PLANNED, actual, form.mismatches, users, 300)
        for actual, users in zip(MISMATCHES, (17_000, 60_000, 17_000), strict=True)
    ]
    return ratios + [
        mismatch.measure(split, split, form.quiet, 50_000, 301) for split in (PLANNED, (0.9, 0.1))
    ]


def _further(form: Form) -> list[dict[str, Any]]:
    print("CUPED, quantiles, several metrics", flush=True)
    cells = []
    for share in SPLITS:
        for values in cuped.VALUES:
            cells.append(cuped.measure(values, share, form.further, form.looks, 400))
            print(" ", cells[-1], flush=True)
        cells.append(quantiles.measure(Scale.P95, share, form.further, form.looks, 401))
        print(" ", cells[-1], flush=True)
    for real in (False, True):
        cells.append(several.measure(form.further, form.looks // 2, 402, real=real))
        print(" ", cells[-1], flush=True)
    return cells


PARTS: Final[dict[str, Callable[[Form], list[dict[str, Any]]]]] = {
    "false_winners": _false_winners,
    "decisions": _decisions,
    "mismatches": _mismatches,
    "further": _further,
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--form", choices=sorted(FORMS), default="full")
    parser.add_argument("--out", type=Path, default=RESULTS / "experiments.json")
    parser.add_argument("--part", choices=PARTS, help="simulate one part; the others stay")
    arguments = parser.parse_args(argv)
    form = FORMS[arguments.form]
    if arguments.part is None:
        result = simulate(form)
    else:
        result = json.loads(arguments.out.read_text())
        result[arguments.part] = PARTS[arguments.part](form)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    report.write(result, arguments.out)


if __name__ == "__main__":
    main()

"""How soon an alarm comes, by the length of the window and the size of the shift.

    .venv/bin/python -m benchmarks.windows

A model with twelve features of its own noise gets a reference and one window of quiet traffic; then
the mean of one feature moves. Counted are the records from there to the event, of the daemon's own
watches with its own budget. The result is what docs/windows-and-references.md shows.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from detectors.base import Floats
from monitor.columns import Columns
from monitor.config import REFERENCE_WINDOWS, AlarmsConfig, Config, WarmupReference, WindowsConfig
from monitor.drift import DriftMonitor

RESULT = Path(__file__).parent / "results" / "windows.json"
WINDOWS = (200, 1_000, 5_000, 20_000)
CASES = ((0.2, 0.1), (0.2, 0.03), (0.35, 0.1), (0.5, 0.1), (1.0, 0.1))
"""Shifts of the mean in standard deviations, and `alarms.min_psi`."""
FEATURES = 12
STRIDE = 100
"""At most; a tenth of a window at most as well."""
RATE = 50.0
"""Records a second: the budget is for a time, so that it matters, if only by its logarithm."""
LONGEST = 10
"""Windows after the change in which the alarm must come."""


def measure(trials: int) -> dict[str, Any]:
    """Median records to the alarm by window and shift."""
    return {
        "trials": trials,
        "features": FEATURES,
        "records_per_second": RATE,
        "within_windows": LONGEST,
        "delays": {
            str(window): [summary(window, shift, min_psi, trials) for shift, min_psi in CASES]
            for window in WINDOWS
        },
    }


def summary(window: int, shift: float, min_psi: float, trials: int) -> dict[str, Any]:
    """Of some trials: how many saw the shift, and the median of their delays."""
    delays = [delay(window, shift, min_psi, seed) for seed in range(trials)]
    found = [each for each in delays if each is not None]
    # a trial without an alarm counts as endless
    middle = median(float("inf") if each is None else each for each in delays)
    soon = int(middle) if np.isfinite(middle) else None
    return {"shift": shift, "min_psi": min_psi, "found": len(found), "median": soon}


def delay(window: int, shift: float, min_psi: float, seed: int) -> int | None:
    """Records from the shift to the first event after it; None where there was none."""
    rng = np.random.default_rng([seed, window, round(100 * shift)])
    records = max(WarmupReference().records, REFERENCE_WINDOWS * window)
    config = Config(
        windows=WindowsConfig(records=window, stride=min(STRIDE, window // 10)),
        reference=WarmupReference(records=records),
        alarms=AlarmsConfig(min_psi=min_psi),
    )
    monitor = DriftMonitor(config, {})
    quiet = monitor.process(columns(rng.normal(size=(FEATURES, records + window)), 0))
    assert not quiet, "a false alarm: another seed"
    for start in range(records + window, records + (1 + LONGEST) * window, window):
        values = rng.normal(size=(FEATURES, window))
        values[0] += shift
        events = monitor.process(columns(values, start))
        if events:
            return events[0].record - records - window
    return None


def columns(values: Floats, start: int) -> Columns:
    """Records of one model at an even pace; values: shape (FEATURES, n)."""
    places = np.arange(start, start + values.shape[1])
    names = tuple(f"feature_{i:02d}" for i in range(FEATURES))
    return Columns("m", places + 1, places / RATE, names, (), values, ())


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    result = measure(arguments.trials)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()

"""Measure the detection delay by window length and size of the shift.

    .venv/bin/python -m benchmarks.windows

A model with twelve features of independent noise gets a reference and one window without a change.
Then the mean of one feature shifts. The delay is the number of records from the shift to the event
of the daemon's own watch, at its default budget. docs/windows-and-references.md shows the result.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from detectors.arrays import Floats
from monitor.config.schema import Config
from monitor.config.sections.detection import (
    REFERENCE_WINDOWS,
    AlarmsConfig,
    WarmupReference,
    WindowsConfig,
)
from monitor.detect.monitor import DriftMonitor
from monitor.ingest.chunks.columns import Columns

RESULT = Path(__file__).parent / "results" / "windows.json"
WINDOWS = (200, 1_000, 5_000, 20_000)
CASES = ((0.2, 0.1), (0.2, 0.03), (0.35, 0.1), (0.5, 0.1), (1.0, 0.1))
"""(Shift of the mean in standard deviations, `alarms.min_psi`)."""
FEATURES = 12
MAX_STRIDE = 100
"""The stride is also at most a tenth of the window."""
RATE = 50.0
"""Records per second. The budget is per time, so the delay depends on its logarithm."""
HORIZON = 10
"""Windows after the shift in which an alarm is a detection."""


def measure(trials: int) -> dict[str, Any]:
    """Return the median delays by window and shift."""
    return {
        "trials": trials,
        "features": FEATURES,
        "records_per_second": RATE,
        "within_windows": HORIZON,
        "delays": {
            str(window): [summary(window, shift, min_psi, trials) for shift, min_psi in CASES]
            for window in WINDOWS
        },
    }


def summary(window: int, shift: float, min_psi: float, trials: int) -> dict[str, Any]:
    """Return the number of trials with a detection and the median delay."""
    delays = [delay(window, shift, min_psi, seed) for seed in range(trials)]
    found = [each for each in delays if each is not None]
    # A trial without a detection has an infinite delay.
    middle = median(float("inf") if each is None else each for each in delays)
    finite = int(middle) if np.isfinite(middle) else None
    return {"shift": shift, "min_psi": min_psi, "found": len(found), "median": finite}


def delay(window: int, shift: float, min_psi: float, seed: int) -> int | None:
    """Return records from the shift to the first event after it, None without an event."""
    rng = np.random.default_rng([seed, window, round(100 * shift)])
    records = max(WarmupReference().records, REFERENCE_WINDOWS * window)
    config = Config(
        windows=WindowsConfig(records=window, stride=min(MAX_STRIDE, window // 10)),
        reference=WarmupReference(records=records),
        alarms=AlarmsConfig(min_psi=min_psi),
    )
    monitor = DriftMonitor(config, {})
    before = monitor.process(columns(rng.normal(size=(FEATURES, records + window)), 0))
    assert not before, f"false alarm before the shift with seed {seed}: use another seed"
    for start in range(records + window, records + (1 + HORIZON) * window, window):
        values = rng.normal(size=(FEATURES, window))
        values[0] += shift
        events = monitor.process(columns(values, start))
        if events:
            return events[0].record - records - window
    return None


def columns(values: Floats, start: int) -> Columns:
    """Return records of one model at a constant rate; values: shape (FEATURES, n)."""
    numbers = np.arange(start, start + values.shape[1])
    names = tuple(f"feature_{i:02d}" for i in range(FEATURES))
    return Columns("m", numbers + 1, numbers / RATE, names, (), values, ())


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    result = measure(arguments.trials)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()

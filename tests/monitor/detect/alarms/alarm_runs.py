"""Runs of the alarms of one stream with the default configuration, for the tests of alarms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detectors import registry
from detectors.arrays import Bools, Floats
from detectors.baseline import Baseline
from detectors.categorical_stream import build_categorical_stream
from detectors.kinds import Kind
from detectors.numeric_stream import build_numeric_stream
from monitor.config.schema import Config
from monitor.detect.alarms import budget
from monitor.detect.alarms.evaluator import AlarmEvaluator, AlarmTransition

WINDOW = 1000
REFERENCE = 20_000
QUIET = 5_000
"""Records without a change, after the reference."""
LETTERS = tuple("abcdefgh")
Phases = Sequence[tuple[float, int]]
"""Rates, each with a number of records."""


def events_at(rng: np.random.Generator, phases: Phases) -> Bools:
    """Return independent events with the rates of the phases."""
    return np.concatenate([rng.random(records) < rate for rate, records in phases])


def numeric_baseline(values: Floats, kind: Kind = Kind.NUMERIC) -> Baseline:
    """Return the baseline of one numeric or binary stream."""
    return Baseline(len(values), (build_numeric_stream("x", kind, values, WINDOW),), ())


def evaluator(baseline: Baseline, level: float | None = None) -> AlarmEvaluator:
    """Return the alarms of a baseline.

    level: of each detector; by default that of one of twelve features at 50 records a second.
    """
    config = Config()
    streams = dict.fromkeys(registry.count_streams(config.detectors, baseline), 12)
    levels = (
        budget.levels(config, streams, 50.0) if level is None else dict.fromkeys(streams, level)
    )
    return AlarmEvaluator(baseline, config, budget.select_alarming(config, levels))


def run(
    alarms: AlarmEvaluator, values: Floats | None = None, bins: NDArray[np.uint8] | None = None
) -> list[AlarmTransition]:
    """Return the transitions in the values of the numeric or the bins of the categorical stream."""
    records = len(values) if values is not None else len(bins if bins is not None else ())
    found, step = list[AlarmTransition](), 5_000
    for start in range(0, records, step):
        part = slice(start, start + step)
        length = len(range(records)[part])
        v = np.zeros((0, length)) if values is None else values[None, part]
        b = np.zeros((0, length), np.uint8) if bins is None else bins[None, part]
        for transition in alarms.evaluate(v, b, start):
            transition.alarm.detector = alarms.best_reading(transition).detector
            found.append(transition)
    return found


def binary_run(phases: Phases, seed: int, *, before: float | None = None) -> list[AlarmTransition]:
    """Return the transitions of a binary stream after QUIET records at the rate `before`.

    before: rate of the reference; by default that of the last phase.
    """
    rng = np.random.default_rng(seed)
    rate = phases[-1][0] if before is None else before
    baseline = numeric_baseline((rng.random(REFERENCE) < rate).astype(float), Kind.BINARY)
    return run(evaluator(baseline), events_at(rng, [(rate, QUIET), *phases]).astype(float))


def categorical_run(
    before: Floats, after: Floats, records: int, seed: int
) -> list[AlarmTransition]:
    """Return the transitions after the shares of categories, shape (k,), have changed."""
    rng, names = np.random.default_rng(seed), LETTERS[: len(before)]
    stream = build_categorical_stream(
        "c", names, rng.choice(len(before), REFERENCE, p=before), WINDOW
    )
    codes = np.concatenate(
        [rng.choice(len(before), n, p=p) for p, n in ((before, QUIET), (after, records))]
    )
    bins = stream.cells_by_code(names)[codes].astype(np.uint8)
    return run(evaluator(Baseline(REFERENCE, (), (stream,))), bins=bins)


def summary(transitions: Sequence[AlarmTransition]) -> list[tuple[str, str]]:
    """Return changes and severities."""
    return [(each.change, each.alarm.severity) for each in transitions]

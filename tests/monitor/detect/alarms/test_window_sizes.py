"""Windows that are evaluated together give what each of them gives alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from msgspec.structs import replace

from detectors.arrays import Bools, Floats
from detectors.baseline import Baseline
from detectors.kinds import Kind
from detectors.numeric_stream import build_numeric_stream
from detectors.window import Window
from monitor.detect.alarms.evaluator import AlarmEvaluator, AlarmTransition
from monitor.detect.alarms.newest_level import newest_level, newest_levels
from monitor.detect.alarms.window_sizes import WindowSizes
from tests.monitor.detect.alarms.alarm_runs import (
    QUIET,
    REFERENCE,
    WINDOW,
    evaluator,
    numeric_baseline,
)

STRIDE = 100
Level = Callable[[Floats], Floats]


def drifted(rng: np.random.Generator, level: Level) -> Floats:
    """Return values whose mean is `level` of the number of the record after QUIET records."""
    values = rng.lognormal(0, 1, QUIET + 12_000)
    values[QUIET:] *= np.exp(level(np.arange(12_000.0)))
    return values


LEVELS: dict[str, Level] = {
    "lasting": lambda at: np.full(len(at), 0.6),
    "second incident": lambda at: np.where(at < 5000, 0.25, 1.2),
    "two incidents": lambda at: np.where((at < 2500) | (at > 7000), 0.6, 0.0),
    "ramp": lambda at: np.minimum(at / 6000, 1.0),
    "large second incident": lambda at: np.where(at < 5000, 0.5, 3.0),
    "small second incident": lambda at: np.where(at < 5000, 0.4, 0.8),
    "steps": lambda at: (at // 700 % 3) * 0.4,
}


def transitions(baseline: Baseline, values: Floats, strides: int) -> list[AlarmTransition]:
    """Return the transitions of one stream, evaluated `strides` strides at a time."""
    alarms, found = evaluator(baseline), list[AlarmTransition]()
    step = strides * STRIDE
    for start in range(0, len(values), step):
        part = values[None, start : start + step]
        found += evaluated(alarms, part, start)
    return found


def evaluated(alarms: AlarmEvaluator, part: Floats, start: int) -> Iterator[AlarmTransition]:
    """Yield the transitions of some strides; date each change as its report does."""
    for each in alarms.evaluate(part, np.zeros((0, part.shape[1]), np.uint8), start):
        first = each.record - each.size.sample.records + 1
        each.alarm.incident = replace(each.alarm.incident, first=first)
        yield each


def described(found: list[AlarmTransition]) -> list[tuple[object, ...]]:
    """Return what the events say, with all digits."""
    return [
        (
            each.change,
            each.record,
            each.alarm.severity,
            each.found_by,
            each.size.since,
            each.size.leading_bet,
            each.size.sample.records,
            each.size.psi.tolist(),
        )
        for each in found
    ]


@pytest.mark.parametrize("level", LEVELS)
def test_alarms_depend_on_nothing_that_is_computed_together(
    level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every size is that of `ChangeMeter.measure`, whatever number of strides is evaluated."""
    rng = np.random.default_rng(len(level))
    baseline = numeric_baseline(rng.lognormal(0, 1, REFERENCE))
    values = drifted(rng, LEVELS[level])
    one, few, many = (described(transitions(baseline, values, strides)) for strides in (1, 7, 50))
    assert len(one) >= 1
    assert one == few == many
    monkeypatch.setattr(WindowSizes, "is_whole", lambda *_: False)
    assert described(transitions(baseline, values, 7)) == one


def test_an_open_alarm_is_rarely_measured_stride_by_stride(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A change that lasts needs no measurement of its own at most strides."""
    rng = np.random.default_rng(2)
    alarms = evaluator(numeric_baseline(rng.lognormal(0, 1, REFERENCE)))
    values = drifted(rng, LEVELS["lasting"])
    measured, measure = list[int](), alarms.meter.measure

    def count(*arguments: object) -> object:
        measured.append(1)
        return measure(*arguments)  # type: ignore[arg-type]  # passed on as received

    monkeypatch.setattr(alarms.meter, "measure", count)
    list(evaluated(alarms, values[None], 0))
    assert alarms.alarms
    assert len(measured) <= 30  # of 120 strides with an alarm


def kinds_of_values() -> dict[str, tuple[Kind, Callable[[np.random.Generator, int], Floats]]]:
    """Return streams with many values, with ties, with missing values, and of a rare event."""

    def sparse(rng: np.random.Generator, n: int) -> Floats:
        return np.where(rng.random(n) < 0.9, np.nan, rng.normal(size=n))

    return {
        "continuous": (Kind.NUMERIC, lambda rng, n: rng.normal(size=n)),
        "ties": (Kind.NUMERIC, lambda rng, n: rng.poisson(3, n).astype(float)),
        "mostly missing": (Kind.NUMERIC, sparse),
        "rare": (Kind.BINARY, lambda rng, n: (rng.random(n) < 0.01).astype(float)),
    }


@pytest.mark.parametrize("name", kinds_of_values())
def test_levels_of_overlapping_windows_are_those_of_each(name: str) -> None:
    """The newest level of a window does not depend on the windows beside it."""
    kind, draw = kinds_of_values()[name]
    rng = np.random.default_rng(len(name))
    reference, values = draw(rng, REFERENCE), draw(rng, 5_000)
    moved: Bools = np.arange(5_000) // 1_200 % 2 == 1
    values = np.where(moved & (rng.random(5_000) < 0.5), 1.0, values)
    stream = build_numeric_stream("x", kind, reference, WINDOW)
    baseline = Baseline(REFERENCE, (stream,), ())
    windows = Window(baseline, WINDOW, STRIDE).extend(values[None], np.zeros((0, 5_000), np.uint8))
    cells, strides = windows.history[:, 0].astype(float), WINDOW // STRIDE
    together = newest_levels(stream, cells, strides, level=0.01, least=2).tolist()
    alone = [
        newest_level(stream, cells[start : start + strides], level=0.01, least=2) or 0
        for start in range(len(cells) - strides + 1)
    ]
    assert together == alone
    assert 0 < np.count_nonzero(together) < len(together)

"""Events state only moves, categories and companions that noise does not explain."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri

from detectors.baseline import Baseline
from detectors.kinds import Kind
from detectors.numeric_stream import build_numeric_stream
from detectors.window import Window
from monitor.config.schema import Config
from monitor.config.sections.detection import WarmupReference, WindowsConfig
from monitor.detect.explain.explanation import changed_together
from monitor.events.types import DriftEvent
from monitor.events.wording.comparison import common_statistics
from monitor.events.wording.drift import sentence
from tests.monitor import synthetic
from tests.monitor.detect.explain.explained_runs import drifting, events_of

REFERENCE, BEFORE, END = 10_000, 11_200, 11_600
CONFIG = Config(
    windows=WindowsConfig(records=1000, stride=100), reference=WarmupReference(records=REFERENCE)
)
Q90 = float(np.exp(6.0 + 0.5 * 1.2816))


def opened(seed: int, *, low: float = 1.0, high: float = 1.0, cut: float = Q90) -> DriftEvent:
    """Return the event of a latency whose values below and above a cut change by a power."""
    columns = synthetic.stream(END, seed=seed)
    values = columns.row("latency_ms").copy()
    later = values[BEFORE:]
    later[...] = cut * (later / cut) ** np.where(later < cut, low, high)
    watch = synthetic.watcher(CONFIG)
    events = watch.feed(synthetic.with_values(columns, "latency_ms", values))
    return next(event for event in events if event.feature == "latency_ms")


@pytest.mark.parametrize("low", [0.4, 0.6, 1.9])
def test_a_tail_that_has_not_moved_is_not_said_to_have(low: float) -> None:
    """The body of a distribution moves, its top tenth does not: neither do p95 and p99."""
    for seed in range(8):
        event = opened(800 + seed, low=low)
        common = common_statistics(event.reference, event.current)
        for name in ("p95", "p99"):
            same = {*event.explanation.unmoved, *event.explanation.uncertain}
            assert name in same
            assert common[name][0] == common[name][1]
        text = sentence(event)
        assert "p95" not in text or "p95 still" in text
        assert "p99" not in text
        assert event.explanation.effect is not None
        assert event.explanation.effect.of in {"median", "p05"}


@pytest.mark.parametrize("high", [3.0, 4.0])
def test_a_statistic_that_moved_is_not_said_to_be_still(high: float) -> None:
    """A page is silent on a quantile that may have moved, and the event names it."""
    for seed in range(8):
        event = opened(300 + seed, low=0.5, high=high, cut=float(np.exp(6.0 + 0.5 * 0.8)))
        assert "p95 still" not in sentence(event)
        assert "p95" not in event.explanation.unmoved
        uncertain = event.explanation.uncertain
        common = common_statistics(event.reference, event.current)
        assert "p95" in uncertain or common["p95"][0] != common["p95"][1]
        assert all(common[name][0] == common[name][1] for name in uncertain if name in common)


@pytest.mark.parametrize(("cut", "moved"), [(0.8, {"p95", "p99"}), (0.85, {"p95", "p99"})])
def test_effect_is_the_quantile_that_moved_most(cut: float, moved: set[str]) -> None:
    """A change of the tail alone is described by a quantile of the tail, in the text as well."""
    level = float(np.exp(6.0 + 0.5 * ndtri(cut)))
    for seed in range(3):
        event = opened(seed, high=3.0, cut=level)
        effect = event.explanation.effect
        assert effect is not None
        assert effect.of in moved
        assert f": {effect.of} " in sentence(event)
        assert "median" not in sentence(event) or "median still" in sentence(event)


def test_categories_in_the_sentence_have_moved() -> None:
    """A category whose share has the noise of a hundred records is not in the sentence."""
    rng = np.random.default_rng(4)
    names = ("stop", "length", "tool_calls", "content_filter")
    before = rng.choice(names, BEFORE, p=[0.75, 0.1, 0.1, 0.05])
    after = rng.choice(names, END - BEFORE, p=[0.45, 0.4, 0.1, 0.05])
    columns = synthetic.stream(END, seed=1)
    reasons = [*before.tolist(), *after.tolist()]
    watch = synthetic.watcher(CONFIG)
    first = watch.feed(synthetic.with_categories(columns, "finish_reason", reasons))[0]
    text = sentence(first)
    assert "stop 7" in text
    assert "length " in text
    assert "tool_calls" not in text
    assert "content_filter" not in text
    assert {shift.bin for shift in first.explanation.bins} == {"stop", "length"}


@pytest.mark.parametrize("records", [100, 200, 1000])
@pytest.mark.parametrize("inflated", [False, True])
def test_companions_are_rarely_named_by_chance(records: int, *, inflated: bool) -> None:
    """Of a hundred events, at most about one names a feature that has not changed."""
    rng = np.random.default_rng(records + inflated)
    count = 12
    values = rng.lognormal(6, 0.5, (count, 10_000))
    if inflated:  # the reference shows dependence; the records have it as well
        values *= np.repeat(np.exp(rng.normal(0, 0.2, (count, 100))), 100, axis=1)
    streams = tuple(
        build_numeric_stream(f"f{i}", Kind.NUMERIC, row, 1000) for i, row in enumerate(values)
    )
    baseline = Baseline(10_000, streams, ())
    false = 0
    for _ in range(300):
        window = Window(baseline, 1000, 100)
        new = rng.lognormal(6, 0.5, (count, 1000))
        if inflated:
            new *= np.repeat(np.exp(rng.normal(0, 0.2, (count, 10))), 100, axis=1)
        windows = window.extend(new, np.zeros((0, 1000), np.uint8))
        sample = window.last_strides(windows.at(9), records // 100)
        false += bool(changed_together(baseline, 0, sample, 0.0))
    assert false <= 9  # 3 expected; 10 or more have a probability of 1 in 1,000


def test_companion_that_changed_is_named() -> None:
    """A second feature that moves by half a standard deviation is named, the third is not."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=(3, 10_000))
    baseline = Baseline(
        10_000,
        tuple(
            build_numeric_stream(f"f{i}", Kind.NUMERIC, row, 1000) for i, row in enumerate(values)
        ),
        (),
    )
    window = Window(baseline, 1000, 100)
    moved = rng.normal(size=(3, 1000)) + np.array([[1.0], [0.9], [0.0]])
    windows = window.extend(moved, np.zeros((0, 1000), np.uint8))
    sample = window.last_strides(windows.at(9), 1)
    assert list(changed_together(baseline, 0, sample, 0.1)) == ["f1"]


def test_nothing_is_stated_unmoved_among_older_records() -> None:
    """A page that rests on records from before the change does not say what has not moved."""
    events = [e for e in events_of(drifting(factor=3.0)) if e.change == "opened"]
    mixed = [e for e in events if e.explanation.since and _since_change(e) < e.current.n]
    assert mixed
    assert all(event.explanation.unmoved == () for event in mixed)


def _since_change(event: DriftEvent) -> int:
    assert event.explanation.since is not None
    return event.record - event.explanation.since.record + 1

"""The estimated start of a change, compared with the true one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from detectors.baseline import Baseline
from detectors.e_detector import EDetector
from detectors.kinds import Kind
from detectors.numeric_stream import build_numeric_stream
from detectors.window import STRIDES_PER_BATCH, Window
from monitor.config.sections.detection import AlarmsConfig
from monitor.detect.explain.change_point import change_point
from monitor.detect.explain.explainer import HISTORY
from monitor.events.types import Transition
from tests.monitor import synthetic
from tests.monitor.detect.explain.explained_runs import (
    QUIET,
    drifting,
    events_of,
    opened,
    with_ids,
)
from tests.monitor.synthetic import STRIDE, WARMUP, WINDOW


@pytest.mark.parametrize("true", [0, 1, 4, 8, 9])
def test_change_point_is_where_the_shares_change(true: int) -> None:
    """Of ten strides, the estimate is at most one off the first stride with other shares."""
    rng = np.random.default_rng(true)
    before, after = np.array([0.4, 0.3, 0.2, 0.1, 0.0]), np.array([0.2, 0.2, 0.2, 0.3, 0.1])
    counts = np.stack([rng.multinomial(100, after if k >= true else before) for k in range(10)])
    assert abs(change_point(counts.astype(float), before * 50_000) - true) <= 1


def test_change_point_of_empty_strides() -> None:
    """Strides and a reference without records are no error."""
    assert change_point(np.zeros((10, 4)), np.zeros(4)) == 0


@pytest.mark.parametrize("detectors", [(), ("psi", "ks", "zscore"), ("e_detector",)])
@pytest.mark.parametrize("quiet", [QUIET, QUIET + 7])
def test_event_has_the_start_of_the_change(detectors: tuple[str, ...], quiet: int) -> None:
    """It is exact to two strides, estimated by the e-detector or from the window."""
    since = opened(events_of(drifting(factor=2.5, quiet=quiet), *detectors)).explanation.since
    assert since is not None
    assert abs(since.record - 1 - quiet) <= 2 * STRIDE
    assert since.time == synthetic.START + (since.record - 2) / synthetic.RATE


def test_slow_change_is_dated_before_the_window() -> None:
    """A change that the e-detector needs more than a window to find began before the window."""
    columns = drifting(factor=1.15, quiet=WARMUP + 600, n=6000)
    config = synthetic.config(alarms=AlarmsConfig(min_psi=1e-9))
    watch = synthetic.watcher(config.model_copy(update={"detectors": ("e_detector",)}))
    [first, *_] = [e for e in watch.feed(columns) if e.feature == "latency_ms"]
    since = first.explanation.since
    assert since is not None
    assert first.record - since.record > WINDOW
    assert abs(since.record - WARMUP - 600) < 2 * WINDOW
    assert first.explanation.bet is not None
    assert first.explanation.bet.startswith("mean +")


def test_time_before_the_history_is_unknown() -> None:
    """A change before the kept history has a record, but no time."""
    watch = synthetic.watcher()
    watch.feed(drifting(factor=1.0, n=(HISTORY + STRIDES_PER_BATCH + 10) * STRIDE))
    assert len(watch.main.explainer.times) == watch.main.explainer.times.maxlen
    assert watch.main.explainer._time(watch.main.window.strides - HISTORY) is not None
    assert watch.main.explainer._time(watch.main.window.strides - 2 * HISTORY) is None


REPORTED: tuple[Transition, ...] = ("opened", "escalated", "resolved")


def test_events_of_an_alarm_have_the_same_start() -> None:
    """All events of an alarm have the same `since`, except for a later step that escalates it.

    The last one has the final size and explains nothing else.
    """
    growing = synthetic.joined(
        synthetic.stream(QUIET, seed=1),
        synthetic.stream(600, seed=2, factor=1.22),
        synthetic.stream(600, seed=3, factor=4.0),
        synthetic.stream(800, seed=4),
    )
    events = [e for e in events_of(with_ids(growing)) if e.feature == "latency_ms"]
    since = {e.change: e.explanation.since for e in events}
    assert [e.change for e in events if e.change != "updated"] == [*REPORTED]
    for before, after in pairwise(events):
        if after.change == "updated":
            assert after.explanation.since == before.explanation.since
    opened, escalated, resolved = (since[change] for change in REPORTED)
    assert opened == resolved
    assert opened is not None
    assert escalated is not None
    assert abs(opened.record - 1 - QUIET) <= 2 * STRIDE
    assert abs(escalated.record - 601 - QUIET) <= 2 * STRIDE
    last = events[-1].explanation
    assert (last.bins, last.examples, last.together, last.effect) == ((), (), {}, None)


def test_leading_bet_matches_the_change() -> None:
    """The e-detector's leading bet names the shift and the stride at which it began."""
    rng = np.random.default_rng(5)
    values = rng.normal(size=20_000)
    baseline = Baseline(20_000, (build_numeric_stream("x", Kind.NUMERIC, values, 1000),), ())
    window = Window(baseline, 1000, 100)
    detector = EDetector(baseline, window, 1e-6)
    no_categories = np.zeros((0, 2000), np.uint8)
    detector.update(window.extend(rng.normal(size=(1, 2000)), no_categories))
    windows = window.extend(rng.normal(1.0, size=(1, 2000)), no_categories)
    assert detector.update(windows)[-1, 0]
    leading = detector.leading_bet(windows.at(len(windows) - 1), 0)
    assert leading is not None
    assert leading.bet == "mean +1 sd"
    assert abs(leading.since - 20) <= 1

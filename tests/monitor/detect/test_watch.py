"""The watch over one model: warm-up, verdicts, changing features, and reads from other threads."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from detectors import registry
from detectors.window_test import MIN_VALUES
from monitor.config.schema import Config
from monitor.config.sections.detection import (
    REFERENCE_WINDOWS,
    FileReference,
    WarmupReference,
    WindowsConfig,
)
from monitor.detect.reference import builder
from monitor.events.wording.drift import sentence
from tests.monitor import synthetic
from tests.monitor.detect.watch_runs import (
    DRIFTED,
    EVENTS,
    WATCH,
    changes_of,
    detectors_only,
    events_of,
    feed,
)
from tests.monitor.synthetic import STRIDE, WARMUP, WINDOW


@synthetic.SLOW_PROPERTY
@given(synthetic.cuttings(len(DRIFTED)))
def test_events_and_state_do_not_depend_on_chunks(marks: list[int]) -> None:
    """Any chunking of a stream gives the same events (ids included) and the same state."""
    watch = synthetic.watcher()
    assert feed(watch, synthetic.cut(DRIFTED, marks)) == EVENTS
    assert synthetic.state(watch) == synthetic.state(WATCH)


def test_drifted_stream_has_events() -> None:
    """The stream of the property above opens and resolves alarms of a number and of a category."""
    changes = ["opened", "escalated", "updated", "resolved"]
    assert changes_of(EVENTS, "latency_ms") == changes
    changes.remove("updated")  # the size in the escalation was right
    assert changes_of(EVENTS, "finish_reason") == changes
    assert {event.feature for event in EVENTS} == {"latency_ms", "finish_reason"}


def test_events_do_not_depend_on_clock_or_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch reads no clock and draws no random number."""

    class NoTime(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> NoTime:
            raise AssertionError("the wall clock was read")

    mine = threading.get_ident()

    def failing(real: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that fails here; threads of libraries may read clocks meanwhile."""

        def call(*arguments: Any) -> Any:
            if threading.get_ident() == mine:
                raise AssertionError("the wall clock was read or a random number was drawn")
            return real(*arguments)

        return call

    for clock in ("time", "monotonic", "perf_counter", "time_ns", "monotonic_ns"):
        monkeypatch.setattr(time, clock, failing(getattr(time, clock)))
    monkeypatch.setattr("datetime.datetime", NoTime)
    monkeypatch.setattr("random.random", failing(random.random))
    monkeypatch.setattr(np.random, "default_rng", failing(np.random.default_rng))
    monkeypatch.setattr("os.urandom", failing(os.urandom))
    events = feed(synthetic.watcher(), [DRIFTED])
    monkeypatch.undo()
    assert events == EVENTS


@pytest.mark.parametrize("size", [1, 7, WARMUP - 1, WARMUP, WARMUP + 1])
def test_warm_up_ends_after_its_records(size: int) -> None:
    """The reference contains exactly the first WARMUP records, for any chunk size."""
    watch = synthetic.watcher()
    stream = synthetic.stream(WARMUP + 50, seed=1)
    for chunk in synthetic.cut(stream, range(0, len(stream), size)):
        before = watch.seen
        watch.feed(chunk)
        assert (watch.profile is not None) == (before + len(chunk) >= WARMUP)
    assert watch.profile is not None
    assert watch.profile.records == WARMUP
    assert watch.seen == WARMUP + 50
    first = builder.build(
        [stream.take(slice(0, WARMUP))], segment="", window=WINDOW, categories=1000
    )
    assert watch.profile.id == first.id


@pytest.mark.parametrize(("window", "records"), [(200, 50_000), (20_000, 200_000)])
def test_model_without_a_profile_in_the_reference_warms_up(
    tmp_path: Path, window: int, records: int
) -> None:
    """Its warm-up has the default length, or as many records as its windows need."""
    settings = Config(
        windows=WindowsConfig(records=window, stride=window // 10),
        reference=FileReference(source="file", path=tmp_path / "reference.jsonl"),
    )
    assert synthetic.watcher(settings).warmup.needed == records
    assert records >= max(REFERENCE_WINDOWS * window, WarmupReference().records)


def test_no_verdict_during_warm_up() -> None:
    """Without a reference there are no events, readings or severities."""
    watch = synthetic.watcher()
    drifting = synthetic.joined(synthetic.stream(900), synthetic.stream(900, factor=10.0))
    assert watch.feed(drifting) == []
    assert watch.readings() == []
    assert watch.psi() == {}
    assert watch.severities() == {}
    assert watch.window_records() == 0


def test_window_tests_have_no_verdict_before_the_window_is_full() -> None:
    """A drift from the first evaluated record on is found by them once the window is full."""
    watch = synthetic.watcher(detectors_only("psi", "ks", "zscore"))
    watch.feed(synthetic.stream(WARMUP, seed=1))
    slow = synthetic.stream(WINDOW, seed=2, first=WARMUP, factor=5.0)
    assert watch.feed(slow.take(slice(0, WINDOW - 1))) == []
    assert watch.psi() == {}
    assert watch.window_records() == WINDOW - STRIDE
    opened = watch.feed(slow.take(slice(WINDOW - 1, None)))
    assert [(event.feature, event.record) for event in opened] == [("latency_ms", WARMUP + WINDOW)]
    assert watch.psi()["latency_ms"] == opened[0].psi


@pytest.mark.parametrize("quiet", [0, 1, 4])
@pytest.mark.parametrize(("factor", "stops"), [(5.0, 0.9), (0.3, 0.9), (1.0, 0.2)])
def test_change_within_the_first_window_is_found_at_once(
    quiet: int, factor: float, stops: float
) -> None:
    """The e-detector needs no full window, and its size is measured on the records so far."""
    watch = synthetic.watcher()
    watch.feed(synthetic.stream(WARMUP + quiet * STRIDE, seed=1))
    changed = synthetic.stream(WINDOW - (quiet + 1) * STRIDE, seed=2, factor=factor, stops=stops)
    opened = [event for event in watch.feed(changed) if event.change == "opened"]
    assert {event.feature for event in opened} == {
        "latency_ms" if factor != 1.0 else "finish_reason"
    }
    (event,) = opened
    assert not watch.main.window.full
    assert event.record < WARMUP + WINDOW
    assert event.explanation.since is not None
    assert abs(event.explanation.since.record - 1 - WARMUP - quiet * STRIDE) <= 2 * STRIDE
    assert event.psi >= 0.1
    assert watch.psi().keys() == {event.feature}


def test_feature_with_few_values_has_no_verdict() -> None:
    """A feature with fewer than MIN_VALUES values has no readings, but those of missing values."""
    rare = np.full(WARMUP + WINDOW, np.nan)
    rare[:: (WARMUP + WINDOW) // (MIN_VALUES - 10)] = 1.0
    watch = synthetic.watcher()
    watch.feed(
        synthetic.with_feature(synthetic.stream(WARMUP + WINDOW, seed=1), "score.rare", rare)
    )
    features = {reading.feature for reading in watch.readings()}
    assert "score.rare" not in features
    assert "missing.score.rare" in features


@pytest.mark.parametrize("seed", range(3))
def test_quiet_traffic_has_no_events(seed: int) -> None:
    """Unchanged traffic raises no alarm."""
    assert events_of(synthetic.stream(WARMUP + 20 * WINDOW, seed=seed)) == []


def test_feature_that_vanishes_raises_an_alarm() -> None:
    """A feature without any value is a critical drift; its event has no mean and no quantiles."""
    watch = synthetic.watcher()
    watch.feed(synthetic.stream(WARMUP, seed=1))
    later = synthetic.stream(WINDOW, seed=2, first=WARMUP)
    [event] = watch.feed(synthetic.with_values(later, "latency_ms", np.full(WINDOW, np.nan)))
    assert event.feature == "latency_ms"
    assert (event.severity, event.current.missing, event.current.n) == ("critical", 1.0, 0)
    assert event.current.mean is event.current.p50 is event.current.p95 is None
    assert "no record has a value any more" in sentence(event)


def test_absent_feature_counts_as_missing() -> None:
    """A feature that later chunks do not contain drifts like one without values."""
    watch = synthetic.watcher()
    watch.feed(synthetic.stream(WARMUP + WINDOW, seed=1))
    later = synthetic.stream(WINDOW, seed=4, first=WARMUP + WINDOW)
    empty = synthetic.with_values(later, "latency_ms", np.full(WINDOW, np.nan))
    without = synthetic.as_ingested(empty)
    assert "latency_ms" not in without.numeric
    events = watch.feed(without)
    assert {event.feature for event in events} == {"latency_ms"}


def test_new_feature_is_listed_as_unwatched() -> None:
    """A feature that the reference lacks raises no alarm."""
    watch = synthetic.watcher()
    watch.feed(synthetic.stream(WARMUP, seed=1))
    later = synthetic.stream(3 * WINDOW, seed=2, first=WARMUP)
    later = synthetic.with_feature(later, "score.taste", np.ones(len(later)))
    assert watch.feed(later) == []
    assert watch.main.buffer.unwatched == {"score.taste"}


def test_watch_can_be_read_while_it_adopts_a_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that reads the watch during `adopt` finds it in its warm-up."""
    watch = synthetic.watcher()
    reads = []
    create_detectors = registry.create

    def create(*arguments: Any) -> Any:
        reads.append((watch.seen, watch.readings(), watch.psi(), watch.severities()))
        return create_detectors(*arguments)

    monkeypatch.setattr(registry, "create", create)
    watch.feed(synthetic.stream(WARMUP))
    assert reads == [(WARMUP, [], {}, {})]

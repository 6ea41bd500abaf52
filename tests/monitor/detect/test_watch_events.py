"""The content of the events of a watch: place, detector, summaries, and JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from detectors.categorical_stream import UNSEEN
from monitor.events.codec import encode_event, event_fields
from monitor.events.wording.drift import sentence
from tests.monitor import synthetic
from tests.monitor.detect.watch_runs import (
    DRIFTED,
    EVENTS,
    changes_of,
    detectors_only,
    events_of,
    feed,
    quiet_then,
    quiet_then_categories,
)
from tests.monitor.synthetic import STRIDE, WARMUP, WINDOW


def test_event_has_the_place_of_the_newest_record() -> None:
    """Position, record and time are those of the newest record of the window."""
    for event in EVENTS:
        assert event.position == event.record
        assert event.time == synthetic.START + (event.record - 1) / synthetic.RATE
        assert event.record % STRIDE == 0


def test_summaries_are_exact() -> None:
    """Counts, mean and quantiles are those of the reference and of the measured records."""
    opened = next(event for event in EVENTS if event.feature == "latency_ms")
    latency = DRIFTED.values[0]
    measured = latency[opened.record - synthetic.measured_records(opened) : opened.record]
    for summary, values in ((opened.reference, latency[:WARMUP]), (opened.current, measured)):
        present = np.sort(values[~np.isnan(values)])
        assert summary.n == len(present)
        assert summary.missing == pytest.approx(1 - len(present) / len(values))
        assert summary.mean == pytest.approx(present.mean())
        assert summary.p50 == present[int(np.ceil(0.5 * len(present))) - 1]
        assert summary.p95 == present[int(np.ceil(0.95 * len(present))) - 1]


def test_event_names_the_detector_with_the_smallest_p_value() -> None:
    """The named detector found the change, and its statistic reaches its threshold."""
    for event in EVENTS:
        if event.change != "resolved":
            assert event.detector in event.found_by
            assert event.statistic is not None
            assert event.threshold is not None
            assert event.statistic >= event.threshold
    opened = next(event for event in EVENTS if event.feature == "latency_ms")
    watch = synthetic.watcher()
    watch.feed(DRIFTED.take(slice(0, opened.record)))
    p_values = {
        reading.detector: reading.p_value
        for reading in watch.readings()
        if reading.feature == "latency_ms" and reading.detector in opened.found_by
    }
    assert opened.p_value == min(p_values.values()) == p_values[opened.detector]


def test_event_of_adwin_has_no_p_value() -> None:
    """An event that only ADWIN found has null for the p-value, and numbers for the rest."""
    slow = synthetic.joined(
        synthetic.stream(WARMUP + 600, seed=1), synthetic.stream(600, seed=2, factor=3.0)
    )
    events = feed(synthetic.watcher(detectors_only("adwin")), [slow])
    assert changes_of(events, "latency_ms")[0] == "opened"
    opened = json.loads(encode_event(events[0]))
    assert opened["detector"] == "adwin"
    assert opened["p_value"] is None
    assert opened["statistic"] >= opened["threshold"] > 0


def test_new_category_is_reported_with_its_share() -> None:
    """A category that the reference lacks raises an alarm, and the event has its share."""
    reasons = ["tool_calls" if i % 5 == 0 else "stop" for i in range(2 * WINDOW)]
    stream = synthetic.stream(2 * WINDOW, seed=4, stops=1.0)
    events = events_of(quiet_then_categories(stream, "finish_reason", reasons))
    assert events[0].change == "opened"
    assert {event.feature for event in events} == {"finish_reason"}
    last = events[-1]
    assert last.current.shares is not None
    assert last.current.shares[UNSEEN] > 0.05
    assert last.reference.shares is not None
    assert last.reference.shares[UNSEEN] == 0.0
    assert last.kind == "categorical"
    assert f"{UNSEEN} 0.0% -> " in sentence(last)


def test_both_summaries_have_the_same_categories() -> None:
    """The shares of both summaries are of the same categories, among records with a value."""
    reasons = [None if i % 2 else "length" for i in range(2 * WINDOW)]
    stream = synthetic.stream(2 * WINDOW, seed=4)
    last = events_of(quiet_then_categories(stream, "finish_reason", reasons))[-1]
    before, after = last.reference.shares, last.current.shares
    assert before is not None
    assert after is not None
    assert list(before) == list(after)
    assert set(after) == {"stop", "length"}
    assert sum(before.values()) == pytest.approx(1)
    assert sum(after.values()) == pytest.approx(1)
    records = synthetic.measured_records(last)
    assert last.current.n == records - round(last.current.missing * records) < WINDOW


def test_categories_named_like_bins_keep_their_share() -> None:
    """A category "other", "rare" or "missing" of the log is a category like any other."""
    names = ["other", "rare", "missing", "stop"] * (WARMUP // 4)
    watch = synthetic.watcher()
    watch.feed(synthetic.with_categories(synthetic.stream(WARMUP, seed=1), "finish_reason", names))
    later = synthetic.stream(WINDOW, seed=2, first=WARMUP)
    events = watch.feed(synthetic.with_categories(later, "finish_reason", ["missing"] * WINDOW))
    last = events[-1]
    assert last.feature == "finish_reason"
    assert last.current.missing == 0.0
    assert last.current.shares is not None
    assert last.current.shares["missing (named)"] == 1.0
    assert last.reference.shares is not None
    assert last.reference.shares["missing (named)"] == 0.25
    assert {"other", "rare"} <= set(last.reference.shares)
    assert "missing (named) 25.0% -> 100.0%" in sentence(last)


@pytest.mark.parametrize("named", ["other", "rare", UNSEEN, "rare (1 category)", "missing"])
def test_a_category_is_told_apart_from_the_catch_all(named: str) -> None:
    """A category named like a catch-all bin keeps its share while unknown categories come up."""
    watch = synthetic.watcher()
    names = [named, "stop"] * (WARMUP // 2)
    watch.feed(synthetic.with_categories(synthetic.stream(WARMUP, seed=1), "finish_reason", names))
    later = synthetic.stream(WINDOW, seed=2, first=WARMUP)
    reasons = [named, "stop", "new-1", "new-2"] * (WINDOW // 4)
    last = watch.feed(synthetic.with_categories(later, "finish_reason", reasons))[-1]
    shares = last.current.shares
    assert shares is not None
    own = named if named in {"other", "rare"} else f"{named} (named)"
    assert shares[own] == pytest.approx(0.25, abs=0.02)
    assert shares[UNSEEN] == pytest.approx(0.5, abs=0.02)
    assert sum(shares.values()) == pytest.approx(1)
    assert sum(bin.after for bin in last.explanation.bins if bin.bin == UNSEEN) > 0.4


def test_binary_feature_is_reported_as_a_share() -> None:
    """The event of an error flag has the kind binary, and its sentence a share of records."""
    watch = synthetic.watcher()
    watch.feed(synthetic.stream(WARMUP, seed=1))
    later = synthetic.stream(WINDOW, seed=2, first=WARMUP)
    [event] = watch.feed(synthetic.with_values(later, "error", np.ones(WINDOW)))
    assert (event.feature, event.kind) == ("error", "binary")
    assert event.current.mean == pytest.approx(1)
    assert "% -> 100.0% of records" in sentence(event)


def reject_constant(constant: str) -> None:
    """Reject NaN and infinities in json.loads."""
    raise AssertionError(constant)


def test_json_of_an_event_has_no_nan() -> None:
    """Infinite, huge and missing values give an event that is valid JSON."""
    wild = synthetic.stream(2 * WINDOW, seed=4, factor=3.0).values[0].copy()
    wild[::3], wild[1::3] = np.inf, 1.7e308
    wild[::7] = np.nan
    stream = synthetic.stream(2 * WINDOW, seed=4)
    events = events_of(quiet_then(synthetic.with_values(stream, "latency_ms", wild)))
    assert events
    for event in events:
        text = json.dumps(event_fields(event))
        json.loads(text, parse_constant=reject_constant)
        assert json.loads(encode_event(event)) == json.loads(text)
        assert sentence(event).isprintable()
    # such a mean has no interval
    assert "mean" in events[-1].explanation.uncertain
    assert events[-1].current.mean == events[-1].reference.mean
    assert events[-1].current.p50 == pytest.approx(1.7e308)

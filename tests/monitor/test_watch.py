"""The watch over one model: warm-up, verdicts, alarms and what their events say."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from detectors import registry
from detectors.adwin import Adwin
from detectors.base import MIN_VALUES, Bools, Detector
from detectors.e_detector import EDetector
from detectors.window import Windows
from monitor import events, reference
from monitor.columns import Columns
from monitor.config import (
    REFERENCE_WINDOWS,
    AlarmsConfig,
    Config,
    FileReference,
    WarmupReference,
    WindowsConfig,
)
from monitor.events import DriftEvent
from monitor.watch import Watch
from tests.monitor import made
from tests.monitor.made import STRIDE, WARMUP, WINDOW

DRIFTED = made.joined(
    made.stream(WARMUP + 400, seed=1),
    made.stream(200, seed=2, factor=1.3, stops=0.8),
    made.stream(300, seed=3, factor=3.0, stops=0.5),
    made.stream(700, seed=4),
)
"""A reference, quiet, slow and cut short, more so, quiet again."""


def fed(watching: Watch, chunks: Iterable[Columns]) -> list[DriftEvent]:
    """All events that the chunks make."""
    return [event for chunk in chunks for event in watching.feed(chunk)]


def found(columns: Columns) -> list[DriftEvent]:
    """All events of a stream that is fed at once."""
    return fed(made.watcher(), [columns])


def only(*detectors: str, **alarms: Any) -> Config:
    """These detectors alone, none of them an adviser unless it is said."""
    chosen = AlarmsConfig(**({"advisory": ()} | alarms))
    return made.config(alarms=chosen).model_copy(update={"detectors": detectors})


def story(happened: Sequence[DriftEvent], feature: str) -> list[str]:
    """What became of one feature."""
    return [event.change for event in happened if event.feature == feature]


def changed(columns: Columns, change: Callable[[Columns], Columns]) -> Columns:
    """Quiet traffic, and then `columns` after a change."""
    return made.joined(made.stream(WARMUP + WINDOW, seed=1), change(columns))


WHOLE = made.watcher()
EXPECTED = fed(WHOLE, [DRIFTED])


@made.SLOW_PROPERTY
@given(made.cuttings(len(DRIFTED)))
def test_nothing_depends_on_chunks(marks: list[int]) -> None:
    """However a stream is cut, the events (ids included) and the state are the same."""
    pieces = made.watcher()
    assert fed(pieces, made.cut(DRIFTED, marks)) == EXPECTED
    assert made.state(pieces) == made.state(WHOLE)


def test_the_property_above_has_something_to_find() -> None:
    """Its stream raises alarms that open and resolve, of numbers and of categories."""
    assert story(EXPECTED, "latency_ms") == ["opened", "escalated", "resolved"]
    assert story(EXPECTED, "finish_reason") == ["opened", "escalated", "resolved"]
    assert {event.feature for event in EXPECTED} == {"latency_ms", "finish_reason"}


@pytest.mark.parametrize("size", [1, 7, WARMUP - 1, WARMUP, WARMUP + 1])
def test_warm_up_ends_exactly(size: int) -> None:
    """The reference is made of the first N records, whatever the chunks, and of no others."""
    watching = made.watcher()
    stream = made.stream(WARMUP + 50, seed=1)
    for chunk in made.cut(stream, range(0, len(stream), size)):
        before = watching.seen
        watching.feed(chunk)
        assert (watching.profile is not None) == (before + len(chunk) >= WARMUP)
    assert watching.profile is not None
    assert watching.profile.records == WARMUP
    assert watching.seen == WARMUP + 50
    first = reference.build(
        [stream.take(slice(0, WARMUP))], segment="", window=WINDOW, categories=1000
    )
    assert watching.profile.id == first.id


def test_no_verdict_while_warming_up() -> None:
    """Before there is a reference there are no events, no numbers and no values."""
    watching = made.watcher()
    drifting = made.joined(made.stream(900), made.stream(900, factor=10.0))
    assert watching.feed(drifting) == []
    assert watching.readings() == []
    assert watching.psi() == {}
    assert watching.severities() == {}
    assert watching.window_records() == 0
    with pytest.raises(KeyError):
        watching.values("latency_ms")


def test_no_verdict_before_a_window_is_full() -> None:
    """A drift from the first watched record on is reported once the window is full, not before."""
    watching = made.watcher()
    watching.feed(made.stream(WARMUP, seed=1))
    slow = made.stream(WINDOW, seed=2, first=WARMUP, factor=5.0)
    assert watching.feed(slow.take(slice(0, WINDOW - 1))) == []
    assert watching.psi() == {}
    assert watching.window_records() == WINDOW - STRIDE
    opened = watching.feed(slow.take(slice(WINDOW - 1, None)))
    assert [(event.feature, event.record) for event in opened] == [("latency_ms", WARMUP + WINDOW)]
    assert watching.psi()["latency_ms"] == opened[0].psi


@pytest.mark.parametrize("seed", range(3))
def test_quiet_traffic_is_quiet(seed: int) -> None:
    """Nothing is reported where nothing changes."""
    assert found(made.stream(WARMUP + 20 * WINDOW, seed=seed)) == []


def test_feature_that_vanishes_alarms() -> None:
    """All values missing is drift: critical, and told with what is known of it."""
    watching = made.watcher()
    watching.feed(made.stream(WARMUP, seed=1))
    later = made.stream(WINDOW, seed=2, first=WARMUP)
    happened = watching.feed(made.with_values(later, "latency_ms", np.full(WINDOW, np.nan)))
    [last] = happened
    assert last.feature == "latency_ms"
    assert (last.severity, last.current.missing, last.current.n) == ("critical", 1.0, 0)
    assert last.current.mean is last.current.p50 is last.current.p95 is None
    assert "no record has a value any more" in events.sentence(last)


def test_absent_feature_is_a_vanished_one() -> None:
    """A feature that later chunks do not even name is missing, just as one that is empty."""
    watching = made.watcher()
    watching.feed(made.stream(WARMUP + WINDOW, seed=1))
    later = made.stream(WINDOW, seed=4, first=WARMUP + WINDOW)
    empty = made.with_values(later, "latency_ms", np.full(WINDOW, np.nan))
    without = made.as_ingested(empty)
    assert "latency_ms" not in without.numeric
    happened = watching.feed(without)
    assert {event.feature for event in happened} == {"latency_ms"}


def test_feature_that_appears_later_is_named_not_alarmed() -> None:
    """What the reference does not have cannot drift from it."""
    watching = made.watcher()
    watching.feed(made.stream(WARMUP, seed=1))
    later = made.stream(3 * WINDOW, seed=2, first=WARMUP)
    later = made.with_feature(later, "score.taste", np.ones(len(later)))
    assert watching.feed(later) == []
    assert watching.buffer.unwatched == {"score.taste"}


def test_new_category_alarms() -> None:
    """A category that the reference never had is drift, and the event shows its share."""
    reasons = ["tool_calls" if i % 5 == 0 else "stop" for i in range(2 * WINDOW)]
    happened = found(
        changed_categories(made.stream(2 * WINDOW, seed=4, stops=1.0), "finish_reason", reasons)
    )
    assert happened[0].change == "opened"
    assert {event.feature for event in happened} == {"finish_reason"}
    last = happened[-1]
    assert last.current.shares is not None
    assert last.current.shares["other"] > 0.05
    assert last.reference.shares is not None
    assert last.reference.shares["other"] == 0.0
    assert last.kind == "categorical"
    assert "unknown categories 0.0% -> " in events.sentence(last)


def changed_categories(columns: Columns, name: str, values: Sequence[str | None]) -> Columns:
    """Quiet traffic, then other categories."""
    quiet = made.stream(WARMUP + WINDOW, seed=1)
    recoded = made.with_categories(columns, name, values)
    return _concatenated(quiet, recoded)


def _concatenated(quiet: Columns, later: Columns) -> Columns:
    """Two streams whose vocabularies may differ, as one chunk."""
    whole = made.joined(quiet, quiet.take(slice(0, 0)), made.stream(len(later)))
    texts = {
        column.name: [
            None if code < 0 else each.vocabulary[code]
            for part in (quiet, later)
            for each in part.categories
            if each.name == column.name
            for code in each.codes.tolist()
        ]
        for column in quiet.categories
    }
    values = np.concatenate((quiet.values, later.values), axis=1)
    joined = replace(whole, values=values, categories=())
    for name, category in texts.items():
        joined = made.with_categories(joined, name, category)
    return joined


def test_shares_of_an_event_are_of_the_same_categories() -> None:
    """Both sides of a categorical event name the same categories, of the records that have one."""
    reasons = [None if i % 2 else "length" for i in range(2 * WINDOW)]
    happened = found(changed_categories(made.stream(2 * WINDOW, seed=4), "finish_reason", reasons))
    last = happened[-1]
    before, after = last.reference.shares, last.current.shares
    assert before is not None
    assert after is not None
    assert list(before) == list(after)
    assert set(after) == {"stop", "length"}
    assert sum(before.values()) == pytest.approx(1)
    assert sum(after.values()) == pytest.approx(1)
    records = made.measured(last)
    assert last.current.n == records - round(last.current.missing * records) < WINDOW


def test_categories_called_like_bins_keep_their_share() -> None:
    """A log's own "other", "rare" and "missing" are categories like any other."""
    names = ["other", "rare", "missing", "stop"] * (WARMUP // 4)
    quiet = made.with_categories(made.stream(WARMUP, seed=1), "finish_reason", names)
    watching = made.watcher()
    watching.feed(quiet)
    later = ["missing"] * WINDOW
    happened = watching.feed(
        made.with_categories(made.stream(WINDOW, seed=2, first=WARMUP), "finish_reason", later)
    )
    last = happened[-1]
    assert last.feature == "finish_reason"
    assert last.current.missing == 0.0
    assert last.current.shares is not None
    assert last.current.shares["missing"] == 1.0
    assert last.reference.shares is not None
    assert last.reference.shares["missing"] == 0.25


def test_alarm_opens_escalates_and_resolves_once() -> None:
    """One episode of drift, however many evaluations exceed in it, is one alarm."""
    grown = made.joined(
        made.stream(WARMUP + WINDOW, seed=1),
        made.stream(600, seed=2, factor=1.3),
        made.stream(600, seed=3, factor=4.0),
        made.stream(600, seed=4),
    )
    happened = [event for event in found(grown) if event.feature == "latency_ms"]
    opened, escalated, resolved = happened
    assert [event.change for event in happened] == ["opened", "escalated", "resolved"]
    assert [event.severity for event in happened] == ["warning", "critical", "critical"]
    assert {event.alarm for event in happened} == {opened.id}
    assert len({event.id for event in happened}) == 3
    assert opened.psi >= 0.1
    assert escalated.psi >= 0.25
    assert resolved.psi < 0.1
    assert resolved.found_by == ()
    assert resolved.record - WARMUP - WINDOW - 1200 >= WINDOW


def test_resolution_waits_for_a_quiet_window() -> None:
    """An alarm ends a window's length after it was last found, not earlier, not later."""
    watching = made.watcher()
    records = made.joined(
        made.stream(WARMUP + WINDOW, seed=1),
        made.stream(200, seed=2, factor=3.0),
        made.stream(800, seed=3),
    )
    last_found, resolved_at = 0, 0
    for chunk in made.cut(records, range(0, len(records), STRIDE)):
        for event in watching.feed(chunk):
            if event.change == "resolved":
                resolved_at = event.record
        for alarm in watching.alarms.values():
            last_found = max(last_found, alarm.last_found)
    assert resolved_at - last_found == WINDOW


@pytest.mark.parametrize("detector", ["adwin", "page_hinkley"])
def test_detector_that_starts_anew_does_not_end_its_alarm(detector: str) -> None:
    """A lasting drift is one alarm, also where what found it finds it but once."""
    watching = made.watcher(only(detector))
    lasting = made.joined(made.stream(WARMUP + 600, seed=1), made.stream(4000, seed=2, factor=1.5))
    assert story(watching.feed(lasting), "latency_ms") in (["opened"], ["opened", "escalated"])
    assert list(watching.severities()) == ["latency_ms"]


def test_hovering_drift_is_one_alarm() -> None:
    """A drift that swings about the limit does not open an alarm at each swing."""
    parts = [made.stream(WARMUP + WINDOW, seed=1)]
    for number in range(8):
        parts.append(made.stream(150, seed=10 + number, factor=1.7 if number % 2 else 1.25))
    happened = found(made.joined(*parts))
    assert story(happened, "latency_ms").count("opened") == 1


def test_critical_from_the_start_opens_critical() -> None:
    """A change that is critical when it is found first needs no second event."""
    watching = made.watcher()
    watching.feed(made.stream(WARMUP, seed=1))
    [event] = watching.feed(made.stream(WINDOW, seed=2, first=WARMUP, factor=5.0))
    assert (event.change, event.severity) == ("opened", "critical")
    assert watching.severities() == {"latency_ms": "critical"}


def test_significant_but_small_change_is_silent() -> None:
    """What does not reach min_psi is no alarm, however significant it is."""
    assert EXPECTED
    strict = made.config(alarms=AlarmsConfig(min_psi=50.0, critical_psi=50.0))
    assert fed(made.watcher(strict), [DRIFTED]) == []


def after_shift(sd: float, seed: int) -> list[DriftEvent]:
    """What is found after latencies have moved by so many deviations of their logarithm."""
    factor = float(np.exp(0.5 * sd))
    watching = made.watcher(Config(reference=WarmupReference(records=20_000)))
    quiet, later = made.stream(21_000, seed=seed), made.stream(4000, seed=seed + 1, factor=factor)
    happened = watching.feed(made.joined(quiet, later))
    return [event for event in happened if event.record > 21_000]


@pytest.mark.parametrize(
    ("sd", "soonest", "latest", "psi"), [(0.5, 100, 350, 0.25), (1.0, 100, 150, 1.0)]
)
def test_large_change_is_measured_on_the_records_since(
    sd: float, soonest: int, latest: int, psi: float
) -> None:
    """The alarm does not wait until the window is full of the change, and tells its true size."""
    first = [after_shift(sd, seed)[0] for seed in range(0, 22, 2)]
    assert all(event.feature == "latency_ms" for event in first)
    assert soonest <= np.median([event.record - 21_000 for event in first]) <= latest
    assert max(made.measured(event) for event in first) < 1000
    assert np.median([event.psi for event in first]) == pytest.approx(psi, rel=0.3)
    medians = [(event.current.p50 or 0) / (event.reference.p50 or 1) for event in first]
    assert np.median(medians) == pytest.approx(np.exp(0.5 * sd), rel=0.1)


def test_the_size_shown_is_that_of_the_alarm() -> None:
    """What /metrics calls a feature's PSI is what its events say; in quiet, the window's."""
    opened, *_, resolved = (event for event in EXPECTED if event.feature == "latency_ms")
    watching = made.watcher()
    for event in (opened, resolved):
        watching.feed(DRIFTED.take(slice(watching.seen, event.record)))
        assert watching.psi()["latency_ms"] == event.psi >= in_window(watching)["latency_ms"]
    assert opened.psi > resolved.psi
    quiet = made.watcher()
    quiet.feed(DRIFTED.take(slice(0, WARMUP + WINDOW)))
    assert quiet.path.sizes == {}
    assert quiet.psi() == in_window(quiet)


def in_window(watching: Watch) -> dict[str, float]:
    """PSI of the whole window, by feature."""
    names = [stream.name for stream in watching.window.baseline.streams]
    psi = watching.path.psi(watching.window.current())
    return dict(zip(names, psi.tolist(), strict=True))


def test_small_change_is_as_small_on_the_records_since() -> None:
    """What has a PSI of .04 does not come to .1 by being measured on few records."""
    happened = [after_shift(0.2, seed) for seed in range(0, 22, 2)]
    assert sum(1 for each in happened if each) <= 1


def test_event_tells_both_sides_exactly() -> None:
    """Counts, mean and quantiles are those of the reference's and of the newest values."""
    opened = next(event for event in EXPECTED if event.feature == "latency_ms")
    latency = DRIFTED.values[0]
    sides = [
        (opened.reference, latency[:WARMUP]),
        (opened.current, latency[opened.record - made.measured(opened) : opened.record]),
    ]
    for summary, values in sides:
        known = np.sort(values[~np.isnan(values)])
        assert summary.n == len(known)
        assert summary.missing == pytest.approx(1 - len(known) / len(values))
        assert summary.mean == pytest.approx(known.mean())
        assert summary.p50 == known[int(np.ceil(0.5 * len(known))) - 1]
        assert summary.p95 == known[int(np.ceil(0.95 * len(known))) - 1]


def test_event_says_where_it_is() -> None:
    """Position, record and time are those of the newest record of the window."""
    for event in EXPECTED:
        assert event.position == event.record
        assert event.time == made.START + (event.record - 1) / made.RATE
        assert event.record % STRIDE == 0


def test_event_speaks_with_the_smallest_p_value() -> None:
    """The detector named is one that found the change, and its number reaches its threshold."""
    for event in EXPECTED:
        if event.change != "resolved":
            assert event.detector in event.found_by
            assert event.statistic is not None
            assert event.threshold is not None
            assert event.statistic >= event.threshold
    opened = next(event for event in EXPECTED if event.feature == "latency_ms")
    replayed = made.watcher()
    replayed.feed(DRIFTED.take(slice(0, opened.record)))
    p_values = {
        reading.detector: reading.p_value
        for reading in replayed.readings()
        if reading.feature == "latency_ms" and reading.detector in opened.found_by
    }
    assert opened.p_value == min(p_values.values()) == p_values[opened.detector]


def test_adwin_has_no_p_value() -> None:
    """Where ADWIN is alone its event has null for a p-value, and numbers for the rest."""
    settings = only("adwin")
    slow = made.joined(made.stream(WARMUP + 600, seed=1), made.stream(600, seed=2, factor=3.0))
    happened = fed(made.watcher(settings), [slow])
    assert story(happened, "latency_ms")[0] == "opened"
    opened = json.loads(events.encode(happened[0]))
    assert opened["detector"] == "adwin"
    assert opened["p_value"] is None
    assert opened["statistic"] >= opened["threshold"] > 0


def test_detector_without_a_p_value_does_not_speak_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where ADWIN is one of several that found a change, one with a p-value is named."""
    monkeypatch.setattr(Adwin, "update", always)
    settings = only("adwin", "psi", "ks")
    watching = made.watcher(settings)
    watching.feed(made.stream(WARMUP, seed=1))
    [event] = watching.feed(made.stream(WINDOW, seed=2, factor=5.0))
    assert set(event.found_by) == {"adwin", "psi", "ks"}
    assert event.detector != "adwin"
    assert event.p_value is not None


def always(self: Detector, windows: Windows) -> Bools:
    """A detector's update that finds a change in every full window."""
    return np.tile(windows.full[:, None], len(self.streams))


def test_what_an_adviser_finds_raises_no_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its numbers are there to be read; without another detector there is no event."""
    monkeypatch.setattr(Adwin, "update", always)
    quiet = made.stream(WARMUP + 5 * WINDOW, seed=1)
    advised, asked = (
        made.watcher(only("adwin", "psi", advisory=advisory, min_psi=1e-9))
        for advisory in (("adwin",), ())
    )
    assert advised.feed(quiet) == []
    assert {reading.detector for reading in advised.readings()} == {"adwin", "psi"}
    assert {event.detector for event in asked.feed(quiet)} == {"adwin"}


def test_an_adviser_is_named_but_holds_no_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in found_by of an alarm that others raise, which ends with the last that they find."""
    monkeypatch.setattr(Adwin, "update", always)
    happened = fed(made.watcher(only("adwin", "psi", advisory=("adwin",))), [DRIFTED])
    expected = fed(made.watcher(only("psi")), [DRIFTED])
    assert [(e.feature, e.change, e.record) for e in happened] == [
        (e.feature, e.change, e.record) for e in expected
    ]
    assert {"opened", "resolved"} <= {event.change for event in happened}
    for event in happened:
        assert event.detector == "psi"
        if event.change == "opened":
            assert set(event.found_by) == {"psi"} | (
                {"adwin"} if event.kind != "categorical" else set()
            )


def strict(constant: str) -> None:
    """For json.loads: NaN and infinities are no JSON."""
    raise AssertionError(constant)


def test_json_never_holds_nan() -> None:
    """Infinite, huge and missing values leave an event that any JSON reader takes."""
    wild = made.stream(2 * WINDOW, seed=4, factor=3.0).values[0].copy()
    wild[::3], wild[1::3] = np.inf, 1.7e308
    wild[::7] = np.nan
    happened = found(
        changed(
            made.stream(2 * WINDOW, seed=4),
            lambda columns: made.with_values(columns, "latency_ms", wild),
        )
    )
    assert happened
    for event in happened:
        text = json.dumps(events.fields(event))
        json.loads(text, parse_constant=strict)
        assert json.loads(events.encode(event)) == json.loads(text)
        assert events.sentence(event).isprintable()
    assert happened[-1].current.mean == pytest.approx(
        np.ldexp(1.0, 1023), rel=1
    )  # finite, and of the right size


def test_binary_feature_has_its_kind() -> None:
    """An error flag that flips is told as a share of records."""
    watching = made.watcher()
    watching.feed(made.stream(WARMUP, seed=1))
    later = made.stream(WINDOW, seed=2, first=WARMUP)
    [last] = watching.feed(made.with_values(later, "error", np.ones(WINDOW)))
    assert (last.feature, last.kind) == ("error", "binary")
    assert last.current.mean == pytest.approx(1)
    assert "% -> 100.0% of records" in events.sentence(last)


STREAMS = {
    "psi": 5,
    "ks": 2,
    "zscore": 3,
    "chi2": 3,
    "e_detector": 5,
    "adwin": 3,
    "page_hinkley": 3,
}
"""How many of the streams of made columns each detector watches."""


@pytest.mark.parametrize(
    "weights",
    [None, {}, {"ks": 0.25}, {"e_detector": 1.0, "psi": 30.0}, dict.fromkeys(STREAMS, 5.0)],
)
@pytest.mark.parametrize("detectors", [tuple(STREAMS), ("chi2",), ("ks", "e_detector")])
def test_levels_share_out_the_budget(
    weights: dict[str, float] | None, detectors: tuple[str, ...]
) -> None:
    """Over all that is watched they sum to budget / (strides in the horizon x (1 + segment keys)).

    Each detector has its weight's part of it, spread evenly over its streams.
    """
    chosen = {} if weights is None else {"weights": weights}
    settings = only(*detectors, false_pages=2.0, per_days=7.0, **chosen)
    watching = made.watcher(settings.model_copy(update={"segments": ("metadata.route",)}))
    watching.feed(made.stream(WARMUP, seed=1))
    total = 2.0 / (7 * 86_400 * made.RATE / STRIDE * 2)
    spent = {name: level * STREAMS[name] for name, level in watching.levels.items()}
    assert list(spent) == list(detectors)
    assert sum(spent.values()) == pytest.approx(total, rel=1e-3)
    given_weights = {"e_detector": 20.0} if weights is None else weights
    parts = {name: given_weights.get(name, 1.0) for name in detectors}
    for name, part in parts.items():
        assert spent[name] == pytest.approx(total * part / sum(parts.values()), rel=1e-3)


def test_levels_of_the_default_configuration() -> None:
    """The e-detector has more than all others together, and each detector runs at its level."""
    watching = made.watcher()
    watching.feed(made.stream(WARMUP, seed=1))
    spent = {name: level * STREAMS[name] for name, level in watching.levels.items()}
    adviser = spent.pop("adwin")
    assert spent["e_detector"] == pytest.approx(sum(spent.values()) * 20 / 25)
    assert adviser == pytest.approx(sum(spent.values()))
    for detector in watching.detectors:
        assert len(detector.streams) == STREAMS[detector.name]
    limits = {d.name: 1 / d.limit for d in watching.detectors if isinstance(d, EDetector)}
    assert limits == {"e_detector": pytest.approx(watching.levels["e_detector"])}


def test_pace_of_the_whole_model_counts() -> None:
    """A segment's level goes by the whole model's pace: its segments share one budget."""
    whole = Watch("m", "", made.config(), lambda: None)
    part = Watch("m", "metadata.route=web", made.config(), lambda: 10 * made.RATE)
    for watching in (whole, part):
        watching.feed(made.stream(WARMUP, seed=1))
    tenfold = {name: 10 * level for name, level in part.levels.items()}
    assert whole.levels == pytest.approx(tenfold, rel=1e-3)


def test_one_wrong_clock_does_not_move_the_level() -> None:
    """A record dated 1970 among thousands does not make the traffic look a million times slower."""
    stream = made.stream(WARMUP, seed=1)
    wrong = stream.times.copy()
    wrong[17] = 0.0
    right = made.watcher()
    right.feed(stream)
    late = made.watcher()
    late.feed(replace(stream, times=wrong))
    assert late.levels == pytest.approx(right.levels, rel=0.01)


def test_no_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing asks what time it is, and no chance is drawn: the outcome is of the records alone."""

    class NoTime(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> NoTime:
            raise AssertionError("the wall clock was asked")

    def asked(*_: Any) -> float:
        raise AssertionError("the wall clock, or chance, was asked")

    for clock in ("time", "monotonic", "perf_counter", "time_ns", "monotonic_ns"):
        monkeypatch.setattr(time, clock, asked)
    monkeypatch.setattr("datetime.datetime", NoTime)
    monkeypatch.setattr("random.random", asked)
    monkeypatch.setattr(np.random, "default_rng", asked)
    monkeypatch.setattr("os.urandom", asked)
    happened = fed(made.watcher(), [DRIFTED])
    monkeypatch.undo()
    assert happened == EXPECTED


def test_values_are_those_of_the_window() -> None:
    """What is plotted are the newest records of the feature, and the reference's."""
    watching = made.watcher()
    stream = made.stream(WARMUP + 3 * WINDOW + STRIDE, seed=1)
    watching.feed(stream)
    before, now = watching.values("latency_ms")
    first = stream.values[0, :WARMUP]
    np.testing.assert_array_equal(before, np.sort(first[~np.isnan(first)]))
    np.testing.assert_array_equal(np.sort(now), np.sort(stream.values[0, -WINDOW:]))
    with pytest.raises(KeyError):
        watching.values("finish_reason")


def test_watch_can_be_read_while_it_adopts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread that looks in the middle of an adoption meets a watch that still warms up."""
    watching = made.watcher()
    looked = []

    def create(*arguments: Any) -> Any:
        looked.append((watching.seen, watching.readings(), watching.psi(), watching.severities()))
        return made_detectors(*arguments)

    made_detectors = registry.create
    monkeypatch.setattr(registry, "create", create)
    watching.feed(made.stream(WARMUP))
    assert looked == [(WARMUP, [], {}, {})]


@pytest.mark.parametrize(("window", "records"), [(200, 50_000), (20_000, 200_000)])
def test_model_that_a_built_reference_does_not_know_warms_up(
    tmp_path: Any, window: int, records: int
) -> None:
    """It gathers the default number of records, or as many as its windows need."""
    settings = Config(
        windows=WindowsConfig(records=window, stride=window // 10),
        reference=FileReference(source="file", path=tmp_path / "reference.jsonl"),
    )
    assert made.watcher(settings).warmup.needed == records
    assert records >= max(REFERENCE_WINDOWS * window, WarmupReference().records)


def test_too_few_values_are_no_verdict() -> None:
    """A feature with a handful of values has no verdict of the tests of its distribution."""
    rare = np.full(WARMUP + WINDOW, np.nan)
    rare[:: (WARMUP + WINDOW) // (MIN_VALUES - 10)] = 1.0
    watching = made.watcher()
    watching.feed(made.with_feature(made.stream(WARMUP + WINDOW, seed=1), "score.rare", rare))
    [reading] = [
        reading
        for reading in watching.readings()
        if (reading.feature, reading.detector) == ("score.rare", "ks")
    ]
    assert np.isnan([reading.statistic, reading.threshold]).all()

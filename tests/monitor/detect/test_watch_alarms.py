"""The alarms of a watch: when they open, escalate and resolve, and how large the change is."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.adwin import Adwin
from detectors.arrays import Bools
from detectors.detector import Detector
from detectors.window import Windows
from monitor.config.schema import Config
from monitor.config.sections.detection import AlarmsConfig, WarmupReference
from monitor.detect.watch import Watch
from monitor.events.types import DriftEvent, pages
from tests.monitor import synthetic
from tests.monitor.detect.watch_runs import (
    DRIFTED,
    EVENTS,
    changes_of,
    detectors_only,
    events_of,
    feed,
)
from tests.monitor.synthetic import STRIDE, WARMUP, WINDOW


def test_alarm_opens_escalates_and_resolves_once() -> None:
    """One episode of drift is one alarm, however many evaluations exceed their thresholds."""
    growing = synthetic.joined(
        synthetic.stream(WARMUP + WINDOW, seed=1),
        synthetic.stream(600, seed=2, factor=1.3),
        synthetic.stream(600, seed=3, factor=4.0),
        synthetic.stream(600, seed=4),
    )
    events = [event for event in events_of(growing) if event.feature == "latency_ms"]
    opened, escalated, updated, resolved = events
    assert [event.change for event in events] == ["opened", "escalated", "updated", "resolved"]
    assert [event.severity for event in events] == ["warning", *["critical"] * 3]
    assert {event.alarm for event in events} == {opened.id}
    assert len({event.id for event in events}) == 4
    assert updated.psi > 1.5 * escalated.psi
    assert resolved.explanation.final is not None
    assert resolved.explanation.final.psi >= updated.psi
    assert opened.psi >= 0.1
    assert escalated.psi >= 0.25
    assert resolved.psi < 0.1
    assert resolved.found_by == ()
    assert resolved.record - WARMUP - WINDOW - 1200 >= WINDOW


def test_alarm_resolves_one_window_after_it_last_held() -> None:
    """An alarm resolves exactly one window of records after the last record at which it held."""
    watch = synthetic.watcher()
    records = synthetic.joined(
        synthetic.stream(WARMUP + WINDOW, seed=1),
        synthetic.stream(200, seed=2, factor=3.0),
        synthetic.stream(800, seed=3),
    )
    last_found, resolved_at = 0, 0
    for chunk in synthetic.cut(records, range(0, len(records), STRIDE)):
        for event in watch.feed(chunk):
            if event.change == "resolved":
                resolved_at = event.record
        for alarm in watch.alarms.values():
            last_found = max(last_found, alarm.last_found)
    assert resolved_at - last_found == WINDOW


@pytest.mark.parametrize("detector", ["adwin", "page_hinkley"])
def test_detector_that_restarts_does_not_resolve_its_alarm(detector: str) -> None:
    """A lasting drift is one alarm, even if the detector finds it only once."""
    watch = synthetic.watcher(detectors_only(detector))
    lasting = synthetic.joined(
        synthetic.stream(WARMUP + 600, seed=1), synthetic.stream(4000, seed=2, factor=1.5)
    )
    changes = changes_of(watch.feed(lasting), "latency_ms")
    assert changes.count("opened") == 1
    assert set(changes) <= {"opened", "escalated", "updated"}
    assert list(watch.severities()) == ["latency_ms"]


def test_drift_near_the_limit_is_one_alarm() -> None:
    """A drift that swings around min_psi opens one alarm."""
    parts = [synthetic.stream(WARMUP + WINDOW, seed=1)]
    for number in range(8):
        parts.append(synthetic.stream(150, seed=10 + number, factor=1.7 if number % 2 else 1.25))
    events = events_of(synthetic.joined(*parts))
    assert changes_of(events, "latency_ms").count("opened") == 1


def test_large_change_opens_a_critical_alarm() -> None:
    """A change that is critical when it is first found has no second event."""
    watch = synthetic.watcher()
    watch.feed(synthetic.stream(WARMUP, seed=1))
    [event] = watch.feed(synthetic.stream(WINDOW, seed=2, first=WARMUP, factor=5.0))
    assert (event.change, event.severity) == ("opened", "critical")
    assert watch.severities() == {"latency_ms": "critical"}


def test_change_below_min_psi_raises_no_alarm() -> None:
    """A significant change below min_psi, and of rates below min_rate_factor, has no event."""
    assert EVENTS
    limits = AlarmsConfig(min_psi=50.0, critical_psi=50.0, min_rate_factor=50.0)
    assert feed(synthetic.watcher(synthetic.config(alarms=limits)), [DRIFTED]) == []


def events_after_shift(sd: float, seed: int) -> list[DriftEvent]:
    """Return the events after log latency has shifted by `sd` standard deviations."""
    factor = float(np.exp(0.5 * sd))
    watch = synthetic.watcher(Config(reference=WarmupReference(records=20_000)))
    quiet = synthetic.stream(21_000, seed=seed)
    shifted = synthetic.stream(4000, seed=seed + 1, factor=factor)
    events = watch.feed(synthetic.joined(quiet, shifted))
    return [event for event in events if event.record > 21_000]


@pytest.mark.parametrize(
    ("sd", "soonest", "latest", "psi"), [(0.5, 100, 350, 0.25), (1.0, 100, 150, 1.0)]
)
def test_large_change_is_measured_on_the_records_since(
    sd: float, soonest: int, latest: int, psi: float
) -> None:
    """The alarm opens before the window is full of the change, and reports its true size."""
    first = [events_after_shift(sd, seed)[0] for seed in range(0, 22, 2)]
    assert all(event.feature == "latency_ms" for event in first)
    assert soonest <= np.median([event.record - 21_000 for event in first]) <= latest
    assert max(synthetic.measured_records(event) for event in first) < 1000
    assert np.median([event.psi for event in first]) == pytest.approx(psi, rel=0.3)
    medians = [(event.current.p50 or 0) / (event.reference.p50 or 1) for event in first]
    assert np.median(medians) == pytest.approx(np.exp(0.5 * sd), rel=0.1)


def test_small_change_stays_small_on_few_records() -> None:
    """A change with a PSI of 0.04 does not reach 0.1 because it is measured on few records."""
    events = [events_after_shift(0.2, seed) for seed in range(0, 22, 2)]
    assert sum(any(pages(event.severity) for event in each) for each in events) <= 1


def test_reported_psi_is_that_of_the_alarm() -> None:
    """`psi` returns the PSI of the events; in quiet traffic it returns that of the window."""
    opened, *_, resolved = (event for event in EVENTS if event.feature == "latency_ms")
    watch = synthetic.watcher()
    for event in (opened, resolved):
        watch.feed(DRIFTED.take(slice(watch.seen, event.record)))
        assert watch.psi()["latency_ms"] == event.psi >= window_psi(watch)["latency_ms"]
    assert opened.psi > resolved.psi
    quiet = synthetic.watcher()
    quiet.feed(DRIFTED.take(slice(0, WARMUP + WINDOW)))
    assert quiet.main.evaluator.change_psi == {}
    assert quiet.psi() == window_psi(quiet)


def window_psi(watch: Watch) -> dict[str, float]:
    """Return the PSI of the whole window by feature."""
    names = [stream.name for stream in watch.main.window.baseline.streams]
    psi = watch.main.evaluator.psi(watch.main.window.current())
    return dict(zip(names, psi.tolist(), strict=True))


def always(self: Detector, windows: Windows) -> Bools:
    """Replace a detector's update: find a change in every full window."""
    return np.tile(windows.full[:, None], len(self.streams))


def test_advisory_detector_raises_no_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its readings are available, but its findings alone have no event."""
    monkeypatch.setattr(Adwin, "update", always)
    quiet = synthetic.stream(WARMUP + 5 * WINDOW, seed=1)
    advisory, alarming = (
        synthetic.watcher(detectors_only("adwin", "psi", advisory=names, min_psi=1e-9))
        for names in (("adwin",), ())
    )
    assert advisory.feed(quiet) == []
    assert {reading.detector for reading in advisory.readings()} == {"adwin", "psi"}
    assert {event.detector for event in alarming.feed(quiet)} == {"adwin"}


def test_advisory_detector_is_named_but_keeps_no_alarm_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is in found_by of alarms of other detectors, which resolve as without it."""
    monkeypatch.setattr(Adwin, "update", always)
    events = feed(synthetic.watcher(detectors_only("adwin", "psi", advisory=("adwin",))), [DRIFTED])
    expected = feed(synthetic.watcher(detectors_only("psi")), [DRIFTED])
    assert [(e.feature, e.change, e.record) for e in events] == [
        (e.feature, e.change, e.record) for e in expected
    ]
    assert {"opened", "resolved"} <= {event.change for event in events}
    for event in events:
        assert event.detector == "psi"
        if event.change == "opened":
            assert set(event.found_by) == {"psi"} | (
                {"adwin"} if event.kind != "categorical" else set()
            )


def test_detector_with_a_p_value_is_named_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """ADWIN has no p-value: if other detectors find the change too, one of them is named."""
    monkeypatch.setattr(Adwin, "update", always)
    watch = synthetic.watcher(detectors_only("adwin", "psi", "ks"))
    watch.feed(synthetic.stream(WARMUP, seed=1))
    [event] = watch.feed(synthetic.stream(WINDOW, seed=2, factor=5.0))
    assert set(event.found_by) == {"adwin", "psi", "ks"}
    assert event.detector != "adwin"
    assert event.p_value is not None


@pytest.mark.parametrize(("first", "lasting"), [(1.3, 1.3), (1.25, 3.0), (0.7, 0.3)])
def test_an_alarm_is_updated_at_most_once(first: float, lasting: float) -> None:
    """Only an update whose size differs is sent, after a full window; the last event has it too."""
    records = synthetic.joined(
        synthetic.stream(WARMUP + WINDOW, seed=1),
        synthetic.stream(60, seed=2, factor=first),
        synthetic.stream(1200, seed=3, factor=lasting),
        synthetic.stream(1000, seed=4),
    )
    events = [event for event in events_of(records) if event.feature == "latency_ms"]
    updates = [event for event in events if event.change == "updated"]
    assert len(updates) <= 1
    for update in updates:
        since = update.explanation.since
        assert since is not None
        assert update.record - since.record + 1 >= WINDOW
        assert update.severity == events[-1].severity
    assert updates or first == lasting
    final = events[-1].explanation.final
    assert events[-1].change == "resolved"
    assert final is not None
    assert final.effect is not None
    assert final.effect.after / final.effect.before == pytest.approx(lasting, rel=0.25)


@pytest.mark.parametrize("seed", range(4))
def test_a_lasting_small_share_never_becomes_critical(seed: int) -> None:
    """A new category of 1 % has a PSI of 0.06, however frequent it is in a few records."""
    calm, changed, rng = 25_000, 60_000, np.random.default_rng(seed)
    values = np.full(calm + changed, "stop")
    values[calm:][rng.random(changed) < 0.01] = "content_filter"
    columns = synthetic.with_categories(
        synthetic.stream(calm + changed, seed=seed), "finish_reason", values.tolist()
    )
    watch = synthetic.watcher(Config(reference=WarmupReference(records=20_000)))
    events = [event for event in feed(watch, [columns]) if event.feature == "finish_reason"]
    assert [event.change for event in events if event.change != "updated"] == ["opened"]
    assert {event.severity for event in events} == {"warning"}

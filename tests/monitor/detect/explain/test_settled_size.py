"""The size that updates and resolutions state is that of the change, and not the largest noise."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.arrays import Floats
from monitor.config.schema import Config
from monitor.config.sections.detection import WarmupReference
from monitor.events.types import DriftEvent
from monitor.events.wording.drift import sentence
from tests.monitor import synthetic

REFERENCE, QUIET = 20_000, 22_000
CONFIG = Config(reference=WarmupReference(records=REFERENCE))


def rate_events(before: float, after: float, lasting: int, seed: int) -> list[DriftEvent]:
    """Return the events of a rate that changes, and changes back."""
    rng = np.random.default_rng(seed)
    rates = np.repeat([before, after, before], [QUIET, lasting, 8_000])
    errors = (rng.random(len(rates)) < rates).astype(float)
    return events_of("error", errors, seed)


def events_of(feature: str, values: Floats, seed: int) -> list[DriftEvent]:
    """Return the events of one feature."""
    columns = synthetic.stream(len(values), seed=seed)
    watch = synthetic.watcher(CONFIG)
    events = watch.feed(synthetic.with_values(columns, feature, values))
    return [event for event in events if event.feature == feature]


def latency(parts: list[tuple[float, int]], seed: int) -> Floats:
    """Return latencies of parts: factor and number of records of each."""
    rng = np.random.default_rng(seed)
    factors = np.repeat([factor for factor, _ in parts], [records for _, records in parts])
    return np.asarray(rng.lognormal(6.5, 0.5, len(factors)) * factors)


@pytest.mark.parametrize(("before", "after"), [(0.005, 0.02), (0.02, 0.08), (0.02, 0.004)])
def test_size_of_a_lasting_rate_is_not_the_largest_noise(before: float, after: float) -> None:
    """An update and the final size of a rate that lasts for 40 windows are near the true rate."""
    for seed in range(4):
        events = rate_events(before, after, 40_000, seed)
        assert events[-1].change == "resolved"
        final = events[-1].explanation.final
        sizes = [e.explanation.effect for e in events if e.change == "updated"]
        assert final is not None
        assert final.effect is not None
        assert final.records > 5_000
        # three standard errors of ten windows, of which the first was selected by the finding
        error = 3 * np.sqrt(after * (1 - after) / 10_000)
        assert abs(final.effect.after - after) < error
        for effect in sizes:
            assert effect is not None
            assert abs(effect.after - after) < 0.25 * abs(after - before)


@pytest.mark.parametrize("factor", [1.25, 0.6])
def test_size_of_a_lasting_shift_is_the_mean_of_its_windows(factor: float) -> None:
    """An update is rare where the first size was right, and the final one has little noise."""
    updates = 0
    for seed in range(8):
        parts = [(1.0, QUIET), (factor, 15_000), (1.0, 4_000)]
        events = events_of("latency_ms", latency(parts, seed), seed)
        final = events[-1].explanation.final
        assert final is not None
        assert final.effect is not None
        if final.effect.of == "median":
            found = final.effect.after / final.effect.before
            assert found == pytest.approx(factor, rel=0.03)
        for event in (each for each in events if each.change == "updated"):
            assert event.current.p50 is not None
            assert event.reference.p50 is not None
            found = event.current.p50 / event.reference.p50
            assert found == pytest.approx(factor, rel=0.12)
            updates += 1
    assert updates <= 3


def test_an_escalation_of_the_same_change_keeps_its_date() -> None:
    """One step that is measured larger later has become critical, and not drifted further."""
    escalated = 0
    for seed in range(8):
        events = events_of("latency_ms", latency([(1.0, QUIET), (1.26, 10_000)], seed), seed)
        opened = events[0].explanation.since
        for event in events:
            assert event.explanation.since == opened
            assert not event.explanation.further
            assert "further" not in sentence(event)
            if event.change == "escalated":
                escalated += 1
                assert "has become critical" in sentence(event)
    assert escalated


@pytest.mark.parametrize("second", [1.7, 2.5])
def test_a_second_step_has_its_own_date(second: float) -> None:
    """A later, larger step has drifted further since it began."""
    for seed in range(3):
        parts = [(1.0, QUIET), (1.2, 5_000), (second, 2_000)]
        events = events_of("latency_ms", latency(parts, seed), seed)
        (further,) = (
            e for e in events if e.change == "escalated" and e.escalated_from == "warning"
        )
        assert further.explanation.further
        assert further.explanation.since is not None
        assert abs(further.explanation.since.record - QUIET - 5_001) <= 200
        assert "has drifted further (critical)" in sentence(further)

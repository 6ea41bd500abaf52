"""Delays: what `config check` says of a shift is what becomes of one."""

from __future__ import annotations

import numpy as np
import pytest

from detectors import registry
from detectors.baseline import Baseline
from detectors.evaluate import baseline_of, verdicts
from monitor import budget
from monitor.config import AlarmsConfig, Config, WarmupReference, WindowsConfig
from monitor.delays import LIMIT_WINDOWS, SHIFTS, Delay, delays
from tests.detectors.test_resampling import autoregressive

VALUES = 400_000


def predicted(base: Baseline, settings: Config, values: int = VALUES) -> list[list[Delay]]:
    """Delays at the levels of fifty records a second."""
    streams = registry.streams_watched(settings.detectors, base)
    return delays(base, settings, budget.levels(settings, streams, 50.0), values)


def test_agrees_with_new_traffic() -> None:
    """Fresh N(0, 1) records, shifted, are seen by the same detectors about as late."""
    settings = Config()
    base = baseline_of(np.random.default_rng(0).standard_normal((4, 50_000)))
    streams = registry.streams_watched(settings.detectors, base)
    levels = budget.levels(settings, streams, 50.0)
    rng, seen = np.random.default_rng(9), list[float]()
    for _ in range(12):
        values = rng.standard_normal((4, 8_000))
        values[:, 2_000:] += 0.2
        masks = [
            verdicts({name: levels[name]}, base, values)[name]
            for name in ("e_detector", "zscore", "page_hinkley")
        ]
        late = np.logical_or.reduce(masks)[20:]
        assert late.any(axis=0).all()
        seen += ((late.argmax(axis=0) + 1) * 100).tolist()
    told = [row[0].seen for row in predicted(base, settings, 1_000_000)]
    assert np.mean([each for each in told if each]) == pytest.approx(np.median(seen), rel=0.3)


def test_larger_shifts_are_seen_sooner_and_page() -> None:
    """A small one is seen and too small to matter, a large one pages, later than it is seen."""
    (row,) = predicted(baseline_of(np.random.default_rng(0).standard_normal((1, 50_000))), Config())
    assert [delay.sd for delay in row] == list(SHIFTS)
    small, middling, large = row
    assert small.seen is not None
    assert small.paged is None
    assert small.psi < Config().alarms.min_psi
    assert middling.seen is not None
    assert middling.paged is not None
    assert large.paged is not None
    assert small.seen > middling.seen
    assert middling.seen <= middling.paged
    assert middling.paged > large.paged
    assert large.psi > middling.psi > Config().alarms.min_psi


def test_dependence_hides_small_shifts() -> None:
    """Where window means wander by themselves, a small shift is not seen, and that is said."""
    (row,) = predicted(baseline_of(autoregressive(0.99)[None]), Config())
    assert row[0].seen is None
    assert row[0].limit == LIMIT_WINDOWS * 1000


def test_a_constant_has_no_delay() -> None:
    """It cannot shift; the streams beside it do not wait for it."""
    values = np.stack((np.ones(20_000), np.random.default_rng(0).standard_normal(20_000)))
    constant, other = predicted(baseline_of(values), Config())
    assert constant == []
    assert len(other) == len(SHIFTS)


def test_without_chance() -> None:
    """Asked again, it says the same."""
    base = baseline_of(np.random.default_rng(0).standard_normal((2, 20_000)))
    assert predicted(base, Config(), 50_000) == predicted(base, Config(), 50_000)


def test_what_pages_depends_on_min_psi() -> None:
    """With a lower one, the small shift pages too."""
    base = baseline_of(np.random.default_rng(0).standard_normal((1, 50_000)))
    ((small, *_),) = predicted(base, Config(alarms=AlarmsConfig(min_psi=0.02)))
    assert small.paged is not None


def test_long_windows_take_no_longer() -> None:
    """A window as long as a day is followed for three, and not for ten."""
    settings = Config(
        windows=WindowsConfig(records=10_000, stride=1_000),
        reference=WarmupReference(records=100_000),
    )
    base = baseline_of(np.random.default_rng(0).standard_normal((1, 50_000)), window=10_000)
    ((small, *_),) = predicted(base, settings, 20_000)
    assert small.limit == 30_000

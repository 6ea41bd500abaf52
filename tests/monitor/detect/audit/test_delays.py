"""Detection delays: the simulation agrees with shifted traffic."""

from __future__ import annotations

import numpy as np
import pytest

from detectors import registry
from detectors.baseline import Baseline
from detectors.evaluate import baseline_from_array, run_detectors
from monitor.config.schema import Config
from monitor.config.sections.detection import AlarmsConfig, WarmupReference, WindowsConfig
from monitor.detect.alarms import budget
from monitor.detect.audit.delays import LIMIT_WINDOWS, SHIFTS, Delay, delays
from tests.detectors.test_block_bootstrap import autoregressive

VALUES = 400_000


def predicted(base: Baseline, settings: Config, values: int = VALUES) -> list[list[Delay]]:
    """Return the delays at the levels of 50 records per second."""
    streams = registry.count_streams(settings.detectors, base)
    return delays(base, settings, budget.levels(settings, streams, 50.0), values)


def test_delay_agrees_with_new_traffic() -> None:
    """A shift of new N(0, 1) records has about the predicted delay."""
    settings = Config()
    base = baseline_from_array(np.random.default_rng(0).standard_normal((4, 50_000)))
    streams = registry.count_streams(settings.detectors, base)
    levels = budget.levels(settings, streams, 50.0)
    rng, measured = np.random.default_rng(9), list[float]()
    for _ in range(12):
        values = rng.standard_normal((4, 8_000))
        values[:, 2_000:] += 0.2
        masks = [
            run_detectors({name: levels[name]}, base, values)[name]
            for name in ("e_detector", "zscore", "page_hinkley")
        ]
        late = np.logical_or.reduce(masks)[20:]
        assert late.any(axis=0).all()
        measured += ((late.argmax(axis=0) + 1) * 100).tolist()
    delays_predicted = [row[0].seen for row in predicted(base, settings, 1_000_000)]
    assert np.mean([each for each in delays_predicted if each]) == pytest.approx(
        np.median(measured), rel=0.3
    )


def test_larger_shifts_are_detected_sooner_and_page() -> None:
    """A small shift is detected and does not page; a large one pages after its detection."""
    (row,) = predicted(
        baseline_from_array(np.random.default_rng(0).standard_normal((1, 50_000))), Config()
    )
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
    """With autocorrelated records, a small shift is not detected within the limit."""
    (row,) = predicted(baseline_from_array(autoregressive(0.99)[None]), Config())
    assert row[0].seen is None
    assert row[0].limit == LIMIT_WINDOWS * 1000


def test_constant_has_no_delay() -> None:
    """A constant stream cannot shift and does not delay the other streams."""
    values = np.stack((np.ones(20_000), np.random.default_rng(0).standard_normal(20_000)))
    constant, other = predicted(baseline_from_array(values), Config())
    assert constant == []
    assert len(other) == len(SHIFTS)


def test_delays_are_deterministic() -> None:
    """A second simulation gives the same delays."""
    base = baseline_from_array(np.random.default_rng(0).standard_normal((2, 20_000)))
    assert predicted(base, Config(), 50_000) == predicted(base, Config(), 50_000)


def test_paging_depends_on_min_psi() -> None:
    """With a lower min_psi, the small shift pages."""
    base = baseline_from_array(np.random.default_rng(0).standard_normal((1, 50_000)))
    ((small, *_),) = predicted(base, Config(alarms=AlarmsConfig(min_psi=0.02)))
    assert small.paged is not None


def test_long_windows_have_a_lower_limit() -> None:
    """A shift in long windows is given up after three windows instead of ten."""
    settings = Config(
        windows=WindowsConfig(records=10_000, stride=1_000),
        reference=WarmupReference(records=100_000),
    )
    base = baseline_from_array(np.random.default_rng(0).standard_normal((1, 50_000)), window=10_000)
    ((small, *_),) = predicted(base, settings, 20_000)
    assert small.limit == 30_000

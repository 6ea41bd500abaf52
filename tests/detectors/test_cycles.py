"""Daily cycles: a cycle in the reference is no drift, at any window length."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.arrays import Floats
from detectors.evaluate import baseline_from_array, run_detectors

DAY = 20_000
TESTS = dict.fromkeys(("psi", "ks", "zscore"), 1e-6)
CALIBRATED = TESTS | dict.fromkeys(("e_detector", "page_hinkley"), 1e-6)


def days(rng: np.random.Generator, count: int) -> Floats:
    """Return traffic whose mean varies by one standard deviation a day, shape (4, records)."""
    phase = 2 * np.pi * np.arange(count * DAY) / DAY
    return np.asarray(rng.normal(size=(4, len(phase))) + np.sin(phase))


@pytest.mark.parametrize("window", [500, 1000, 5000])
def test_a_daily_cycle_is_no_drift(window: int) -> None:
    """After a reference of six days, twenty more days raise no alarm, for any window."""
    rng = np.random.default_rng(1)
    base = baseline_from_array(days(rng, 6), window=window)
    found = run_detectors(CALIBRATED, base, days(rng, 20), window=window, stride=window // 10)
    assert {name: int(mask.sum()) for name, mask in found.items() if mask.any()} == {}


def test_a_cycle_missing_from_the_reference_raises_alarms() -> None:
    """With a shuffled reference, without the cycle, every detector alarms on the same traffic."""
    rng = np.random.default_rng(2)
    base = baseline_from_array(rng.permuted(days(rng, 6), axis=1))
    found = run_detectors(CALIBRATED, base, days(rng, 2))
    assert all(mask.any(axis=0).all() for mask in found.values())


def test_windows_of_whole_days_detect_small_shifts() -> None:
    """A shift of 0.5 sd, a fourth of the cycle's range, is found within the first day."""
    rng = np.random.default_rng(3)
    base = baseline_from_array(days(rng, 20), window=DAY)
    traffic = days(rng, 4)
    traffic[:, 2 * DAY :] += 0.5
    found = run_detectors(TESTS, base, traffic, window=DAY, stride=DAY // 10)
    for mask in found.values():
        assert not mask[:20].any()
        assert mask[20:30].any(axis=0).all()

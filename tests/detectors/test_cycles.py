"""Days and nights: a cycle that the reference has seen is no drift, at any scale of window."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.base import Floats
from detectors.evaluate import baseline_of, verdicts

DAY = 20_000
CALIBRATED = ("psi", "ks", "zscore", "e_detector", "page_hinkley")


def days(rng: np.random.Generator, count: int) -> Floats:
    """Traffic whose mean goes up and down by a standard deviation each day, shape (4, records)."""
    phase = 2 * np.pi * np.arange(count * DAY) / DAY
    return np.asarray(rng.normal(size=(4, len(phase))) + np.sin(phase))


@pytest.mark.parametrize("window", [500, 1000, 5000])
def test_a_daily_cycle_is_no_drift(window: int) -> None:
    """After a reference of six days, twenty more raise nothing, however short the window."""
    rng = np.random.default_rng(1)
    base = baseline_of(days(rng, 6), window=window)
    found = verdicts(
        CALIBRATED, base, days(rng, 20), level=1e-6, window=window, stride=window // 10
    )
    assert {name: int(mask.sum()) for name, mask in found.items() if mask.any()} == {}


def test_without_regard_to_it_a_cycle_would_page_all_day() -> None:
    """The very traffic, shuffled so that the reference shows no cycle, floods every detector."""
    rng = np.random.default_rng(2)
    base = baseline_of(rng.permuted(days(rng, 6), axis=1))
    found = verdicts(CALIBRATED, base, days(rng, 2), level=1e-6)
    assert all(mask.any(axis=0).all() for mask in found.values())


def test_windows_of_whole_days_see_what_the_cycle_hides() -> None:
    """Half a standard deviation, a fourth of the cycle's range, is seen within the first day."""
    rng = np.random.default_rng(3)
    base = baseline_of(days(rng, 20), window=DAY)
    traffic = days(rng, 4)
    traffic[:, 2 * DAY :] += 0.5
    found = verdicts(
        ("psi", "ks", "zscore"), base, traffic, level=1e-6, window=DAY, stride=DAY // 10
    )
    for mask in found.values():
        assert not mask[:20].any()
        assert mask[20:30].any(axis=0).all()

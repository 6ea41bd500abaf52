"""The benchmark of windows measures the delay from the shift to the alarm."""

from __future__ import annotations

from benchmarks import windows


def test_a_large_shift_has_a_delay_and_no_shift_has_none() -> None:
    """A shift of 1 sd is detected within a window; without a shift the delay is None."""
    found = windows.delay(200, 1.0, 0.1, seed=0)
    assert found is not None
    assert 0 < found <= 200
    assert windows.delay(200, 0.0, 0.1, seed=0) is None


def test_the_median_is_none_if_most_trials_have_no_alarm() -> None:
    """Missed trials count as infinite delays."""
    assert windows.summary(200, 0.0, 0.1, trials=2) == {
        "shift": 0.0,
        "min_psi": 0.1,
        "found": 0,
        "median": None,
    }

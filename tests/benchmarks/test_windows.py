"""The benchmark of windows counts from the shift to the alarm, and nothing else."""

from __future__ import annotations

from benchmarks import windows


def test_a_large_shift_is_timed_and_none_is_no_alarm() -> None:
    """One standard deviation is told within a window; without a shift there is no delay at all."""
    found = windows.delay(200, 1.0, 0.1, seed=0)
    assert found is not None
    assert 0 < found <= 200
    assert windows.delay(200, 0.0, 0.1, seed=0) is None


def test_half_of_the_trials_must_have_an_alarm() -> None:
    """A shift too small to matter has no median, whatever the trials that had one by luck."""
    assert windows.summary(200, 0.0, 0.1, trials=2) == {
        "shift": 0.0,
        "min_psi": 0.1,
        "found": 0,
        "median": None,
    }

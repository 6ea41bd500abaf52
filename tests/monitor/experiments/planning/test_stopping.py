from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri

from monitor.experiments.planning.stopping import decided_by, factors, fixed_information
from monitor.experiments.sequential import mixture


def test_the_factors_are_those_measured() -> None:
    """80 % power takes 1.63 to 1.69 times the fixed n, the mean is 1.14, a planned end 1.07."""
    found = factors(0.05, 0.8)
    assert 1.63 < found.power < 1.69
    assert found.expected == pytest.approx(1.14, abs=0.02)
    assert found.planned_end == pytest.approx(1.07, abs=0.01)
    assert found.planned_end_expected < 1


@pytest.mark.parametrize("drift", [0.0, 1.0])
def test_the_integration_agrees_with_a_simulation(drift: float) -> None:
    """Shares decided up to each look, by the sequence and with a fixed test, within 3 errors."""
    information = np.geomspace(0.5, 40, 25)
    steps = np.diff(information, prepend=0.0)
    rng = np.random.default_rng(1)
    runs = 10_000
    score = rng.normal(drift * steps, np.sqrt(steps), (runs, 25)).cumsum(axis=1)
    z = np.abs(score) / np.sqrt(information)
    crossed = np.maximum.accumulate(z >= mixture.critical(information, 0.05), axis=1)
    final = float(ndtri(0.98))
    earlier = np.concatenate([np.zeros((runs, 1), bool), crossed[:, :-1]], axis=1)
    sequence, planned = decided_by(information, 0.05, drift, final)
    error = 3 * 0.5 / np.sqrt(runs)
    assert sequence == pytest.approx(crossed.mean(axis=0), abs=error)
    assert planned == pytest.approx((earlier | crossed | (z >= final)).mean(axis=0), abs=error)


def test_the_level_holds_over_all_looks() -> None:
    """Without an effect at most alpha is ever decided; a planned end keeps alpha as well."""
    information = np.geomspace(0.1, 1_000, 150)
    early, final = mixture.planned_alphas(0.05)
    sequence, _ = decided_by(information, 0.05, 0.0, np.inf)
    _, planned = decided_by(information, early, 0.0, float(ndtri(1 - final / 2)))
    assert 0.03 < sequence[-1] <= 0.05
    assert (planned <= 0.05).all()


def test_the_fixed_information_is_that_of_a_z_test() -> None:
    """(1.96 + .84)^2 at 5 % and 80 %."""
    assert fixed_information(0.05, 0.8) == pytest.approx(7.849, abs=1e-3)


@pytest.mark.parametrize("effect", [0.2, 0.5, 1.0, 1.5, 2.0])
def test_a_decision_takes_at_most_1_4_times_the_fixed_n(effect: float) -> None:
    """The mean stopping time, cut at 4 times the n of a fixed test, is below 1.4."""
    times = np.geomspace(0.02, 4, 200)
    information = times * fixed_information(0.05, 0.8) / effect**2
    decided, _ = decided_by(information, 0.05, effect, np.inf)
    undecided = 1 - np.concatenate([[0.0], decided[:-1]])
    assert 1.1 < np.diff(times, prepend=0.0) @ undecided < 1.4

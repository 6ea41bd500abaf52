"""The tests that Plumbline is compared with: Welch's t-test and GrowthBook's sequential test."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.special import stdtr

from detectors.arrays import Floats
from monitor.experiments.sequential import mixture

TUNING: Final = 5_000.0
"""GrowthBook's default of the sample size at which its sequence is narrowest."""


def t_test(ratios: Floats, squared_errors: Floats, users: Floats) -> Floats:
    """Return the two-sided p-values of Welch's t-test.

    All of shape (..., 2): ratios, their variances, numbers of users.
    """
    total = squared_errors.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (ratios[..., 1] - ratios[..., 0]) / np.sqrt(total)
        freedom = total**2 / (squared_errors**2 / (users - 1)).sum(axis=-1)
        p: Floats = 2 * stdtr(freedom, -np.abs(t))
    return np.where(np.isnan(p), 1.0, p)


def growthbook(ratios: Floats, squared_errors: Floats, users: Floats, alpha: float) -> Floats:
    """Return the p-values of GrowthBook's sequential test of the relative effect.

    gbstats 0.8, frequentist/tests.py, SequentialTwoSidedTTest: the delta method for the relative
    effect, and rho tuned to 5,000 users. Where the control mean or a variance is 0, p is 1.
    """
    control, arm = ratios[..., 0], ratios[..., 1]
    rho = (-2 * np.log(alpha) + np.log(1 - 2 * np.log(alpha))) / TUNING
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        variance = squared_errors[..., 1] / control**2
        variance = variance + squared_errors[..., 0] * arm**2 / control**4
        z = (arm - control) / control / np.sqrt(variance)
        p = mixture.p_value(mixture.ln_e(z, users.sum(axis=-1) * rho))
    possible = (control != 0) & (squared_errors > 0).all(axis=-1)
    return np.where(possible & ~np.isnan(p), p, 1.0)

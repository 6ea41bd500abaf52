"""Interval of a relative effect by Fieller's method.

The delta method treats the control mean as far from zero, and misses the true effect too often
where it is not. Fieller's set holds every lambda that a test of R_B - lambda R_A accepts.
"""

from __future__ import annotations

import numpy as np

from detectors.arrays import Floats
from monitor.experiments.sequential.ratios import Contrast


def relative_effect(compared: Contrast) -> Floats:
    """Return (R_B - R_A) / |R_A|, NaN where the control's ratio is zero."""
    control = compared.ratios[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(control == 0, np.nan, compared.difference / np.abs(control))


def relative_interval(compared: Contrast, critical: Floats) -> tuple[Floats, Floats]:
    """Return the bounds of the relative effect.

    critical: |z| from which a test rejects. It is the same for every lambda: the mixture of a
    lambda has a tau in proportion to the standard error of R_B - lambda R_A, so that the interval
    excludes 0 exactly where the test of the difference rejects.

    The accepted lambda satisfy (R_B - lambda R_A)^2 <= c^2 (v_B + lambda^2 v_A). If the control's
    ratio does not differ from zero, this set is unbounded, and the bounds are -inf and inf.
    """
    control, arm = compared.ratios[..., 0], compared.ratios[..., 1]
    squared = np.square(critical)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        a = control**2 - squared * compared.variances[..., 0]
        c = arm**2 - squared * compared.variances[..., 1]
        b = control * arm
        root = np.sqrt(np.maximum(b**2 - a * c, 0.0))
        lower, upper = (b - root) / a - 1, (b + root) / a - 1
        bounded = a > 0
        negative = control < 0
    lower, upper = np.where(negative, -upper, lower), np.where(negative, -lower, upper)
    return np.where(bounded, lower, -np.inf), np.where(bounded, upper, np.inf)


def z_at(compared: Contrast, relative: float) -> Floats:
    """Return z of the test whether the relative effect equals `relative`.

    It is (R_B - lambda R_A) / sqrt(v_B + lambda^2 v_A), lambda = 1 + relative for a positive R_A.
    """
    control, arm = compared.ratios[..., 0], compared.ratios[..., 1]
    factor = 1 + relative * np.where(control < 0, -1.0, 1.0)
    variance = compared.variances[..., 1] + factor**2 * compared.variances[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        z: Floats = (arm - factor * control) / np.sqrt(variance)
    return z

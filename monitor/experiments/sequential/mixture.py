"""The normal mixture: evidence that grows with information and may be looked at at any time.

E is the likelihood ratio of a normal mixture of effects with standard deviation tau against no
effect (Robbins; mSPRT of Johari et al., arXiv 1512.04922). It is a martingale without an effect, so
that it ever exceeds 1 / alpha with a probability of at most alpha. With r = tau^2 / V, where V is
the variance of the estimated difference, it equals the asymptotic confidence sequence of
Waudby-Smith et al. (arXiv 2103.06476) with t rho^2 = r. The clock is the information 1 / V and not
the number of users, because returning users add requests without adding users.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.special import log_ndtr, ndtr

from detectors.arrays import Floats
from monitor.experiments.sequential.ratios import Contrast

BURN_IN: Final = 100.0
"""Effective users that each arm needs before evidence counts: below, V is too uncertain."""
DISTINCT: Final = 5.0
"""Standard errors between a mean and zero at the end of its burn-in: tau is a share of the mean."""
SEQUENCE_SHARE: Final = 0.2
"""Share of alpha that the sequence has where one fixed test at a planned end has the rest."""


def frozen_tau(compared: Contrast, mde: float) -> Floats:
    """Return the difference that the relative effect mde is at the pooled ratio: tau, for means.

    NaN while the burn-in lasts: until both arms have 100 effective users, and the pooled ratio is 5
    standard errors from zero. The first tau is kept for the phase; one that follows the data at
    every look would not leave E a martingale.
    """
    size = np.abs(compared.pooled)
    ready = (compared.n_eff >= BURN_IN) & (size > 0) & (size >= DISTINCT * compared.pooled_error)
    return np.where(ready, mde * size, np.nan)


def ln_e(z: Floats, r: Floats) -> Floats:
    """Return the two-sided ln E of standardised differences z = D / sqrt(V).

    r: tau^2 / V. ln E = r z^2 / (2 (1 + r)) - ln(1 + r) / 2.
    """
    return r * z**2 / (2 * (1 + r)) - np.log1p(r) / 2


def ln_e_one_sided(z: Floats, r: Floats) -> Floats:
    """Return ln E against differences <= 0: the mixture has positive effects only.

    E1 = 2 E Phi(z sqrt(r / (1 + r))).
    """
    evidence: Floats = ln_e(z, r) + np.log(2) + log_ndtr(z * np.sqrt(r / (1 + r)))
    return evidence


def p_value(ln_evidence: Floats) -> Floats:
    """Return min(1, 1 / E). The running minimum over looks is the always-valid p-value."""
    return np.exp(-np.maximum(ln_evidence, 0.0))


def critical(r: Floats, alpha: float) -> Floats:
    """Return the |z| from which E >= 1 / alpha; infinite without information.

    times sqrt(V) it is the half-width of the confidence sequence:
    sqrt((1 + r) / r * (2 ln(1 / alpha) + ln(1 + r))).
    """
    with np.errstate(divide="ignore"):
        z: Floats = np.sqrt((1 + 1 / r) * (2 * np.log(1 / alpha) + np.log1p(r)))
    return z


def fixed_p_value(z: Floats) -> Floats:
    """Return the two-sided p-value of a test at one look that was planned beforehand."""
    p: Floats = 2 * ndtr(-np.abs(z))
    return p


def planned_alphas(alpha: float) -> tuple[float, float]:
    """Return the levels of the sequence and of the fixed test at the planned end, in sum alpha.

    With .01 and .04 the planned n is 1.07 times that of a fixed test of the whole alpha.
    """
    return SEQUENCE_SHARE * alpha, (1 - SEQUENCE_SHARE) * alpha

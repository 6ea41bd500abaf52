"""Sample ratio mismatch: users at first exposure against the planned weights, at every look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import exp, inf
from typing import Final

import numpy as np
from scipy.special import gammaln, logsumexp, xlogy

from detectors.arrays import Floats

CONCENTRATIONS: Final = (100.0, 1_000.0, 10_000.0)
"""Of the Dirichlet priors: from mismatches of some 5 percentage points to some .5."""
WARN: Final = 0.01
BLOCK: Final = 0.001


class SrmStatus(StrEnum):
    """WARN: a mismatch is likely. BLOCK: it is certain enough to withhold verdicts."""

    OK = "ok"
    WARN = "warn"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class Epoch:
    """A time of constant weights.

    counts: users by arm at their first exposure. weights: expected shares; an arm that gets no new
    users has 0.
    """

    counts: tuple[int, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Srm:
    """The test at a look. The caller keeps the running minimum of p_value."""

    ln_e: float
    p_value: float
    status: SrmStatus


def srm(epochs: Sequence[Epoch]) -> Srm:
    """Return the test over all epochs, whose E are multiplied."""
    total = 0.0
    for epoch in epochs:
        total += float(ln_e(np.array(epoch.counts, dtype=float), np.array(epoch.weights)))
    p = exp(-max(total, 0.0))
    return Srm(total, p, status(p))


def status(p_value: float) -> SrmStatus:
    """Return the status for the smallest p-value so far."""
    if p_value <= BLOCK:
        return SrmStatus.BLOCK
    return SrmStatus.WARN if p_value <= WARN else SrmStatus.OK


def ln_e(counts: Floats, weights: Floats) -> Floats:
    """Return ln E of user counts against the weights of their arms.

    counts: shape (..., A). weights: shape (A,), not negative, at least one positive; they are
    normalised. A user in an arm of weight 0 contradicts the plan: the result is inf.

    E is the mean over concentrations c of Dirichlet(c weights)-multinomial over multinomial
    likelihoods (Lindon and Malek, arXiv 2011.03567, with a prior around the plan).
    """
    planned = weights > 0
    if not planned.any() or (weights < 0).any():
        raise ValueError(f"weights must be positive numbers or 0, not all of them 0: {weights}")
    share = weights[planned] / weights.sum()
    seen = counts[..., planned]
    null = xlogy(seen, share).sum(axis=-1)
    terms = [_ln_dirichlet(seen, c * share) - null for c in CONCENTRATIONS]
    evidence = logsumexp(np.stack(terms), axis=0) - np.log(len(terms))
    contradicted = counts[..., ~planned].sum(axis=-1) > 0
    result: Floats = np.where(contradicted, inf, evidence)
    return result


def _ln_dirichlet(counts: Floats, prior: Floats) -> Floats:
    """Return the Dirichlet-multinomial log-likelihood of an ordered sequence with these counts."""
    ordered = gammaln(prior + counts).sum(axis=-1) - gammaln(prior).sum()
    norm = gammaln(prior.sum() + counts.sum(axis=-1)) - gammaln(prior.sum())
    likelihood: Floats = ordered - norm
    return likelihood

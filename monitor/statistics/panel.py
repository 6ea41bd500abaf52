"""Several verdicts on one case: how far they agree, and how many independent votes they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from monitor.statistics.agreement import Floats, Undefined


class AgreementClass(StrEnum):
    """How far the scores of a case agree."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


HIGH_SHARE = 0.1
LOW_SHARE = 0.25
"""Standard deviation as a share of the scale: up to the first is high agreement, from the second
on low. On a scale of 0 to 5 these are 0.5 and 1.25 points."""
HIGH_RANGE = 0.2
LOW_RANGE = 0.6
"""The same for the range: 1 point and 3 points of 5."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Scores of one case by several judges.

    deviation: standard deviation of the sample (n - 1). range: largest less smallest score.
    """

    mean: float
    deviation: float
    range: float
    agreement: AgreementClass


def spread(scores: Sequence[float], *, lowest: float = 0.0, highest: float = 5.0) -> Spread | None:
    """Return mean, deviation, range and agreement class of a case; None below two scores.

    Agreement is high if deviation and range are both small, low if one of them is large.
    """
    if len(scores) < 2:
        return None
    if highest <= lowest:
        raise ValueError(f"the scale from {lowest} to {highest} is empty")
    values = np.asarray(scores, dtype=float)
    deviation, gap = float(values.std(ddof=1)), float(np.ptp(values))
    relative, width = deviation / (highest - lowest), gap / (highest - lowest)
    if relative >= LOW_SHARE or width >= LOW_RANGE:
        agreement = AgreementClass.LOW
    elif relative <= HIGH_SHARE + 1e-9 and width <= HIGH_RANGE + 1e-9:
        agreement = AgreementClass.HIGH
    else:
        agreement = AgreementClass.MEDIUM
    return Spread(float(values.mean()), deviation, gap, agreement)


def effective_votes(errors: Floats) -> float | Undefined:
    """Return the number of independent judges that would be as precise as these.

    errors: shape (cases, judges), each score less the truth, NaN where missing. The truth may be a
    human score; the mean of the judges in its place would hide the error that they share.

    n / (1 + (n - 1) rho) with rho the mean correlation of two judges' errors (Kish's design
    effect); arXiv 2605.29800 finds some two effective votes among nine judges. A negative rho
    counts as zero: a finite sample does not show more votes than judges.
    """
    judges = errors.shape[1]
    complete = errors[~np.isnan(errors).any(axis=1)]
    if judges < 2:
        return Undefined("there is one judge")
    if len(complete) < 3:
        return Undefined("fewer than three cases have the errors of all judges")
    if (complete.std(axis=0) == 0).any():
        return Undefined("the errors of a judge are all equal")
    correlations = np.corrcoef(complete, rowvar=False)
    rho = (correlations.sum() - judges) / (judges * (judges - 1))
    return float(judges / (1 + (judges - 1) * max(0.0, rho)))

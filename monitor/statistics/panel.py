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
LEAST_COMMON = 3
"""Cases of both that the correlation of two judges requires."""


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


def effective_votes(errors: Floats, *, votes: float | None = None) -> float | Undefined:
    """Return the number of independent judges that would be as precise as n of these.

    errors: shape (cases, judges), each score less the truth, NaN where missing. The truth may be a
    human score; the mean of the judges in its place would hide the error that they share.
    votes: n, the number of judges of a case; by default all.

    n / (1 + (n - 1) rho) with rho the mean correlation of two judges' errors (Kish's design
    effect), weighted by the cases of both; arXiv 2605.29800 finds some two effective votes among
    nine judges. A negative rho counts as zero: a finite sample does not show more votes than
    judges. Pairs of judges with fewer than three common cases, or with equal errors, do not count.
    """
    judges = errors.shape[1]
    if judges < 2:
        return Undefined("there is one judge")
    present = ~np.isnan(errors)
    common = np.triu(present.T.astype(float) @ present, 1)
    total = weight = 0.0
    for first, second in np.argwhere(common >= LEAST_COMMON):
        both = errors[present[:, first] & present[:, second]][:, [first, second]]
        if (np.ptp(both, axis=0) > 0).all():
            total += len(both) * float(np.corrcoef(both[:, 0], both[:, 1])[0, 1])
            weight += len(both)
    if not common.max(initial=0) >= LEAST_COMMON:
        return Undefined(f"no two judges have {LEAST_COMMON} common cases")
    if not weight:
        return Undefined("the errors of a judge are all equal")
    count = judges if votes is None else votes
    return float(count / (1 + (count - 1) * max(0.0, total / weight)))

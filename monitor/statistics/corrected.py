"""Quality that a judge measured, corrected by few human labels, with intervals.

A judge scores many cases with a bias of its own; people score few. Two estimators combine them:
`corrected_mean` for scores and pass rates (prediction-powered inference, PPI++), `rogan_gladen` for
pass rates by the judge's sensitivity and specificity. Neither assumes that the judge is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from monitor.statistics.agreement import Undefined

Floats = NDArray[np.float64]
MIN_LABELS = 50
"""Effective labels that an estimate requires: intervals from fewer do not cover."""
FICTITIOUS_LABELS = 1
"""Number of labels that the variance counts in addition, in which the judge errs by the whole range
of the scores. Few labels of a good judge may show no error at all, which is no proof of none."""
FEW_LABELS = 100
"""Labels up to which the fictitious label counts in full, see `_with_fictitious`."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Scores of a judge, as their number, mean and variance (divisor n).

    They are additive, so that a stream of scores needs no memory: `+` joins two groups and `-`
    removes one that is contained, such as the labelled cases.
    count: effective number of scores where they have unequal weights (Kish).
    """

    count: float
    mean: float
    variance: float

    @classmethod
    def of(cls, scores: Sequence[float] | Floats, inclusion: Floats | None = None) -> Moments:
        """Return the moments of scores; each counts 1 / its inclusion probability."""
        values = np.asarray(scores, dtype=float)
        if not values.size:
            return cls(0.0, 0.0, 0.0)
        weights = _weights(values.size, inclusion)
        mean = float(weights @ values)
        return cls(1 / float(weights @ weights), mean, float(weights @ (values - mean) ** 2))

    def __add__(self, other: Moments) -> Moments:
        return self._with(other, 1.0)

    def __sub__(self, other: Moments) -> Moments:
        return self._with(other, -1.0)

    def _with(self, other: Moments, sign: float) -> Moments:
        count = self.count + sign * other.count
        if count <= 0:
            return Moments(0.0, 0.0, 0.0)
        mean = (self.count * self.mean + sign * other.count * other.mean) / count
        squares = self.count * (self.variance + self.mean**2)
        squares += sign * other.count * (other.variance + other.mean**2)
        return Moments(count, mean, max(0.0, squares / count - mean**2))


@dataclass(frozen=True, slots=True)
class Corrected:
    """A corrected mean or pass rate with its interval.

    naive: what the judge alone says of the other cases; if there are none, of the labelled ones.
    people: what the labels alone say.
    labels: effective number of labels. power: weight of the judge's scores, 0 if they are useless.
    """

    value: float
    lower: float
    upper: float
    naive: float
    people: float
    labels: float
    power: float


def corrected_mean(
    human: Floats,
    judge: Floats,
    judged: Moments,
    *,
    inclusion: Floats | None = None,
    bounds: tuple[float, float] | None = None,
    level: float = 0.95,
) -> Corrected | Undefined:
    """Return the mean human score of all judged cases.

    human, judge: scores of the labelled cases, of equal length.
    judged: scores of the judge for the other cases, without the labelled ones. If there are none,
        the mean is that of the labels alone.
    inclusion: for each label, the probability with which its case was chosen for labelling, up to
        a constant factor; by default all are equal.
    bounds: lowest and highest possible score.

    PPI++ (Angelopoulos, Duchi, Zrnic: arXiv 2311.01453), equations 2 and 9:
    theta = power * mean(judged) + mean(human - power * judge), with the power that minimises the
    variance. Means of labels are Hajek's, with their linearised variance. The interval is that of
    Student's t and, with `bounds`, counts `FICTITIOUS_LABELS`.
    """
    _check(human, judge, inclusion)
    weights = _weights(len(human), inclusion)
    labels = _effective(weights)
    if labels < MIN_LABELS:
        return Undefined(f"fewer than {MIN_LABELS} effective labels")
    if judged.count < 1:
        judged = Moments(0.0, float(weights @ judge), 0.0)
    power = _power(human, judge, weights, labels / judged.count) if judged.count else 0.0
    people = float(weights @ human)
    value = power * judged.mean + float(weights @ (human - power * judge))
    residuals = human - power * judge - float(weights @ (human - power * judge))
    scatter = float(weights**2 @ residuals**2) * labels / (labels - 1)
    if bounds is not None:
        scatter = _with_fictitious(scatter, labels, bounds[1] - bounds[0])
    error = sqrt(scatter + power**2 * judged.variance / max(judged.count, 1.0))
    half = float(stdtrit(labels - 2, (1 + level) / 2)) * error
    lower, upper = value - half, value + half
    if bounds is not None:
        value, lower, upper = (min(max(x, bounds[0]), bounds[1]) for x in (value, lower, upper))
    return Corrected(value, lower, upper, judged.mean, people, labels, power)


def _with_fictitious(scatter: float, labels: float, span: float) -> float:
    """Return the variance of the mean error of the judge with the fictitious label.

    Of many labels it counts less beside the errors that they show: added in full, it would make
    intervals of scores too wide. It remains the least variance, for a failure that none has shown.
    """
    fictitious = FICTITIOUS_LABELS * (span / labels) ** 2
    return max(fictitious, scatter + fictitious * min(1.0, FEW_LABELS / labels))


def _power(human: Floats, judge: Floats, weights: Floats, ratio: float) -> float:
    """Return the weight of the judge's scores: cov(human, judge) / ((1 + n / N) var(judge))."""
    if np.ptp(judge) == 0:
        return 0.0
    centred = judge - float(weights @ judge)
    variance = float(weights @ centred**2)
    return float(weights @ (centred * human)) / (variance * (1 + ratio))


def rogan_gladen(
    human: Floats,
    judge: Floats,
    judged: Moments,
    *,
    inclusion: Floats | None = None,
    level: float = 0.95,
) -> Corrected | Undefined:
    """Return the pass rate of all judged cases from the judge's sensitivity and specificity.

    human, judge: 1 for passed, 0 for failed. The arguments are those of `corrected_mean`.

    Rogan and Gladen (1978); interval of Lang and Reiczigel (2014), whose added counts keep its
    coverage where few people's labels are "failed". It uses fewer properties of the labels than
    `corrected_mean` and is wider, but it holds if labels were chosen by the human verdict.
    """
    _check(human, judge, inclusion)
    weights = _weights(len(human), inclusion)
    passed, failed = human > 0.5, human <= 0.5
    labels = _effective(weights)
    if labels < MIN_LABELS:
        return Undefined(f"fewer than {MIN_LABELS} effective labels")
    if not passed.any() or not failed.any():
        return Undefined("people labelled all cases the same")
    if judged.count < 1:
        return Undefined("there are no judged cases without a label")
    sensitivity, positives = _share(judge[passed], weights[passed])
    specificity, negatives = _share(1 - judge[failed], weights[failed])
    if sensitivity + specificity <= 1:
        return Undefined("the judge is no better than chance")
    z = float(ndtri((1 + level) / 2))
    value = (judged.mean + specificity - 1) / (sensitivity + specificity - 1)
    lower, upper = _lang_reiczigel(
        (judged.mean, judged.count), (sensitivity, positives), (specificity, negatives), z
    )
    people = float(weights @ human)
    value, lower, upper = (min(max(x, 0.0), 1.0) for x in (value, lower, upper))
    return Corrected(value, lower, upper, judged.mean, people, labels, 1.0)


def _lang_reiczigel(
    rate: tuple[float, float], se: tuple[float, float], sp: tuple[float, float], z: float
) -> tuple[float, float]:
    """Return the interval. Arguments: share and count of apparent passes, and of both errors."""
    count, positives, negatives = rate[1] + z * z, se[1] + 2, sp[1] + 2
    q = (rate[0] * rate[1] + z * z / 2) / count
    a, b = (se[0] * se[1] + 1) / positives, (sp[0] * sp[1] + 1) / negatives
    gain = a + b - 1
    if gain <= 0:
        return 0.0, 1.0
    p = min(max((q + b - 1) / gain, 0.0), 1.0)
    shift = 2 * z * z * (p * a * (1 - a) / positives - (1 - p) * b * (1 - b) / negatives)
    variance = q * (1 - q) / count + p**2 * a * (1 - a) / positives
    variance += (1 - p) ** 2 * b * (1 - b) / negatives
    half = z * sqrt(variance) / gain
    return p + shift - half, p + shift + half


def _share(hits: Floats, weights: Floats) -> tuple[float, float]:
    """Return the weighted share of hits and the effective number of cases."""
    total = float(weights.sum())
    return float(weights @ hits) / total, total**2 / float(weights @ weights)


def _weights(size: int, inclusion: Floats | None) -> Floats:
    """Return weights that sum to one, inverse to the inclusion probabilities."""
    weights = np.ones(size) if inclusion is None else 1 / np.asarray(inclusion, dtype=float)
    return np.asarray(weights / weights.sum() if size else weights, dtype=float)


def _effective(weights: Floats) -> float:
    """Return the effective number of cases with these weights, which sum to one (Kish)."""
    return 1 / float(weights @ weights) if weights.size else 0.0


def _check(human: Floats, judge: Floats, inclusion: Floats | None) -> None:
    """Check the arguments. Raises ValueError."""
    if human.shape != judge.shape or human.ndim != 1:
        raise ValueError(f"{human.shape} human labels and {judge.shape} scores of the judge")
    if not (np.isfinite(human).all() and np.isfinite(judge).all()):
        raise ValueError("labels and scores must be finite")
    if inclusion is not None and (
        inclusion.shape != human.shape or not ((inclusion > 0) & np.isfinite(inclusion)).all()
    ):
        raise ValueError("each label needs a positive inclusion probability")

"""True labels and error rates of annotators from repeated labels: Dawid and Skene (1979)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from monitor.statistics.agreement import Floats, Undefined
from monitor.statistics.review.resampling import Integers

MOST_ITERATIONS: Final = 1_000
TOLERANCE: Final = 1e-7
"""Largest change of a probability with which the iteration ends."""
SMOOTHING: Final = 0.01
"""Fictitious labels of each kind for each annotator and class: a rate of exactly 0 would outvote
all other annotators."""


@dataclass(frozen=True, slots=True)
class TrueLabels:
    """Estimates of maximum likelihood.

    probabilities: shape (items, classes), of the true class of each item; the prevalence for items
        without labels.
    errors: shape (annotators, classes, classes), probability of a label (last axis) by true class.
    prevalence: shape (classes,).
    converged: whether the iteration ended before MOST_ITERATIONS.
    """

    probabilities: Floats
    errors: Floats
    prevalence: Floats
    converged: bool

    @property
    def labels(self) -> Integers:
        """The most probable class of each item."""
        found: Integers = self.probabilities.argmax(axis=1).astype(np.int64)
        return found

    @property
    def accuracy(self) -> Floats:
        """Probability that an annotator's label is the true class, shape (annotators,)."""
        found: Floats = np.diagonal(self.errors, axis1=1, axis2=2) @ self.prevalence
        return found


def dawid_skene(
    items: Integers,
    annotators: Integers,
    labels: Integers,
    shape: tuple[int, int, int],
    *,
    smoothing: float = SMOOTHING,
) -> TrueLabels | Undefined:
    """Return the true labels that explain the given ones best, by the EM algorithm.

    items, annotators, labels: shape (n,), one row for each label, counted from 0. An annotator may
    have labelled an item several times.
    shape: number of items, annotators and classes.
    smoothing: fictitious labels; 0 is the original algorithm.

    Dawid and Skene, Maximum likelihood estimation of observer error-rates using the EM algorithm
    (1979), equations 2.3 to 2.5, started from the share of each label (3.1). Classes are told apart
    by the start only: it assumes that most labels are right.
    Raises ValueError if a number is out of range.
    """
    _check(items, annotators, labels, shape)
    votes = _sums(items * shape[2] + labels, np.ones((len(items), 1)), shape[0] * shape[2])
    votes = votes.reshape(shape[0], shape[2])
    given = votes.sum(axis=1)
    if not (given >= 2).any():
        return Undefined("no item has two labels")
    rated = given > 0
    probabilities = votes / np.maximum(given, 1)[:, None]
    for _ in range(MOST_ITERATIONS):
        prevalence = probabilities[rated].mean(axis=0)
        rates = _rates(probabilities[items], annotators, labels, shape, smoothing)
        updated = _posterior(prevalence, rates, items, (annotators, labels), shape[0])
        change = float(np.abs(updated - probabilities)[rated].max())
        probabilities = updated
        if change < TOLERANCE:
            return TrueLabels(probabilities, rates.swapaxes(1, 2), prevalence, converged=True)
    return TrueLabels(probabilities, rates.swapaxes(1, 2), prevalence, converged=False)


def _rates(
    probabilities: Floats,
    annotators: Integers,
    labels: Integers,
    shape: tuple[int, int, int],
    smoothing: float,
) -> Floats:
    """Return the probability of each label by true class, shape (annotators, labels, classes).

    probabilities: shape (n, classes), of the true class of each label's item.
    """
    _, people, classes = shape
    sums = _sums(annotators * classes + labels, probabilities, people * classes)
    rates = smoothing + sums.reshape(people, classes, classes)
    totals = rates.sum(axis=1, keepdims=True)
    found: Floats = np.divide(rates, totals, out=np.full_like(rates, 1 / classes), where=totals > 0)
    return found


def _posterior(
    prevalence: Floats,
    rates: Floats,
    items: Integers,
    given: tuple[Integers, Integers],
    count: int,
) -> Floats:
    """Return the probability of each class of each item, shape (count, classes).

    rates: as of `_rates`. given: annotator and value of each label.
    """
    with np.errstate(divide="ignore"):
        logs = np.log(prevalence) + _sums(items, np.log(rates)[given], count)
    likelihoods = np.exp(logs - logs.max(axis=1, keepdims=True))
    found: Floats = likelihoods / likelihoods.sum(axis=1, keepdims=True)
    return found


def _sums(groups: Integers, values: Floats, count: int) -> Floats:
    """Return the sums of rows by group, shape (count, columns): ten times as fast as np.add.at."""
    return np.stack([np.bincount(groups, each, count) for each in values.T], axis=1)


def _check(
    items: Integers, annotators: Integers, labels: Integers, shape: tuple[int, int, int]
) -> None:
    if not len(items) == len(annotators) == len(labels):
        raise ValueError("labels have items and annotators of different lengths")
    names = ("an item", "an annotator", "a label")
    for name, values, size in zip(names, (items, annotators, labels), shape, strict=True):
        if len(values) and not 0 <= values.min() <= values.max() < size:
            raise ValueError(f"{name} is not between 0 and {size - 1}")

"""True labels from repeated labels: published values, an independent computation, accuracy."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest

from monitor.statistics.agreement import Floats, Undefined
from monitor.statistics.review.dawid_skene import TrueLabels, dawid_skene
from monitor.statistics.review.resampling import Integers

PATIENTS = (
    "1111111 3334334 1122122 2223121 2223222 2223322 1222111 3333433 2222223 2322223 4444444 "
    "2223343 1111111 2223212 1211111 1112111 1111111 1111111 2222221 2221322 2222222 2222221 "
    "2223222 2212222 1111111 1111111 2322222 1111111 1111111 1121121 1111111 3333233 1111111 "
    "2222222 2223232 4334343 2212232 2323233 3333432 1111111 1111111 1212111 2322222 1211111 "
    "2222222"
)
"""Fitness of 45 patients by five anaesthetists, the first of whom gave three answers: Dawid and
Skene (1979), table 1."""
OBSERVERS = [0, 0, 0, 1, 2, 3, 4]


def rows() -> tuple[Integers, Integers, Integers]:
    """Return patients, observers and labels."""
    labels = np.array([int(label) - 1 for answers in PATIENTS.split() for label in answers])
    return np.repeat(np.arange(45), 7), np.tile(OBSERVERS, 45), labels


def estimate(smoothing: float = 0.0) -> TrueLabels:
    """Return the estimates for the published data."""
    found = dawid_skene(*rows(), (45, 5, 4), smoothing=smoothing)
    assert isinstance(found, TrueLabels)
    return found


def test_published_values() -> None:
    """Prevalence and the first observer's error rates are those of table 2 of the paper."""
    found = estimate()
    assert found.converged
    assert found.prevalence == pytest.approx([0.40, 0.42, 0.11, 0.07], abs=0.005)
    expected = [[0.89, 0.11, 0, 0], [0.07, 0.88, 0.05, 0], [0, 0.34, 0.66, 0], [0, 0, 0.56, 0.44]]
    assert found.errors[0] == pytest.approx(np.array(expected), abs=0.006)


def em(shape: tuple[int, int, int], steps: int) -> tuple[Floats, Floats]:
    """Return probabilities and prevalence by the equations of the paper, as loops."""
    count, people, classes = shape
    given = np.zeros((count, people, classes))
    for item, who, label in zip(*rows(), strict=True):
        given[item, who, label] += 1
    probability = given.sum(axis=1) / given.sum(axis=(1, 2))[:, None]
    for _ in range(steps):
        prevalence = probability.mean(axis=0)
        rate = np.zeros((people, classes, classes))
        for who in range(people):
            for true in range(classes):
                weights = [
                    sum(probability[i, true] * given[i, who, each] for i in range(count))
                    for each in range(classes)
                ]
                rate[who, true] = np.array(weights) / sum(weights)
        for i in range(count):
            likelihood = [
                prevalence[true] * prod((rate[:, true] ** given[i]).ravel())
                for true in range(classes)
            ]
            probability[i] = np.array(likelihood) / sum(likelihood)
    return probability, prevalence


def test_an_independent_computation_agrees() -> None:
    """Loops over the equations of the paper end at the same probabilities."""
    probability, prevalence = em((45, 5, 4), 60)
    found = estimate()
    assert found.probabilities == pytest.approx(probability, abs=1e-4)
    assert found.prevalence == pytest.approx(prevalence, abs=1e-4)


def simulated(seed: int) -> tuple[Integers, Integers, Integers, Integers]:
    """Return the truth and the labels of 300 items by three of six annotators of unequal skill."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, 300)
    skills = np.array([0.95, 0.95, 0.9, 0.6, 0.6, 0.55])
    who = rng.random((300, 6)).argsort(axis=1)[:, :3]
    labels = np.where(rng.random((300, 3)) < skills[who], truth[:, None], 1 - truth[:, None])
    return truth, np.repeat(np.arange(300), 3), who.ravel(), labels.ravel()


def test_it_is_better_than_the_majority() -> None:
    """With annotators of unequal skill, true labels are found more often than by the majority."""
    right = np.zeros(2)
    for seed in range(10):
        truth, items, who, labels = simulated(seed)
        found = dawid_skene(items, who, labels, (300, 6, 2))
        assert isinstance(found, TrueLabels)
        majority = labels.reshape(-1, 3).sum(axis=1) >= 2
        right += (found.labels == truth).mean(), (majority == truth).mean()
        assert found.accuracy[:2].min() > found.accuracy[3:].max()
    assert right[0] / 10 >= 0.91
    assert right[0] / 10 >= right[1] / 10 + 0.04


def test_smoothing_keeps_all_rates_above_zero() -> None:
    """A label that an annotator never gave remains possible."""
    assert (estimate(0.01).errors > 0).all()
    assert (estimate().errors == 0).any()


def test_items_without_labels_have_the_prevalence() -> None:
    """An item without a label changes nothing and has no class of its own."""
    items, who, labels = rows()
    found = dawid_skene(items, who, labels, (46, 6, 4), smoothing=0.0)
    assert isinstance(found, TrueLabels)
    assert found.probabilities[:45] == pytest.approx(estimate().probabilities, abs=1e-6)
    assert found.probabilities[45] == pytest.approx(found.prevalence)
    assert np.isfinite(found.errors).all()


def test_single_labels_are_undefined() -> None:
    """Without an item that has two labels, nothing tells annotators apart."""
    one = np.arange(5)
    found = dawid_skene(one, one, np.zeros(5, dtype=int), (5, 5, 2))
    assert found == Undefined("no item has two labels")


@pytest.mark.parametrize(
    ("items", "who", "labels", "message"),
    [([0], [0, 1], [0], "lengths"), ([2], [0], [0], "an item"), ([0], [0], [-1], "a label")],
)
def test_wrong_labels(items: list[int], who: list[int], labels: list[int], message: str) -> None:
    """Numbers out of range are errors of the caller."""
    with pytest.raises(ValueError, match=message):
        dawid_skene(np.array(items), np.array(who), np.array(labels), (2, 2, 2))

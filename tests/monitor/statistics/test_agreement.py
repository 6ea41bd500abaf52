"""Coefficients of agreement against published examples and independent implementations."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import aggregate_raters
from statsmodels.stats.inter_rater import fleiss_kappa as statsmodels_fleiss

from monitor.statistics.agreement import (
    ONE_VALUE,
    TOO_FEW_PAIRS,
    Estimate,
    Floats,
    Scale,
    Undefined,
    cohen_kappa,
    fleiss_kappa,
    gwet_ac1,
    krippendorff_alpha,
    with_interval,
)

NAN = float("nan")
# Krippendorff (2011), section E: four observers, twelve units, missing ratings
PUBLISHED = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
).T


@pytest.mark.parametrize(
    ("scale", "expected"),
    [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849), ("ratio", 0.797)],
)
def test_published_example_of_alpha(scale: Scale, expected: float) -> None:
    """Alpha is that of Krippendorff's own example."""
    value = krippendorff_alpha(PUBLISHED, scale)
    assert value == pytest.approx(expected, abs=5e-4)


def test_alpha_by_its_definition() -> None:
    """Alpha for the interval scale equals the mean squared differences of pairs, by loops."""
    ratings = np.random.default_rng(3).integers(0, 6, (30, 4)).astype(float)
    ratings[np.random.default_rng(4).random(ratings.shape) < 0.2] = NAN
    units = [row[~np.isnan(row)] for row in ratings]
    units = [row for row in units if len(row) >= 2]
    pooled = np.concatenate(units)
    observed = sum(
        sum((a - b) ** 2 for a in row for b in row) / (len(row) - 1) for row in units
    ) / len(pooled)
    n = len(pooled)
    expected = sum((a - b) ** 2 for a in pooled for b in pooled) / (n * (n - 1))
    assert krippendorff_alpha(ratings) == pytest.approx(1 - observed / expected)


@pytest.mark.parametrize(
    ("weights", "name"), [("none", None), ("linear", "linear"), ("quadratic", "quadratic")]
)
@pytest.mark.parametrize("seed", range(5))
def test_cohen_equals_scikit_learn(weights: str, name: str | None, seed: int) -> None:
    """Cohen's kappa, plain and weighted, equals scikit-learn's on integer scores."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 6, 80)
    second = np.where(rng.random(80) < 0.6, first, rng.integers(0, 6, 80))
    ours = cohen_kappa(np.stack([first, second], axis=1).astype(float), weights)  # type: ignore[arg-type]  # parametrized
    assert ours == pytest.approx(cohen_kappa_score(first, second, weights=name))


@pytest.mark.parametrize("seed", range(5))
def test_fleiss_equals_statsmodels(seed: int) -> None:
    """Fleiss' kappa equals that of statsmodels."""
    ratings = np.random.default_rng(seed).integers(0, 3, (40, 5))
    ratings[:, 1] = ratings[:, 0]
    table, _ = aggregate_raters(ratings)
    assert fleiss_kappa(ratings.astype(float)) == pytest.approx(statsmodels_fleiss(table))


def test_ac1_by_formula_and_on_skewed_labels() -> None:
    """AC1 follows Gwet's formula and stays high where kappa falls below zero."""
    ratings = np.array([[1, 1]] * 118 + [[1, 0]] * 5 + [[0, 1]] * 2, dtype=float)
    observed, share = 118 / 125, (118 * 2 + 7) / 250
    chance = 2 * share * (1 - share)
    assert gwet_ac1(ratings) == pytest.approx((observed - chance) / (1 - chance))
    kappa = cohen_kappa(ratings)
    assert isinstance(kappa, float)
    assert kappa < 0


COEFFICIENTS = (krippendorff_alpha, cohen_kappa, fleiss_kappa, gwet_ac1)


@pytest.mark.parametrize("coefficient", COEFFICIENTS)
def test_undefined_is_a_state(coefficient: object) -> None:
    """Equal ratings, and ratings without pairs, have a reason instead of a number."""
    assert callable(coefficient)
    assert coefficient(np.ones((9, 2))) == ONE_VALUE
    assert coefficient(np.array([[1.0, NAN], [NAN, 2.0]])) == TOO_FEW_PAIRS
    assert coefficient(np.empty((0, 2))) == TOO_FEW_PAIRS
    rng = np.random.default_rng(1)
    assert isinstance(with_interval(np.ones((9, 2)), coefficient, rng), Undefined)


@pytest.mark.parametrize("coefficient", COEFFICIENTS)
def test_perfect_agreement_is_one(coefficient: object) -> None:
    """All coefficients are 1 for equal columns of different values."""
    assert callable(coefficient)
    column = np.array([0.0, 1, 2, 3, 0, 5])
    assert coefficient(np.stack([column, column], axis=1)) == pytest.approx(1)


def test_cohen_needs_two_raters() -> None:
    """Three raters are an error of the caller."""
    with pytest.raises(ValueError, match="2 raters, not 3"):
        cohen_kappa(np.ones((3, 3)))


def _pairs(rng: np.random.Generator, n: int) -> Floats:
    truth = rng.integers(0, 2, n)
    second = np.where(rng.random(n) < 0.8, truth, 1 - truth)
    return np.stack([truth, second], axis=1).astype(float)


def test_bootstrap_interval_covers() -> None:
    """About 95 % of the intervals contain the kappa of the population, which is 0.6."""
    rng = np.random.default_rng(8)
    hits = 0
    for _ in range(100):
        found = with_interval(_pairs(rng, 120), cohen_kappa, rng, resamples=100)
        assert isinstance(found, Estimate)
        assert found.lower is not None
        assert found.upper is not None
        hits += found.lower <= 0.6 <= found.upper
    assert 0.88 <= hits / 100 <= 0.99


def test_no_interval_from_two_units() -> None:
    """Two units give a value and no interval."""
    found = with_interval(np.array([[0.0, 0.0], [1.0, 1.0]]), cohen_kappa, np.random.default_rng(1))
    assert found == Estimate(1.0)

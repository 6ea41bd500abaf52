"""Correlations of dimensions and contradictions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from monitor.statistics.agreement import Undefined
from monitor.statistics.correlation import (
    Contradiction,
    Correlation,
    Method,
    UndefinedCorrelation,
    contradictions,
    correlation,
    correlations,
)


def test_equals_scipy() -> None:
    """Values are those of scipy; the interval of Pearson as well."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=60)
    y = x + rng.normal(size=60)
    pearson, rank = correlation(x, y, method="pearson"), correlation(x, y)
    assert not isinstance(pearson, Undefined)
    assert not isinstance(rank, Undefined)
    reference = pearsonr(x, y)
    interval = reference.confidence_interval()
    assert pearson[:3] == pytest.approx((reference.statistic, interval.low, interval.high))
    assert rank[0] == pytest.approx(spearmanr(x, y).statistic)
    assert pearson[3] == 60


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_interval_covers(method: Method) -> None:
    """About 95 % of the intervals contain the correlation of the population."""
    rng = np.random.default_rng(6)
    rho = 0.6
    truth = rho if method == "pearson" else 6 / np.pi * np.arcsin(rho / 2)
    hits = 0
    for _ in range(800):
        x = rng.normal(size=50)
        found = correlation(x, rho * x + 0.8 * rng.normal(size=50), method=method)
        assert not isinstance(found, Undefined)
        hits += found[1] <= truth <= found[2]
    assert 0.925 <= hits / 800 <= 0.975


def test_undefined() -> None:
    """Few cases and constant scores have a reason; other pairs are not affected."""
    rng = np.random.default_rng(3)
    scores = rng.integers(0, 6, (40, 3)).astype(float)
    scores[:, 1] = 4
    scores[:35, 2] = np.nan
    found = correlations(scores, ["a", "b", "c"])
    assert [type(each) for each in found] == [UndefinedCorrelation] * 3
    assert "equal" in getattr(found[0], "reason", "")
    assert "fewer than" in getattr(found[1], "reason", "")


def test_perfect_correlation_has_an_interval() -> None:
    """A correlation of 1 has finite bounds."""
    column = np.arange(20.0)
    (found,) = correlations(np.stack([column, column], axis=1), ["a", "b"])
    assert isinstance(found, Correlation)
    assert found.value == pytest.approx(1)
    assert 0.99 < found.lower <= found.upper <= 1


def test_contradictions() -> None:
    """Cases with one score high and one low are found among correlated dimensions only."""
    rng = np.random.default_rng(4)
    quality = rng.integers(1, 6, 60).astype(float)
    tone = np.clip(quality + rng.integers(-1, 2, 60), 0, 5)
    length = rng.permutation(np.tile([0.0, 5.0], 30))
    quality[7], tone[7] = 5, 1
    quality[9], tone[9] = 0, 5
    scores = np.stack([quality, tone, length], axis=1)
    found = contradictions(scores, ["quality", "tone", "length"])
    assert found == [
        Contradiction(9, "tone", "quality", 1.0),
        Contradiction(7, "quality", "tone", 0.8),
    ]
    assert len(contradictions(scores, ["quality", "tone", "length"], limit=1)) == 1


def test_names_must_fit() -> None:
    """A wrong number of names is an error of the caller."""
    with pytest.raises(ValueError, match="2 dimensions"):
        correlations(np.ones((9, 3)), ["a", "b"])

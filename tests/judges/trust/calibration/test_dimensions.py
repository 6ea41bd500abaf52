"""Correlations of dimensions, and pairs that contradict each other."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from judges.trust.calibration.dimensions import MAX_EXAMPLES, compare_dimensions, dimension_lines
from monitor.statistics.correlation import Correlation


def test_correlations_equal_scipy_and_contradictions_are_counted() -> None:
    """Spearman's correlation of each pair; cases three points apart are counted, worst first."""
    rng = np.random.default_rng(2)
    depth = rng.integers(0, 6, 300).astype(float)
    clarity = np.clip(depth + rng.integers(-1, 2, 300), 0, 5)
    clarity[:20], depth[:20] = 0.0, 4.0
    clarity[0], depth[0] = 0.0, 5.0
    rows = [(f"r{i}", {"depth": depth[i], "clarity": clarity[i]}) for i in range(300)]
    found = compare_dimensions(rows)
    assert found is not None
    [pair] = found.correlations
    assert isinstance(pair, Correlation)
    assert pair.value == pytest.approx(spearmanr(clarity, depth).statistic)
    [clash] = found.contradictions
    assert (clash.high, clash.low, clash.cases) == ("depth", "clarity", 20)
    assert clash.examples[0] == "r0"
    assert len(clash.examples) == MAX_EXAMPLES
    text = "\n".join(dimension_lines(found))
    assert "contradiction: depth is high and clarity low in 20 cases" in text


def test_one_dimension_has_no_correlation() -> None:
    """Nothing is reported for it, and names from files are printable."""
    assert compare_dimensions([("r", {"depth": 1.0})]) is None
    assert compare_dimensions([]) is None
    found = compare_dimensions([("r", {"a\x1b[2J": 1.0, "b": 2.0})])
    assert found is not None
    assert all(line.isprintable() for line in dimension_lines(found))

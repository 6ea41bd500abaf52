"""Agreement of a case and the effective number of votes."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.statistics.agreement import Undefined
from monitor.statistics.panel import AgreementClass, effective_votes, spread


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([4, 4, 4], AgreementClass.HIGH),
        ([4, 4, 4, 3], AgreementClass.HIGH),
        ([4, 3], AgreementClass.MEDIUM),
        ([5, 3, 4], AgreementClass.MEDIUM),
        ([5, 2, 5, 5], AgreementClass.LOW),
        ([0, 5], AgreementClass.LOW),
    ],
)
def test_agreement_class(scores: list[float], expected: AgreementClass) -> None:
    """A point apart among many is high, two points medium, three points low agreement."""
    found = spread(scores)
    assert found is not None
    assert found.agreement is expected
    assert found.mean == pytest.approx(np.mean(scores))
    assert found.range == max(scores) - min(scores)


def test_one_score_has_no_spread() -> None:
    """Below two scores there is no agreement."""
    assert spread([4]) is None


def test_the_scale_matters() -> None:
    """Half a point is far on a scale of 0 to 1; an empty scale is an error."""
    found = spread([0.2, 0.9], highest=1)
    assert found is not None
    assert found.agreement is AgreementClass.LOW
    with pytest.raises(ValueError, match="empty"):
        spread([1, 2], lowest=5, highest=5)


@pytest.mark.parametrize(
    ("rho", "expected"), [(0.0, 9.0), (0.44, 9 / (1 + 8 * 0.44)), (0.99, 1.01)]
)
def test_effective_votes(rho: float, expected: float) -> None:
    """The variance of the mean of n judges is that of the effective number of independent ones."""
    rng = np.random.default_rng(5)
    shared, own = rng.normal(size=(20_000, 1)), rng.normal(size=(20_000, 9))
    errors = np.sqrt(rho) * shared + np.sqrt(1 - rho) * own
    votes = effective_votes(errors)
    assert votes == pytest.approx(expected, rel=0.05)
    assert votes == pytest.approx(errors[:, 0].var() / errors.mean(axis=1).var(), rel=0.08)


def test_effective_votes_undefined() -> None:
    """One judge, few cases and a constant error have a reason."""
    assert effective_votes(np.ones((9, 1))) == Undefined("there is one judge")
    assert isinstance(effective_votes(np.full((9, 2), np.nan)), Undefined)
    assert isinstance(effective_votes(np.ones((9, 2))), Undefined)

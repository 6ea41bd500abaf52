"""Agreement of comparisons, position bias, and ratings of models."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from monitor.statistics.agreement import (
    TOO_FEW_PAIRS,
    Estimate,
    Floats,
    Undefined,
    krippendorff_alpha,
)
from monitor.statistics.bradley_terry import bradley_terry
from monitor.statistics.paired import Wins
from monitor.statistics.review.advice import Action, Advice
from monitor.statistics.review.preferences import (
    comparison_agreement,
    comparison_ratings,
    first_shown,
)

NAN = float("nan")


def rng(seed: int = 1) -> np.random.Generator:
    """Return a generator."""
    return np.random.default_rng(seed)


def preferences(items: int, won: float, right: float, seed: int = 1) -> Floats:
    """Return outcomes of three raters: the first answer is better in a share of the items."""
    generator = rng(seed)
    better = np.where(generator.random(items) < won, 1.0, -1.0)[:, None]
    return np.where(generator.random((items, 3)) < right, better, -better)


outcomes = arrays.arrays(
    np.float64,
    arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=7),
    elements=st.sampled_from([-1.0, 0.0, 1.0, NAN]),
)


@settings(deadline=None, max_examples=100)
@given(outcomes)
def test_alpha_counts_both_directions(given_outcomes: Floats) -> None:
    """Alpha is that of the items and of the same items with the answers exchanged."""
    found = comparison_agreement(given_outcomes, rng(), resamples=2)
    both = krippendorff_alpha(np.concatenate([given_outcomes, -given_outcomes]), "interval")
    if isinstance(found.alpha, Undefined):
        assert isinstance(both, Undefined)
    else:
        assert found.alpha.value == pytest.approx(both)


@settings(deadline=None, max_examples=50)
@given(outcomes, st.data())
def test_agreement_does_not_depend_on_names(given_outcomes: Floats, data: st.DataObject) -> None:
    """Exchanging the two answers of any item changes nothing."""
    signs = data.draw(
        arrays.arrays(np.float64, len(given_outcomes), elements=st.sampled_from([-1.0, 1.0]))
    )
    first = comparison_agreement(given_outcomes, rng(), resamples=2)
    second = comparison_agreement(given_outcomes * signs[:, None], rng(), resamples=2)
    for one, other in ((first.alpha, second.alpha), (first.exact, second.exact)):
        if isinstance(one, Undefined):
            assert one == other
        else:
            assert isinstance(other, Estimate)
            assert other.value == pytest.approx(one.value)


def test_a_better_model_does_not_lower_alpha() -> None:
    """Raters who are right in 95 % agree as much if one model wins nearly always."""
    even = comparison_agreement(preferences(2_000, 0.5, 0.95), rng())
    uneven = comparison_agreement(preferences(2_000, 0.97, 0.95), rng())
    for found in (even, uneven):
        assert isinstance(found.alpha, Estimate)
        assert found.alpha.value == pytest.approx(2 * (0.95**2 + 0.05**2) - 1, abs=0.03)
        assert isinstance(found.advice, Advice)
        assert found.advice.action is Action.USE


def test_raters_at_random_have_no_agreement() -> None:
    """Random preferences have an alpha whose interval contains 0, and revise the guideline."""
    found = comparison_agreement(preferences(500, 0.9, 0.5), rng())
    assert isinstance(found.alpha, Estimate)
    assert found.alpha.lower is not None
    assert found.alpha.upper is not None
    assert found.alpha.lower < 0 < found.alpha.upper
    assert isinstance(found.advice, Advice)
    assert found.advice.action is Action.REVISE_GUIDELINE


def test_ties() -> None:
    """Mostly ties give no advice; only ties give no coefficient."""
    many = preferences(300, 0.5, 0.6)
    many[rng(3).random(many.shape) < 0.9] = 0.0
    found = comparison_agreement(many, rng())
    assert found.ties == pytest.approx(0.9, abs=0.03)
    assert isinstance(found.advice, Undefined)
    only = comparison_agreement(np.zeros((30, 2)), rng())
    assert isinstance(only.alpha, Undefined)
    assert isinstance(only.exact, Estimate)
    assert only.exact.value == 1


def test_without_two_raters() -> None:
    """Single ratings have no agreement."""
    found = comparison_agreement(np.array([[1.0, NAN], [NAN, -1.0]]), rng())
    assert found.exact == found.alpha == found.advice == TOO_FEW_PAIRS
    assert found.items == 0


def test_other_outcomes_are_errors() -> None:
    """An outcome is -1, 0 or 1."""
    with pytest.raises(ValueError, match="not -1, 0 or 1"):
        comparison_agreement(np.array([[0.5, 1.0]]), rng())


def test_position_bias() -> None:
    """The preference for the answer shown first is found, and is half without a bias."""
    generator = rng(4)
    shown = generator.integers(0, 2, (400, 3)).astype(float)
    fair = preferences(400, 0.7, 0.8)
    biased = np.where(generator.random(shown.shape) < 0.2, 2 * shown - 1, fair)
    shown[0, 0] = NAN
    for outcome, lower, upper in ((fair, 0.45, 0.55), (biased, 0.56, 0.64)):
        found = first_shown(outcome, shown)
        assert isinstance(found, Wins)
        assert found.pairs == 400 * 3 - 1
        assert lower <= found.rate.value <= upper
    assert isinstance(first_shown(fair, np.full(shown.shape, NAN)), Undefined)


def test_ratings_of_models() -> None:
    """Ratings are those of each rating as a comparison, with items as groups."""
    outcome = np.array([[1.0, 0.0], [1.0, NAN], [-1.0, 1.0], [1.0, 1.0]])
    first, second = np.array([0, 0, 1, 2]), np.array([1, 2, 2, 0])
    expected = bradley_terry(
        np.array([0, 0, 0, 1, 1, 2, 2]),
        np.array([1, 1, 2, 2, 2, 0, 0]),
        np.array([1, 0.5, 1, 0, 1, 1, 1]),
        3,
        groups=np.array([0, 0, 1, 2, 2, 3, 3]),
    )
    assert comparison_ratings(outcome, first, second, 3) == expected

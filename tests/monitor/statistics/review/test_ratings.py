"""Agreement of ratings: equal to the plain coefficients, intervals that cover, and advice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from monitor.statistics.agreement import (
    ONE_VALUE,
    TOO_FEW_PAIRS,
    Estimate,
    Floats,
    Undefined,
    cohen_kappa,
    fleiss_kappa,
    fleiss_kappas,
    gwet_ac1,
    gwet_ac1s,
    krippendorff_alpha,
    with_interval,
)
from monitor.statistics.review.advice import Action, Advice, advise
from monitor.statistics.review.ratings import (
    MOST_PAIRS,
    MOST_VALUES,
    UNEQUAL_RATERS,
    Kind,
    rating_agreement,
)

NAN = float("nan")


def rng(seed: int = 1) -> np.random.Generator:
    """Return a generator."""
    return np.random.default_rng(seed)


def ordinal(items: int, raters: int, seed: int, noise: float = 0.8) -> Floats:
    """Return ratings from 0 to 5 around a true value."""
    generator = rng(seed)
    truth = generator.integers(0, 6, items)[:, None]
    return np.clip(np.round(truth + generator.normal(0, noise, (items, raters))), 0, 5)


def binary(items: int, prevalence: float, right: float, seed: int = 3) -> Floats:
    """Return the labels of three raters who are right with a probability."""
    generator = rng(seed)
    truth = (generator.random(items) < prevalence)[:, None]
    return np.where(generator.random((items, 3)) < right, truth, ~truth).astype(float)


def value(result: object) -> float:
    """Return the value of an estimate."""
    assert isinstance(result, Estimate)
    return result.value


def action(advice: Advice | Undefined) -> Action:
    """Return the recommended action."""
    assert isinstance(advice, Advice)
    return advice.action


matrices = arrays.arrays(
    np.float64,
    arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8),
    elements=st.sampled_from([0.0, 1.0, 2.0, 5.0, NAN]),
)


@settings(deadline=None, max_examples=150)
@given(matrices, st.sampled_from(["ordinal", "nominal"]))
def test_coefficients_are_the_plain_ones(ratings: Floats, kind: Kind) -> None:
    """Alpha, AC1, Fleiss' and Cohen's kappa of grouped items equal those of all items."""
    found = rating_agreement(ratings, kind, rng(), resamples=2)
    assert same(found.alpha, krippendorff_alpha(ratings, kind))
    if kind == "nominal":
        assert found.within_one is None
        assert same(found.ac1, gwet_ac1(ratings))
        numbers = {n for n in (~np.isnan(ratings)).sum(axis=1) if n}
        equal = len(numbers) < 2 or not found.items
        assert same(found.fleiss, fleiss_kappa(ratings) if equal else UNEQUAL_RATERS)
    else:
        assert found.ac1 is None
        assert found.fleiss is None


def same(found: object, expected: float | Undefined) -> bool:
    """Whether a result has an expected value or reason."""
    if isinstance(found, Estimate):
        return found.value == pytest.approx(expected, abs=1e-9)
    return found == expected


@settings(deadline=None, max_examples=60)
@given(matrices)
def test_shares_by_loops(ratings: Floats) -> None:
    """Exact, within one and the agreement on a value are those of all pairs of ratings."""
    found = rating_agreement(ratings, "ordinal", rng(), resamples=2)
    rows = [row[~np.isnan(row)] for row in ratings]
    rows = [row for row in rows if len(row) >= 2]
    assert found.items == len(rows)
    if not rows:
        assert found.exact == TOO_FEW_PAIRS
        return
    for result, distance in ((found.exact, 0), (found.within_one, 1)):
        shares = [
            np.mean([abs(a - b) <= distance for i, a in enumerate(row) for b in np.delete(row, i)])
            for row in rows
        ]
        assert value(result) == pytest.approx(np.mean(shares))
    for each in found.values:
        others = [
            np.mean(np.delete(row, i) == each.value)
            for row in rows
            for i, a in enumerate(row)
            if a == each.value
        ]
        if others:
            assert value(each.agreement) == pytest.approx(np.mean(others))
        else:
            assert isinstance(each.agreement, Undefined)


def test_pairs_have_weighted_kappa() -> None:
    """Each pair has Cohen's kappa of its common items: quadratic weights for ordinal ratings."""
    ratings = ordinal(80, 3, 5)
    ratings[:71, 2] = NAN
    (pair,) = rating_agreement(ratings, "ordinal", rng()).pairs
    assert (pair.first, pair.second, pair.items) == (0, 1, 80)
    assert value(pair.kappa) == pytest.approx(cohen_kappa(ratings[:, :2], "quadratic"))
    assert pair.exact == pytest.approx((ratings[:, 0] == ratings[:, 1]).mean())
    (pair,) = rating_agreement(ratings, "nominal", rng()).pairs
    assert value(pair.kappa) == pytest.approx(cohen_kappa(ratings[:, :2]))


def test_pairs_are_bounded_and_counted() -> None:
    """Of many raters, the pairs with most items are reported and the number of others."""
    found = rating_agreement(ordinal(30, 16, 2), "ordinal", rng(), resamples=3)
    assert len(found.pairs) == MOST_PAIRS
    assert found.pairs_left_out == 16 * 15 // 2 - MOST_PAIRS


def test_intervals_are_those_of_resampled_items() -> None:
    """The bootstrap over groups of equal items has the bounds of one over items."""
    ratings = ordinal(120, 3, 7)
    ratings[rng(4).random(ratings.shape) < 0.2] = NAN
    found = rating_agreement(ratings, "ordinal", rng(), resamples=4_000).alpha
    plain = with_interval(
        ratings, lambda x: krippendorff_alpha(x, "ordinal"), rng(2), resamples=1_000
    )
    assert isinstance(found, Estimate)
    assert isinstance(plain, Estimate)
    assert (found.lower, found.upper) == pytest.approx((plain.lower, plain.upper), abs=0.015)


@pytest.mark.parametrize(("items", "width"), [(50, 0.25), (200, 0.12)])
def test_intervals_cover(items: int, width: float) -> None:
    """Some 95 % of the intervals of alpha and of exact agreement contain the population's."""
    truth = rating_agreement(ordinal(30_000, 3, 99), "ordinal", rng(), resamples=1)
    hits = np.zeros(2)
    runs = 100
    widths = 0.0
    for seed in range(runs):
        found = rating_agreement(ordinal(items, 3, seed), "ordinal", rng(seed), resamples=100)
        for row, (result, expected) in enumerate(
            ((found.alpha, truth.alpha), (found.exact, truth.exact))
        ):
            assert isinstance(result, Estimate)
            assert result.lower is not None
            assert result.upper is not None
            hits[row] += result.lower <= value(expected) <= result.upper
            widths += row * (result.upper - result.lower) / runs
    assert (hits / runs >= 0.88).all()
    assert (hits / runs <= 0.99).all()
    assert widths <= width


@pytest.mark.parametrize(
    ("prevalence", "fleiss", "ac1", "expected"),
    [
        (0.5, 0.71, 0.71, Action.USE),
        (0.95, 0.30, 0.82, Action.ANNOTATE_AGAIN),
        (0.99, 0.09, 0.83, Action.ANNOTATE_AGAIN),
    ],
)
def test_paradox_of_kappa(prevalence: float, fleiss: float, ac1: float, expected: Action) -> None:
    """Raters who are right in 92 % agree in 85 %; kappa falls with prevalence, AC1 does not.

    The advice is not to revise the guideline: ratings with the rare value are rated again.
    """
    found = rating_agreement(binary(20_000, prevalence, 0.92), "nominal", rng(), resamples=200)
    assert value(found.exact) == pytest.approx(0.853, abs=0.01)
    assert value(found.fleiss) == pytest.approx(fleiss, abs=0.03)
    assert value(found.ac1) == pytest.approx(ac1, abs=0.02)
    assert action(found.advice) is expected


def test_paradox_in_the_guide() -> None:
    """The table of docs/agreement.md has the coefficients of an infinite number of items."""
    guide = (Path(__file__).parents[4] / "docs/agreement.md").read_text()
    right, rows = 0.92, []
    exact = right**2 + (1 - right) ** 2
    for prevalence in (0.5, 0.95, 0.99):
        passed = prevalence * right + (1 - prevalence) * (1 - right)
        shares = np.array([passed, 1 - passed])
        observed = np.array(exact)
        both_failed = (1 - prevalence) * right**2 + prevalence * (1 - right) ** 2
        numbers = (
            exact,
            float(fleiss_kappas(observed, shares)),
            float(gwet_ac1s(observed, shares)),
            both_failed / (1 - passed),
        )
        cells = " | ".join(f"{each:.2f}".lstrip("0") for each in numbers)
        rows.append(f"| {prevalence:.0%}".replace("%", " % | ") + f"{cells} |")
    assert "\n".join(rows) in guide


def test_rare_values_that_are_confirmed_are_used() -> None:
    """Skewed labels whose rare value the others confirm need nothing."""
    found = rating_agreement(binary(2_000, 0.93, 0.99), "nominal", rng())
    assert value(found.rare) > 0.8
    assert action(found.advice) is Action.USE


@pytest.mark.parametrize(
    ("right", "expected"),
    [(0.95, Action.USE), (0.86, Action.ANNOTATE_AGAIN), (0.7, Action.REVISE_GUIDELINE)],
)
def test_advice_by_agreement(right: float, expected: Action) -> None:
    """Alpha from .6 on is used, below it is annotated again, below .4 the guideline is revised."""
    found = rating_agreement(binary(3_000, 0.5, right), "nominal", rng())
    assert isinstance(found.advice, Advice)
    assert (found.advice.action, found.advice.coefficient) == (expected, "alpha")
    assert found.advice.value == value(found.alpha)


@pytest.mark.parametrize(
    ("result", "items", "reason"),
    [
        (ONE_VALUE, 500, ONE_VALUE.reason),
        (Estimate(0.9, 0.8, 0.95), 19, "19 items"),
        (Estimate(0.5, 0.2, 0.7), 50, "contains every recommendation"),
    ],
)
def test_advice_is_undefined(result: Estimate | Undefined, items: int, reason: str) -> None:
    """Equal ratings, few items and a wide interval give a reason instead of advice."""
    found = advise("alpha", result, items)
    assert isinstance(found, Undefined)
    assert reason in found.reason


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0.3999, Action.REVISE_GUIDELINE),
        (0.4, Action.ANNOTATE_AGAIN),
        (0.5999, Action.ANNOTATE_AGAIN),
        (0.6, Action.USE),
    ],
)
def test_limits_of_advice(number: float, expected: Action) -> None:
    """The limits themselves belong to the better agreement."""
    assert action(advise("alpha", Estimate(number), 20)) is expected


def test_skewed_ordinal_ratings_have_no_advice() -> None:
    """A low alpha decides nothing if nearly all ratings are equal."""
    ratings = np.full((200, 3), 5.0)
    ratings[np.arange(12), np.arange(12) % 3] = 4.0
    found = rating_agreement(ratings, "ordinal", rng()).advice
    assert isinstance(found, Undefined)
    assert "of the ratings are equal" in found.reason


def test_equal_ratings_have_a_share_and_no_coefficient() -> None:
    """All raters equal in all items: exact agreement has a lower bound, alpha is undefined."""
    found = rating_agreement(np.ones((40, 3)), "nominal", rng())
    assert found.exact == Estimate(1.0, 0.025 ** (1 / 40), 1.0)
    assert found.alpha == found.ac1 == found.advice == ONE_VALUE


def test_perfect_agreement_has_no_interval() -> None:
    """Without any disagreement, resamples show none: alpha is 1 without bounds."""
    found = rating_agreement(np.tile([[0.0], [1.0]], (20, 3)), "nominal", rng())
    assert found.alpha == Estimate(1.0)
    assert action(found.advice) is Action.USE


@pytest.mark.parametrize(
    ("ratings", "message"),
    [
        (np.ones(3), "shape"),
        (np.full((2, 2), np.inf), "infinite"),
        (np.arange(2.0 * MOST_VALUES).reshape(-1, 2), "different ratings"),
    ],
)
def test_wrong_ratings(ratings: Floats, message: str) -> None:
    """A wrong shape, infinite ratings and too many values are errors of the caller."""
    with pytest.raises(ValueError, match=message):
        rating_agreement(ratings, "ordinal", rng())

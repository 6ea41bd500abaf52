"""Ratings agree with independent implementations and are never nonsense."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize

from monitor.statistics.bradley_terry import Rating, bradley_terry

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Games = tuple[Integers, Integers, Floats]


def games(ratings: Floats, count: int, seed: int, ties: float = 0.0) -> Games:
    """Return comparisons of random pairs of models; a share of them are ties."""
    generator = np.random.default_rng(seed)
    first = generator.integers(0, len(ratings), count)
    second = (first + generator.integers(1, len(ratings), count)) % len(ratings)
    won = generator.random(count) < 1 / (1 + np.exp(ratings[second] - ratings[first]))
    scores = np.where(generator.random(count) < ties, 0.5, won.astype(float))
    return first, second, scores


def rated(found: list[Rating | None]) -> list[Rating]:
    """Return ratings, which all exist."""
    assert all(each is not None for each in found)
    return [each for each in found if each is not None]


@pytest.mark.parametrize("ties", [0.0, 0.3])
def test_ratings_are_the_maximum_of_the_likelihood(ties: float) -> None:
    """Those of a general optimizer, with ties as half a win."""
    first, second, scores = games(np.array([0.0, 0.8, -0.5, 1.5]), 400, 1, ties)

    def loss(free: Floats) -> float:
        ratings = np.concatenate([[0.0], free])
        difference = ratings[first] - ratings[second]
        return float(
            (scores * np.logaddexp(0, -difference)).sum()
            + ((1 - scores) * np.logaddexp(0, difference)).sum()
        )

    expected = minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-8}).x
    found = rated(bradley_terry(first, second, scores, 4, prior=0.0))
    assert [each.value for each in found] == pytest.approx([0.0, *expected], abs=1e-5)


def test_errors_are_those_of_a_clustered_logistic_regression() -> None:
    """statsmodels' sandwich with the same correction, where nothing is added."""
    first, second, scores = games(np.array([0.0, 0.8, -0.5]), 300, 2)
    groups = np.arange(300) // 3
    design = np.zeros((300, 3))
    design[np.arange(300), first] = 1
    design[np.arange(300), second] = -1
    model = sm.GLM(scores, design[:, 1:], family=sm.families.Binomial())
    fit = model.fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False}, use_t=False
    )
    found = rated(bradley_terry(first, second, scores, 3, groups=groups, prior=0.0, level=0.95))
    from scipy.stats import t

    factor = t.ppf(0.975, 99) * np.sqrt(100 / 99)
    for each, value, error in zip(found[1:], fit.params, fit.bse, strict=True):
        assert each.value == pytest.approx(value, abs=1e-6)
        assert each.upper - each.value == pytest.approx(factor * error, rel=1e-5)


def test_intervals_cover() -> None:
    """Each rating is missed in at most about 5 % of 200 runs of 40 prompts, all pairs of 4."""
    true = np.array([0.0, 0.5, -0.7, 1.2])
    pairs = [(i, j) for i in range(4) for j in range(i)]
    first = np.tile([i for i, _ in pairs], 40)
    second = np.tile([j for _, j in pairs], 40)
    groups = np.repeat(np.arange(40), len(pairs))
    chance = 1 / (1 + np.exp(true[second] - true[first]))
    generator, missed = np.random.default_rng(3), np.zeros(4)
    for _ in range(200):
        scores = (generator.random(len(first)) < chance).astype(float)
        for i, each in enumerate(rated(bradley_terry(first, second, scores, 4, groups=groups))):
            missed[i] += not each.lower <= true[i] <= each.upper
    assert missed[0] == 0
    assert (missed[1:] / 200 < 0.1).all()


def test_a_model_that_wins_everything_has_no_upper_bound() -> None:
    """Its estimate is finite, and grows with the number of wins; the loser mirrors it."""
    few, many = (
        rated(
            bradley_terry(np.ones(n, np.int64), np.zeros(n, np.int64), np.ones(n, dtype=float), 2)
        )[1]
        for n in (5, 50)
    )
    assert 0 < few.value < many.value < 10
    assert few.upper == many.upper == inf
    assert few.lower < many.lower
    assert many.lower > 1
    loser = rated(bradley_terry(np.ones(5, np.int64), np.zeros(5, np.int64), np.zeros(5), 2))[1]
    assert loser.value == pytest.approx(-few.value)
    assert loser.lower == -inf
    assert loser.upper == pytest.approx(-few.lower)


def test_bounds_are_infinite_where_no_chain_of_wins_leads() -> None:
    """Both 0 and 2 beat 1 always: their order is open in both directions."""
    first, second = np.repeat([0, 2], 10), np.ones(20, np.int64)
    base, loser, other = rated(bradley_terry(first, second, np.ones(20), 3))
    assert (base.value, base.lower, base.upper) == (0.0, 0.0, 0.0)
    assert (loser.lower, loser.upper < 2) == (-inf, True)
    assert (other.lower, other.upper) == (-inf, inf)
    assert other.value == pytest.approx(0.0, abs=1e-9)


def test_models_that_no_chain_connects_are_not_rated() -> None:
    """Models 2 and 3 were compared with each other only, 4 with none."""
    found = bradley_terry(np.array([0, 1, 2]), np.array([1, 0, 3]), np.array([1.0, 1.0, 1.0]), 5)
    assert [each is None for each in found] == [False, False, True, True, True]
    assert bradley_terry(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), 2) == [
        Rating(0.0, 0.0, 0.0, 0),
        None,
    ]


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 3), st.sampled_from([0.0, 0.5, 1.0])),
        max_size=30,
    )
)
def test_every_result_is_usable(drawn: list[tuple[int, int, float]]) -> None:
    """Estimates are finite, inside their bounds, and mirrored if all results are."""
    first = np.array([a for a, _, _ in drawn], np.int64)
    second = np.array([(a + b) % 4 for a, b, _ in drawn], np.int64)
    scores = np.array([s for _, _, s in drawn], float)
    found = bradley_terry(first, second, scores, 4)
    mirrored = bradley_terry(first, second, 1 - scores, 4)
    for each, other in zip(found, mirrored, strict=True):
        if each is None or other is None:
            assert each is other
            continue
        assert np.isfinite(each.value)
        assert each.lower <= each.value <= each.upper
        assert other.value == pytest.approx(-each.value, abs=1e-6)


def test_repeats_of_a_prompt_do_not_make_a_rating_more_certain() -> None:
    """Each comparison ten times is the same evidence, if the prompts are known."""
    first, second, scores = games(np.array([0.0, 0.5]), 60, 5)
    ten = (np.repeat(first, 10), np.repeat(second, 10), np.repeat(scores, 10))
    groups = np.repeat(np.arange(60), 10)
    once = rated(bradley_terry(first, second, scores, 2))[1]
    clustered = rated(bradley_terry(*ten, 2, groups=groups))[1]
    naive = rated(bradley_terry(*ten, 2))[1]
    assert clustered.upper - clustered.lower == pytest.approx(once.upper - once.lower, rel=0.05)
    assert naive.upper - naive.lower < 0.5 * (once.upper - once.lower)


def test_wrong_comparisons_are_refused() -> None:
    """A model against itself, an unknown one, and a score that is none."""
    zero, one, half = np.zeros(1, np.int64), np.ones(1, np.int64), np.full(1, 0.5)
    for arguments in ((zero, zero, half, 2), (zero, one, half, 1), (zero, one, half * 3, 2)):
        with pytest.raises(ValueError, match=r"itself|unknown|between"):
            bradley_terry(*arguments)
    with pytest.raises(ValueError, match="lengths"):
        bradley_terry(zero, one, half, 2, groups=np.zeros(2, np.int64))

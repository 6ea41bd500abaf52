"""Bets: their capital by its definition, a fair game under the hypothesis, and its bound."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.verdict.betting import BETS, Hypothesis, bound, log_evidence, log_growth

HYPOTHESES: tuple[Hypothesis, Hypothesis] = ("at_most", "at_least")


def test_the_capital_is_the_mean_of_products() -> None:
    """Against no drop, the factor of a bet is 1 + bet * drop."""
    drops = np.array([1.0, 0.0, 1.0, -1.0, 0.5])
    products = [np.prod(1 + bet * drops) for bet in BETS]
    found = log_evidence(drops, np.ones(5), 0.0, "at_most")
    assert found == pytest.approx(log(np.mean(products)))
    products = [np.prod(1 - bet + bet * (1 - drops) / 0.95) for bet in BETS]
    found = log_evidence(drops, np.ones(5), 0.05, "at_least")
    assert found == pytest.approx(log(np.mean(products)))


def test_the_order_does_not_matter() -> None:
    """Counts of distinct drops give the capital of the items."""
    items = np.array([1.0, 0.0, -1.0, 0.0, 1.0, 1.0])
    drops, counts = np.unique(items, return_counts=True)
    for hypothesis in HYPOTHESES:
        assert log_evidence(drops, counts.astype(float), 0.1, hypothesis) == pytest.approx(
            log_evidence(items, np.ones(6), 0.1, hypothesis)
        )
    assert log_evidence(np.empty(0), np.empty(0), 0.1, "at_most") == pytest.approx(0)


@given(
    st.lists(st.floats(-1, 1), min_size=1, max_size=6),
    st.floats(-0.9, 0.9),
    st.data(),
)
def test_a_bet_is_fair_on_the_boundary(
    values: list[float], mean: float, data: st.DataObject
) -> None:
    """The expected factor is 1 if the mean drop is `mean`, and at most 1 on the side tested."""
    drops = np.array(values)
    weights = np.array(data.draw(st.lists(st.floats(0.1, 1), min_size=len(values))))[: len(values)]
    shares = weights / weights.sum()
    actual = float(shares @ drops)
    for hypothesis, sign in zip(HYPOTHESES, (1, -1), strict=True):
        expected = shares @ np.exp(log_growth(drops, mean, hypothesis))
        assert (expected >= 0).all()
        if sign * actual <= sign * mean:
            assert (expected <= 1 + 1e-9).all()
        if abs(actual) < 0.9:
            fair = shares @ np.exp(log_growth(drops, actual, hypothesis))
            assert fair == pytest.approx(np.ones(len(BETS)))


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), min_size=1, max_size=200))
def test_the_bound_is_the_last_rejected_mean(items: list[float]) -> None:
    """At the bound the capital is 1 / alpha; the interval contains the mean."""
    drops, numbers = np.unique(items, return_counts=True)
    counts = numbers.astype(float)
    lower = bound(drops, counts, 0.025, "at_most")
    upper = bound(drops, counts, 0.025, "at_least")
    assert -1 <= lower <= np.mean(items) <= upper <= 1
    for end, hypothesis in ((lower, HYPOTHESES[0]), (upper, HYPOTHESES[1])):
        if abs(end) < 1:
            assert log_evidence(drops, counts, end, hypothesis) == pytest.approx(log(40), abs=1e-3)


@pytest.mark.parametrize("hypothesis", HYPOTHESES)
def test_the_bound_holds_at_all_times(hypothesis: Hypothesis) -> None:
    """In at most 5 % of 2,000 runs it is ever wrong, with a look after each of 400 items."""
    runs, mean = 2_000, 0.1
    generator = np.random.default_rng(3)
    drops = generator.choice([-1.0, 0.0, 1.0], (runs, 400), p=[0.05, 0.8, 0.15])
    growth = np.cumsum(log_growth(drops, mean, hypothesis), axis=1)
    capital = np.exp(growth).mean(axis=-1)
    ever = (capital >= 20).any(axis=1).mean()
    assert 0.005 < ever <= 0.05

from __future__ import annotations

from math import inf, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import dirichlet_multinomial, multinomial

from monitor.experiments.sequential.srm import (
    CONCENTRATIONS,
    Epoch,
    SrmStatus,
    ln_e,
    srm,
    status,
)

COUNTS = st.tuples(*[st.integers(0, 2_000)] * 3)


@settings(max_examples=40)
@given(COUNTS)
def test_e_is_the_mean_of_likelihood_ratios(counts: tuple[int, ...]) -> None:
    """E equals scipy's Dirichlet-multinomial over its multinomial likelihood."""
    share = np.array([0.5, 0.3, 0.2])
    total = sum(counts)
    null = multinomial.logpmf(counts, total, share)
    mixed = [
        dirichlet_multinomial.logpmf(counts, c * share, np.array(total)) for c in CONCENTRATIONS
    ]
    expected = np.logaddexp.reduce(mixed) - log(3) - null
    assert ln_e(np.array(counts, dtype=float), share) == pytest.approx(expected, abs=1e-6)


def test_e_has_the_mean_one_without_a_mismatch() -> None:
    """Over all outcomes of 60 users the expected E is 1."""
    first = np.arange(61.0)
    counts = np.stack([first, 60 - first], axis=-1)
    probability = multinomial.pmf(counts, 60, [0.3, 0.7])
    assert probability @ np.exp(ln_e(counts, np.array([0.3, 0.7]))) == pytest.approx(1)


def test_a_mismatch_is_found_and_blocks() -> None:
    """51,000 of 100,000 users at 50/50 block; 50,100 are quiet; so is the first user."""
    assert srm([Epoch((51_000, 49_000), (0.5, 0.5))]).status == SrmStatus.BLOCK
    assert srm([Epoch((50_100, 49_900), (0.5, 0.5))]).status == SrmStatus.OK
    first = srm([Epoch((1, 0), (1.0, 1.0))])
    assert first.ln_e == pytest.approx(0)
    assert first.p_value == pytest.approx(1)
    assert srm([]) == srm([Epoch((0, 0), (0.5, 0.5))])


def test_epochs_multiply() -> None:
    """Changed weights are no mismatch, as they are against the last weights."""
    before, after = Epoch((9_000, 1_000), (0.9, 0.1)), Epoch((5_000, 5_000), (0.5, 0.5))
    both = srm([before, after])
    assert both.status == SrmStatus.OK
    assert both.ln_e == pytest.approx(srm([before]).ln_e + srm([after]).ln_e)
    assert srm([Epoch((14_000, 6_000), (0.5, 0.5))]).status == SrmStatus.BLOCK


def test_a_user_in_a_stopped_arm_contradicts_the_plan() -> None:
    """A stopped arm has weight 0: none is expected, and one is infinite evidence."""
    assert srm([Epoch((500, 500, 0), (0.5, 0.5, 0.0))]).status == SrmStatus.OK
    found = srm([Epoch((500, 500, 1), (0.5, 0.5, 0.0))])
    assert (found.ln_e, found.p_value, found.status) == (inf, 0.0, SrmStatus.BLOCK)


def test_large_counts_are_stable() -> None:
    """A billion users in the planned shares are no evidence."""
    found = ln_e(np.array([5e8, 5e8]), np.array([0.5, 0.5]))
    assert -20 < found < 0


def test_peeking_at_a_quiet_split_seldom_warns() -> None:
    """At 100 looks at 20,000 users at most 1 % of 2,000 runs warn."""
    rng = np.random.default_rng(7)
    first = rng.binomial(200, 0.5, (2_000, 100)).cumsum(axis=1)
    total = 200 * np.arange(1, 101)
    counts = np.stack([first, total - first], axis=-1).astype(float)
    assert (ln_e(counts, np.array([0.5, 0.5])).max(axis=1) >= log(100)).mean() <= 0.01


def test_weights_must_be_possible() -> None:
    """Negative weights, or none, are refused."""
    for weights in ([0.0, 0.0], [-1.0, 2.0]):
        with pytest.raises(ValueError, match="weights must be"):
            ln_e(np.ones(2), np.array(weights))


def test_status_of_a_p_value() -> None:
    """.01 warns, .001 blocks."""
    assert [status(p) for p in (0.02, 0.01, 0.001)] == ["ok", "warn", "block"]

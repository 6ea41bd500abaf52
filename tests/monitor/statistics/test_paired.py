"""Paired comparisons: known answers, exactness, and intervals that cover."""

from __future__ import annotations

import itertools
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from monitor.statistics.agreement import Undefined
from monitor.statistics.paired import (
    EXACT_UNITS,
    MOST_UNITS,
    Paired,
    Wins,
    holm,
    paired_difference,
    paired_rates,
    win_rate,
)

Floats = NDArray[np.float64]


def difference(control: Floats, treatment: Floats, **options: object) -> Paired:
    """Return a comparison that is defined."""
    found = paired_difference(control, treatment, **options)  # type: ignore[arg-type]  # options
    assert isinstance(found, Paired)
    return found


def rates(control: Floats, treatment: Floats, groups: NDArray[np.int64] | None = None) -> Paired:
    """Return a comparison of rates that is defined."""
    found = paired_rates(control, treatment, groups)
    assert isinstance(found, Paired)
    return found


def wins(outcomes: list[int], groups: NDArray[np.int64] | None = None) -> Wins:
    """Return a win rate that is defined."""
    found = win_rate(np.array(outcomes, float), groups)
    assert isinstance(found, Wins)
    return found


def test_few_pairs_are_compared_exactly() -> None:
    """The p-value is that of all sign flips, the bounds are means of subsets."""
    values = np.array([1.2, -0.4, 2.5, 0.9, 3.1, 0.2, 1.7, -0.1])
    found = difference(np.zeros(8), values)
    flips = np.array(list(itertools.product((-1, 1), repeat=8))) @ values
    one_sided = (flips >= values.sum() - 1e-9).mean()
    assert found.p_value == pytest.approx(2 * one_sided)
    subsets = [np.mean(chosen) for k in range(1, 9) for chosen in itertools.combinations(values, k)]
    assert len(subsets) == 255
    assert found.difference.lower == pytest.approx(np.sort(subsets)[5])  # floor(.025 * 256) = 6
    assert found.difference.upper == pytest.approx(np.sort(subsets)[-6])
    assert found.difference.value == pytest.approx(values.mean())


def test_too_few_pairs_have_no_bounds() -> None:
    """Five pairs cannot be significant at 5 %, six can."""
    five = difference(np.zeros(5), np.arange(1.0, 6.0))
    assert (five.difference.lower, five.difference.upper) == (-inf, inf)
    assert five.p_value == pytest.approx(2 / 32)
    six = difference(np.zeros(6), np.arange(1.0, 7.0))
    assert (six.difference.lower, six.difference.upper) == (1.0, 6.0)
    assert six.p_value == pytest.approx(2 / 64)
    assert isinstance(paired_difference(np.zeros(0), np.zeros(0)), Undefined)


@settings(max_examples=40)
@given(
    st.lists(st.integers(-20, 20), min_size=6, max_size=40),
    st.integers(0, 3),
)
def test_the_interval_and_the_p_value_agree(values: list[int], seed: int) -> None:
    """Zero is outside the interval exactly if the p-value is at most 5 %."""
    found = difference(np.zeros(len(values)), np.array(values, float), seed=seed)
    outside = not found.difference.lower <= 0 <= found.difference.upper
    assert outside == (found.p_value <= 0.05)
    mirrored = difference(np.array(values, float), np.zeros(len(values)), seed=seed)
    assert mirrored.p_value == found.p_value
    assert mirrored.difference.upper == pytest.approx(-found.difference.lower)


def _misses(draw: object, count: int, runs: int, true: float = 0.0) -> float:
    """Return the share of runs whose interval misses the true difference."""
    generator = np.random.default_rng(7)
    missed = 0
    for _ in range(runs):
        control, treatment = draw(generator, count)  # type: ignore[operator]  # a function
        found = difference(control, treatment).difference
        missed += not found.lower <= true <= found.upper
    return missed / runs


@pytest.mark.parametrize("tail", [1.2, 3.0])
def test_symmetric_differences_are_covered_whatever_their_tail(tail: float) -> None:
    """12 pairs, infinite variance: misses in 5 %, up to the error of 400 runs."""

    def draw(generator: np.random.Generator, count: int) -> tuple[Floats, Floats]:
        return generator.standard_t(tail, count), generator.standard_t(tail, count)

    assert 0.02 < _misses(draw, 12, 400) < 0.08


def test_more_pairs_use_random_subsets_and_are_covered() -> None:
    """60 pairs of lognormal latencies, compared by logarithm."""

    def draw(generator: np.random.Generator, count: int) -> tuple[Floats, Floats]:
        prompt = generator.normal(size=count)
        return prompt + generator.normal(size=count), prompt + generator.normal(size=count) + 0.5

    assert 0.0 < _misses(draw, 60, 80, 0.5) < 0.12


def test_many_pairs_are_joined_and_agree_with_the_normal_interval() -> None:
    """Beyond the limit, groups are joined at random; bounds are those of the central limit."""
    generator = np.random.default_rng(3)
    values = generator.normal(0.1, 1.0, 5 * MOST_UNITS)
    found = difference(np.zeros(len(values)), values).difference
    half = 1.96 / np.sqrt(len(values))
    assert found.upper - found.lower == pytest.approx(2 * half, rel=0.08)
    assert found.value == pytest.approx(values.mean())


def test_repeated_prompts_are_one_unit() -> None:
    """Copies of each pair change neither the interval nor the p-value."""
    generator = np.random.default_rng(4)
    control, treatment = generator.normal(size=10), generator.normal(0.8, 1.0, 10)
    once = difference(control, treatment)
    groups = np.repeat(np.arange(10), 5)
    copied = difference(np.repeat(control, 5), np.repeat(treatment, 5), groups=groups)
    assert (copied.pairs, copied.groups) == (50, 10)
    assert copied.p_value == pytest.approx(once.p_value)
    assert copied.difference.lower == pytest.approx(once.difference.lower)
    naive = difference(np.repeat(control, 5), np.repeat(treatment, 5))
    assert naive.p_value < copied.p_value


def test_the_ratio_is_scale_free_and_needs_a_positive_control() -> None:
    """The relative effect does not depend on the unit; values of both signs have none."""
    generator = np.random.default_rng(5)
    control = generator.gamma(2.0, 1.0, 12)
    treatment = 1.3 * control * generator.uniform(0.8, 1.25, 12)
    one, thousand = difference(control, treatment), difference(1000 * control, 1000 * treatment)
    assert one.relative is not None
    assert thousand.relative is not None
    assert one.relative.value == pytest.approx(treatment.mean() / control.mean() - 1)
    assert one.relative.lower == pytest.approx(thousand.relative.lower)
    assert 0 < one.relative.lower < 0.3 < one.relative.upper
    assert (one.relative.lower > 0) == (one.difference.lower > 0)
    assert difference(control - 2, treatment).relative is None
    rare = difference(np.eye(12)[0], np.ones(12)).relative
    assert rare is not None
    assert rare.upper == inf  # most subsets of the control are zero


def _pairs(both: int, only_control: int, only_treatment: int, none: int) -> tuple[Floats, Floats]:
    counts = [both, only_control, only_treatment, none]
    return (
        np.repeat([1.0, 1.0, 0.0, 0.0], counts),
        np.repeat([1.0, 0.0, 1.0, 0.0], counts),
    )


@pytest.mark.parametrize("table", [(20, 12, 2, 16), (5, 0, 7, 0), (3, 4, 4, 0), (10, 0, 0, 5)])
def test_rates_are_compared_by_mcnemar(table: tuple[int, int, int, int]) -> None:
    """The p-value is that of statsmodels' exact test."""
    control, treatment = _pairs(*table)
    both, only_control, only_treatment, none = table
    expected = mcnemar([[both, only_control], [only_treatment, none]], exact=True).pvalue
    assert rates(control, treatment).p_value == pytest.approx(expected)


def test_the_interval_of_rates_is_that_of_bonett_and_price() -> None:
    """The formula of their article, equation 4: one more pair of each kind."""
    control, treatment = _pairs(20, 12, 2, 16)
    found = rates(control, treatment).difference
    first, second = (2 + 1) / 52, (12 + 1) / 52
    half = 1.959964 * np.sqrt((first + second - (first - second) ** 2) / 52)
    assert found.value == pytest.approx(-0.2)
    assert found.lower == pytest.approx(first - second - half, abs=1e-6)
    assert found.upper == pytest.approx(first - second + half, abs=1e-6)
    same = rates(np.ones(8), np.ones(8))
    assert same.difference.lower < 0 < same.difference.upper  # 8 equal pairs prove no equality
    assert same.p_value == 1.0
    with pytest.raises(ValueError, match="0 or 1"):
        rates(np.array([0.5]), np.array([1.0]))


def test_ties_count_half_in_the_rate_and_not_in_the_test() -> None:
    """Ties pull the rate to a half; the p-value is that of the decided pairs."""
    decided, tied = wins([1] * 9 + [-1]), wins([1] * 9 + [-1] + [0] * 10)
    assert (tied.wins, tied.ties, tied.losses) == (9, 10, 1)
    assert decided.rate.value == pytest.approx(0.9)
    assert tied.rate.value == pytest.approx(0.7)
    assert tied.p_value == decided.p_value == pytest.approx(2 * 11 / 1024)
    every = wins([1] * 6)
    assert every.rate.value == 1.0
    assert 0.5 < every.rate.lower < 0.9  # not a width of zero


def test_the_win_rate_is_covered() -> None:
    """Wins of probability .6, ties .2: misses in about 5 % of 600 runs of 25 pairs."""
    generator = np.random.default_rng(8)
    missed = 0
    for _ in range(600):
        found = wins(generator.choice([1, 0, -1], 25, p=[0.6, 0.2, 0.2]).tolist())
        missed += not found.rate.lower <= 0.7 <= found.rate.upper
    assert 0.02 < missed / 600 < 0.08


def test_repeated_verdicts_of_one_prompt_are_one_unit() -> None:
    """Ten answers to each of six prompts are no sixty prompts."""
    groups = np.repeat(np.arange(6), 10)
    outcomes = [1] * 30 + [-1] * 10 + [0] * 20
    clustered, naive = wins(outcomes, groups), wins(outcomes)
    assert clustered.rate.value == naive.rate.value
    assert clustered.p_value > 0.1 > naive.p_value
    width = clustered.rate.upper - clustered.rate.lower
    assert width > 1.5 * (naive.rate.upper - naive.rate.lower)


def test_holm_agrees_with_statsmodels() -> None:
    """Adjusted p-values, in the order of the tests."""
    p_values = np.array([0.01, 0.04, 0.03, 0.005, 0.9])
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])
    assert holm(np.zeros(0)).shape == (0,)


def test_wrong_arguments_are_refused() -> None:
    """Shapes that differ, groups of another length, values that are not finite."""
    ones = np.ones(EXACT_UNITS)
    for control, treatment, groups in (
        (ones, ones[1:], None),
        (ones, ones, np.zeros(3, np.int64)),
        (ones, ones * np.nan, None),
    ):
        with pytest.raises(ValueError, match=r"pairs|finite"):
            paired_difference(control, treatment, groups)

"""Corrected means and pass rates: coverage by simulation, weights, and undefined states."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import stdtrit

from monitor.statistics.agreement import Undefined
from monitor.statistics.corrected import (
    MIN_LABELS,
    Corrected,
    Floats,
    Moments,
    corrected_mean,
    rogan_gladen,
)

TRUTH, SENSITIVITY, SPECIFICITY, JUDGED = 0.8, 0.95, 0.6, 5000
LENIENT = TRUTH * SENSITIVITY + (1 - TRUTH) * (1 - SPECIFICITY)  # 0.84


class Coverage(NamedTuple):
    """Shares of intervals that contain the truth, and mean widths."""

    corrected: float
    by_errors: float
    naive: float
    width: float
    people_width: float


def labels(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
    """Return n human labels and the verdicts of a lenient judge."""
    human = (rng.random(n) < TRUTH).astype(float)
    judge = np.where(human == 1, rng.random(n) < SENSITIVITY, rng.random(n) >= SPECIFICITY)
    return human, judge.astype(float)


def coverage(n: int, runs: int) -> Coverage:
    """Simulate n labels and 5,000 judged cases many times."""
    rng = np.random.default_rng(n)
    hits = np.zeros(3)
    widths = np.zeros(2)
    for _ in range(runs):
        human, judge = labels(rng, n)
        rate = rng.binomial(JUDGED, LENIENT) / JUDGED
        judged = Moments(JUDGED, rate, rate * (1 - rate))
        found = corrected_mean(human, judge, judged, bounds=(0, 1))
        errors = rogan_gladen(human, judge, judged)
        assert isinstance(found, Corrected)
        assert isinstance(errors, Corrected)
        half = 1.96 * np.sqrt(judged.variance / JUDGED)
        hits += (
            found.lower <= TRUTH <= found.upper,
            errors.lower <= TRUTH <= errors.upper,
            abs(rate - TRUTH) <= half,
        )
        widths += (found.upper - found.lower, 2 * 1.96 * human.std() / np.sqrt(n))
    return Coverage(*(hits / runs), *(widths / runs))


def test_coverage_with_100_labels() -> None:
    """Both corrections cover in 92 to 97 % of simulations; the judge alone never does."""
    found = coverage(100, 2500)
    assert 0.92 <= found.corrected <= 0.97
    assert 0.92 <= found.by_errors <= 0.975
    assert found.naive < 0.01
    assert found.width < 0.9 * found.people_width


def test_coverage_with_400_labels() -> None:
    """Both corrections cover in 94 to 96 % of simulations."""
    found = coverage(400, 4000)
    assert 0.94 <= found.corrected <= 0.96
    assert 0.94 <= found.by_errors <= 0.96
    assert found.naive < 0.01


@pytest.mark.parametrize("others", [100, 200, 600, 1_600])
@pytest.mark.parametrize("deviation", [0.3, 1.0])
def test_coverage_of_scores(others: int, deviation: float) -> None:
    """Scores of a good and of a poor judge, few or many of them without one of 400 labels."""
    rng, hits, runs = np.random.default_rng(8), 0, 2_000
    for _ in range(runs):
        human = np.clip(rng.normal(3.0, 0.7, 400 + others), 0, 5)
        judge = np.clip(human + rng.normal(0.3, deviation, human.size), 0, 5)
        found = corrected_mean(human[:400], judge[:400], Moments.of(judge[400:]), bounds=(0, 5))
        assert isinstance(found, Corrected)
        hits += found.lower <= 3.0 <= found.upper
    assert 0.94 <= hits / runs <= 0.96


def test_coverage_of_scores_with_unequal_inclusion() -> None:
    """Scores of 0 to 5, low ones labelled three times as often: weights remove the bias."""
    rng = np.random.default_rng(11)
    hits = unweighted = 0
    for _ in range(800):
        human = np.clip(np.round(rng.normal(3.2, 1.2, 6000)), 0, 5)
        judge = np.clip(np.round(human + rng.normal(0.6, 0.7, 6000)), 0, 5)
        chance = np.where(judge <= 3, 0.06, 0.02)
        chosen = rng.random(6000) < chance
        judged = Moments.of(judge[~chosen]) + Moments.of(judge[chosen])
        arguments = (human[chosen], judge[chosen], judged)
        found = corrected_mean(*arguments, inclusion=chance[chosen], bounds=(0, 5))
        plain = corrected_mean(*arguments, bounds=(0, 5))
        assert isinstance(found, Corrected)
        assert isinstance(plain, Corrected)
        truth = float(human.mean())
        hits += found.lower <= truth <= found.upper
        unweighted += plain.lower <= truth <= plain.upper
    assert 0.93 <= hits / 800 <= 0.985  # the truth is that of these cases, so a little above 95 %
    assert unweighted < hits


def test_useless_judge_is_ignored() -> None:
    """With a constant judge the estimate is that of people."""
    human = np.tile([0.0, 1.0, 1.0], 30)
    found = corrected_mean(human, np.ones(90), Moments(500, 1.0, 0.0))
    assert isinstance(found, Corrected)
    assert found.power == 0
    assert found.value == pytest.approx(human.mean())
    assert found.people == pytest.approx(human.mean())


def test_perfect_judge_without_errors_keeps_a_width() -> None:
    """Labels that show no error do not give an interval without width."""
    human = np.tile([0.0, 1.0, 1.0, 1.0], 25)
    judged = Moments(100_000, 0.75, 0.1875)
    found = corrected_mean(human, human, judged, bounds=(0, 1))
    assert isinstance(found, Corrected)
    assert found.upper - found.lower > 0.03


def test_without_other_cases_people_decide() -> None:
    """If every judged case has a label, the mean and its interval are those of the labels."""
    human, judge = labels(np.random.default_rng(2), 400)
    found = corrected_mean(human, judge, Moments.of([]))
    assert isinstance(found, Corrected)
    assert found.power == 0
    assert found.value == pytest.approx(human.mean())
    assert found.naive == pytest.approx(judge.mean())
    half = stdtrit(398, 0.975) * human.std(ddof=1) / 20
    assert (found.lower, found.upper) == pytest.approx((found.value - half, found.value + half))


@pytest.mark.parametrize("others", [100, 1_600])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.004, 0.02])
def test_coverage_with_rare_failures_of_the_judge(share: float, others: int) -> None:
    """A judge that is right but for a few answers, where it errs by the whole scale, is covered.

    Most sets of 400 labels contain no or one of these answers.
    """
    rng = np.random.default_rng(5)
    truth, hits, runs = 4.25 * (1 - share), 0, 400
    for _ in range(runs):
        judge = np.where(rng.random(400) < 0.5, 5.0, rng.integers(2, 6, 400))
        human = np.where(rng.random(400) < share, 0.0, judge)
        rest = np.where(rng.random(others) < 0.5, 5.0, rng.integers(2, 6, others))
        found = corrected_mean(human, judge, Moments.of(rest), bounds=(0, 5))
        assert isinstance(found, Corrected)
        hits += found.lower <= truth <= found.upper
    assert hits / runs >= 0.92


def test_rogan_gladen_is_its_formula() -> None:
    """The estimate is (q + specificity - 1) / (sensitivity + specificity - 1)."""
    human = np.repeat([1.0, 0.0], [80, 20])
    judge = np.concatenate([np.repeat([1.0, 0.0], [76, 4]), np.repeat([1.0, 0.0], [8, 12])])
    found = rogan_gladen(human, judge, Moments(5000, 0.84, 0.1344))
    assert isinstance(found, Corrected)
    assert found.value == pytest.approx((0.84 + 0.6 - 1) / (0.95 + 0.6 - 1))
    assert found.lower < found.value < found.upper


def test_undefined() -> None:
    """Few labels, nothing judged, equal labels and a useless judge each have their reason."""
    human, judge = labels(np.random.default_rng(1), 200)
    judged = Moments(5000, 0.84, 0.13)
    few = slice(0, MIN_LABELS - 1)
    for estimate in (corrected_mean, rogan_gladen):
        assert "effective labels" in reason(estimate(human[few], judge[few], judged))
        skewed = np.where(np.arange(200) < 5, 1e-4, 1.0)
        assert "effective" in reason(estimate(human, judge, judged, inclusion=skewed))
        assert "effective labels" in reason(estimate(np.empty(0), np.empty(0), judged))
    assert "no judged cases" in reason(rogan_gladen(human, judge, Moments.of([])))
    assert "the same" in reason(rogan_gladen(np.ones(200), judge, judged))
    assert "chance" in reason(rogan_gladen(human, 1 - human, judged))


def reason(result: Corrected | Undefined) -> str:
    """Return why a result is undefined."""
    assert isinstance(result, Undefined)
    return result.reason


@pytest.mark.parametrize(
    ("human", "judge", "inclusion", "message"),
    [
        ([1.0] * 60, [1.0] * 59, None, "human labels"),
        ([1.0] * 59 + [np.nan], [1.0] * 60, None, "finite"),
        ([1.0] * 60, [1.0] * 60, [0.0] * 60, "inclusion probability"),
        ([1.0] * 60, [1.0] * 60, [0.5] * 59, "inclusion probability"),
    ],
)
def test_wrong_arguments(
    human: list[float], judge: list[float], inclusion: list[float] | None, message: str
) -> None:
    """Arguments that do not fit are errors of the caller."""
    chance = None if inclusion is None else np.array(inclusion)
    with pytest.raises(ValueError, match=message):
        corrected_mean(np.array(human), np.array(judge), Moments(9, 1, 1), inclusion=chance)


scores = st.lists(st.floats(-10, 10), min_size=1, max_size=20)


@settings(deadline=None)
@given(scores, scores)
def test_moments_are_additive(first: list[float], second: list[float]) -> None:
    """Moments of two groups are those of their union; taking one away leaves the other."""
    union = Moments.of(first) + Moments.of(second)
    whole = Moments.of([*first, *second])
    left = whole - Moments.of(first)
    for found, expected in ((union, whole), (left, Moments.of(second))):
        assert found.count == pytest.approx(expected.count)
        assert found.mean == pytest.approx(expected.mean, abs=1e-6)
        assert found.variance == pytest.approx(expected.variance, abs=1e-6)
    assert whole.mean == pytest.approx(np.mean([*first, *second]), abs=1e-9)

"""The priority queue: order, inclusion, and the mean of all its items."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.statistics.agreement import Floats, Undefined
from monitor.statistics.review.queue import (
    Priority,
    QueueEstimate,
    QueueItems,
    inclusion,
    priority,
    queue_mean,
    uniform_number,
)

SALT = "a salt"


def queue(size: int = 1_000, done: int = 200, seed: int = 1) -> QueueItems:
    """Return a queue of which the first items in the order of xi are labelled."""
    rng = np.random.default_rng(seed)
    difficulty = rng.random(size)
    pi = inclusion(difficulty, base=0.1, boost=0.6)
    xi = rng.random(size) / pi
    human = (rng.random(size) < 1 - 0.6 * difficulty).astype(float)
    judge = np.clip(human + rng.normal(0, 0.4, size), 0, 1)
    finished = xi <= np.sort(xi)[done - 1] if done else np.zeros(size, dtype=bool)
    return QueueItems(xi, pi, finished, np.where(finished, human, np.nan), judge)


def mean(items: QueueItems) -> QueueEstimate:
    """Return the estimate of a queue that has one."""
    found = queue_mean(items, bounds=(0, 1))
    assert isinstance(found, QueueEstimate)
    return found


@given(st.floats(0, 1), st.floats(1e-6, 1), st.floats(0, 50))
def test_inclusion_is_never_zero(difficulty: float, base: float, boost: float) -> None:
    """pi is between base and 1, and rises with difficulty."""
    low, found = inclusion(np.array([0.0, difficulty]), base=base, boost=boost)
    assert base == low <= found <= 1


@pytest.mark.parametrize(
    ("difficulty", "base", "boost"),
    [(0.5, 0.0, 1.0), (0.5, 1.5, 1.0), (0.5, 0.1, -1.0), (0.5, 0.1, np.inf), (np.nan, 0.1, 1.0)],
)
def test_wrong_inclusion(difficulty: float, base: float, boost: float) -> None:
    """A base of 0, a negative boost and an unknown difficulty are errors."""
    with pytest.raises(ValueError, match="is not"):
        inclusion(np.array([difficulty]), base=base, boost=boost)


def test_difficulties_out_of_range_count_as_the_nearest() -> None:
    """pi stays within base and base + boost."""
    found = inclusion(np.array([-3.0, 7.0]), base=0.1, boost=0.5)
    assert found.tolist() == [0.1, 0.6]


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=80))
def test_hash_is_in_the_open_interval(request_id: str) -> None:
    """u is above 0 and below 1 for every id, also lone surrogates, and depends on the salt."""
    key = request_id + "\ud800"
    found = uniform_number(SALT, key)
    assert 0 < found < 1
    assert found != uniform_number("another salt", key)
    given_priority = priority(SALT, key, 0.1, 0.3, 0.5)
    assert given_priority == Priority(0.25, found, 4 * found)


def test_hash_is_uniform_and_independent_of_its_salt() -> None:
    """Similar ids have uniform numbers that do not correlate with those of another salt."""
    ids = [f"request-{number}" for number in range(20_000)]
    first, second = (
        np.array([uniform_number(salt, each) for each in ids]) for salt in (SALT, SALT * 2)
    )
    for numbers in (first, second):
        counts = np.histogram(numbers, bins=20, range=(0, 1))[0]
        assert ((counts - 1_000) ** 2 / 1_000).sum() < 44  # chi-squared, 19 degrees, p = .001
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.025


def test_hash_is_fixed() -> None:
    """Stored numbers stay comparable: the first 53 bits of SHA-256 of salt, newline and id."""
    digest = hashlib.sha256(b"a salt\nrequest").hexdigest()
    assert uniform_number(SALT, "request") == pytest.approx(int(digest[:16], 16) / 2**64)


def test_estimate_by_its_formula() -> None:
    """Weights are 1 / min(1, c pi); the judge's mean of all items corrects the labels."""
    items = queue()
    found = mean(items)
    c = np.sort(items.xi)[200]
    assert found.threshold == c
    sample = items.xi < c
    weights = 1 / np.minimum(1, c * items.pi[sample])
    human, judge = items.human[sample], items.judge[sample]
    people, judged = (np.average(each, weights=weights) for each in (human, judge))
    power = np.polyfit(judge, human, 1, w=np.sqrt(weights))[0]
    assert found.power == pytest.approx(power)
    assert found.people == pytest.approx(people)
    assert found.value == pytest.approx(people + power * (items.judge.mean() - judged))
    assert found.lower < found.value < found.upper
    assert (found.labels, found.skipped, found.ahead) == (200, 0, 0)


def test_the_judge_narrows_the_interval() -> None:
    """A judge that is correlated with people makes the interval narrower; a constant is ignored."""
    items = queue()
    constant = mean(replace(items, judge=np.full(1_000, 0.5)))
    found = mean(items)
    assert constant.power == 0
    assert constant.value == constant.people
    assert found.upper - found.lower < 0.9 * (constant.upper - constant.lower)


def test_labels_out_of_order_do_not_enter() -> None:
    """Items behind the first unfinished one are counted and do not change the estimate."""
    items = queue()
    plain = mean(items)
    human, finished = items.human.copy(), items.finished.copy()
    behind = items.xi > np.sort(items.xi)[600]
    human[behind], finished[behind] = 0.0, True
    found = mean(replace(items, human=human, finished=finished))
    assert found.ahead == behind.sum()
    assert (found.value, found.lower, found.threshold) == (
        plain.value,
        plain.lower,
        plain.threshold,
    )


def test_order_of_the_items_is_irrelevant() -> None:
    """The columns may be in any order."""
    items = queue()
    order = np.random.default_rng(5).permutation(1_000)
    shuffled = QueueItems(*(getattr(items, name)[order] for name in items.__slots__))
    assert mean(shuffled).value == pytest.approx(mean(items).value)


def test_skips_are_counted_by_their_weight() -> None:
    """Skipped items widen the interval and are reported with the share that they stand for."""
    items = queue(done=400)
    skipped = items.finished & (np.arange(1_000) % 4 == 0)
    found = mean(replace(items, human=np.where(skipped, np.nan, items.human)))
    c = found.threshold
    weights = np.where(items.finished, 1 / np.minimum(1, c * items.pi), 0)
    assert found.skipped == skipped.sum()
    assert found.skip_share == pytest.approx(weights[skipped].sum() / weights.sum())
    assert found.upper - found.lower > mean(items).upper - mean(items).lower


def test_a_census_is_exact() -> None:
    """If all items are labelled, the mean is that of the labels without an interval."""
    items = queue(done=1_000)
    found = mean(items)
    assert found.value == pytest.approx(items.human.mean())
    assert found.upper - found.lower < 1e-9
    assert found.threshold == np.inf


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1_000), st.integers(0, 99))
def test_estimates_are_within_the_bounds(done: int, seed: int) -> None:
    """For any number of labels there is a value within the bounds, or a reason."""
    found = queue_mean(queue(done=done, seed=seed), bounds=(0, 1))
    if isinstance(found, Undefined):
        assert "effective labels" in found.reason
        assert done < 100
    else:
        assert 0 <= found.lower <= found.value <= found.upper <= 1


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("xi", np.ones(9), "shapes"),
        ("xi", np.zeros(1_000), "priority"),
        ("pi", np.full(1_000, 1.5), "priority"),
        ("judge", np.full(1_000, np.nan), "finite"),
        ("human", np.ones(1_000), "not finished"),
    ],
)
def test_wrong_items(column: str, values: Floats, message: str) -> None:
    """Columns that do not fit are errors of the caller."""
    items = queue()
    with pytest.raises(ValueError, match=message):
        QueueItems(**{name: getattr(items, name) for name in items.__slots__} | {column: values})

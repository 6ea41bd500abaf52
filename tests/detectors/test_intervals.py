"""Intervals of quantiles, means and shares: how often they exclude a value that has not moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from detectors.arrays import Floats
from detectors.intervals import (
    HELD_TAIL,
    PAGE_LEVEL,
    QUANTILES,
    certain_moves,
    effective_records,
    held_statistics,
    moved_shares,
    quantile_interval,
)
from detectors.kinds import Kind
from detectors.numeric_stream import build_numeric_stream

Draw = Callable[[np.random.Generator, int], Floats]
NULLS: dict[str, Draw] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "lognormal": lambda rng, n: rng.lognormal(6.5, 0.5, n),
    "heavy": lambda rng, n: rng.lognormal(0.0, 1.5, n),
    "ties": lambda rng, n: rng.poisson(4.0, n).astype(float),
    "two humps": lambda rng, n: np.where(rng.random(n) < 0.9, 1.0, 9.0) + rng.normal(size=n) / 10,
}


@pytest.mark.parametrize("n", [50, 100, 200, 1000])
@pytest.mark.parametrize("name", NULLS)
def test_few_pages_state_a_move_that_is_none(name: str, n: int) -> None:
    """At most one page in a hundred states the move of a statistic that has not moved.

    A mean of a heavy tail is the exception: its interval is too short by a known amount.
    """
    rng, pages, false = np.random.default_rng(n), 1500, 0
    for number in range(pages):
        if number % 50 == 0:
            reference = NULLS[name](rng, 10_000)
            stream = build_numeric_stream("x", Kind.NUMERIC, reference, 1000)
        moves = certain_moves(stream, np.sort(NULLS[name](rng, n)))
        if name == "heavy":
            moves["mean"] = 0.0
        false += any(moves.values())
    assert false <= stats.poisson.ppf(0.999, PAGE_LEVEL * pages)


def held_share(n: int, factor: float) -> dict[str, float]:
    """Return in which share of 400 pages each statistic is held. factor: by which it has moved."""
    rng, held = np.random.default_rng(n), Counter[str]()
    stream = build_numeric_stream("x", Kind.NUMERIC, rng.lognormal(6.5, 0.5, 50_000), 1000)
    for _ in range(400):
        held.update(held_statistics(stream, np.sort(rng.lognormal(6.5, 0.5, n) * factor)))
    return {name: held[name] / 400 for name in (*QUANTILES, "mean")}


@pytest.mark.parametrize("n", [100, 200, 1000, 4000])
def test_a_statistic_that_has_not_moved_is_mostly_held(n: int) -> None:
    """In at least eight of ten pages, if there are enough records for an interval at all."""
    shares = held_share(n, 1.0)
    enough = [name for name, q in QUANTILES.items() if max(q, 1 - q) ** (0.8 * n) <= HELD_TAIL]
    assert min(shares[name] for name in (*enough, "mean")) >= stats.binom.ppf(0.001, 400, 0.8) / 400
    assert all(shares[name] == 0 for name in QUANTILES if name not in enough)


@pytest.mark.parametrize("factor", [0.6, 1.5])
@pytest.mark.parametrize("n", [100, 200, 1000])
def test_a_statistic_that_moved_far_is_rarely_held(factor: float, n: int) -> None:
    """Median, mean and p95 that have moved by 40 or 50 % are seldom called the same, if at all."""
    shares = held_share(n, factor)
    assert max(shares[name] for name in ("median", "mean")) == 0
    assert shares["p95"] <= 0.05


@pytest.mark.parametrize("q", [0.05, 0.5, 0.95, 0.99])
@pytest.mark.parametrize("n", [60, 100, 1000])
def test_interval_is_that_of_order_statistics(q: float, n: int) -> None:
    """Its ends are the order statistics whose binomial probability is as required (scipy)."""
    values = np.arange(1.0, n + 1)
    low, high = quantile_interval(values, q, n, 0.001)
    ranks = np.arange(1, n + 1)
    lower = ranks[stats.binom.cdf(ranks - 1, n, q) <= 0.001]
    upper = ranks[stats.binom.sf(ranks - 1, n, q) <= 0.001]
    expected = lower.max(initial=0) or -np.inf, upper.min(initial=n + 1)
    assert low in {expected[0], expected[0] + 1}
    assert high == (np.inf if expected[1] > n else expected[1]) or high == expected[1] + 1


def test_dependent_records_count_as_fewer() -> None:
    """A variance inflation of 4 leaves a quarter of the records."""
    assert effective_records(100, 100_000_000, 1.0) == pytest.approx(100, rel=1e-3)
    assert effective_records(400, 100_000_000, 4.0) == pytest.approx(100, rel=1e-3)
    assert effective_records(100, 100, 1.0) == 50
    rng = np.random.default_rng(1)
    values = np.sort(rng.normal(size=400))
    narrow = quantile_interval(values, 0.5, 400, 0.001)
    wide = quantile_interval(values, 0.5, 100, 0.001)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


@pytest.mark.parametrize(
    ("factor", "beyond", "moved"),
    [(1.4, 0.0, "median"), (2.5, 0.9, "p95"), (2.5, 0.975, "p99"), (0.7, 0.0, "median")],
)
def test_the_statistic_that_moves_most_is_the_one_that_changed(
    factor: float, beyond: float, moved: str
) -> None:
    """A change of all values moves the median most certainly, one of a tail a tail's quantile."""
    rng = np.random.default_rng(3)
    stream = build_numeric_stream("x", Kind.NUMERIC, rng.lognormal(6.5, 0.2, 20_000), 1000)
    values = rng.lognormal(6.5, 0.2, 1000)
    values = np.where(values >= stream.quantile(beyond), values * factor, values)
    moves = certain_moves(stream, np.sort(values))
    best = max(moves, key=lambda name: moves[name])
    assert best == moved or (not beyond and best in {"mean", "p05", "p95"}) or best == "p99"
    assert moves[moved] > 0
    if beyond:
        assert moves["median"] == moves["p05"] == 0.0


@pytest.mark.parametrize("n", [100, 1000])
@pytest.mark.parametrize("shares", [[0.9, 0.06, 0.03, 0.01], [0.25] * 4, [0.98, 0.0199, 0.0001]])
def test_few_pages_state_a_share_that_has_not_moved(shares: list[float], n: int) -> None:
    """At most one page in a hundred states the move of a share that has not moved."""
    rng, pages, false = np.random.default_rng(n), 3000, 0
    for _ in range(pages):
        reference = rng.multinomial(10_000, shares).astype(float)
        counts = rng.multinomial(n, shares).astype(float)
        false += bool(moved_shares(reference, counts, 1.0, len(shares)).any())
    assert false <= stats.poisson.ppf(0.999, PAGE_LEVEL * pages)


def test_share_that_has_moved_is_found() -> None:
    """Shares of a tenth of the records and of none are found; so is that of a vanished bin."""
    reference = np.array([9_000.0, 1_000.0, 0.0])
    assert moved_shares(reference, np.array([70.0, 30.0, 0.0]), 1.0, 3).tolist() == [
        True,
        True,
        False,
    ]
    assert moved_shares(reference, np.array([80.0, 10.0, 10.0]), 1.0, 3).tolist()[1:] == [
        False,
        True,
    ]
    assert moved_shares(reference, np.array([1000.0, 0.0, 0.0]), 1.0, 3).tolist()[1]
    assert not moved_shares(reference, np.array([70.0, 30.0, 0.0]), 50.0, 3).any()
    assert not moved_shares(reference, np.zeros(3), 1.0, 3).any()

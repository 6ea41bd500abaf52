"""Levels at small expected counts: exact for the window tests, simulated for the e-detector.

A binary feature and a category with a rate of .03 to 5 % are compared with a reference of 20,000
records, in windows of 1,000 that expect .3 to 50 events. Events are independent, or come in bursts.
Every number of events of the reference and of the window is tested once, and weighted with its
binomial probability: the result is the probability of a false alarm, without noise at any level.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from detectors.arrays import Floats, Ints
from detectors.dependence import burst_inflation
from detectors.kinds import Kind
from tests.detectors.harness import Harness, baseline

REFERENCE, WINDOW = 20_000, 1_000
LEVELS = (1e-3, 1e-7)
RATES = (0.0003, 0.001, 0.003, 0.01, 0.02, 0.05)
BURSTS = (1, 8)
"""Events of a burst; bursts of 8 lie across the blocks of the reference."""
MIN_BURSTS = 3
"""Bursts in a reference that shows the dependence. The first burst ever is news."""
WINDOW_TESTS = [
    (name, kind)
    for name, kinds in (
        ("psi", (Kind.BINARY, Kind.CATEGORICAL)),
        ("chi2", (Kind.BINARY, Kind.CATEGORICAL)),
        ("zscore", (Kind.BINARY,)),
    )
    for kind in kinds
]


def events(rng: np.random.Generator, records: int, bursts: int, size: int) -> Floats:
    """Return 0 and 1 with a number of bursts at random places."""
    units = np.zeros(records // size)
    units[rng.permutation(len(units))[:bursts]] = 1.0
    return np.repeat(units, size)


def likely_numbers(units: int, rate: float, level: float) -> Ints:
    """Return the numbers of events whose tails have a thousandth of the level."""
    low, high = binom.ppf(level / 1000, units, rate), binom.isf(level / 1000, units, rate)
    return np.arange(low, high + 1, dtype=np.intp)


def false_alarm_probability(name: str, kind: Kind, rate: float, level: float, size: int) -> float:
    """Return the exact probability that a detector finds a change in a quiet window.

    References are a sample of at most 15 of the likely ones.
    """
    rng = np.random.default_rng(1)
    before = likely_numbers(REFERENCE // size, rate, level)
    if size > 1:
        before = before[before >= MIN_BURSTS]
    before = before[:: 1 + len(before) // 15]
    numbers = likely_numbers(WINDOW // size, rate, level)
    references = np.array([events(rng, REFERENCE, number, size) for number in before.tolist()])
    windows = [events(rng, WINDOW, number, size) for number in numbers.tolist()]
    harness = Harness(baseline(kind, references), name, level=level, stride=WINDOW)
    values = np.concatenate(windows)
    found = harness.feed(np.broadcast_to(values, (len(references), len(values))))
    weights = binom.pmf(before, REFERENCE // size, rate)
    return float(
        binom.pmf(numbers, WINDOW // size, rate) @ found @ weights / max(weights.sum(), 1e-300)
    )


@pytest.mark.parametrize("size", BURSTS)
@pytest.mark.parametrize(("name", "kind"), WINDOW_TESTS)
def test_window_tests_keep_their_level_at_small_counts(name: str, kind: Kind, size: int) -> None:
    """At any rate and level it is at most the level; ten levels where bursts are estimated."""
    for rate in RATES:
        for level in LEVELS:
            found = false_alarm_probability(name, kind, rate, level, size)
            assert found <= level * (1 if size == 1 else 10), (rate, level)


@pytest.mark.parametrize("size", BURSTS)
@pytest.mark.parametrize("kind", [Kind.BINARY, Kind.CATEGORICAL])
def test_e_detector_keeps_its_level_at_small_counts(kind: Kind, size: int) -> None:
    """The mean alarm rate of 40 streams is within the level, up to three standard errors."""
    rng = np.random.default_rng(2)
    for rate in (0.001, 0.005, 0.02):
        units = rng.random((40, (REFERENCE + 20_000) // size)) < rate
        values = np.repeat(units.astype(float), size, axis=1)
        shown = values[:, :REFERENCE].sum(axis=1) >= MIN_BURSTS * size
        values = values[shown | (size == 1)]
        harness = Harness(baseline(kind, values[:, :REFERENCE]), "e_detector", level=1e-3)
        shares = harness.feed(values[:, REFERENCE:]).mean(axis=0)
        assert shares.mean() - 3 * shares.std(ddof=1) / len(shares) ** 0.5 <= 1e-3, rate


@pytest.mark.parametrize(("name", "kind"), [("psi", Kind.BINARY), ("chi2", Kind.CATEGORICAL)])
def test_independent_rare_events_keep_their_power(name: str, kind: Kind) -> None:
    """A rate of .2 % that becomes 3 % is found at a level of 1e-7 in most windows."""
    rng = np.random.default_rng(3)
    before = (rng.random((40, REFERENCE)) < 0.002).astype(float)
    after = (rng.random((40, WINDOW)) < 0.03).astype(float)
    assert Harness(baseline(kind, before), name, level=1e-7).feed(after)[-1].mean() > 0.9


@pytest.mark.parametrize(
    ("size", "bursts"), [(2, 20), (2, 100), (5, 3), (5, 100), (10, 20), (40, 3), (40, 20)]
)
def test_inflation_of_bursts_is_their_size(size: int, bursts: int) -> None:
    """From few bursts on it is near the number of their records, and 1 for independent records."""
    rng = np.random.default_rng(4)
    blocks = np.array(
        [events(rng, 50_000, bursts, size).reshape(-1, 100).sum(axis=1) for _ in range(40)]
    ).T
    found = burst_inflation(blocks, 1000)
    assert 0.7 * size < np.median(found) < 1.5 * size
    independent = rng.binomial(100, bursts * size / 50_000, (500, 200)).astype(float)
    found = burst_inflation(independent, 1000)
    assert (found > 1).mean() < 0.02
    assert found.max() < 3

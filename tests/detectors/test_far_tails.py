"""The window tests in the far tail, at levels of 1e-5 and 1e-7, by importance sampling.

Plain simulation cannot measure such small levels. So windows are drawn from a mixture of
distributions that deviate by about as much as a test rejects, and each rejection is weighted by the
likelihood ratio of its window. All window tests depend only on counts by cell here, because every
value of these streams has its own cell, so the likelihood ratio of a mixture is exact. References
are drawn as well: the level includes their error.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import gammaln, logsumexp

from detectors.arrays import Floats
from detectors.kinds import Kind
from detectors.registry import create
from detectors.window import Window
from tests.detectors.harness import Harness, baseline

RECORDS = 50_000
WINDOW = 1000
REFERENCES = 24
DRAWS = 4000


def shares(shape: str) -> Floats:
    """Return the frequencies of a stream's values."""
    if shape == "flat":
        return np.full(40, 1 / 40)
    if shape == "ten":
        return np.full(10, 1 / 10)
    if shape == "skewed":  # a lognormal with a long right tail, cut into 40 values
        weights = np.exp(-(np.linspace(-2, 3, 40) ** 2) / 2)
        return np.asarray(weights / weights.sum())
    weights = 1 / np.arange(1, 13)
    return np.asarray(weights / weights.sum())


def tilts_towards_rejection(p: Floats, name: str) -> list[Floats]:
    """Return tilts t_k of the shares towards rejection: exp(t_k(cell)), mixed in equal parts."""
    scores = np.arange(len(p)) - p @ np.arange(len(p))
    scores = scores / np.sqrt(p @ scores**2)
    if name == "zscore":
        return [size * sign * scores for size in (0.16, 0.2) for sign in (1, -1)]
    upto = p.cumsum()[:-1]
    cuts = [np.arange(len(p)) <= i for i in range(len(upto)) if 0.1 < upto[i] < 0.9]
    return [sign * 0.35 * (cut - p @ cut) for cut in cuts for sign in (1, -1)]


def log_ratio_of_tilts(counts: Floats, p: Floats, tilts: list[Floats]) -> Floats:
    """Return the log likelihood ratio of counts: no drift over the mixture of tilts."""
    logarithms = [counts @ (tilt - np.log(p @ np.exp(tilt))) - np.log(len(tilts)) for tilt in tilts]
    return -np.asarray(logsumexp(logarithms, axis=0), np.float64)


def log_ratio_of_dirichlet(counts: Floats, p: Floats, strength: float) -> Floats:
    """Return the same for shares from a Dirichlet distribution around p."""
    a = strength * p
    mixture = (
        gammaln(strength)
        - gammaln(strength + WINDOW)
        + (gammaln(counts + a) - gammaln(a)).sum(axis=1)
    )
    return np.asarray(counts @ np.log(p) - mixture, np.float64)


def draw(rng: np.random.Generator, p: Floats, name: str) -> tuple[Floats, Floats]:
    """Return windows as counts by value, shape (DRAWS, len(p)), and their log weights."""
    if name in {"psi", "chi2"}:
        strength = WINDOW / 5.0  # counts vary about six times as much as without drift
        drawn = rng.dirichlet(strength * p, DRAWS)
        counts = rng.multinomial(WINDOW, drawn).astype(float)
        return counts, log_ratio_of_dirichlet(counts, p, strength)
    tilts = tilts_towards_rejection(p, name)
    tilted = np.array([p * np.exp(tilt) for tilt in tilts])
    tilted /= tilted.sum(axis=1, keepdims=True)
    counts = rng.multinomial(WINDOW, tilted[rng.integers(len(tilts), size=DRAWS)]).astype(float)
    return counts, log_ratio_of_tilts(counts, p, tilts)


@pytest.mark.parametrize("level", [1e-5, 1e-7])
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("psi", "ten"),
        ("psi", "zipf"),
        ("chi2", "ten"),
        ("chi2", "zipf"),
        ("ks", "flat"),
        ("ks", "skewed"),
        ("zscore", "flat"),
        ("zscore", "skewed"),
    ],
)
def test_keeps_its_level_in_the_far_tail(name: str, shape: str, level: float) -> None:
    """The probability of a rejection, over windows and references, is at most the level.

    The tolerance is half the level, for the approximations. The probability is also at least a
    twentieth of the level, or the test would waste power. The z-score is exempt: it estimates its
    standard error from 50 blocks, and Student's quantile is then far out.
    """
    rng = np.random.default_rng(16)
    p = shares(shape)
    kind = Kind.CATEGORICAL if name == "chi2" else Kind.NUMERIC
    found = [rejection_probability(rng, p, name, kind, level) for _ in range(REFERENCES)]
    chance, error = np.mean(found), np.std(found, ddof=1) / REFERENCES**0.5
    assert chance - 2 * error <= 1.5 * level
    assert chance >= level / (1000 if name == "zscore" else 20)


def rejection_probability(
    rng: np.random.Generator, p: Floats, name: str, kind: Kind, level: float
) -> float:
    """Return the probability that a window is rejected, with one drawn reference."""
    base = baseline(kind, rng.choice(len(p), size=(1, RECORDS), p=p).astype(float))
    harness = Harness(base)
    harness.feed_all(np.resize(np.arange(len(p)), (1, WINDOW)).astype(float))
    cells = cell_indices(base, len(p), harness)
    (detector,) = create({name: level}, base, Window(base, WINDOW, 100))
    counts, logarithms = draw(rng, p, name)
    by_cell = np.zeros((DRAWS, 1, base.max_cells))
    by_cell[:, 0, cells] = counts
    windows = replace(
        Window(base, WINDOW, WINDOW).current(),
        full=np.ones(DRAWS, bool),
        cell_counts=by_cell,
        bin_counts=base.sum_by_bin(by_cell),
        present=np.full((DRAWS, len(base.numeric)), float(WINDOW)),
    )
    found = detector.update(windows)[:, 0]
    return float(np.exp(logarithms[found]).sum() / DRAWS)


def cell_indices(base: object, values: int, harness: Harness) -> list[int]:
    """Return the cells of the values 0, 1, 2 ..., which are all different."""
    if harness.base.categorical:
        (stream,) = harness.base.categorical
        cell_by_category = stream.cell_by_category()
        cells = [cell_by_category[f"{value:g}"] for value in range(values)]
    else:
        cells = harness.base.numeric[0].cell_of(np.arange(values, dtype=float)).tolist()
    assert len(set(cells)) == values
    return cells

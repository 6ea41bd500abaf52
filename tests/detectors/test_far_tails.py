"""The window tests in the far tail, at levels of 1e-5 and 1e-7, by importance sampling.

No plain simulation reaches so far down. So windows are drawn from a mixture of distributions that
are off by about as much as it takes to be rejected, and each rejection is weighed by how much less
likely its window is without drift. All window tests depend on counts by cell alone here, because
every value of these streams has a cell of its own, and a mixture's likelihood ratio of counts is
exact. References are drawn, too: their error is part of what is promised.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import gammaln, logsumexp

from detectors.base import Floats, Kind
from detectors.registry import create
from detectors.window import Window
from tests.detectors.streams import Rig, baseline

RECORDS = 50_000
WINDOW = 1000
REFERENCES = 24
DRAWS = 4000


def shares(shape: str) -> Floats:
    """How often each of a stream's values comes."""
    if shape == "flat":
        return np.full(40, 1 / 40)
    if shape == "ten":
        return np.full(10, 1 / 10)
    if shape == "skewed":  # a lognormal with a long right tail, cut into 40 values
        weights = np.exp(-(np.linspace(-2, 3, 40) ** 2) / 2)
        return np.asarray(weights / weights.sum())
    weights = 1 / np.arange(1, 13)
    return np.asarray(weights / weights.sum())


def directions(p: Floats, name: str) -> list[Floats]:
    """Tilts of the shares towards what a test rejects: exp(t_k(cell)), a mixture of equal parts."""
    scores = np.arange(len(p)) - p @ np.arange(len(p))
    scores = scores / np.sqrt(p @ scores**2)
    if name == "zscore":
        return [size * sign * scores for size in (0.16, 0.2) for sign in (1, -1)]
    upto = p.cumsum()[:-1]
    cuts = [np.arange(len(p)) <= i for i in range(len(upto)) if 0.1 < upto[i] < 0.9]
    return [sign * 0.35 * (cut - p @ cut) for cut in cuts for sign in (1, -1)]


def log_ratio_of_tilts(counts: Floats, p: Floats, tilts: list[Floats]) -> Floats:
    """ln of the likelihood of counts without drift over that under the mixture of tilts."""
    logarithms = [counts @ (tilt - np.log(p @ np.exp(tilt))) - np.log(len(tilts)) for tilt in tilts]
    return -np.asarray(logsumexp(logarithms, axis=0), np.float64)


def log_ratio_of_dirichlet(counts: Floats, p: Floats, strength: float) -> Floats:
    """The same for shares drawn from a Dirichlet distribution about p."""
    a = strength * p
    mixture = (
        gammaln(strength)
        - gammaln(strength + WINDOW)
        + (gammaln(counts + a) - gammaln(a)).sum(axis=1)
    )
    return np.asarray(counts @ np.log(p) - mixture, np.float64)


def draw(rng: np.random.Generator, p: Floats, name: str) -> tuple[Floats, Floats]:
    """Windows as counts by value, shape (DRAWS, len(p)), and the logarithms of their weights."""
    if name in {"psi", "chi2"}:
        strength = WINDOW / 5.0  # counts vary some six times as much as without drift
        drawn = rng.dirichlet(strength * p, DRAWS)
        counts = rng.multinomial(WINDOW, drawn).astype(float)
        return counts, log_ratio_of_dirichlet(counts, p, strength)
    tilts = directions(p, name)
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
def test_keeps_to_its_level_in_the_far_tail(name: str, shape: str, level: float) -> None:
    """The probability of a rejection, over windows and references, is the level or less.

    Half as much again is allowed for the approximations; and it is no less than a twentieth of the
    level, or the test would waste what it is allowed. The z-score does, and has to: it knows its
    standard error from 50 blocks only, and Student's quantile is then far out.
    """
    rng = np.random.default_rng(16)
    p = shares(shape)
    kind = Kind.CATEGORICAL if name == "chi2" else Kind.NUMERIC
    found = [rejected(rng, p, name, kind, level) for _ in range(REFERENCES)]
    chance, error = np.mean(found), np.std(found, ddof=1) / REFERENCES**0.5
    assert chance - 2 * error <= 1.5 * level
    assert chance >= level / (1000 if name == "zscore" else 20)


def rejected(rng: np.random.Generator, p: Floats, name: str, kind: Kind, level: float) -> float:
    """The probability that a window is rejected, against one drawn reference."""
    base = baseline(kind, rng.choice(len(p), size=(1, RECORDS), p=p).astype(float))
    rig = Rig(base)
    rig.feed_all(np.resize(np.arange(len(p)), (1, WINDOW)).astype(float))
    cells = cells_of(base, len(p), rig)
    (detector,) = create({name: level}, base, Window(base, WINDOW, 100))
    counts, logarithms = draw(rng, p, name)
    by_cell = np.zeros((DRAWS, 1, base.cells))
    by_cell[:, 0, cells] = counts
    window = Window(base, WINDOW, WINDOW)
    places = np.zeros((1, 0), np.intp)
    nothing = np.full((len(base.numeric), WINDOW), np.nan)
    windows = window._of(1, by_cell, by_cell, places, window.counts, nothing, nothing)
    found = detector.update(windows)[:, 0]
    return float(np.exp(logarithms[found]).sum() / DRAWS)


def cells_of(base: object, values: int, rig: Rig) -> list[int]:
    """The cell of each of the values 0, 1, 2 ..., which no two share."""
    if rig.base.categorical:
        (stream,) = rig.base.categorical
        bin_of = stream.bin_of()
        cells = [bin_of[f"{value:g}"] for value in range(values)]
    else:
        cells = rig.base.numeric[0].cell_of(np.arange(values, dtype=float)).tolist()
    assert len(set(cells)) == values
    return cells

"""Simulated traffic of experiments without a difference, look by look.

Each look has 100 new users, up to 50,000. A user has a random arm and a random bucket. In most
streams a user makes one request; in the others users come back, and some make many requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from detectors.arrays import Floats, Ints
from monitor.experiments.sums.look import BUCKETS

USERS_PER_LOOK: Final = 100
RETURNS_PER_LOOK: Final = 100
"""Visits of users who were there before."""
STAY: Final = 20
"""Looks after which a churning user is gone."""
SHAPE: Final = 1.3
MOST_REQUESTS: Final = 1_000.0
BURST: Final = 10.0
"""Requests in a burst, in those of a usual visit."""
CAP: Final = 65.83
"""p99 of lognormal(0, 1.8): exp(1.8 * 2.326)."""
SCORES: Final = (0.05, 0.15, 0.35, 0.7)
"""Cumulated probabilities of the scores 1 to 4; the rest are 5."""
Returning = Literal["arriving", "bursty", "churning"]
Values = Callable[[np.random.Generator, tuple[int, int]], Floats]


@dataclass(frozen=True, slots=True)
class Visits:
    """Visits of one look, all of shape (runs, visits): x and n are values and requests, summed."""

    arms: Ints
    buckets: Ints
    x: Floats
    n: Floats


@dataclass(frozen=True, slots=True)
class Stream:
    """Traffic of an A/A experiment.

    values: of users with one request each. None: heavy users; a visit of one has a number of
    requests that is Pareto(1.3) by user, and a request has the value 1 + level of the user (sd .5)
    + level of the burst (sd .5) + noise (sd 1).
    returning: how heavy users come back: all that ever came, in bursts, or for 20 looks; None: they
    do not.
    """

    name: str
    values: Values | None = None
    returning: Returning | None = None

    def looks(
        self, rng: np.random.Generator, runs: int, looks: int, share: float
    ) -> Iterator[Visits]:
        """Yield the visits by look; `share` of the users are in the second arm."""
        if self.values is None:
            yield from _heavy(rng, (runs, looks), share, self.returning)
            return
        shape = (runs, USERS_PER_LOOK)
        for _ in range(looks):
            arms, buckets = _assigned(rng, shape, share)
            yield Visits(arms, buckets, self.values(rng, shape), np.ones(shape))


STREAMS: Final = (
    Stream("normal", lambda rng, shape: rng.normal(1.0, 1.0, shape)),
    Stream("lognormal, sigma 1.8", lambda rng, shape: rng.lognormal(0.0, 1.8, shape)),
    Stream(
        "lognormal, capped at p99",
        lambda rng, shape: np.minimum(rng.lognormal(0.0, 1.8, shape), CAP),
    ),
    Stream("Bernoulli .02", lambda rng, shape: (rng.random(shape) < 0.02).astype(float)),
    Stream("Bernoulli .002", lambda rng, shape: (rng.random(shape) < 0.002).astype(float)),
    Stream(
        "score 1 to 5",
        lambda rng, shape: 1 + np.searchsorted(SCORES, rng.random(shape)).astype(float),
    ),
    Stream("heavy users, once"),
    Stream("heavy users, arriving", returning="arriving"),
    Stream("heavy users, bursty", returning="bursty"),
    Stream("heavy users, churning", returning="churning"),
)


def _assigned(rng: np.random.Generator, shape: tuple[int, int], share: float) -> tuple[Ints, Ints]:
    """Return the arms and buckets of new users."""
    return (rng.random(shape) < share).astype(np.intp), rng.integers(BUCKETS, size=shape)


def _heavy(
    rng: np.random.Generator, size: tuple[int, int], share: float, returning: Returning | None
) -> Iterator[Visits]:
    """Yield the visits of heavy users; size: runs and looks."""
    runs, looks = size
    shape = (runs, looks * USERS_PER_LOOK)
    arms, buckets = np.empty(shape, np.int8), np.empty(shape, np.int16)
    requests, level = np.empty((2, *shape), np.float32)
    row = np.arange(runs)[:, None]
    for look in range(looks):
        first, last = look * USERS_PER_LOOK, (look + 1) * USERS_PER_LOOK
        new = (runs, USERS_PER_LOOK)
        arms[:, first:last], buckets[:, first:last] = _assigned(rng, new, share)
        drawn = np.ceil(rng.pareto(SHAPE, new)).clip(1, MOST_REQUESTS)
        requests[:, first:last], level[:, first:last] = drawn, rng.normal(1.0, 0.5, new)
        who = np.broadcast_to(np.arange(first, last), new)
        if returning is not None and look:
            oldest = max(0, first - STAY * USERS_PER_LOOK) if returning == "churning" else 0
            back = rng.integers(oldest, first, (runs, RETURNS_PER_LOOK))
            who = np.concatenate([who, back], axis=1)
        n, mean = requests[row, who].astype(float), level[row, who].astype(float)
        if returning == "bursty":
            burst = rng.random(who.shape) < 1 / BURST
            n = np.where(burst, BURST * n, 1.0)
            mean = mean + rng.normal(0, 0.5, who.shape)
        x = n * mean + np.sqrt(n) * rng.normal(0, 1, who.shape)
        yield Visits(arms[row, who].astype(np.intp), buckets[row, who].astype(np.intp), x, n)

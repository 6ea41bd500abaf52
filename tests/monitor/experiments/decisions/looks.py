"""Simulated experiments: users arrive, their requests enter buckets, and looks are taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.experiments.decisions.evaluation import Outcome, evaluate
from monitor.experiments.decisions.state import State
from monitor.experiments.design import Design, Metric, Scale
from monitor.experiments.sums.look import BUCKETS, LookData, MetricSums

START = 1_790_000_000.0
HOUR = 3_600.0

SCORE = Metric("score.quality", "score.quality", Scale.MEAN, "higher", 0.05)
LATENCY = Metric("latency_ms", "latency_ms", Scale.LOG, "lower", 0.05)
COST = Metric("cost_usd.capped", "cost_usd", Scale.CAPPED, "lower", 0.05, cap=1.0)


def design(**other: Any) -> Design:
    """Return a design with two equal arms and a score as the goal."""
    fields: dict[str, Any] = {
        "name": "prompt",
        "phase": "p1",
        "variants": ("control", "treatment"),
        "weights": (0.5, 0.5),
        "goal": SCORE,
    }
    return Design(**(fields | other))


class Experiment:
    """Cumulative sums of simulated users, one request a user; a look after each batch.

    draw: returns n values of a metric in an arm, by the name of the metric.
    shares: probability of each arm.
    """

    def __init__(
        self,
        design: Design,
        draw: dict[str, Callable[[np.random.Generator, int, int], NDArray[np.float64]]],
        *,
        seed: int = 1,
        shares: tuple[float, ...] | None = None,
    ) -> None:
        self.design = design
        self.draw = draw
        self.random = np.random.default_rng(seed)
        self.shares = shares or design.weights
        arms = len(design.variants)
        self.users = np.zeros(arms, dtype=np.int64)
        self.sums = {
            name: MetricSums(np.zeros((arms, BUCKETS)), np.zeros((arms, BUCKETS))) for name in draw
        }
        self.time = START

    def add(self, users: int, hours: float = 1.0) -> LookData:
        """Add users, and return the look after these hours."""
        arms = self.random.choice(len(self.shares), size=users, p=self.shares)
        buckets = self.random.integers(BUCKETS, size=users)
        for name, draw in self.draw.items():
            for arm in range(len(self.shares)):
                chosen = buckets[arms == arm]
                values = draw(self.random, len(chosen), arm)
                np.add.at(self.sums[name].x[arm], chosen, values)
                np.add.at(self.sums[name].n[arm], chosen, 1.0)
        self.users += np.bincount(arms, minlength=len(self.users))
        self.time += hours * HOUR
        return self.look()

    def look(self) -> LookData:
        """Return the look at the current sums."""
        counts = tuple(self.users.tolist())
        return LookData(
            time=self.time,
            first_time=START,
            users=counts,
            requests=counts,
            largest_bucket=tuple(0.001 for _ in counts),
            weekdays=tuple(frozenset({0, 1}) for _ in counts),
            sums={
                name: MetricSums(each.x.copy(), each.n.copy()) for name, each in self.sums.items()
            },
        )


def normal(
    means: tuple[float, ...], deviation: float = 1.0
) -> Callable[[np.random.Generator, int, int], NDArray[np.float64]]:
    """Return normal values with a mean by arm."""
    return lambda random, n, arm: random.normal(means[arm], deviation, n)


def run(
    experiment: Experiment, looks: int, users: int, state: State | None = None, hours: float = 1.0
) -> Iterator[Outcome]:
    """Yield the outcomes of looks, each after this number of new users."""
    for _ in range(looks):
        outcome = evaluate(experiment.design, experiment.add(users, hours), state)
        state = outcome.state
        yield outcome

"""Simulated runs with a look after every chunk, many at once.

`verdicts` evaluates runs with the functions of the product that look at arrays; `product` runs
`look` and `decide` on the scores of one run. `run` checks that both agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.replay.items import CLUSTER, Floats, Population
from replay.results import ItemScore, TaskScores
from replay.verdict import graded, tango
from replay.verdict.betting import Hypothesis, log_capital, log_growth
from replay.verdict.criteria import Criteria
from replay.verdict.decide import decide
from replay.verdict.decision import Outcome
from replay.verdict.sequential import SHARE, look, start

CHUNK: Final = 25
"""Items between looks."""
_BATCH: Final = 500
"""Runs at a time, which bounds memory."""
OUTCOMES: Final[tuple[Outcome, ...]] = ("inconclusive", "regressed", "not_regressed")


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The outcomes of runs, as positions in OUTCOMES, and the items that each run took."""

    outcomes: NDArray[np.int64]
    items: NDArray[np.int64]

    def share(self, outcome: Outcome) -> float:
        """Return the share of runs that end so."""
        return float((self.outcomes == OUTCOMES.index(outcome)).mean())


def simulate(
    population: Population, items: int, runs: int, seed: int, criteria: Criteria | None = None
) -> Verdicts:
    """Return the verdicts of `runs` runs of `items` planned items."""
    generator = np.random.default_rng(seed)
    criteria = criteria or Criteria()
    size = CLUSTER if population.kind == "clusters" else 1
    parts = []
    for begin in range(0, runs, _BATCH):
        drops = population.draw((min(_BATCH, runs - begin), items // size), generator)
        parts.append(verdicts(drops, size, population.kind == "binary", criteria))
    return Verdicts(
        np.concatenate([part.outcomes for part in parts]),
        np.concatenate([part.items for part in parts]),
    )


def verdicts(drops: Floats, size: int, binary: bool, criteria: Criteria) -> Verdicts:
    """Return the verdicts of runs. drops: shape (runs, units). size: items of a unit."""
    runs, units = drops.shape
    ends = np.unique([*range(max(1, CHUNK // size), units, max(1, CHUNK // size)), units])
    looked = ends * size >= criteria.min_items
    enough = log(1 / (SHARE * criteria.alpha))
    worse = _evidence(drops, ends, 0.0, criteria) >= enough
    within = _evidence(drops, ends, criteria.margin, criteria) >= enough
    means = np.cumsum(drops, axis=1)[:, ends - 1] / ends
    known = (within | (worse & (means >= criteria.margin))) & looked
    last = np.where(known.any(axis=1), known.argmax(axis=1), len(ends) - 1)
    rows = np.arange(runs)
    found = np.where(within[rows, last], 2, np.where(worse[rows, last], 1, 0))
    rest = np.flatnonzero(~known.any(axis=1))
    if len(rest):
        final = _final(drops[rest], binary, criteria, (1 - SHARE) * criteria.alpha)
        regressed, not_regressed = final[0] | worse[rest, -1], final[1] | within[rest, -1]
        found[rest] = np.where(not_regressed, 2, np.where(regressed, 1, 0))
    if units * size < criteria.min_items:
        found[:] = 0
    return Verdicts(found, ends[last] * size)


def single_look(
    population: Population, items: int, runs: int, criteria: Criteria
) -> dict[str, float]:
    """Return shares of false verdicts of the tests at the end alone, and of peeking with them."""
    generator = np.random.default_rng(items)
    size = CLUSTER if population.kind == "clusters" else 1
    binary, units = population.kind == "binary", items // size
    found = {}
    for direction, drop in enumerate((0.0, criteria.margin)):
        case = Population(population.kind, drop, population.correlation, population.accuracy)
        drops = case.draw((min(runs, _BATCH * 2), units), generator)
        step = max(1, CHUNK // size)
        ends = [end for end in range(step, units, step) if end * size >= criteria.min_items]
        false = np.array(
            [
                _final(drops[:, :end], binary, criteria, criteria.alpha)[direction]
                for end in [*ends, units]
            ]
        )
        found[("single_", "single_not_")[direction]] = float(false[-1].mean())
        found[("peeking_", "peeking_not_")[direction]] = float(false.any(axis=0).mean())
    order = ("single_", "single_not_", "peeking_", "peeking_not_")
    return {name + "regressed": found[name] for name in order}


def product(drops: Floats, size: int, binary: bool, criteria: Criteria) -> tuple[Outcome, int]:
    """Return outcome and items of one run by `look` and `decide`. drops: shape (units,)."""
    values = np.repeat(drops, size)
    baseline = [scores_of(np.maximum(values, 0), size, binary)]
    everything = scores_of(np.maximum(-values, 0), size, binary)
    process, n = start(baseline, criteria), 0
    while process.outcome is None and n < len(values):
        n = min(n + max(1, CHUNK // size) * size, len(values))
        candidate = [_part(everything, n)]
        process = look(process, candidate, baseline)
    return decide(candidate, baseline, process=process).verdict, n


def _evidence(drops: Floats, ends: NDArray[np.int64], mean: float, criteria: Criteria) -> Floats:
    """Return the largest logarithm of the capital up to each look, shape (runs, looks)."""
    hypothesis: Hypothesis = "at_most" if mean == 0 else "at_least"
    growth = log_growth(drops, mean, hypothesis)
    capital = log_capital(np.cumsum(growth, axis=1)[:, ends - 1])
    largest: Floats = np.maximum.accumulate(capital, axis=1)
    return largest


def _final(
    drops: Floats, binary: bool, criteria: Criteria, alpha: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return whether the tests at one look find a drop, and one below the margin, shape (runs,)."""
    if binary:
        lost, gained = (drops > 0).sum(axis=1), (drops < 0).sum(axis=1)
        worse, within = tango.p_values(lost, gained, drops.shape[1], criteria.margin)
    else:
        both = [graded.p_values(row, criteria.margin, True) for row in drops]
        worse, within = np.array(both).T
    return worse <= alpha, within <= alpha


def scores_of(values: Floats, size: int = 1, binary: bool = True) -> TaskScores:
    """Return scores as those of a run. values: shape (items,)."""
    return TaskScores(
        task="simulated",
        metric="score",
        binary=binary,
        scores=tuple(
            ItemScore(
                item=str(index),
                doc_id=index,
                prompt_hash="",
                target_hash="",
                metrics={"score": float(value)},
                cluster=f"c{index // size}" if size > 1 else "",
            )
            for index, value in enumerate(values)
        ),
    )


def _part(task: TaskScores, n: int) -> TaskScores:
    return TaskScores(
        task=task.task, metric=task.metric, binary=task.binary, scores=task.scores[:n]
    )

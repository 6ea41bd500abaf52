"""Looks at a run after every chunk, which stop it as soon as its verdict is known.

Half of alpha is spent on the looks, the other half on the test at the planned end. For each task
two e-processes (`replay.verdict.betting`) collect evidence: against "no drop", and against "a drop
of the margin or more". At a look they count if they have ever reached 2 / alpha, so that by Ville's
inequality all looks together are wrong with a probability of at most alpha / 2, in each direction.
With the final test at alpha / 2 the sum is alpha.

Several tasks: the run is regressed if one is, by Holm's correction of 1 / evidence, whose largest
value over all looks is a p-value at any of them. It is not regressed only if all tasks are not, so
that each may use the whole level (intersection-union test).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp
from typing import Final

import msgspec
import numpy as np

from monitor.statistics.paired import holm
from replay.results import TaskScores
from replay.verdict.betting import bound, log_evidence
from replay.verdict.criteria import Criteria
from replay.verdict.decision import Outcome
from replay.verdict.pairs import Pairs, check_failed, merge, pair_all

SHARE: Final = 0.5
"""Share of alpha that the looks may spend."""


class TaskEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """The evidence of one task, over all looks.

    planned: items of the whole run. n: pairs at the last look. drop: mean at the last look.
    log_regressed, log_not_regressed: largest logarithm of the capital at a look.
    lower, upper: bounds of the mean drop that hold at all looks at once, each at SHARE * alpha.
    bounded: False if a score was not from 0 to 1: the bets and bounds do not apply, and the run
        does not stop early.
    """

    planned: int
    n: int = 0
    drop: float = 0.0
    log_regressed: float = 0.0
    log_not_regressed: float = 0.0
    lower: float = -1.0
    upper: float = 1.0
    bounded: bool = True

    @property
    def p_regressed(self) -> float:
        """Return the p-value of "no drop", valid at any look."""
        return exp(-self.log_regressed) if self.bounded else 1.0

    @property
    def p_margin(self) -> float:
        """Return the p-value of "a drop of the margin or more", valid at any look."""
        return exp(-self.log_not_regressed) if self.bounded else 1.0


class EProcess(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a run between looks. It is kept with the run, so that a restart continues it.

    outcome: the verdict if it is known already, and the run can stop; None to continue.
    """

    criteria: Criteria
    tasks: dict[str, TaskEvidence]
    looks: int = 0
    outcome: Outcome | None = None


def start(
    baseline: Sequence[TaskScores],
    criteria: Criteria,
    planned: Mapping[str, int] | None = None,
) -> EProcess:
    """Return the state before the first look.

    planned: items by task that the run is to answer, by default all of the baseline.
    """
    counts = planned or {name: len(task.scores) for name, task in merge(baseline).items()}
    tasks = {name: TaskEvidence(planned=count) for name, count in counts.items()}
    return EProcess(criteria=criteria, tasks=tasks)


def look(
    process: EProcess, candidate: Sequence[TaskScores], baseline: Sequence[TaskScores]
) -> EProcess:
    """Return the state after a look at all scores of the candidate so far.

    The result does not depend on the order of the scores, and a second look at the same scores
    changes nothing but `looks`.
    Raises RunError as `pair_all` does, and `invalid_responses` once the unusable answers exceed
    their share of all planned ones.
    """
    criteria = process.criteria
    tasks = dict(process.tasks)
    for pairs in pair_all(candidate, baseline):
        name = pairs.task.task
        known = tasks.get(name) or TaskEvidence(planned=len(pairs.task.scores))
        check_failed(pairs, criteria.max_failed, max(known.planned, pairs.answered))
        tasks[name] = _updated(known, pairs, criteria)
    return EProcess(
        criteria=criteria,
        tasks=tasks,
        looks=process.looks + 1,
        outcome=process.outcome or _known(tasks, criteria),
    )


def outcome(evidence: tuple[int, float, float], criteria: Criteria) -> Outcome:
    """Return the outcome of a task from its pairs and its two p-values, adjusted for tasks.

    evidence: number of pairs, p-value of "no drop", p-value of "a drop of the margin or more".
    """
    n, p_regressed, p_margin = evidence
    if n < criteria.min_items:
        return "inconclusive"
    if p_margin <= criteria.alpha:
        return "not_regressed"
    return "regressed" if p_regressed <= criteria.alpha else "inconclusive"


def overall(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the outcome of a run from those of its tasks."""
    if "regressed" in outcomes:
        return "regressed"
    return "inconclusive" if "inconclusive" in outcomes else "not_regressed"


def _updated(known: TaskEvidence, pairs: Pairs, criteria: Criteria) -> TaskEvidence:
    """Return the evidence with that of a look."""
    n, drop = len(pairs.drops), float(pairs.drops.mean()) if len(pairs.drops) else 0.0
    if not (known.bounded and pairs.bounded):
        return msgspec.structs.replace(known, n=n, drop=drop, bounded=False)
    drops, numbers = np.unique(pairs.units(only_complete=True), return_counts=True)
    counts = numbers.astype(np.float64)
    margin, alpha = min(criteria.margin_of(pairs.task.task), 1.0), SHARE * criteria.alpha
    worse = log_evidence(drops, counts, 0.0, "at_most")
    within = log_evidence(drops, counts, margin, "at_least") if margin < 1 else 0.0
    return msgspec.structs.replace(
        known,
        n=n,
        drop=drop,
        log_regressed=max(known.log_regressed, worse),
        log_not_regressed=max(known.log_not_regressed, within),
        lower=max(known.lower, bound(drops, counts, alpha, "at_most")),
        upper=min(known.upper, bound(drops, counts, alpha, "at_least")),
    )


def _known(tasks: Mapping[str, TaskEvidence], criteria: Criteria) -> Outcome | None:
    """Return the outcome of the run if more items cannot change it.

    A proven drop that is smaller than the margin so far does not stop the run: it may turn out to
    be within the margin.
    """
    adjusted = holm(np.array([each.p_regressed / SHARE for each in tasks.values()]))
    outcomes: list[Outcome] = []
    for (name, each), p_regressed in zip(tasks.items(), adjusted, strict=True):
        found = outcome((each.n, float(p_regressed), each.p_margin / SHARE), criteria)
        small = found == "regressed" and each.drop < criteria.margin_of(name)
        outcomes.append("inconclusive" if small else found)
    run = overall(outcomes)
    return None if run == "inconclusive" else run

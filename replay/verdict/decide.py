"""The verdict on a run: the candidate's scores against the baseline's, item by item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, exp, isfinite

import numpy as np

from monitor.statistics.paired import holm
from replay.results import RunError, TaskScores
from replay.verdict import graded, tango
from replay.verdict.criteria import Criteria
from replay.verdict.decision import Decision, Flag, Method, Outcome, TaskDecision
from replay.verdict.detail import flips, slices
from replay.verdict.pairs import Pairs, check_failed, pair_all
from replay.verdict.sequential import SHARE, EProcess, TaskEvidence, outcome, overall


@dataclass(frozen=True, slots=True)
class _Result:
    """The numbers of one task: bounds of the drop, and p-values valid at every look."""

    lower: float
    upper: float
    p_regressed: float
    p_margin: float


def decide(
    candidate: Sequence[TaskScores],
    baseline: Sequence[TaskScores],
    criteria: Criteria | None = None,
    process: EProcess | None = None,
) -> Decision:
    """Return the decision on a finished run.

    candidate: its scores, of one or of several chunks. baseline: those of the same items.
    process: the state after the last look of a run that was looked at on the way; its criteria
        count. Without it the scores are tested once, with all of alpha: do not call it repeatedly
        while a run goes on.
    Raises RunError: `no_items`, `no_baseline`, `mismatched_items`, `broken_task`, or
    `invalid_responses` if too many answers are unusable.
    """
    criteria = process.criteria if process else criteria or Criteria()
    tasks = pair_all(candidate, baseline)
    for pairs in tasks:
        check_failed(pairs, criteria.max_failed, pairs.answered)
    if not any(len(pairs.drops) for pairs in tasks):
        raise RunError("no_items", "no item has a score of both models")
    known = [process.tasks.get(pairs.task.task) if process else None for pairs in tasks]
    results = [
        _result(pairs, evidence, criteria) for pairs, evidence in zip(tasks, known, strict=True)
    ]
    adjusted = holm(np.array([result.p_regressed for result in results]))
    decided = tuple(
        _task(pairs, evidence, (result, float(p_adjusted), len(tasks)), criteria)
        for pairs, evidence, result, p_adjusted in zip(tasks, known, results, adjusted, strict=True)
    )
    names = {task.task for task in decided}
    missing = [name for name in process.tasks if name not in names] if process else []
    flags: set[Flag] = {flag for task in decided for flag in task.flags}
    return Decision(
        verdict=overall([task.verdict for task in decided] + ["inconclusive" for _ in missing]),
        flags=tuple(sorted(flags | ({"stopped_early"} if missing else set()))),
        tasks=decided,
        criteria=criteria,
        looks=process.looks if process else 0,
    )


def method_of(pairs: Pairs) -> Method:
    """Return the method of a task's interval."""
    if pairs.clustered:
        return "cluster_t"
    return "tango" if pairs.task.binary else "paired_t"


def interval(pairs: Pairs, alpha: float) -> tuple[float, float]:
    """Return the bounds of the mean drop, each with the error probability alpha, at one look."""
    if method_of(pairs) == "tango" and len(pairs.drops):
        return tango.interval(*tango.discordant(pairs.drops), len(pairs.drops), alpha)
    return graded.interval(pairs.units(), alpha, pairs.bounded)


def _p_values(pairs: Pairs, margin: float) -> tuple[float, float]:
    """Return the p-values of "no drop" and "a drop of the margin or more", at one look."""
    n = len(pairs.drops)
    if method_of(pairs) == "tango" and n:
        worse, within = tango.p_values(*tango.discordant(pairs.drops), n, margin)
        return float(worse), float(within)
    return graded.p_values(pairs.units(), margin, pairs.bounded)


def _result(pairs: Pairs, evidence: TaskEvidence | None, criteria: Criteria) -> _Result:
    """Return the result of the looks, and at the planned end that of the final test as well."""
    margin = criteria.margin_of(pairs.task.task)
    if evidence is None:
        return _Result(*interval(pairs, criteria.alpha), *_p_values(pairs, margin))
    infinite = float("inf")
    lower, upper = (evidence.lower, evidence.upper) if evidence.bounded else (-infinite, infinite)
    p_regressed, p_margin = evidence.p_regressed / SHARE, evidence.p_margin / SHARE
    if pairs.answered >= evidence.planned:
        final_lower, final_upper = interval(pairs, (1 - SHARE) * criteria.alpha)
        lower, upper = max(lower, final_lower), min(upper, final_upper)
        final = [p / (1 - SHARE) for p in _p_values(pairs, margin)]
        p_regressed, p_margin = min(p_regressed, final[0]), min(p_margin, final[1])
    return _Result(lower, upper, min(1.0, p_regressed), min(1.0, p_margin))


def _task(
    pairs: Pairs,
    evidence: TaskEvidence | None,
    found: tuple[_Result, float, int],
    criteria: Criteria,
) -> TaskDecision:
    """Return the decision on a task. found: its result, its adjusted p-value, number of tasks."""
    result, p_adjusted, tasks = found
    task, n = pairs.task, len(pairs.drops)
    verdict = outcome((n, p_adjusted, result.p_margin), criteria)
    lower, upper = _bounds(pairs, result)
    lost, gained = tango.discordant(pairs.drops)
    shown = flips(pairs)
    parts, left_out = slices(pairs, criteria, interval)
    return TaskDecision(
        task=task.task,
        metric=task.metric,
        binary=task.binary,
        higher_is_better=task.higher_is_better,
        verdict=verdict,
        flags=_flags(pairs, evidence, (verdict, p_adjusted), criteria),
        margin=criteria.margin_of(task.task),
        method=method_of(pairs),
        n=n,
        clusters=len(pairs.complete),
        planned=evidence.planned if evidence else pairs.answered,
        failed=pairs.failed,
        baseline_failed=pairs.baseline_failed,
        baseline_mean=float(pairs.baseline.mean()) if n else None,
        candidate_mean=float(pairs.candidate.mean()) if n else None,
        difference=float((pairs.candidate - pairs.baseline).mean()) if n else None,
        lower=lower,
        upper=upper,
        p_value=result.p_regressed,
        p_adjusted=p_adjusted,
        p_margin=result.p_margin,
        mcnemar=tango.mcnemar(lost, gained) if method_of(pairs) == "tango" else None,
        e_regressed=_e_value(evidence, True),
        e_not_regressed=_e_value(evidence, False),
        required_n=_required(pairs, criteria, (evidence is not None, tasks), verdict),
        lost=lost,
        gained=gained,
        flips=shown,
        flips_left_out=lost + gained - len(shown),
        slices=parts,
        slices_left_out=left_out,
        bounded=pairs.bounded,
    )


def _bounds(pairs: Pairs, result: _Result) -> tuple[float | None, float | None]:
    """Return the bounds of the candidate's score less the baseline's."""
    sign = -1.0 if pairs.task.higher_is_better else 1.0
    lower, upper = sorted((sign * result.lower, sign * result.upper))
    return (lower if isfinite(lower) else None), (upper if isfinite(upper) else None)


def _flags(
    pairs: Pairs,
    evidence: TaskEvidence | None,
    decided: tuple[Outcome, float],
    criteria: Criteria,
) -> tuple[Flag, ...]:
    """Return the flags of a task. decided: its verdict and its adjusted p-value."""
    verdict, p_adjusted = decided
    flags: dict[Flag, bool] = {
        "failed_answers": bool(pairs.failed or pairs.baseline_failed),
        "few_items": len(pairs.drops) < criteria.min_items,
        "small_drop": verdict == "not_regressed" and p_adjusted <= criteria.alpha,
        "stopped_early": evidence is not None and pairs.answered < evidence.planned,
    }
    return tuple(name for name, holds in flags.items() if holds)


def _e_value(evidence: TaskEvidence | None, regressed: bool) -> float | None:
    if evidence is None or not evidence.bounded:
        return None
    log_value = evidence.log_regressed if regressed else evidence.log_not_regressed
    return exp(min(log_value, 700.0))


def _required(
    pairs: Pairs, criteria: Criteria, looked: tuple[bool, int], verdict: Outcome
) -> int | None:
    """Return the pairs with which the final test would probably decide, if the drop is as seen.

    It is the smallest of three numbers: those with which a drop, or one below the margin, is found
    with `Criteria.power`, and that from which the interval is shorter than the margin, so that it
    excludes 0 or the margin wherever it lies. The variance is that of the units with two more
    pairs, so that it is positive if no pair differs.
    looked: whether there were looks, and the number of tasks. None if the verdict is known, or with
    fewer than two units.
    """
    units = pairs.units()
    if len(units) < 2 or verdict != "inconclusive":
        return None
    alpha = criteria.alpha * (1 - SHARE if looked[0] else 1)
    drop, margin = float(units.mean()), criteria.margin_of(pairs.task.task)
    largest = 1.0 if pairs.task.binary else float(np.abs(units).max())
    variance = float((units**2).sum() + 2 * largest**2) / (len(units) + 2) - drop**2
    cases = (
        (drop, alpha / looked[1], criteria.power),
        (margin - drop, alpha, criteria.power),
        (margin, alpha / looked[1], 1 - alpha),
    )
    needed = [tango.required_pairs(variance, *case) for case in cases if case[0] > 0]
    per_unit = len(pairs.drops) / len(units)
    return max(ceil(min(needed) * per_unit), len(pairs.drops) + 1, criteria.min_items)

"""All checks of a stage: tasks, measures and the weighted balance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from monitor.records import Sample
from replay.gate.criteria.dimension import Dimension
from replay.gate.criteria.model import RUN_STAGES, Criteria
from replay.gate.decision.bounds import Estimate, Floats
from replay.gate.decision.measures import AnswerCheck, check_measure, finite, values, worsening
from replay.gate.decision.rules import Bounds, Levels, at_least, levels
from replay.gate.decision.tasks import Limits, Sides, by_task, compare, margin_check, task_limits
from replay.gate.outcome import Check
from replay.results import RunError
from replay.runner.suites import expand


class Evidence(msgspec.Struct, frozen=True):
    """What a stage is decided on.

    samples: answers of candidate and baseline, for measures. checks: of answers, by name.
    """

    sides: Sides
    samples: tuple[Sequence[Sample], Sequence[Sample]]
    checks: Mapping[str, AnswerCheck]


def chances(criteria: Criteria) -> int:
    """Return how many checks could report a false "regressed", over all stages.

    The margins of all tasks of a stage are one: Holm's method bounds them together.
    """
    dimensions = criteria.dimensions.values()
    limits = sum(
        max(len(_tasks(d)), 1) * ((d.at_least is not None) + (d.at_most is not None))
        for d in dimensions
    )
    margins = any(d.tasks and d.margin is not None for d in dimensions)
    measures = sum(d.measure is not None and d.margin is not None for d in dimensions)
    stage = limits + margins + measures + (criteria.balance is not None)
    stages = sum(name in RUN_STAGES for name in criteria.stages)
    return stage * max(stages, 1) + ("L3" in criteria.stages)


def evaluate(criteria: Criteria, evidence: Evidence) -> tuple[Check, ...]:
    """Return the checks of a stage in the order of the criteria. Raises RunError."""
    level = levels(criteria.alpha, chances(criteria))
    limits = Limits(criteria.min_items, criteria.max_failed)
    compared = compare(evidence.sides, _margins(criteria), level, limits)
    scores = by_task(evidence.sides.candidate)
    checks: list[Check] = []
    for name, dimension in criteria.dimensions.items():
        if dimension.measure is not None:
            sides = _values(dimension, evidence)
            checks += check_measure(name, dimension, sides, level, criteria.min_items)
        for task in _tasks(dimension):
            if task not in scores:
                raise RunError("missing_task", f"the candidate has no scores of {task}")
            checks += task_limits(name, dimension, scores[task], level, limits)
            if task in compared:
                checks.append(margin_check(name, dimension, compared[task]))
    if criteria.balance is not None:
        checks.append(_balance(criteria, evidence, level, limits))
    return tuple(checks)


def _tasks(dimension: Dimension) -> tuple[str, ...]:
    """Return the tasks of a dimension, with suites replaced by their tasks."""
    return expand(dimension.tasks)


def _margins(criteria: Criteria) -> dict[str, float]:
    return {
        task: dimension.margin
        for dimension in criteria.dimensions.values()
        if dimension.margin is not None
        for task in _tasks(dimension)
    }


def _values(dimension: Dimension, evidence: Evidence) -> tuple[Floats, Floats | None]:
    measure = dimension.measure or ""
    candidate, baseline = (values(s, measure, evidence.checks) for s in evidence.samples)
    return candidate, baseline if dimension.margin is not None else None


def _balance(criteria: Criteria, evidence: Evidence, level: Levels, limits: Limits) -> Check:
    """Return the check of the weighted mean of effects in units of margins.

    The bounds add up those of the parts, each at its share of the level (Bonferroni), so that they
    hold however the dimensions depend on each other.
    """
    weighted = {n: d for n, d in criteria.dimensions.items() if d.weight is not None}
    parts = sum(max(len(_tasks(dimension)), 1) for dimension in weighted.values())
    shared = Levels(level.passing / parts, level.failing / parts)
    margins = {t: d.margin or 0.0 for d in weighted.values() for t in _tasks(d)}
    compared = compare(evidence.sides, margins, shared, limits)
    found: list[tuple[float, Bounds | None]] = []
    for dimension in weighted.values():
        weight, margin = dimension.weight or 0.0, dimension.margin or 1.0
        if dimension.measure is not None:
            candidate, baseline = _values(dimension, evidence)
            enough = baseline is not None and min(len(candidate), len(baseline)) >= limits.min_items
            worse = worsening(dimension, (candidate, baseline), shared) if enough else None  # type: ignore[arg-type]  # baseline is given
            found.append((weight, _scaled(worse, -1 / margin)))
        tasks = _tasks(dimension)
        for task in tasks:
            worse = compared[task].worsening
            found.append((weight / len(tasks), _scaled(worse, -1 / margin)))
    return _balance_check(criteria, found)


def _scaled(bounds: Bounds | None, factor: float) -> Bounds | None:
    if bounds is None:
        return None
    return Bounds(bounds.passing.scaled(factor), bounds.failing.scaled(factor))


def _balance_check(criteria: Criteria, found: list[tuple[float, Bounds | None]]) -> Check:
    limit = criteria.balance.at_least if criteria.balance else 0.0
    known = [(weight, bounds) for weight, bounds in found if bounds is not None]
    check = Check(
        name="balance",
        dimension="balance",
        outcome="inconclusive",
        rule=f"weighted mean of effects in units of margins is at least {limit:g}",
        detail="a dimension with a weight has no comparison",
        limit=limit,
    )
    if len(known) < len(found):
        return check
    total = sum(weight for weight, _ in known)
    passing = _mean([(weight / total, bounds.passing) for weight, bounds in known])
    failing = _mean([(weight / total, bounds.failing) for weight, bounds in known])
    return msgspec.structs.replace(
        check,
        outcome=at_least(Bounds(passing, failing), limit),
        detail="",
        value=passing.value,
        lower=finite(passing.lower),
        upper=finite(failing.upper),
        items=passing.n,
    )


def _mean(parts: list[tuple[float, Estimate]]) -> Estimate:
    """Return the weighted mean; an infinite bound of a part makes that of the mean infinite."""
    return Estimate(
        math.fsum(share * part.value for share, part in parts),
        math.fsum(share * part.lower for share, part in parts),
        math.fsum(share * part.upper for share, part in parts),
        min(part.n for _, part in parts),
    )

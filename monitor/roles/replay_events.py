"""Build the event of a run that ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from monitor.events.replay import (
    REPLAY_SEVERITIES,
    ReplayedTask,
    ReplayEvent,
    replay_event_id,
)
from monitor.roles.replay_plan import ReplayDetails, ReplayPlan
from replay.report.sentence import leading_task
from replay.report.summary import AbsoluteScore
from replay.results import ErrorReason, Verdict
from replay.runner.chunk import RunEnvironment
from replay.store.queue import Run
from replay.verdict.decision import Decision, TaskDecision


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended, and the numbers behind it.

    set_name, set_digest: of its items, with their version. absolute: scores of drifted items.
    environment: None if the run ended before its model was known.
    """

    verdict: Verdict
    reason: ErrorReason | None = None
    detail: str = ""
    decision: Decision | None = None
    absolute: tuple[AbsoluteScore, ...] = ()
    environment: RunEnvironment | None = None
    set_name: str = ""
    set_digest: str = ""


def replay_event(run: Run, result: Result | None = None) -> ReplayEvent:
    """Return the event of a finished run.

    result: None for a run that ended without a worker: cancelled, or claimed too often.
    """
    details = msgspec.convert(run.details, ReplayDetails)
    plan = msgspec.convert(run.plan, ReplayPlan)
    verdict = run.verdict or "error"
    finished = run.finished_at or run.created_at
    decision = None if result is None else result.decision
    numbers = {} if decision is None else _numbers(decision)
    return ReplayEvent(
        id=replay_event_id(run.id, verdict),
        run=run.id,
        model=run.model,
        verdict=verdict,
        severity=REPLAY_SEVERITIES[verdict],
        time=finished,
        trigger=run.trigger,
        alarm=run.alarm if run.trigger == "drift" else "",
        feature=details.feature,
        reason=run.reason if verdict == "error" else "",
        margin=plan.criteria.margin,
        alpha=plan.criteria.alpha,
        item_set="" if result is None else result.set_name,
        set_digest=run.set_digest if result is None else result.set_digest or run.set_digest,
        absolute=() if result is None else tuple(map(_absolute, result.absolute)),
        seconds=0.0 if run.started_at is None else max(0.0, finished - run.started_at),
        gpu_seconds=run.gpu_seconds,
        **numbers,
    )


def scores_event(run: Run, absolute: tuple[AbsoluteScore, ...]) -> ReplayEvent:
    """Return the numbers of a baseline, which has no event of its own, for the metrics."""
    return msgspec.structs.replace(replay_event(run), tasks=tuple(map(_absolute, absolute)))


def _numbers(decision: Decision) -> dict[str, Any]:
    """Return the fields of an event that follow from a decision."""
    first = _task(leading_task(decision))
    return {
        "flags": tuple(decision.flags),
        "tasks": tuple(map(_task, decision.tasks)),
        **{
            name: getattr(first, name)
            for name in first.__struct_fields__
            if name not in {"p_value"}
        },
    }


def _task(task: TaskDecision) -> ReplayedTask:
    """Return the numbers of a task. Its difference is turned so that a negative one is worse."""
    delta, lower, upper = task.difference, task.lower, task.upper
    if not task.higher_is_better:
        delta, lower, upper = (None if value is None else -value for value in (delta, upper, lower))
    return ReplayedTask(
        task=task.task,
        metric=task.metric,
        items=task.n,
        candidate=task.candidate_mean,
        baseline=task.baseline_mean,
        delta=delta,
        lower=lower,
        upper=upper,
        p_value=task.p_value,
        required=task.required_n,
    )


def _absolute(score: AbsoluteScore) -> ReplayedTask:
    return ReplayedTask(task=score.task, metric=score.metric, items=score.n, candidate=score.mean)

"""What a report describes: the run, its decision, and absolute scores of drifted items."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from msgspec.structs import replace
from scipy.stats import binomtest, t

from replay.results import ErrorReason, TaskScores, Verdict
from replay.verdict.decision import Decision
from replay.verdict.pairs import merge, usable


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A run, as far as a report names it.

    model: as in the log. candidate, baseline: what was compared, such as a model and its revision.
    verdict: of the run; `error` has a reason and a detail for a person.
    set_name, set_version, set_digest: the item set. alarm, alarm_id: sentence and id of the drift
    that triggered the run, empty for a run by hand. started, finished: epoch seconds.
    environment: versions, hardware, hash of the weights. It contains no secret.
    """

    run_id: str
    model: str
    verdict: Verdict
    candidate: str = ""
    baseline: str = ""
    reason: ErrorReason | None = None
    detail: str = ""
    set_name: str = ""
    set_version: str = ""
    set_digest: str = ""
    alarm: str = ""
    alarm_id: str = ""
    started: float | None = None
    finished: float | None = None
    environment: dict[str, str] = {}
    cost_usd: float = 0.0
    gpu_seconds: float = 0.0


class AbsoluteScore(msgspec.Struct, frozen=True, kw_only=True):
    """The candidate's score on items of the drifted window.

    There is no baseline for them, so that they are no statement about a regression.
    lower, upper: 95 % interval of the mean; None if it is not determined.
    """

    task: str
    metric: str
    n: int
    failed: int
    mean: float | None
    lower: float | None
    upper: float | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A report.

    decision: None if the run ended without one. drifted: absolute scores only.
    prompts: by item, of items that flipped; shown where there is one.
    """

    run: RunSummary
    decision: Decision | None = None
    drifted: tuple[AbsoluteScore, ...] = ()
    prompts: dict[str, str] = {}


def without_texts(report: Report) -> Report:
    """Return the report without prompts and responses, for readers who may not see them."""
    decision = report.decision
    if decision is not None:
        tasks = tuple(
            replace(
                task,
                flips=tuple(
                    replace(flip, baseline_response="", candidate_response="")
                    for flip in task.flips
                ),
            )
            for task in decision.tasks
        )
        decision = replace(decision, tasks=tasks)
    return replace(report, decision=decision, prompts={})


def absolute_scores(scores: Sequence[TaskScores]) -> tuple[AbsoluteScore, ...]:
    """Return the mean score of each task, without a comparison. Unusable answers are left out."""
    return tuple(_absolute(task) for task in merge(scores).values())


def _absolute(task: TaskScores) -> AbsoluteScore:
    values = np.array(
        [each.metrics[task.metric] for each in task.scores if usable(each, task.metric)]
    )
    n = len(values)
    mean, lower, upper = (float(values.mean()) if n else None), None, None
    if n and task.binary:
        found = binomtest(round(float(values.sum())), n).proportion_ci(method="wilson")
        lower, upper = float(found.low), float(found.high)
    elif n > 1:
        half = float(t.isf(0.025, n - 1)) * float(values.std(ddof=1)) / float(np.sqrt(n))
        lower, upper = float(values.mean()) - half, float(values.mean()) + half
    return AbsoluteScore(
        task=task.task,
        metric=task.metric,
        n=n,
        failed=len(task.scores) - n,
        mean=mean,
        lower=lower,
        upper=upper,
    )

"""The texts that the report has in Markdown and in HTML."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from replay.report.sentence import (
    amount_text,
    difference_text,
    interval_text,
    leading_task,
    number_text,
)
from replay.report.summary import AbsoluteScore, Report, RunSummary
from replay.verdict.decision import Decision, Flip, Method, SliceScores, TaskDecision

METHOD_TEXT: Final[dict[Method, str]] = {
    "tango": "Tango",
    "paired_t": "paired t",
    "cluster_t": "cluster t",
}
TASK_HEADINGS: Final = (
    "task",
    "metric",
    "items",
    "baseline",
    "candidate",
    "difference",
    "verdict",
    "p (Holm)",
    "McNemar p",
    "worse, better",
    "method",
)
SLICE_HEADINGS: Final = ("slice", "items", "baseline", "candidate", "difference", "")
DRIFTED_HEADINGS: Final = ("task", "metric", "items", "unusable", "mean score")
DRIFTED_NOTE: Final = (
    "These items come from the drifted traffic, and no baseline has answered them. Their scores"
    " are absolute: they show how the model answers the new traffic, and say nothing about a"
    " regression."
)
SLICE_NOTE: Final = (
    "Each interval is that of the slice alone, without a correction for the number of slices. It"
    " shows where to look; no slice has a verdict."
)


def meaning(report: Report) -> list[str]:
    """Return what the verdict means, and what it does not."""
    run, decision = report.run, report.decision
    if run.verdict == "error":
        text = "There is no verdict. An error of a run says nothing about the model."
        return [text, *([run.detail] if run.detail else [])]
    if run.verdict == "cancelled":
        return ["The run was cancelled before it had a verdict."]
    if decision is None:
        return ["Later runs are compared with the scores of this one; it has no verdict itself."]
    task = leading_task(decision)
    margin, alpha = amount_text(task.margin, task), f"{decision.criteria.alpha:.0%}"
    texts = {
        "regressed": f"The candidate answers worse than the baseline on the same items. Without a"
        f" drop, at most {alpha} of runs would say so.",
        "not_regressed": f"A drop of {margin} or more is excluded: at such a drop, at most {alpha}"
        " of runs would say so.",
        "inconclusive": f"Neither is proven: that the candidate is worse, or that a drop is smaller"
        f" than {margin}.",
    }
    return [texts[decision.verdict], *notes(decision)]


def notes(decision: Decision) -> list[str]:
    """Return what a reader must know about the numbers."""
    found = []
    for task in decision.tasks:
        name = f"{task.task}: " if len(decision.tasks) > 1 else ""
        if "small_drop" in task.flags:
            found.append(f"{name}a drop is proven, and it is smaller than the margin.")
        if task.required_n is not None:
            found.append(f"{name}{needed_text(task, decision)}")
        if "failed_answers" in task.flags:
            found.append(
                f"{name}unusable answers: {task.failed:,} of the candidate,"
                f" {task.baseline_failed:,} of the baseline; their items are left out."
            )
        if task.method == "cluster_t":
            found.append(
                f"{name}{task.n:,} items in {task.clusters:,} clusters; the clusters are compared."
            )
    if "stopped_early" in decision.flags:
        planned = sum(task.planned for task in decision.tasks)
        answered = sum(task.n for task in decision.tasks)
        found.append(
            f"The run stopped after {answered:,} of {planned:,} items. The intervals allow for the"
            f" {decision.looks:,} looks, and are wider than at the planned end."
        )
    return found


def needed_text(task: TaskDecision, decision: Decision) -> str:
    """Return how many items an inconclusive task would take."""
    required = task.required_n or 0
    if "few_items" in task.flags:
        least = decision.criteria.min_items
        return f"{task.n:,} items are fewer than the {least:,} that a verdict needs at least."
    return f"about {required:,} items would decide, {required - task.n:,} more than there are."


def facts(report: Report) -> dict[str, str]:
    """Return the facts of the run by name, without empty ones."""
    run, decision = report.run, report.decision
    version = f"{run.set_name} {run.set_version}".strip()
    found = {
        "run": run.run_id,
        "model": run.model,
        "candidate": run.candidate,
        "baseline": run.baseline,
        "item set": f"{version}, digest {run.set_digest}" if run.set_digest else version,
        "alarm": f"{run.alarm} ({run.alarm_id})" if run.alarm_id and run.alarm else run.alarm,
        "started": time_text(run.started),
        "finished": time_text(run.finished),
        "GPU time": f"{run.gpu_seconds:,.0f} s" if run.gpu_seconds else "",
        "costs": f"{run.cost_usd:,.2f} USD" if run.cost_usd else "",
    }
    if decision is not None:
        criteria = decision.criteria
        found["criteria"] = (
            f"margin {criteria.margin:g}, alpha {criteria.alpha:g} in each direction, at least"
            f" {criteria.min_items:,} items, at most {criteria.max_failed:.0%} unusable answers"
        )
        found["looks"] = f"{decision.looks:,}" if decision.looks else "one, at the end"
    environment = {name: text for name, text in run.environment.items() if name not in found}
    return {name: text for name, text in found.items() if text} | environment


def time_text(time: float | None) -> str:
    """Return a time in UTC, "" if it is unknown."""
    if time is None:
        return ""
    try:
        return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return ""


def task_row(task: TaskDecision) -> tuple[str, ...]:
    """Return the cells of a task, as in TASK_HEADINGS."""
    return (
        task.task,
        task.metric,
        f"{task.n:,}" + (f" of {task.planned:,}" if task.n < task.planned else ""),
        score_text(task.baseline_mean, task.bounded),
        score_text(task.candidate_mean, task.bounded),
        difference_text(task),
        task.verdict.replace("_", " "),
        p_text(task.p_adjusted),
        "-" if task.mcnemar is None else p_text(task.mcnemar),
        f"{task.lost:,}, {task.gained:,}",
        METHOD_TEXT[task.method],
    )


def slice_row(each: SliceScores, bounded: bool) -> tuple[str, ...]:
    """Return the cells of a slice, as in SLICE_HEADINGS."""
    interval = interval_text(each.lower, each.upper, bounded)
    return (
        f"{each.dimension}: {each.value}",
        f"{each.n:,}",
        score_text(each.baseline_mean, bounded),
        score_text(each.candidate_mean, bounded),
        f"{number_text(each.difference, bounded)} ({interval})",
        "few items" if each.few else "",
    )


def drifted_row(each: AbsoluteScore) -> tuple[str, ...]:
    """Return the cells of an absolute score, as in DRIFTED_HEADINGS."""
    mean = "-" if each.mean is None else f"{each.mean:.3g}"
    if each.lower is not None and each.upper is not None:
        mean += f" ({each.lower:.3g} to {each.upper:.3g})"
    return each.task, each.metric, f"{each.n:,}", f"{each.failed:,}", mean


def flip_title(flip: Flip) -> str:
    """Return the change of an item's score."""
    change = "worse" if flip.loss > 0 else "better"
    return f"{change}: {flip.baseline:.3g} to {flip.candidate:.3g}"


def flips_left_out(task: TaskDecision) -> str:
    """Return how many items that changed are not shown, "" if all are."""
    count = task.flips_left_out
    return f"{count:,} more items changed and are not shown." if count else ""


def score_text(value: float | None, bounded: bool) -> str:
    """Return a mean score: in percent if it is from 0 to 1."""
    if value is None:
        return "-"
    return f"{100 * value:.1f} %" if bounded else f"{value:.4g}"


def p_text(value: float) -> str:
    """Return a p-value."""
    return "< 0.0001" if value < 0.0001 else f"{value:.2g}"


def title(run: RunSummary) -> str:
    """Return the title of the report."""
    return f"Replay of {run.model}"

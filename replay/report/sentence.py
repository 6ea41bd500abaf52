"""The verdict in one line, for notifications, logs and pages, and the texts of its numbers."""

from __future__ import annotations

from typing import Final

from monitor.events.wording.drift import printable
from replay.report.summary import RunSummary
from replay.results import Verdict
from replay.verdict.decision import Decision, TaskDecision

MAX_NAME: Final = 60
"""Characters of a name in a sentence."""
VERDICT_TEXT: Final[dict[Verdict, str]] = {
    "regressed": "regressed",
    "not_regressed": "not regressed",
    "inconclusive": "inconclusive",
    "cancelled": "cancelled",
    "error": "error",
}


def sentence(run: RunSummary, decision: Decision | None = None) -> str:
    """Return the verdict in one line.

    Such as "replay: regressed, exact match -6.2 points (-9.1 to -3.4), 312 items". Of several tasks
    it names the one that the verdict follows from.
    """
    if run.verdict == "inconclusive" and decision is None:
        return "replay: scores of a baseline, compared with nothing"
    text = f"replay: {VERDICT_TEXT[run.verdict]}"
    if run.verdict == "error":
        return f"{text}, {name_text(run.reason or 'failed')}"
    if run.verdict == "cancelled" or decision is None:
        return text
    task = leading_task(decision)
    if run.verdict == "not_regressed":
        text += f" by {amount_text(task.margin, task)} or more"
        if "small_drop" in task.flags:
            text += " (a smaller drop is proven)"
    text += f", {task_text(task)}"
    if len(decision.tasks) > 1:
        text += f", in task {name_text(task.task)} (of {len(decision.tasks)})"
    if run.verdict == "inconclusive" and task.required_n is not None:
        text += f"; about {task.required_n - task.n:,} more needed"
    return text


def leading_task(decision: Decision) -> TaskDecision:
    """Return the task of the decision's verdict with the largest drop, in margins."""
    deciding = [task for task in decision.tasks if task.verdict == decision.verdict]
    return max(deciding or decision.tasks, key=lambda task: drop(task) / task.margin)


def drop(task: TaskDecision) -> float:
    """Return how much worse the candidate is; 0 without pairs."""
    difference = task.difference or 0.0
    return -difference if task.higher_is_better else difference


def task_text(task: TaskDecision) -> str:
    """Return metric, difference, interval and items of a task."""
    items = "1 item" if task.n == 1 else f"{task.n:,} items"
    if task.difference is None:
        return f"{name_text(task.metric)}, {items}"
    return f"{name_text(task.metric)} {difference_text(task)}, {items}"


def difference_text(task: TaskDecision) -> str:
    """Return the difference with its interval, such as "-6.2 points (-9.1 to -3.4)"."""
    if task.difference is None:
        return "-"
    unit = " points" if task.bounded else ""
    text = f"{number_text(task.difference, task.bounded)}{unit}"
    return f"{text} ({interval_text(task.lower, task.upper, task.bounded)})"


def interval_text(lower: float | None, upper: float | None, bounded: bool) -> str:
    """Return an interval, such as "-9.1 to -3.4"; "?" for a bound that is not determined."""
    ends = ("?" if end is None else number_text(end, bounded) for end in (lower, upper))
    return " to ".join(ends)


def number_text(value: float, bounded: bool) -> str:
    """Return a difference in points, or in the metric's unit if it is not from 0 to 1."""
    if not bounded:
        return f"{value:.3g}"
    text = f"{100 * value:.1f}"
    return "0.0" if text == "-0.0" else text


def amount_text(value: float, task: TaskDecision) -> str:
    """Return an amount without a sign, such as "5 points"."""
    return f"{100 * value:.4g} points" if task.bounded else f"{value:.4g}"


def name_text(name: str) -> str:
    """Return the name of a metric, task or reason as words; it may be hostile."""
    text = printable(name.replace("_", " "))
    return text if len(text) <= MAX_NAME else f"{text[: MAX_NAME - 3]}..."

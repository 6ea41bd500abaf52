"""The text of an experiment event: one sentence for log lines and notifications."""

from __future__ import annotations

import math

from monitor.events.findings.experiments import ExperimentEvent
from monitor.events.wording.drift import number_text, printable

MAX_VARIANTS = 6
"""Variants that a sentence names; further ones are counted."""
_MAX_NAME_CHARS = 60


def experiment_sentence(event: ExperimentEvent) -> str:
    """Return the event as one sentence: the experiment, what was found, and the numbers."""
    text = {"verdict": _verdict, "srm": _mismatch, "guardrail": _harm}[event.kind](event)
    return printable(f"Experiment {_name(event.experiment)}: {text}")


def percent(value: float | None) -> str:
    """Return a relative effect with its sign; "unknown" without one."""
    if value is None or not math.isfinite(value):
        return "unknown"
    digits = 0 if abs(value) >= 0.995 else 1 if abs(value) >= 0.01 else 2
    return f"{100 * value:+,.{digits}f} %"


def share(value: float | None) -> str:
    """Return a share or a margin in percent, without a sign."""
    if value is None or not math.isfinite(value):
        return "unknown"
    return f"{number_text(100 * value, 3)} %"


def interval(lower: float | None, upper: float | None) -> str:
    """Return an interval of relative effects; an end without a bound is "no bound"."""
    ends = (
        "no bound" if end is None or not math.isfinite(end) else percent(end)
        for end in (lower, upper)
    )
    return " to ".join(ends)


def p_text(p_value: float | None) -> str:
    """Return a p-value."""
    if p_value is None:
        return "p unknown"
    return "p < 0.0001" if p_value < 1e-4 else f"p {number_text(p_value, 2)}"


def _verdict(event: ExperimentEvent) -> str:
    variant, control, metric = map(_name, (event.variant, event.control, event.metric))
    numbers = f"{metric} {percent(event.effect)} ({interval(event.lower, event.upper)})"
    if event.outcome == "no_difference":
        found = f"{variant} and {control} do not differ by more than {share(event.mde)}: {numbers}"
    else:
        found = f"{variant} is {event.outcome} than {control}: {numbers}, {p_text(event.p_value)}"
    return f"{found}; {_users(event)}. This verdict stays"


def _mismatch(event: ExperimentEvent) -> str:
    total = sum(event.users.values())
    shares = [
        f"{_name(name)} {users:,} users, planned {round(total * event.expected.get(name, 0.0)):,}"
        for name, users in list(event.users.items())[:MAX_VARIANTS]
    ]
    effect = {
        "warn": "check the assignment before you trust a result",
        "block": "verdicts are blocked, and the results cannot be trusted",
    }.get(event.outcome, "")
    split = "; ".join(shares)
    return (
        "the split of users differs from the plan (sample ratio mismatch,"
        f" {p_text(event.p_value)}): {split}; {effect}"
    )


def _harm(event: ExperimentEvent) -> str:
    variant, control, metric = map(_name, (event.variant, event.control, event.metric))
    return (
        f"{variant} is worse than {control} in the guardrail {metric}: {percent(event.effect)}"
        f" ({interval(event.lower, event.upper)}), accepted {share(event.mde)}; {_users(event)}"
    )


def _users(event: ExperimentEvent) -> str:
    counts = [event.users.get(name) for name in (event.control, event.variant)]
    known = [f"{count:,}" for count in counts if count is not None]
    return f"{' and '.join(known)} users" if known else "unknown number of users"


def _name(name: str) -> str:
    """Return a name from the configuration or a log, shortened."""
    if len(name) <= _MAX_NAME_CHARS:
        return name
    return name[: _MAX_NAME_CHARS - 1] + "\N{HORIZONTAL ELLIPSIS}"

"""The words of a card: verdicts, reasons, and what to consider before a result is trusted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

from monitor.events.wording.drift import number_text, printable
from monitor.events.wording.experiments import interval, p_text, percent, share
from monitor.experiments.decisions.result import Arm, Comparison, Guardrail, Result

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
LARGE_BUCKET: Final = 0.05
"""Share of requests of 1 of 1,024 buckets of users from which the card names it."""
MIX: Final = 0.1
"""Relative difference of requests per user, or of coverage, from which the card names it."""
SEVERAL: Final = 0.01
"""Share of users in several variants from which the card names it."""
MANY: Final = 0.1
"""The same from which it puts the verdicts in doubt."""
LARGE_SUM: Final = 0.5
"""Share of the sum of a metric in one bucket from which the card names it."""
LATE_HOURS: Final = 1.0
LATE_SHARE: Final = 0.1
"""Hours, and share of those of the control, from which the card names a later start."""
_LEAST_REQUESTS: Final = 1_000

_WAITING: Final = {
    "burn_in": "fewer than 100 effective users in this variant or the control",
    "near_zero": "the mean of the goal cannot be told from zero yet, so that it has no relative"
    " effect",
    "no_spread": "the values of the goal are all alike, or too large to compute with",
    "min_users": "fewer users than min_users",
    "min_hours": "runs for less than min_hours",
    "sample_ratio": "the split of users differs from the plan, which blocks verdicts",
    "stopped": "the variant was stopped before a verdict",
    "no_values": "the goal has no values yet in this variant or in the control",
    "evidence": "the data do not decide yet",
}


def count(number: int, noun: str) -> str:
    """Return a number with its noun, which is regular."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def users_text(arm: Arm) -> str:
    """Return the users and requests of an arm."""
    text = f"{count(arm.users, 'user')}, {count(arm.requests, 'request')}"
    return (
        text if arm.requests_per_user is None else f"{text}, {arm.requests_per_user:.1f} per user"
    )


def verdict_text(result: Result, arm: Arm) -> str:
    """Return the verdict of a variant in words."""
    finding, rest = verdict_parts(result, arm)
    return finding + rest


def verdict_parts(result: Result, arm: Arm) -> tuple[str, str]:
    """Return the verdict of a variant in words: the finding, and the rest of the headline."""
    doubt = ", in doubt: the split of users differs from the plan now" if arm.in_doubt else ""
    if arm.verdict == "no_difference":
        mde = arm.decision.criteria.mde if arm.decision else result.criteria.mde
        return f"no difference larger than {share(mde)}", doubt
    if arm.verdict == "not_yet":
        return "not yet", doubt
    return arm.verdict, f" than {result.control}{doubt}"


def decided_text(result: Result, arm: Arm) -> str:
    """Return since when a verdict stands and by what, or why there is none and how long it takes.

    The days to go assume today's traffic and that the effect stays as it is.
    """
    decision = arm.decision
    if decision is None:
        reasons = "; ".join(_WAITING[reason] for reason in arm.waiting) or _WAITING["evidence"]
        users = "" if arm.n_eff is None else f"; {arm.n_eff:,.0f} effective users"
        return f"{reasons}{users}{_days(arm.days_to_go)}"
    rule = "" if decision.rule == "sequence" else " by the fixed test at the planned end"
    numbers = f"{percent(decision.effect)} ({interval(decision.lower, decision.upper)})"
    return (
        f"decided {time_text(decision.time)}{rule}: {result.goal} {numbers},"
        f" {p_text(decision.p_value)}; the verdict stays"
    )


def _days(days: float | None) -> str:
    if days is None or not math.isfinite(days):
        return ""
    if days < 1:
        return "; less than a day to go at today's traffic"
    rounded = round(days)
    return f"; about {rounded:,} {'day' if rounded == 1 else 'days'} to go at today's traffic"


def comparison_verdict(each: Comparison) -> str:
    """Return the finding of a metric in words."""
    if each.guardrail is not None:
        return guardrail_text(each.guardrail)
    if each.verdict == "no_difference":
        return f"no difference larger than {share(each.mde)}"
    return each.verdict.replace("_", " ")


def guardrail_text(guardrail: Guardrail) -> str:
    """Return the state of a guardrail in words."""
    margin = share(guardrail.margin)
    if guardrail.harm is not None:
        return f"worse, but by less than {margin}" if guardrail.safe is not None else "harm"
    return f"safe: not worse by {margin}" if guardrail.safe is not None else "not yet"


def is_breached(guardrail: Guardrail | None) -> bool:
    """Return whether a guardrail is breached: worse, and not certainly within its margin."""
    return guardrail is not None and guardrail.harm is not None and guardrail.safe is None


def breached_text(result: Result, variant: str) -> str:
    """Return which guardrails a variant breaches, "" if none."""
    names = [
        each.metric
        for each in result.comparisons
        if each.variant == variant and is_breached(each.guardrail)
    ]
    return printable(f"Breached guardrails: {', '.join(names)}") if names else ""


def mean_text(value: float | None) -> str:
    """Return a mean with three digits."""
    return "-" if value is None else number_text(value, 3)


def effect_text(each: Comparison) -> str:
    """Return an effect with its interval, or why there is none."""
    if each.problem and each.lower is None and each.upper is None:
        return each.problem
    return f"{percent(each.effect)} ({interval(each.lower, each.upper)})"


def time_text(time: float | None) -> str:
    """Return an event time in UTC."""
    if time is None:
        return "unknown"
    try:
        return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, ValueError, OSError):
        return "unknown"


def srm_text(result: Result) -> str:
    """Return how the split of users compares with the plan."""
    srm = result.srm
    total = sum(srm.users.values())
    parts = [
        f"{name} {users / total:.1%} (planned {srm.expected[name]:.1%})"
        for name, users in srm.users.items()
        if total
    ]
    split = ", ".join(parts) or "no users yet"
    found = {
        "ok": "as planned",
        "warn": "may differ from the plan",
        "block": "differs from the plan; verdicts are blocked",
    }[srm.status]
    return f"Split of users {found}: {split}; {p_text(srm.p_value)}"


def doubts(result: Result) -> list[str]:
    """Return what puts all verdicts in doubt; it is shown before them."""
    found = [] if result.srm.status == "ok" else [srm_text(result)]
    if _several_share(result) >= MANY:
        found.append(f"{_several_text(result)}, so that the variants are not separate groups")
    return [printable(text) for text in found]


def cautions(result: Result) -> list[str]:
    """Return what else to consider before the result is trusted, the most serious first."""
    found = _missing_records(result)
    if SEVERAL <= _several_share(result) < MANY:
        found.append(_several_text(result))
    if result.disagreements:
        number = count(result.disagreements, "exposure")
        found.append(f"{number} with another variant than the one that the hash assigns")
    if result.other_variants:
        number = count(result.other_variants, "exposure")
        found.append(f"{number} with a variant that is not declared")
    for arm in result.arms:
        found += _arm_cautions(result, arm)
    found += [text for each in result.comparisons if (text := _coverage(each))]
    sums = [text for each in result.comparisons for text in _large_sums(result, each)]
    found += dict.fromkeys(sums)  # the control is compared several times
    if result.ignored:
        names = ", ".join(result.ignored)
        found.append(f"changed in the configuration, but not before the next phase: {names}")
    if missing := _missing_days(result):
        found.append(f"no traffic yet on {missing}: users of other days may differ")
    return [printable(text) for text in found]


def _several_share(result: Result) -> float:
    users = sum(arm.users for arm in result.arms)
    return result.in_several_arms / users if users else 0.0


def _several_text(result: Result) -> str:
    text = f"{count(result.in_several_arms, 'user')} ({_several_share(result):.1%})"
    return f"{text} {'was' if result.in_several_arms == 1 else 'were'} seen in several variants"


def _missing_records(result: Result) -> list[str]:
    """Return which records of the experiment do not count, or that there are none."""
    found = []
    if result.without_unit:
        found.append(f"{result.without_unit:,} records of the experiment have no {result.unit}")
    elif result.exposures == 0:
        hashed = result.assignment == "hash"
        found.append(
            "no user is assigned to this experiment"
            if hashed
            else "no record names this experiment"
        )
    if result.exposures and not sum(arm.requests for arm in result.arms):
        found.append("no record of the experiment has a declared variant after its start")
    return found


def _arm_cautions(result: Result, arm: Arm) -> list[str]:
    found = []
    if arm.largest_bucket is not None and arm.largest_bucket >= LARGE_BUCKET:
        found.append(
            f"{arm.variant}: one of 1,024 groups of users sends {arm.largest_bucket:.0%} of the"
            " requests, so that intervals can be too narrow"
        )
    if text := _late_start(result, arm):
        found.append(text)
    control, mix = result.arms[0].requests_per_user, arm.requests_per_user
    enough = min(arm.requests, result.arms[0].requests) >= _LEAST_REQUESTS
    if control and mix and enough and abs(mix / control - 1) >= MIX:
        found.append(
            f"{arm.variant}: {mix:.1f} requests per user, the control {control:.1f}; means over"
            " requests move with this mix"
        )
    return found


def _late_start(result: Result, arm: Arm) -> str:
    """Return that a variant started later than the control."""
    late = result.arms[0].hours - arm.hours
    if not arm.users or late < LATE_HOURS or late < LATE_SHARE * result.arms[0].hours:
        return ""
    return (
        f"{arm.variant}: started {late:,.0f} hours after the control, which has users of other"
        " days; begin a new phase to compare them"
    )


def _coverage(each: Comparison) -> str:
    """Return that the share of requests with a value differs between the arms."""
    if not each.share or not each.control_share or each.n < _LEAST_REQUESTS:
        return ""
    if abs(each.share / each.control_share - 1) < MIX:
        return ""
    return (
        f"{each.variant}: {each.share:.1%} of the requests have {each.metric}, in the control"
        f" {each.control_share:.1%}; the compared requests may not be alike"
    )


def _large_sums(result: Result, each: Comparison) -> Iterator[str]:
    """Yield the arms in which one bucket has most of the sum of a metric."""
    parts = (each.variant, each.largest_sum), (result.control, each.control_largest_sum)
    for variant, part in parts:
        if part is not None and part >= LARGE_SUM and each.n >= _LEAST_REQUESTS:
            yield (
                f"{variant}: one of 1,024 groups of users has {part:.0%} of the sum of"
                f" {each.metric}; look for a value that is too large"
            )


def _missing_days(result: Result) -> str:
    """Return the days of the week that some arm has no exposure on."""
    seen = [set(arm.weekdays) for arm in result.arms if not arm.stopped and arm.users]
    if not seen:
        return ""
    missing = sorted(set(range(7)).difference(seen[0].intersection(*seen[1:])))
    runs: list[list[int]] = [missing[:1]]
    for before, day in pairwise(missing):
        if day == before + 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    names = [
        DAYS[run[0]] if len(run) == 1 else f"{DAYS[run[0]]} to {DAYS[run[-1]]}"
        for run in runs
        if run
    ]
    return ", ".join(names)

"""The verdict of an arm by the goal: when there is one, it stays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from monitor.experiments.decisions.comparisons import Measured, finite, is_better, is_equal
from monitor.experiments.decisions.result import Criteria, Decision, Point, Rule, Verdict, Waiting
from monitor.experiments.decisions.state import Declared
from monitor.experiments.design import CONTROL, Design, Metric, Scale
from monitor.experiments.sequential.mixture import BURN_IN, planned_alphas
from monitor.experiments.sequential.multiple import goal_alpha
from monitor.experiments.sums.look import LookData

HOUR = 3_600.0
DAY = 86_400.0


def declared(design: Design) -> Criteria:
    """Return the criteria that a phase declares when it begins."""
    alpha = design.alpha if design.planned_users is None else planned_alphas(design.alpha)[0]
    return Criteria(
        goal=design.goal.name,
        direction=design.goal.direction,
        alpha=design.alpha,
        level=goal_alpha(alpha, len(design.variants)),
        mde=design.goal.mde,
        min_users=design.min_users,
        min_hours=design.min_hours,
        planned_users=design.planned_users,
    )


def metrics_of(design: Design) -> dict[str, Declared]:
    """Return what a phase declares of its metrics when it begins, by name."""
    return {each.name: Declared(each.direction, each.mde) for each in design.metrics}


def in_force(design: Design, criteria: Criteria, metrics: Mapping[str, Declared]) -> Design:
    """Return the design with what was declared when its phase began.

    Criteria that change after the data were seen would give verdicts without the declared error
    rate, and a finding that stays, such as "safe", would be shown with a margin that it was not
    tested at. A goal that the design no longer has gets no values.
    """

    def declared_of(metric: Metric) -> Metric:
        kept = metrics.get(metric.name)
        return (
            replace(metric, direction=kept.direction, mde=kept.mde) if kept is not None else metric
        )

    by_name = {metric.name: metric for metric in design.metrics}
    absent = Metric(criteria.goal, criteria.goal, Scale.MEAN, criteria.direction, criteria.mde)
    goal = by_name.get(criteria.goal, absent)
    secondary = tuple(m for m in (design.goal, *design.secondary) if m.name != criteria.goal)
    return replace(
        design,
        goal=replace(goal, direction=criteria.direction, mde=criteria.mde),
        secondary=tuple(declared_of(metric) for metric in secondary),
        guardrails=tuple(declared_of(metric) for metric in design.guardrails),
        alpha=criteria.alpha,
        min_users=criteria.min_users,
        min_hours=criteria.min_hours,
        planned_users=criteria.planned_users,
    )


def ignored(configured: Design, criteria: Criteria, metrics: Mapping[str, Declared]) -> list[str]:
    """Return what the configuration has changed, and is not in force until the next phase."""
    now = declared(configured)
    names = ("goal", "direction", "alpha", "mde", "min_users", "min_hours", "planned_users")
    changed = [name for name in names if getattr(now, name) != getattr(criteria, name)]
    for name, each in metrics_of(configured).items():
        kept = metrics.get(name, each)
        if name != now.goal:  # whose direction and mde are those of the criteria
            fields = ("direction", "mde")
            changed += [f"{f} of {name}" for f in fields if getattr(each, f) != getattr(kept, f)]
    return changed


def reasons_to_wait(
    design: Design, data: LookData, arm: int, measured: Measured, hours: float, *, blocked: bool
) -> tuple[Waiting, ...]:
    """Return why an arm can have no verdict at this look. blocked: by a sample ratio mismatch."""
    found, reasons = measured.estimate, list[Waiting]()
    if blocked:
        reasons.append("sample_ratio")
    if design.variants[arm] in design.stopped:
        reasons.append("stopped")
    if not (found.requests > 0 and found.control_requests > 0):
        reasons.append("no_values")
    elif not found.ready:
        reasons.append(not_ready(measured))
    if min(data.users[arm], data.users[CONTROL]) < design.min_users:
        reasons.append("min_users")
    if hours < design.min_hours:
        reasons.append("min_hours")
    return tuple(reasons)


def not_ready(measured: Measured) -> Waiting:
    """Return why an arm with values has no evidence at this look."""
    if not measured.estimate.n_eff >= BURN_IN:
        return "burn_in"
    return "near_zero" if measured.track.tau is None else "no_spread"


def verdict_now(
    design: Design, criteria: Criteria, measured: Measured, *, final: bool
) -> tuple[Verdict, Rule] | None:
    """Return the verdict that the evidence of this look gives, and by what rule.

    The evidence of this look counts and not the largest so far, because an earlier look may have
    pointed in the other direction while a criterion was not met.

    final: whether this is the look of the fixed test at the planned end.
    """
    found = measured.estimate
    if found.ln_e >= math.log(1 / criteria.level):
        return ("better" if is_better(found) else "worse"), "sequence"
    if final and found.fixed_p_value <= goal_alpha(
        planned_alphas(criteria.alpha)[1], len(design.variants)
    ):
        return ("better" if is_better(found) else "worse"), "planned_end"
    return ("no_difference", "sequence") if is_equal(found, criteria.mde) else None


def decision(
    design: Design,
    criteria: Criteria,
    data: LookData,
    variant: str,
    measured: Measured,
    found: tuple[Verdict, Rule],
) -> Decision:
    """Return the verdict with its evidence at this look."""
    numbers = measured.estimate
    verdict, rule = found
    p_value = numbers.fixed_p_value if rule == "planned_end" else numbers.p_value
    return Decision(
        variant=variant,
        verdict=verdict,
        rule=rule,
        time=data.time,
        criteria=criteria,
        mean=finite(numbers.mean),
        control_mean=finite(numbers.control_mean),
        effect=finite(numbers.effect),
        lower=finite(numbers.lower),
        upper=finite(numbers.upper),
        p_value=p_value,
        log_evidence=numbers.ln_e,
        n_eff=finite(numbers.n_eff),
        users=dict(zip(design.variants, data.users, strict=True)),
    )


def days_to_go(
    design: Design, data: LookData, arm: int, measured: Measured, hours: float
) -> float | None:
    """Return the days until a verdict is expected at today's traffic, if the effect is as now.

    The longest of the times until the data decide, until both arms have min_users, and until
    min_hours. hours: in which both arms had users. None if one of them is unknown.
    """
    found = measured.estimate
    if not found.ready or data.first_time is None or not math.isfinite(found.decide_factor):
        return None
    users = min(data.users[arm], data.users[CONTROL])
    start = _day_before(measured.track.points, data.time, data.first_time)
    elapsed = data.time - start.time
    requests = found.requests + found.control_requests
    times = (
        _time_to(found.decide_factor, found.information, start.information or 0.0, elapsed),
        _time_to(
            design.min_users / users if users else math.inf, requests, start.requests, elapsed
        ),
        max(0.0, design.min_hours - hours) * HOUR,
    )
    days = max(times) / DAY
    return days if math.isfinite(days) else None


def _day_before(points: tuple[Point, ...], time: float, first_time: float) -> Point:
    """Return the newest kept look that is a day old, or the beginning."""
    start = Point(first_time, 0, None, None, None, 0.0)
    for point in points:
        if point.time > time - DAY:
            break
        start = point
    return start


def _time_to(factor: float, now: float, before: float, elapsed: float) -> float:
    """Return the seconds until a sum is `factor` times as large as now.

    before: the sum, `elapsed` seconds ago. 0 if it is as large already, inf if it does not grow.
    """
    if factor <= 1:
        return 0.0
    gained = now - before
    return (factor - 1) * now * elapsed / gained if gained > 0 and elapsed > 0 else math.inf

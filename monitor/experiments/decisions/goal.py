"""The verdict of an arm by the goal: when there is one, it stays."""

from __future__ import annotations

import math
from dataclasses import replace

from monitor.experiments.decisions.comparisons import Measured, finite, is_better, is_equal
from monitor.experiments.decisions.result import Criteria, Decision, Point, Rule, Verdict, Waiting
from monitor.experiments.design import CONTROL, Design, Metric, Scale
from monitor.experiments.sequential.mixture import planned_alphas
from monitor.experiments.sequential.multiple import goal_alpha
from monitor.experiments.sums.look import LookData

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


def in_force(design: Design, criteria: Criteria) -> Design:
    """Return the design with the criteria declared when its phase began.

    Criteria that change after the data were seen would give verdicts without the declared error
    rate. A goal that the design no longer has gets no values.
    """
    metrics = {metric.name: metric for metric in design.metrics}
    absent = Metric(criteria.goal, criteria.goal, Scale.MEAN, criteria.direction, criteria.mde)
    goal = metrics.get(criteria.goal, absent)
    secondary = tuple(m for m in (design.goal, *design.secondary) if m.name != criteria.goal)
    return replace(
        design,
        goal=replace(goal, direction=criteria.direction, mde=criteria.mde),
        secondary=secondary,
        alpha=criteria.alpha,
        min_users=criteria.min_users,
        min_hours=criteria.min_hours,
        planned_users=criteria.planned_users,
    )


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
        reasons.append("burn_in")
    if min(data.users[arm], data.users[CONTROL]) < design.min_users:
        reasons.append("min_users")
    if hours < design.min_hours:
        reasons.append("min_hours")
    return tuple(reasons)


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


def days_to_go(measured: Measured, time: float, first_time: float | None) -> float | None:
    """Return the days until a verdict is expected at today's traffic, if the effect is as now.

    Today's traffic is the growth of the information since the newest kept look that is a day old,
    or since the beginning. None if the burn-in lasts, or nothing is added.
    """
    found = measured.estimate
    if not found.ready or first_time is None or not math.isfinite(found.decide_factor):
        return None
    start = Point(first_time, 0, None, None, None, 0.0)
    for point in measured.track.points:
        if point.time > time - DAY:
            break
        start = point
    gained, elapsed = found.information - (start.information or 0.0), time - start.time
    if gained <= 0 or elapsed <= 0:
        return None
    return (found.decide_factor - 1) * found.information * elapsed / gained / DAY

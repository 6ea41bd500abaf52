"""Users and days of an experiment, with a fixed test and with sequential ones side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isfinite
from typing import Final

from monitor.experiments.planning.baseline import Baseline
from monitor.experiments.planning.stopping import factors, fixed_information
from monitor.experiments.sequential.mixture import BURN_IN
from monitor.experiments.sequential.multiple import goal_alpha

MAX_USERS: Final = 1e12
"""Largest plan: more users than there are."""
MIN_PER_DAY: Final = 0.001
MIN_ALPHA: Final = 1e-9
MAX_ALPHA: Final = 0.5
MAX_POWER: Final = 0.9999


@dataclass(frozen=True, slots=True)
class Duration:
    """Users of the whole experiment, and days where the traffic is known."""

    users: int
    days: float | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What an experiment needs to find an effect with a power.

    effect: relative. change: the same in the unit of the metric; None of a geometric mean.
    alpha: of each arm's comparison with the control. weights: shares of the users; of several arms
    the smallest decides.
    fixed: one test at the end, no look before. sequential: a verdict with this power while looking
    at any time. expected: mean until the verdict of the sequential test. planned_end: looks at any
    time with a fifth of alpha, and one fixed test at this end; planned_end_expected: its mean.
    burn_in: users before which there is no verdict; sequential figures are not below it.
    """

    effect: float
    change: float | None
    power: float
    alpha: float
    weights: tuple[float, ...]
    fixed: Duration
    sequential: Duration
    expected: Duration
    planned_end: Duration
    planned_end_expected: Duration
    burn_in: Duration


def plan(
    baseline: Baseline,
    effect: float,
    *,
    power: float = 0.8,
    alpha: float = 0.05,
    weights: Sequence[float] = (0.5, 0.5),
    users_per_day: float | None = None,
) -> Plan:
    """Return the users and days that an experiment needs.

    effect: smallest relative effect that matters, such as .05 or -.05; it is also the true one.
    alpha: of the whole experiment. weights: of the arms, the control first; normalised.
    users_per_day: new users of the experiment each day, over all arms.

    A fixed test needs (z_alpha/2 + z_power)^2 (v_A / w_A + v_B / w_B) / difference^2 users.
    """
    try:
        return _plan(baseline, effect, power, alpha, weights, users_per_day)
    except ArithmeticError:
        raise ValueError("these numbers are too large or too small to plan with") from None


def _plan(
    baseline: Baseline,
    effect: float,
    power: float,
    alpha: float,
    weights: Sequence[float],
    users_per_day: float | None,
) -> Plan:
    shares = _check(baseline, effect, power, alpha, weights)
    if users_per_day is not None and not (isfinite(users_per_day) and users_per_day > 0):
        raise ValueError(f"users per day must be a positive number, not {users_per_day}")
    if users_per_day is not None and users_per_day < MIN_PER_DAY:
        raise ValueError(f"users per day must be at least {MIN_PER_DAY}; the days have no end")
    level = goal_alpha(alpha, len(shares))
    arm = min(shares[1:])
    variance = baseline.variance / shares[0] + baseline.variance_of_arm(effect) / arm
    needed = fixed_information(level, power) * variance / baseline.difference(effect) ** 2
    burn_in = BURN_IN * baseline.users.per_effective / min(shares)
    factor = factors(level, power)
    most = max(needed * factor.power, burn_in)
    if not most <= MAX_USERS:
        raise ValueError(
            f"the plan needs more than {MAX_USERS:.0e} users; a larger effect, a larger share of"
            " users or less spread needs fewer"
        )

    def duration(users: float) -> Duration:
        whole = ceil(users)
        return Duration(whole, None if users_per_day is None else whole / users_per_day)

    return Plan(
        effect=effect,
        change=None if baseline.logarithm else baseline.difference(effect),
        power=power,
        alpha=level,
        weights=shares,
        fixed=duration(needed),
        sequential=duration(max(needed * factor.power, burn_in)),
        expected=duration(max(needed * factor.expected, burn_in)),
        planned_end=duration(max(needed * factor.planned_end, burn_in)),
        planned_end_expected=duration(max(needed * factor.planned_end_expected, burn_in)),
        burn_in=duration(burn_in),
    )


def _check(
    baseline: Baseline, effect: float, power: float, alpha: float, weights: Sequence[float]
) -> tuple[float, ...]:
    """Return the normalised weights, or raise ValueError for impossible arguments."""
    if effect == 0 or not isfinite(effect) or effect <= -1:
        raise ValueError(f"the effect must be above -1 and not 0, such as 0.05; it is {effect}")
    if baseline.rate and not 0 < baseline.mean * (1 + effect) < 1:
        raise ValueError(
            f"with the effect {effect} the rate {baseline.mean} is not between 0 and 1"
        )
    if not MIN_ALPHA <= alpha <= MAX_ALPHA:
        raise ValueError(f"alpha must be from {MIN_ALPHA:g} to {MAX_ALPHA:g}, not {alpha:g}")
    if not alpha < power <= MAX_POWER:
        raise ValueError(f"power must be between alpha and {MAX_POWER}, not {power:g}")
    if len(weights) < 2 or not all(isfinite(weight) and weight > 0 for weight in weights):
        raise ValueError(f"an experiment has at least two arms of positive weight, not {weights}")
    total = sum(weights)
    if not isfinite(total):
        raise ValueError("the weights are too large")
    return tuple(weight / total for weight in weights)

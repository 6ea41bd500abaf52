"""What a look at an experiment shows: the frozen result that pages, metrics and reports use.

Numbers that do not exist are None, never zero. All relative effects are those of a variant against
the control: .05 is 5 % more.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from monitor.experiments.design import Direction

Verdict = Literal["better", "worse", "no_difference", "not_yet"]
Role = Literal["goal", "secondary", "guardrail"]
Rule = Literal["sequence", "planned_end"]
Waiting = Literal[
    "burn_in",
    "near_zero",
    "no_spread",
    "min_users",
    "min_hours",
    "sample_ratio",
    "stopped",
    "no_values",
    "evidence",
]
"""Why an arm has no verdict yet.

burn_in: fewer than 100 effective users in an arm.
near_zero: the mean of both arms together cannot be told from zero, so that no relative effect is
defined. no_spread: the variance is zero or cannot be computed.
min_users, min_hours: as declared.
sample_ratio: a mismatch blocks verdicts. stopped: the arm was stopped before its verdict.
no_values: the goal has no values or cannot be computed. evidence: the data do not decide yet.
"""
SrmStatus = Literal["ok", "warn", "block"]


class Criteria(msgspec.Struct, frozen=True, kw_only=True):
    """The criteria of a verdict, as declared when the phase began.

    alpha: of the goal, over all arms and looks. level: of one arm's sequence. mde: relative.
    """

    goal: str
    direction: Direction
    alpha: float
    level: float
    mde: float
    min_users: int
    min_hours: float
    planned_users: int | None = None


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict, once given: it stays.

    rule: what gave it: the sequence, or the fixed test at the planned end.
    log_evidence: natural logarithm of the e-value at that look. users: by variant.
    """

    variant: str
    verdict: Verdict
    rule: Rule
    time: float
    criteria: Criteria
    mean: float | None = None
    control_mean: float | None = None
    effect: float | None = None
    lower: float | None = None
    upper: float | None = None
    p_value: float | None = None
    log_evidence: float | None = None
    n_eff: float | None = None
    users: dict[str, int] = {}


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier phase of an experiment, archived: its last look and its decisions."""

    phase: str
    first_time: float | None
    time: float
    users: dict[str, int] = {}
    decisions: tuple[Decision, ...] = ()
    srm_p_value: float | None = None


class Guardrail(msgspec.Struct, frozen=True, kw_only=True):
    """State of a guardrail in an arm; both findings stay once made, and both can hold.

    harm: event time from which it is certain that the metric got worse; safe: that it did not get
    worse by more than the margin. harm_p, safe_p: always-valid p-values of both.
    """

    margin: float
    harm: float | None = None
    safe: float | None = None
    harm_p: float | None = None
    safe_p: float | None = None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of one arm against the control.

    role: goal, secondary or guardrail; the first that applies. n: requests with a value.
    mean, control_mean: in the unit of the feature; a geometric mean or a quantile, by its scale.
    effect, lower, upper: relative to the control, with an interval that is valid at all looks.
    level: the interval misses the truth at any look with this probability at most.
    p_value: always valid. log_evidence: natural logarithm of the e-value of this look.
    n_eff: effective users, the least of both arms.
    verdict: of the goal, the one that stays; of a secondary metric, by e-BH at this look.
    adjusted: whether CUPED was used. share: of requests that have a value (coverage), in the arm.
    problem: why there are no numbers.
    largest_sum, control_largest_sum: largest share of the sum of the metric that 1 of 1,024 buckets
    of users has; None for logarithms, shares and quantiles, which no single value moves.
    """

    metric: str
    variant: str
    role: Role
    direction: Direction
    mde: float
    scale: str
    n: int
    level: float
    mean: float | None = None
    control_mean: float | None = None
    effect: float | None = None
    lower: float | None = None
    upper: float | None = None
    p_value: float | None = None
    log_evidence: float | None = None
    n_eff: float | None = None
    verdict: Verdict = "not_yet"
    guardrail: Guardrail | None = None
    adjusted: bool = False
    share: float | None = None
    control_share: float | None = None
    problem: str = ""
    largest_sum: float | None = None
    control_largest_sum: float | None = None


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """One variant; the control is the first.

    weight: planned share of users. n_eff: effective users by the goal's requests.
    largest_bucket: largest share of the arm's requests that 1 of 1,024 buckets of users has.
    weekdays: with exposures, 0 is Monday. hours: since its first look.
    days_to_go: at today's traffic, if the effect stays as it is, until all of this holds: the data
    decide, min_users, min_hours; None if unknown, for stopped arms and for a blocked split.
    in_doubt: the arm has a verdict, and the split of users differs from the plan now.
    """

    variant: str
    weight: float
    users: int
    requests: int
    stopped: bool = False
    n_eff: float | None = None
    requests_per_user: float | None = None
    largest_bucket: float | None = None
    weekdays: tuple[int, ...] = ()
    hours: float = 0.0
    verdict: Verdict = "not_yet"
    decision: Decision | None = None
    waiting: tuple[Waiting, ...] = ()
    days_to_go: float | None = None
    in_doubt: bool = False


class Srm(msgspec.Struct, frozen=True, kw_only=True):
    """Sample ratio mismatch of users at first exposure.

    e_value: of all epochs together, at this look. p_value: always valid, so that it never grows.
    status: `warn` at p <= .01, `block` at p <= .001. expected: planned shares now.
    users: those of the current epoch by variant. epochs: of the weights in this phase.
    """

    e_value: float
    p_value: float
    status: SrmStatus
    expected: dict[str, float] = {}
    users: dict[str, int] = {}
    epochs: int = 1


class Point(msgspec.Struct, frozen=True, array_like=True):
    """A comparison at an earlier look: its time, the requests so far, effect and interval.

    information: 1 / variance of the difference, of which days to go are computed.
    """

    time: float
    requests: int
    effect: float | None
    lower: float | None
    upper: float | None
    information: float | None = None


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of the values of a feature by bin, of all arms in the same bins.

    edges: B + 1 bounds, ascending, in the unit of the feature. shares: by variant, of length B.
    """

    feature: str
    edges: tuple[float, ...]
    shares: dict[str, tuple[float, ...]]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A look at an experiment.

    time: event time of the look; exposures before it are included. arms: the control first.
    comparisons: by metric in the order of the design, then by arm. history: by metric and variant.
    in_several_arms: units seen in more than one arm. disagreements: exposures whose logged variant
    is not the assigned one. other_variants: exposures of undeclared variants. late: exposures
    counted at a later look than that of their time.
    unit, exposures, without_unit: where records were read: the field of the units, the number of
    exposures, and of records of the experiment without a unit, which do not count.
    ignored: criteria that the configuration has changed in this phase; the declared ones hold.
    archive: earlier phases, the newest last.
    """

    experiment: str
    phase: str
    time: float
    first_time: float | None
    goal: str
    criteria: Criteria
    arms: tuple[Arm, ...]
    comparisons: tuple[Comparison, ...]
    srm: Srm
    ignored: tuple[str, ...] = ()
    assignment: str = "log"
    in_several_arms: int = 0
    disagreements: int = 0
    other_variants: int = 0
    late: int = 0
    unit: str = "user_id"
    exposures: int | None = None
    without_unit: int = 0
    history: dict[str, dict[str, tuple[Point, ...]]] = {}
    distributions: tuple[Distribution, ...] = ()
    archive: tuple[Phase, ...] = ()
    version: int = 1

    @property
    def control(self) -> str:
        """Name of the control."""
        return self.arms[0].variant

    def comparison(self, metric: str, variant: str) -> Comparison | None:
        """Return the comparison of an arm by a metric; None if there is none."""
        found = (c for c in self.comparisons if (c.metric, c.variant) == (metric, variant))
        return next(found, None)


class ResultError(ValueError):
    """The bytes are not a result, or one of a version that is not known."""


VERSION = 1
_decoder = msgspec.json.Decoder(Result)


def encode_result(result: Result) -> bytes:
    """Return the result as JSON. Numbers that are not finite become null."""
    return msgspec.json.encode(result)


def decode_result(content: bytes) -> Result:
    """Return the result of a JSON text. Raises ResultError for all other bytes."""
    try:
        result = _decoder.decode(content)
    except (ValueError, RecursionError) as error:
        raise ResultError(f"not a result of an experiment: {error}") from None
    if result.version != VERSION:
        raise ResultError(f"result of version {result.version}, which is not known")
    if not result.arms:
        raise ResultError("a result without arms")
    return result

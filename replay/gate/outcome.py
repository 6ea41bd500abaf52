"""What a gate finds: the outcome of checks, of stages and of the whole, with an exit status."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, get_args

import msgspec

Outcome = Literal["passed", "inconclusive", "error", "regressed"]
"""From the best to the worst. A proven regression stays proven if something else breaks."""
OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)
EXIT_STATUS: Final[dict[Outcome, int]] = {
    "passed": 0,
    "regressed": 1,
    "error": 2,
    "inconclusive": 3,
}


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Return the worst of the outcomes; "passed" if there are none."""
    return max(outcomes, key=OUTCOMES.index, default="passed")


class Check(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One criterion and what was found. Numbers that do not exist are None.

    name: unique in its stage. dimension: of the criteria.
    required: whether the outcome counts by itself; if not, only in the balance.
    rule: the criterion in words. detail: what was found, or the reason of an error.
    value, baseline: of candidate and baseline. effect: their difference, as the rule states it.
    lower, upper: one-sided bounds of what the rule limits, each at its own level.
    margin, limit: of the rule. p_value: that the candidate is not worse, adjusted.
    items: answers that were used. required_items: how many a decision takes, at this spread.
    flags: such as "small_drop", a proven drop within the margin.
    """

    name: str
    dimension: str
    outcome: Outcome
    rule: str
    detail: str = ""
    required: bool = True
    value: float | None = None
    baseline: float | None = None
    effect: float | None = None
    lower: float | None = None
    upper: float | None = None
    margin: float | None = None
    limit: float | None = None
    p_value: float | None = None
    items: int = 0
    required_items: int | None = None
    flags: tuple[str, ...] = ()


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """A stage that was run, or was not run because an earlier one did not pass.

    seconds: how long it took. reason: of an error, as in `replay.results.ErrorReason`.
    """

    name: str
    outcome: Outcome | Literal["not_run"]
    checks: tuple[Check, ...] = ()
    seconds: float = 0.0
    reason: str = ""
    detail: str = ""


class Origin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who ran a gate, and where: of the pipeline's environment, unverified."""

    actor: str = ""
    commit: str = ""
    ref: str = ""
    repository: str = ""
    pipeline: str = ""
    system: str = ""


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a gate.

    name, criteria_sha256: of the criteria and their file. started: epoch seconds.
    candidate, baseline: names of models or results.
    """

    name: str
    criteria_sha256: str
    outcome: Outcome
    exit_status: int
    started: float
    seconds: float
    candidate: str
    baseline: str
    stages: tuple[Stage, ...]
    origin: Origin = Origin()
    version: int = 1

"""The canary stage: wait for the verdict of a live experiment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from replay.gate.criteria.model import Canary
from replay.gate.outcome import Check, Outcome

Verdict = Literal["better", "worse", "no_difference", "not_yet"]


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The state of an arm of an experiment.

    guardrails: metrics that are certain to be worse. split: state of the split of users.
    """

    verdict: Verdict
    users: int = 0
    stopped: bool = False
    guardrails: tuple[str, ...] = ()
    split: Literal["ok", "warn", "block"] = "ok"


class NotReadable(Exception):
    """The experiment cannot be read now. final: waiting does not help."""

    def __init__(self, detail: str, *, final: bool = False) -> None:
        super().__init__(detail)
        self.final = final


class Clock(Protocol):
    """The time and a pause, injected."""

    def now(self) -> float:
        """Return the time in seconds, from any start."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


def wait(canary: Canary, read: Callable[[], Reading], clock: Clock) -> Check:
    """Return the check of the experiment once it has a verdict, or when the time is over.

    read: returns the state of the arm, or raises NotReadable. A daemon that cannot be reached is
    asked again until the time is over, and is an error then.
    """
    end = clock.now() + canary.wait_minutes * 60
    while True:
        try:
            reading = read()
        except NotReadable as error:
            if error.final or clock.now() >= end:
                return _check(canary, "error", str(error))
        else:
            outcome, detail = _outcome(canary, reading)
            if outcome is not None:
                return _check(canary, outcome, detail, reading.users)
            if clock.now() >= end:
                waited = f"no verdict after {canary.wait_minutes:g} minutes"
                return _check(canary, "inconclusive", waited, reading.users)
        clock.sleep(max(min(canary.poll_seconds, end - clock.now()), 0.0))


def _outcome(canary: Canary, reading: Reading) -> tuple[Outcome | None, str]:
    """Return the outcome and a detail; None as long as the experiment does not decide."""
    found: tuple[Outcome | None, str] = (None, "")
    if reading.guardrails:
        found = "regressed", f"guardrails are worse: {', '.join(reading.guardrails)}"
    elif reading.verdict == "worse":
        found = "regressed", "the goal is worse"
    elif reading.split == "block":
        found = "error", "the split of users differs from the plan, so that no verdict is valid"
    elif reading.verdict in {"better", canary.accept}:
        found = "passed", f"verdict {reading.verdict.replace('_', ' ')}"
    elif reading.verdict == "no_difference":
        found = "inconclusive", "no difference; the criteria accept better only"
    elif reading.stopped:
        found = "inconclusive", "the variant was stopped before its verdict"
    return found


def _check(canary: Canary, outcome: Outcome, detail: str, users: int = 0) -> Check:
    accepted = "better" if canary.accept == "better" else "better or no difference"
    return Check(
        name=f"canary {canary.experiment}",
        dimension="canary",
        outcome=outcome,
        rule=f"variant {canary.variant} of experiment {canary.experiment} is {accepted}",
        detail=detail,
        items=users,
    )

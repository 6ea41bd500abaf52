"""Results of gates for tests."""

from __future__ import annotations

from replay.gate.outcome import Check, GateResult, Origin, Outcome, Stage

HOSTILE = (
    "a]]>&<b>`|@all\x1b[31m\x00\ud800\uffff\u202e\n::error::x\r\n##[error]y %0A,:"
    "<script>alert(1)</script>"
)
"""A name or an answer of a stranger."""


def check(name: str = "quality support", outcome: Outcome = "passed", detail: str = "") -> Check:
    """Return a check of a task."""
    return Check(
        name=name,
        dimension="quality",
        outcome=outcome,
        rule="worse by less than 0.05",
        detail=detail,
        value=0.7,
        baseline=0.8,
        effect=-0.1,
        lower=-0.13,
        upper=-0.07,
        margin=0.05,
        items=500,
    )


def stage(name: str, outcome: Outcome, *checks: Check, reason: str = "", detail: str = "") -> Stage:
    """Return a stage that took two seconds."""
    return Stage(
        name=name, outcome=outcome, checks=checks, seconds=2.0, reason=reason, detail=detail
    )


def result(outcome: Outcome, *stages: Stage, name: str = "support") -> GateResult:
    """Return the result of a gate."""
    status = {"passed": 0, "regressed": 1, "error": 2, "inconclusive": 3}[outcome]
    return GateResult(
        name=name,
        criteria_sha256="ab" * 32,
        outcome=outcome,
        exit_status=status,
        started=1_790_000_000.0,
        seconds=4.5,
        candidate="model-2",
        baseline="model-1",
        stages=stages,
        origin=Origin(actor="ana", commit="c0ffee" * 6, system="github"),
    )

"""Events of a look: verdicts, sample ratio mismatches and guardrails that it found first."""

from __future__ import annotations

from monitor.events.findings.experiments import (
    SEVERITIES,
    ExperimentEvent,
    ExperimentOutcome,
    experiment_event_id,
)
from monitor.experiments.decisions.comparisons import Measured, finite
from monitor.experiments.decisions.result import Decision, Srm
from monitor.experiments.decisions.state import SrmState, Track
from monitor.experiments.design import CONTROL, Design
from monitor.experiments.sums.look import LookData


def of_srm(design: Design, data: LookData, srm: Srm, state: SrmState) -> ExperimentEvent | None:
    """Return the event of a mismatch that is new, or worse than before."""
    if srm.status == "block" and not state.blocked:
        outcome: ExperimentOutcome = "block"
    elif srm.status == "warn" and not state.warned:
        outcome = "warn"
    else:
        return None
    return ExperimentEvent(
        id=experiment_event_id(design.name, design.phase, "srm", outcome, "", "", data.time),
        experiment=design.name,
        phase=design.phase,
        kind="srm",
        outcome=outcome,
        severity=SEVERITIES[outcome],
        time=data.time,
        p_value=srm.p_value,
        users=srm.users,
        expected=srm.expected,
    )


def of_verdict(design: Design, decision: Decision) -> ExperimentEvent:
    """Return the event of a verdict."""
    outcome: ExperimentOutcome = "no_difference"
    if decision.verdict in {"better", "worse"}:
        outcome = "better" if decision.verdict == "better" else "worse"
    where = (design.name, design.phase, "verdict", outcome)
    variant, metric = decision.variant, decision.criteria.goal
    return ExperimentEvent(
        id=experiment_event_id(*where, variant, metric, decision.time),
        experiment=design.name,
        phase=design.phase,
        kind="verdict",
        outcome=outcome,
        severity=SEVERITIES[outcome],
        time=decision.time,
        control=design.variants[CONTROL],
        variant=variant,
        metric=metric,
        mean=decision.mean,
        control_mean=decision.control_mean,
        effect=decision.effect,
        lower=decision.lower,
        upper=decision.upper,
        level=decision.criteria.level,
        mde=decision.criteria.mde,
        p_value=decision.p_value,
        users=decision.users,
    )


def of_guardrail(
    design: Design, data: LookData, variant: str, measured: Measured, before: Track
) -> ExperimentEvent | None:
    """Return the event of a guardrail that is breached for the first time.

    A metric that certainly got worse, but certainly by less than the margin, breaches nothing: a
    large experiment finds harm of any size.
    """
    track, found = measured.track, measured.estimate
    if track.harm is None or before.harm is not None or track.safe is not None:
        return None
    metric = measured.metric
    where = (design.name, design.phase, "guardrail", "harm", variant, metric.name)
    return ExperimentEvent(
        id=experiment_event_id(*where, data.time),
        experiment=design.name,
        phase=design.phase,
        kind="guardrail",
        outcome="harm",
        severity=SEVERITIES["harm"],
        time=data.time,
        control=design.variants[CONTROL],
        variant=variant,
        metric=metric.name,
        mean=finite(found.mean),
        control_mean=finite(found.control_mean),
        effect=finite(found.effect),
        lower=finite(found.lower),
        upper=finite(found.upper),
        level=measured.level,
        mde=metric.mde,
        p_value=track.harm_p,
        users=dict(zip(design.variants, data.users, strict=True)),
    )

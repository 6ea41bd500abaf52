"""Evaluate an experiment at a look: a pure function of its design, its sums and its last state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from monitor.events.findings.experiments import ExperimentEvent
from monitor.experiments.decisions import goal, transitions, trust
from monitor.experiments.decisions.comparisons import (
    Measured,
    comparison,
    measure,
    point,
    secondary_verdicts,
)
from monitor.experiments.decisions.distributions import distributions
from monitor.experiments.decisions.result import (
    Arm,
    Comparison,
    Decision,
    Phase,
    Point,
    Result,
    Srm,
    Waiting,
)
from monitor.experiments.decisions.state import State, Track
from monitor.experiments.design import CONTROL, Design
from monitor.experiments.sums.look import LookData

MAX_PHASES: Final = 20
"""Earlier phases that are kept."""
MAX_EVENT_IDS: Final = 50

_Measures = dict[tuple[str, str], Measured]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a look finds.

    state: of the next look. result: what pages and reports show. events: transitions of this look.
    """

    state: State
    result: Result
    events: tuple[ExperimentEvent, ...]


def evaluate(design: Design, data: LookData, state: State | None) -> Outcome:
    """Evaluate an experiment at a look.

    state: that of the last look, None before the first. Another phase of the design archives its
    decisions and begins anew. The criteria are those that were declared when the phase began.

    The same arguments give the same outcome, to the bit. Raises ValueError if the look is not after
    the last one of its phase.
    """
    if state is None or state.phase != design.phase:
        state = _begin(design, data, state)
    elif data.time <= state.time:
        raise ValueError(f"the look at {data.time} is not after the last one, at {state.time}")
    metrics = state.metrics or goal.metrics_of(design)
    ignored = tuple(goal.ignored(design, state.criteria, metrics))
    design = goal.in_force(design, state.criteria, metrics)
    started = _started(design, data, state)
    srm_state = trust.next_srm(state.srm, design, data, state.users)
    users = dict(zip(design.variants, data.users, strict=True))
    srm = trust.srm_result(srm_state, users)
    measured = measure(design, data, state.tracks, state.criteria.level)
    waiting = _waiting(design, data, measured, started, blocked=srm.status == "block")
    decisions, final = _decide(design, data, state, measured, waiting)

    events = [transitions.of_srm(design, data, srm, state.srm)]
    events += [transitions.of_verdict(design, each) for each in decisions.values()]
    events += _breaches(design, data, measured, state)
    found = tuple(event for event in events if event is not None)
    after = replace(
        state,
        time=data.time,
        first_time=data.first_time,
        srm=trust.reported(srm_state),
        metrics=metrics,
        started=started,
        users=users,
        tracks=_tracks(state, measured),
        decisions=state.decisions | decisions,
        final=state.final | final,
        event_ids=(*state.event_ids, *(event.id for event in found))[-MAX_EVENT_IDS:],
    )
    result = _result(design, data, after, srm, measured, waiting)
    return Outcome(after, replace(result, ignored=ignored), found)


def _result(
    design: Design,
    data: LookData,
    after: State,
    srm: Srm,
    measured: _Measures,
    waiting: Mapping[str, tuple[Waiting, ...]],
) -> Result:
    return Result(
        experiment=design.name,
        phase=design.phase,
        time=data.time,
        first_time=data.first_time,
        goal=design.goal.name,
        criteria=after.criteria,
        arms=tuple(
            _arm(design, data, index, after, measured, waiting)
            for index in range(len(design.variants))
        ),
        comparisons=_comparisons(
            design, data, measured, after.decisions, blocked=srm.status == "block"
        ),
        srm=srm,
        assignment=design.assignment,
        in_several_arms=data.in_several_arms,
        disagreements=data.disagreements,
        other_variants=data.other_variants,
        late=data.late,
        history=_history(measured, data.time),
        distributions=distributions(design, data),
        archive=after.archive,
    )


def _begin(design: Design, data: LookData, last: State | None) -> State:
    """Return the state at the beginning of a phase, with the earlier phases archived."""
    archive: tuple[Phase, ...] = ()
    if last is not None:
        ended = Phase(
            phase=last.phase,
            first_time=last.first_time,
            time=last.time,
            users=last.users,
            decisions=tuple(last.decisions.values()),
            srm_p_value=last.srm.p_value,
        )
        archive = (*last.archive, ended)[-MAX_PHASES:]
    return State(
        experiment=design.name,
        phase=design.phase,
        time=data.time,
        first_time=data.first_time,
        criteria=goal.declared(design),
        srm=trust.begin_srm(design),
        archive=archive,
    )


def _started(design: Design, data: LookData, state: State) -> dict[str, float]:
    """Return the time from which each variant has users: of the first look that has some.

    For the variants of the first look it is the first exposure of the experiment.
    """
    first = data.first_time if data.first_time is not None else data.time
    begin = first if not state.started else data.time
    new = {name: begin for name, users in zip(design.variants, data.users, strict=True) if users}
    return new | state.started


def _hours(design: Design, data: LookData, arm: int, started: Mapping[str, float]) -> float:
    """Return the hours in which both the arm and the control had users."""
    names = (design.variants[arm], design.variants[CONTROL])
    begin = max(started.get(name, data.time) for name in names)
    return max(0.0, data.time - begin) / goal.HOUR


def _waiting(
    design: Design,
    data: LookData,
    measured: _Measures,
    started: Mapping[str, float],
    *,
    blocked: bool,
) -> dict[str, tuple[Waiting, ...]]:
    """Return by variant why it can have no verdict at this look."""
    return {
        variant: goal.reasons_to_wait(
            design,
            data,
            arm,
            measured[design.goal.name, variant],
            _hours(design, data, arm, started),
            blocked=blocked,
        )
        for arm, variant in enumerate(design.variants)
        if arm != CONTROL
    }


def _decide(
    design: Design,
    data: LookData,
    state: State,
    measured: _Measures,
    waiting: Mapping[str, tuple[Waiting, ...]],
) -> tuple[dict[str, Decision], frozenset[str]]:
    """Return the new verdicts, and the variants whose fixed test at the planned end is done."""
    decisions, final = {}, set[str]()
    at_end = design.planned_users is not None and sum(data.users) >= design.planned_users
    for variant, reasons in waiting.items():
        if variant in state.decisions or reasons:
            continue
        last_test = at_end and variant not in state.final
        each = measured[design.goal.name, variant]
        found = goal.verdict_now(design, state.criteria, each, final=last_test)
        if last_test:
            final.add(variant)
        if found is not None:
            args = design, state.criteria, data, variant, each, found
            decisions[variant] = goal.decision(*args)
    return decisions, frozenset(final)


def _breaches(
    design: Design, data: LookData, measured: _Measures, state: State
) -> list[ExperimentEvent | None]:
    return [
        transitions.of_guardrail(
            design, data, variant, each, state.tracks.get(metric, {}).get(variant, Track())
        )
        for (metric, variant), each in measured.items()
        if metric in {guardrail.name for guardrail in design.guardrails}
    ]


def _tracks(state: State, measured: _Measures) -> dict[str, dict[str, Track]]:
    """Return the tracks of all metrics and variants, those of earlier designs included."""
    tracks = {metric: dict(by_variant) for metric, by_variant in state.tracks.items()}
    for (metric, variant), each in measured.items():
        tracks.setdefault(metric, {})[variant] = each.track
    return tracks


def _arm(
    design: Design,
    data: LookData,
    index: int,
    after: State,
    measured: _Measures,
    waiting: Mapping[str, tuple[Waiting, ...]],
) -> Arm:
    variant, hours = design.variants[index], _hours(design, data, index, after.started)
    if index == CONTROL:
        return trust.arm(design, data, index, hours)
    decision = after.decisions.get(variant)
    if decision is not None:
        doubt = trust.srm_status(after.srm) == "block"
        return replace(trust.arm(design, data, index, hours, decision=decision), in_doubt=doubt)
    reasons = waiting[variant] or ("evidence",)
    days = None
    if not {"stopped", "sample_ratio"}.intersection(reasons):
        days = goal.days_to_go(design, data, index, measured[design.goal.name, variant], hours)
    return trust.arm(design, data, index, hours, waiting=reasons, days_to_go=days)


def _comparisons(
    design: Design,
    data: LookData,
    measured: _Measures,
    decisions: Mapping[str, Decision],
    *,
    blocked: bool,
) -> tuple[Comparison, ...]:
    verdicts = {} if blocked else secondary_verdicts(measured, design.alpha, design.stopped)
    verdicts |= {(design.goal.name, name): each.verdict for name, each in decisions.items()}
    guarded = {guardrail.name for guardrail in design.guardrails}
    arms = {name: index for index, name in enumerate(design.variants)}
    return tuple(
        comparison(
            each,
            data,
            arms[variant],
            variant,
            verdicts.get((metric, variant), "not_yet"),
            guarded=metric in guarded,
        )
        for (metric, variant), each in measured.items()
    )


def _history(measured: _Measures, time: float) -> dict[str, dict[str, tuple[Point, ...]]]:
    """Return the kept looks by metric and variant, with this look as the last one."""
    history: dict[str, dict[str, tuple[Point, ...]]] = {}
    for (metric, variant), each in measured.items():
        points = each.track.points
        if each.estimate.ready and (not points or points[-1].time != time):
            points = (*points, point(each.estimate, time))
        history.setdefault(metric, {})[variant] = points
    return history

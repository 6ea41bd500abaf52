"""What decides whether an experiment can be trusted: the split of users, and the figures by arm."""

from __future__ import annotations

import math

import msgspec

from detectors.arrays import Floats
from monitor.experiments.decisions.result import Arm, Decision, Srm, SrmStatus, Waiting
from monitor.experiments.decisions.state import Epoch, SrmState
from monitor.experiments.design import Design
from monitor.experiments.sequential import srm as sequential
from monitor.experiments.sequential.ratios import effective_users, spread
from monitor.experiments.sums.look import LookData

MAX_LOG = 700.0
"""Largest logarithm of an e-value that is shown: beyond it floats overflow."""


def planned_shares(design: Design) -> dict[str, float]:
    """Return the planned share of each variant that gets new users; they sum to 1."""
    active = {
        name: weight
        for name, weight in zip(design.variants, design.weights, strict=True)
        if name not in design.stopped and weight > 0
    }
    total = math.fsum(active.values())
    return {name: weight / total for name, weight in active.items()} if total > 0 else {}


def begin_srm(design: Design) -> SrmState:
    """Return the state before the first user."""
    return SrmState(epoch=Epoch(expected=planned_shares(design), start={}))


def next_srm(state: SrmState, design: Design, data: LookData, last: dict[str, int]) -> SrmState:
    """Return the state after a look. last: users by variant at the last look.

    When the planned shares change, the epoch ends with the last look. Users between both looks may
    belong to either, and are in none.
    """
    expected = planned_shares(design)
    users = dict(zip(design.variants, data.users, strict=True))
    if expected != state.epoch.expected:
        closed = state.closed + _log_evidence(state.epoch, last)
        state = msgspec.structs.replace(
            state,
            epoch=Epoch(expected=expected, start=users),
            closed=closed,
            epochs=state.epochs + 1,
        )
    p_value = min(state.p_value, _probability(state.closed + _log_evidence(state.epoch, users)))
    return msgspec.structs.replace(state, p_value=p_value)


def srm_result(state: SrmState, users: dict[str, int]) -> Srm:
    """Return the sample ratio as a result shows it. users: by variant, at this look."""
    evidence = state.closed + _log_evidence(state.epoch, users)
    return Srm(
        e_value=math.exp(max(-MAX_LOG, min(evidence, MAX_LOG))),
        p_value=state.p_value,
        status=srm_status(state),
        expected=state.epoch.expected,
        users=_since(state.epoch, users),
        epochs=state.epochs,
    )


def srm_status(state: SrmState) -> SrmStatus:
    """Return the status by the smallest p-value so far: data once in doubt stay in the sums."""
    status: SrmStatus = sequential.status(state.p_value).value
    return status


def reported(state: SrmState) -> SrmState:
    """Return the state after the events of its status."""
    status = srm_status(state)
    return msgspec.structs.replace(
        state,
        warned=state.warned or status != "ok",
        blocked=state.blocked or status == "block",
    )


def _since(epoch: Epoch, users: dict[str, int]) -> dict[str, int]:
    """Return the users of an epoch by variant."""
    return {name: max(0, users.get(name, 0) - epoch.start.get(name, 0)) for name in epoch.expected}


def _log_evidence(epoch: Epoch, users: dict[str, int]) -> float:
    counts = _since(epoch, users)
    if len(counts) < 2:
        return 0.0
    shares = tuple(epoch.expected[name] for name in counts)
    return sequential.srm([sequential.Epoch(tuple(counts.values()), shares)]).ln_e


def _probability(log_evidence: float) -> float:
    return math.exp(-max(log_evidence, 0.0))


def arm(
    design: Design,
    data: LookData,
    index: int,
    hours: float,
    *,
    decision: Decision | None = None,
    waiting: tuple[Waiting, ...] = (),
    days_to_go: float | None = None,
) -> Arm:
    """Return the figures of one arm. hours: since its first look."""
    variant, users, requests = design.variants[index], data.users[index], data.requests[index]
    sums = data.sums.get(design.goal.name)
    counts = data.histograms.get(design.goal.name)
    per_bucket = sums.n[index] if sums is not None else None
    if per_bucket is None and counts is not None:
        per_bucket = counts[index].sum(axis=-1).astype(float)
    return Arm(
        variant=variant,
        weight=design.weights[index],
        users=users,
        requests=requests,
        stopped=variant in design.stopped,
        n_eff=None if per_bucket is None else _effective(per_bucket),
        requests_per_user=requests / users if users else None,
        largest_bucket=data.largest_bucket[index] if data.largest_bucket else None,
        weekdays=tuple(sorted(data.weekdays[index])) if data.weekdays else (),
        hours=hours,
        verdict=decision.verdict if decision else "not_yet",
        decision=decision,
        waiting=waiting,
        days_to_go=days_to_go,
    )


def _effective(requests: Floats) -> float:
    """Return the effective number of users. requests: shape (K,), of each bucket."""
    return float(effective_users(requests.sum(axis=-1), spread(requests)))

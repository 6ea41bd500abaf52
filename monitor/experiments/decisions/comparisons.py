"""Compare all variants with the control by all metrics, and follow them over the looks."""

from __future__ import annotations

import math
from collections.abc import Container
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from monitor.experiments.decisions.result import Comparison, Guardrail, Point, Role, Verdict
from monitor.experiments.decisions.state import Track
from monitor.experiments.design import CONTROL, Design, Metric, Scale
from monitor.experiments.sequential.estimate import Estimate, estimate, freeze_tau
from monitor.experiments.sequential.mixture import BURN_IN
from monitor.experiments.sequential.multiple import e_bh
from monitor.experiments.sums.look import LookData

MAX_POINTS: Final = 200
MIN_POINTS: Final = 20
"""Earlier looks that are kept of a comparison."""
TOTAL_POINTS: Final = 4_000
"""The same of all comparisons together, which bounds the size of a state and of a result."""
GROWTH: Final = 1.02
"""A look is kept if the requests have grown by this factor since the last one that was kept."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A comparison at one look, with what it leaves for the next look."""

    metric: Metric
    role: Role
    estimate: Estimate
    track: Track
    level: float


def roles(design: Design) -> dict[str, tuple[Metric, Role]]:
    """Return the metrics of a design by name, each with the first role that it has."""
    found: dict[str, tuple[Metric, Role]] = {}
    groups: tuple[tuple[Role, tuple[Metric, ...]], ...] = (
        ("goal", (design.goal,)),
        ("secondary", design.secondary),
        ("guardrail", design.guardrails),
    )
    for role, metrics in groups:
        for metric in metrics:
            found.setdefault(metric.name, (metric, role))
    return found


def measure(
    design: Design, data: LookData, tracks: dict[str, dict[str, Track]], goal_level: float
) -> dict[tuple[str, str], Measured]:
    """Return the comparison of each metric and variant, in the order of the design.

    tracks: of the last look, by metric and variant. goal_level: of the sequence of the goal.

    Nothing more is found of a stopped variant: its users are compared with those of later days.
    """
    metrics = roles(design)
    variants = [(i, name) for i, name in enumerate(design.variants) if i != CONTROL]
    most = max(MIN_POINTS, min(MAX_POINTS, TOTAL_POINTS // max(1, len(metrics) * len(variants))))
    measured = {}
    for metric, role in metrics.values():
        level = goal_level if role == "goal" else design.alpha
        for arm, variant in variants:
            track = tracks.get(metric.name, {}).get(variant, Track())
            tau = track.tau if track.tau is not None else freeze_tau(metric, data, arm)
            found = estimate(metric, data, arm, tau, level)
            followed = msgspec.structs.replace(track, tau=tau)
            if found.ready and variant not in design.stopped:
                followed = _follow(followed, found, data.time, design.alpha, most)
            measured[metric.name, variant] = Measured(metric, role, found, followed, level)
    return measured


def _follow(track: Track, found: Estimate, time: float, alpha: float, most: int) -> Track:
    """Return the track after a look at which there is evidence."""
    harm_p = min(track.harm_p, probability(found.ln_e_worse))
    safe_p = min(track.safe_p, probability(found.ln_e_safe))
    last = track.log_evidence
    return Track(
        tau=track.tau,
        p_value=min(track.p_value, found.p_value),
        log_evidence=found.ln_e if last is None else max(last, found.ln_e),
        harm_p=harm_p,
        safe_p=safe_p,
        harm=track.harm if track.harm is not None else (time if harm_p <= alpha else None),
        safe=track.safe if track.safe is not None else (time if safe_p <= alpha else None),
        points=_thinned(track.points, point(found, time), most),
    )


def point(found: Estimate, time: float) -> Point:
    """Return a comparison as a point of its history."""
    ends = [finite(value) for value in (found.effect, found.lower, found.upper, found.information)]
    requests = int(found.requests + found.control_requests)
    return Point(time, requests, *ends)


def _thinned(points: tuple[Point, ...], new: Point, most: int) -> tuple[Point, ...]:
    """Return the points with a new one; halve them if there are too many.

    The looks that are kept are spaced geometrically: the interval narrows as a power of the
    requests.
    """
    if points and new.requests < GROWTH * points[-1].requests:
        return points
    points = (*points, new)
    return points if len(points) <= most else points[::2]


def probability(log_evidence: float) -> float:
    """Return the p-value of an e-value, min(1, 1 / E)."""
    return math.exp(-max(log_evidence, 0.0))


def finite(value: float) -> float | None:
    """Return a number, None if it is not finite."""
    return value if math.isfinite(value) else None


def is_better(found: Estimate) -> bool:
    """Return whether an effect is in the direction of its metric."""
    return found.ln_e_better > found.ln_e_worse


def secondary_verdicts(
    measured: dict[tuple[str, str], Measured], alpha: float, stopped: Container[str] = ()
) -> dict[tuple[str, str], Verdict]:
    """Return the verdicts of the secondary metrics by e-BH, on the evidence of this look.

    The false discovery rate of all of them is at most alpha. They do not stay: a running maximum
    of e-values is no e-value. stopped: variants without verdicts; they count as hypotheses without
    evidence, because a variant is stopped after its data were seen.
    """
    keys = [key for key, each in measured.items() if each.role == "secondary"]
    evidence = [
        math.nan if variant in stopped else measured[metric, variant].estimate.ln_e
        for metric, variant in keys
    ]
    rejected = e_bh(evidence, alpha)
    verdicts: dict[tuple[str, str], Verdict] = {}
    for key, differs in zip(keys, rejected, strict=True):
        found, mde = measured[key].estimate, measured[key].metric.mde
        if differs:
            verdicts[key] = "better" if is_better(found) else "worse"
        elif key[1] not in stopped and is_equal(found, mde):
            verdicts[key] = "no_difference"
    return verdicts


def is_equal(found: Estimate, mde: float) -> bool:
    """Return whether the whole interval is nearer to zero than the smallest effect that matters."""
    return found.ready and -mde < found.lower and found.upper < mde


def comparison(
    measured: Measured, data: LookData, arm: int, variant: str, verdict: Verdict, *, guarded: bool
) -> Comparison:
    """Return the comparison as a result shows it. guarded: whether the metric is a guardrail."""
    found, metric, track = measured.estimate, measured.metric, measured.track
    return Comparison(
        metric=metric.name,
        variant=variant,
        role=measured.role,
        direction=metric.direction,
        mde=metric.mde,
        scale=str(metric.scale),
        n=int(found.requests),
        level=measured.level,
        mean=finite(found.mean),
        control_mean=finite(found.control_mean),
        effect=finite(found.effect),
        lower=finite(found.lower),
        upper=finite(found.upper),
        p_value=track.p_value if found.ready else None,
        log_evidence=found.ln_e if found.ready else None,
        n_eff=finite(found.n_eff),
        verdict=verdict,
        guardrail=_guardrail(metric, track) if guarded else None,
        adjusted=metric.name in data.before,
        share=_share(found.requests, data.requests[arm]),
        control_share=_share(found.control_requests, data.requests[CONTROL]),
        problem=_problem(found, track),
        largest_sum=_largest_sum(metric, data, arm),
        control_largest_sum=_largest_sum(metric, data, CONTROL),
    )


def _guardrail(metric: Metric, track: Track) -> Guardrail:
    known = track.log_evidence is not None
    return Guardrail(
        margin=metric.mde,
        harm=track.harm,
        safe=track.safe,
        harm_p=track.harm_p if known else None,
        safe_p=track.safe_p if known else None,
    )


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None


def _largest_sum(metric: Metric, data: LookData, arm: int) -> float | None:
    """Return the largest share of the sum of an arm's values that one bucket of users has."""
    sums = data.sums.get(metric.name)
    if sums is None or metric.scale not in {Scale.MEAN, Scale.CAPPED} or metric.is_share:
        return None  # no single value of a share is large
    parts = np.abs(sums.x[arm])
    total = float(parts.sum())
    return float(parts.max()) / total if 0 < total < math.inf else None


def _problem(found: Estimate, track: Track) -> str:
    """Return why a comparison has no interval yet."""
    here, control = found.requests > 0, found.control_requests > 0
    if not (here or control):
        return "no values yet"
    if not (here and control):
        return f"no values in {'the control' if here else 'this variant'}"
    if not found.ready:
        if not found.n_eff >= BURN_IN:
            return "fewer than 100 effective users"
        return "a mean that may be zero" if track.tau is None else "no spread of the values"
    if not math.isfinite(found.effect):
        return "the mean of the control is zero"
    return ""

"""What an experiment compares: its variants, its metrics and the criteria of its verdicts.

A design is fixed during a phase. A change of it that would mix different comparisons, such as other
weights, begins a new phase with fresh sums.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from monitor.config.sections.experiments.metrics import (
    LOG_FEATURES,
    MetricConfig,
    split_metric,
)
from monitor.config.sections.experiments.section import ExperimentConfig

CONTROL: Final = 0
"""Index of the control: the variant that is listed first."""

Direction = Literal["higher", "lower"]
"""Which values of a metric are better."""


class Scale(StrEnum):
    """How the values of a feature enter a metric.

    MEAN: as they are: rates, scores, feedback.
    LOG: the logarithm of each positive value; the metric is a geometric mean, and the effect is a
    ratio of geometric means. ZERO: the share of values that are zero, which LOG leaves out.
    CAPPED: values above a declared cap count as the cap.
    P50, P95: quantiles.
    """

    MEAN = "mean"
    LOG = "log"
    ZERO = "zero"
    CAPPED = "capped"
    P50 = "p50"
    P95 = "p95"


SHARES: Final = frozenset({"error", "refusal", "empty_response"})
"""Features whose values are 0 and 1."""
QUANTILES: Final = {Scale.P50: 0.5, Scale.P95: 0.95}


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of an experiment.

    name: as in configuration, reports and labels: the name of the feature (`latency_ms`), with a
    suffix for other scales (`latency_ms.capped`, `.zero`, `.p50`, `.p95`).
    feature: feature of the record, such as `latency_ms`, `score.NAME`, `judge.RUBRIC`.
    direction: which values are better.
    mde: smallest relative effect that matters, such as .05; for a guardrail also its margin.
    cap: of the scale CAPPED, in the unit of the feature.
    """

    name: str
    feature: str
    scale: Scale
    direction: Direction
    mde: float
    cap: float | None = None

    @property
    def is_share(self) -> bool:
        """Whether the values are 0 and 1."""
        return self.scale is Scale.ZERO or self.feature in SHARES


@dataclass(frozen=True, slots=True)
class Design:
    """The criteria of one phase of an experiment, declared before its data.

    phase: hash of all that the sums depend on; state and exposures of other phases are not mixed.
    variants: names, the control first. weights: expected share of users of each, which sum to 1.
    stopped: variants that get no new users. assignment: "log", "hash" or "check".
    goal: decides the verdict. secondary: reported with e-BH. guardrails: must not get worse by more
    than their mde.
    alpha: probability of a false verdict of the goal, over all looks and arms.
    min_users, min_hours: of each arm, before a verdict.
    planned_users: users of the experiment at its planned end, for one final fixed test; or None.
    """

    name: str
    phase: str
    variants: tuple[str, ...]
    weights: tuple[float, ...]
    goal: Metric
    secondary: tuple[Metric, ...] = ()
    guardrails: tuple[Metric, ...] = ()
    stopped: frozenset[str] = frozenset()
    assignment: Literal["log", "hash", "check"] = "log"
    alpha: float = 0.05
    min_users: int = 100
    min_hours: float = 0.0
    planned_users: int | None = None

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All metrics, without repeats: the goal, the secondary ones, the guardrails."""
        return tuple({m.name: m for m in (self.goal, *self.secondary, *self.guardrails)}.values())


def design_of(name: str, config: ExperimentConfig) -> Design:
    """Return the design of the current phase of an experiment."""
    total = sum(config.variants.values())
    weights = tuple([weight / total for weight in config.variants.values()])
    goal = _metric(config.goal, config)
    secondary = tuple([_metric(each, config) for each in config.secondary])
    guardrails = tuple([_metric(each, config) for each in config.guardrails])
    return Design(
        name=name,
        phase=_phase(name, config, (goal, *secondary, *guardrails)),
        variants=tuple(config.variants),
        weights=weights,
        goal=goal,
        secondary=secondary,
        guardrails=guardrails,
        stopped=frozenset(config.stopped),
        assignment=config.assignment,
        alpha=config.alpha,
        min_users=config.min_users,
        min_hours=config.min_hours,
        planned_users=config.planned_users,
    )


def _metric(config: MetricConfig, experiment: ExperimentConfig) -> Metric:
    feature, suffix = split_metric(config.metric)
    scale = Scale(suffix) if suffix else Scale.LOG if feature in LOG_FEATURES else Scale.MEAN
    return Metric(
        name=config.metric,
        feature=feature,
        scale=scale,
        direction="lower" if config.lower_is_better else "higher",
        mde=config.mde or experiment.mde,
        cap=experiment.caps[feature] if scale is Scale.CAPPED else None,
    )


def _phase(name: str, config: ExperimentConfig, metrics: tuple[Metric, ...]) -> str:
    """Return the hash of all that the sums of an experiment depend on, 12 hexadecimal digits.

    The coverage, stopped variants, overrides, the namespace and the criteria of verdicts do not
    count: they can change while the sums go on. The order of metrics does not count either.
    """
    total = sum(config.variants.values())
    pre_period = config.pre_period
    parts = [
        name,
        [[variant, round(weight / total, 12)] for variant, weight in config.variants.items()],
        config.seed_of(name),
        config.unit,
        config.assignment,
        config.phase,
        config.begin,
        [pre_period.start, pre_period.hours] if pre_period else None,
        sorted([each.feature, each.scale, each.cap] for each in metrics),
    ]
    text = json.dumps(parts, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()

"""What an experiment compares: its variants, its metrics and the criteria of its verdicts.

A design is fixed during a phase. A change of it that would mix different comparisons, such as other
weights, begins a new phase with fresh sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

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

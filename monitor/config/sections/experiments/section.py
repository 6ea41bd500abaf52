"""The section `experiments`: the variants that are compared, and the metrics that decide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from monitor.config.sections.base.fields import Positive, UniqueTuple
from monitor.config.sections.base.section import Section, invalid
from monitor.config.sections.base.suggestions import did_you_mean
from monitor.config.sections.experiments.metrics import (
    LOG_FEATURES,
    Effect,
    Metric,
    MetricConfig,
    check_unique,
    split_metric,
)
from monitor.config.sections.experiments.parts import (
    ExperimentName,
    NamespaceConfig,
    PrePeriodConfig,
    Share,
    Time,
    Unit,
    UnitId,
    Variants,
)

MAX_EXPERIMENTS: Final = 20
MAX_METRICS: Final = 20
MAX_OVERRIDES: Final = 1_000


class ExperimentConfig(Section):
    """A live comparison of variants."""

    variants: Variants = Field(
        description="Variants and their weights, the control first. Weights are positive numbers;"
        " a variant gets its share of their sum. Where mappings have no order, as in Helm, write"
        " [{NAME: WEIGHT}, ...]. Other weights begin a new phase."
    )
    unit: Unit = Field(
        default="user_id",
        description="What is assigned to a variant: `user_id`, `session_id`, `metadata.KEY`, or"
        " `request_id`, with which each request is assigned by itself.",
    )
    assignment: Literal["log", "hash", "check"] = Field(
        default="log",
        description="Source of the variants: `log` reads them from the records, `hash` computes"
        " them, `check` reads them and counts those that differ from the hash.",
    )
    phase: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Number of the phase. Another number begins a new one, with fresh sums and,"
        " unless `seed` is set, another assignment.",
    )
    seed: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None,
        description="Seed of the hash. Default: the name of the experiment, followed by"
        " `.PHASE` if `phase` is set.",
    )
    coverage: Share = Field(
        default=1.0,
        description="Share of the units that are in the experiment, 0 to 1. If it is raised, units"
        " that are in the experiment keep their variants.",
    )
    namespace: NamespaceConfig | None = Field(default=None, description=NamespaceConfig.__doc__)
    overrides: Annotated[dict[UnitId, str], Field(max_length=MAX_OVERRIDES)] = Field(
        default={},
        description="Variants of single units, by id, such as those of testers. These units do not"
        " count, because their variants are not random.",
    )
    stopped: UniqueTuple[str] = Field(
        default=(),
        description="Variants that get no new units. Units of other variants keep theirs.",
    )
    goal: Metric = Field(description="Metric that decides: its name, or {metric, direction, mde}.")
    secondary: Annotated[tuple[Metric, ...], Field(strict=False)] = Field(
        default=(), description="Further metrics to report, written as the goal."
    )
    guardrails: Annotated[tuple[Metric, ...], Field(strict=False)] = Field(
        default=(),
        description="Metrics that must not become worse by more than their `mde`, written as the"
        " goal.",
    )
    caps: dict[str, Positive] = Field(
        default={},
        description="Caps of metrics `FEATURE.capped`, by feature, in its unit: the p99 before the"
        " experiment, for example.",
    )
    mde: Effect = Field(
        default=0.05, description="Smallest relative effect that matters; .05 is 5 %."
    )
    alpha: float = Field(
        default=0.05,
        gt=0,
        le=0.5,
        description="Probability of a false verdict of the goal, over all looks and variants.",
    )
    min_users: int = Field(
        default=100, ge=100, le=10**9, description="Units of each variant before a verdict."
    )
    min_hours: float = Field(
        default=0.0, ge=0, le=10_000, description="Hours of each variant before a verdict."
    )
    planned_users: int | None = Field(
        default=None,
        ge=200,
        le=10**10,
        description="Units of the experiment at its planned end, when one fixed test decides in"
        " addition. Default: no planned end.",
    )
    start: Time | None = Field(
        default=None,
        description="Time before which nothing counts, RFC 3339 or epoch seconds. Default: the end"
        " of `pre_period`, if there is one.",
    )
    pre_period: PrePeriodConfig | None = Field(
        default=None, description=f"{PrePeriodConfig.__doc__} It needs `assignment: hash`."
    )

    @property
    def metrics(self) -> tuple[MetricConfig, ...]:
        """All metrics: the goal, the secondary ones, the guardrails."""
        return (self.goal, *self.secondary, *self.guardrails)

    @property
    def begin(self) -> float | None:
        """Time before which nothing counts, epoch seconds; None without one."""
        return self.start if self.pre_period is None or self.start else self.pre_period.end

    def seed_of(self, name: str) -> str:
        """Return the seed of the experiment `name`."""
        if self.seed is not None:
            return self.seed
        return name if self.phase is None else f"{name}.{self.phase}"

    @field_validator("overrides")
    @classmethod
    def _check_overrides(cls, overrides: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        for variant in overrides.values():
            _check_known(variant, info)
        return overrides

    @field_validator("stopped")
    @classmethod
    def _check_stopped(cls, stopped: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for variant in stopped:
            _check_known(variant, info)
            if variant == next(iter(info.data.get("variants", ())), None):
                raise invalid(
                    f"{variant!r} is the control, with which the others are compared; set coverage"
                    " to 0 to stop the experiment"
                )
        return stopped

    @field_validator("secondary", "guardrails")
    @classmethod
    def _check_metrics(
        cls, metrics: tuple[MetricConfig, ...], info: ValidationInfo
    ) -> tuple[MetricConfig, ...]:
        goal = info.data.get("goal")
        given = [*([goal] if goal else ()), *info.data.get("secondary", ())]
        check_unique(metrics, [each.metric for each in given])
        if len(metrics) + len(given) > MAX_METRICS:
            raise invalid(f"makes more than {MAX_METRICS} metrics of one experiment")
        return metrics

    @field_validator("caps")
    @classmethod
    def _check_caps(cls, caps: dict[str, float], info: ValidationInfo) -> dict[str, float]:
        keys = ("goal", "secondary", "guardrails")
        if not all(key in info.data for key in keys):
            return caps
        metrics = (info.data["goal"], *info.data["secondary"], *info.data["guardrails"])
        needed = {
            f for f, suffix in map(split_metric, (m.metric for m in metrics)) if suffix == "capped"
        }
        for feature in caps:
            if feature not in LOG_FEATURES:
                raise invalid(
                    f"unknown feature {feature[:80]!r}{did_you_mean(feature, LOG_FEATURES)}"
                )
            if feature not in needed:
                raise invalid(
                    f"no metric uses the cap of {feature}; add the metric {feature}.capped"
                )
        missing = sorted(needed - caps.keys())
        if missing:
            name = missing[0]
            raise invalid(f"has no cap of {name}, which {name}.capped needs; add {name}: CAP")
        return caps

    @field_validator("planned_users")
    @classmethod
    def _check_planned_users(cls, planned: int | None, info: ValidationInfo) -> int | None:
        least = info.data.get("min_users", 0) * len(info.data.get("variants", ()))
        if planned is not None and planned < least:
            raise invalid(f"is less than min_users of each variant, {least} in all")
        return planned

    @field_validator("pre_period")
    @classmethod
    def _check_pre_period(
        cls, pre_period: PrePeriodConfig | None, info: ValidationInfo
    ) -> PrePeriodConfig | None:
        if pre_period is None:
            return None
        if info.data.get("assignment", "hash") != "hash":
            raise invalid("needs assignment: hash, which gives the variants of that time")
        if info.data.get("unit") == "request_id":
            raise invalid("needs a unit that returns, such as user_id")
        start = info.data.get("start")
        if start is not None and pre_period.end > start:
            raise invalid("must end before the start of the experiment")
        return pre_period


def _check_known(variant: str, info: ValidationInfo) -> None:
    """Raise an error unless the experiment has the variant."""
    variants = info.data.get("variants")  # absent if invalid, which is already reported
    if variants is not None and variant not in variants:
        raise invalid(f"unknown variant {variant[:80]!r}{did_you_mean(variant, variants)}")


Experiments = Annotated[dict[ExperimentName, ExperimentConfig], Field(max_length=MAX_EXPERIMENTS)]


def check_namespaces(experiments: Mapping[str, ExperimentConfig]) -> None:
    """Raise an error if two running experiments use the same part of a namespace."""
    seen: list[tuple[str, NamespaceConfig]] = []
    for name, each in experiments.items():
        if each.namespace is None or not each.coverage:
            continue
        for other, namespace in seen:
            if namespace.overlaps(each.namespace):
                raise invalid(
                    f"overlaps with the range of experiment {other!r} in the namespace"
                    f" {namespace.name!r}",
                    ("experiments", name, "namespace", "range"),
                )
        seen.append((name, each.namespace))


def check_features(
    experiments: Mapping[str, ExperimentConfig],
    metadata: Mapping[str, str],
    judged: Mapping[str, set[str]],
) -> None:
    """Raise an error if no record can have the feature of a metric.

    metadata: keys that are watched -> their kind. judged: first part of a judged feature -> the
    names that are configured.
    """
    for name, each in experiments.items():
        for key, metric in _placed_metrics(each):
            first, _, rest = metric.metric.partition(".")
            place = ("experiments", name, *key)
            if first == "metadata" and metadata.get(rest) != "numeric":
                raise invalid(f"needs {{{rest}: numeric}} in features.metadata", place)
            known = judged.get(first)
            if known is not None and rest not in known:
                hint = did_you_mean(rest, known)
                raise invalid(f"{metric.metric} is not configured in judges{hint}", place)


def _placed_metrics(each: ExperimentConfig) -> Iterator[tuple[tuple[Any, ...], MetricConfig]]:
    """Yield each metric with its key within the section."""
    yield ("goal",), each.goal
    for key, metrics in (("secondary", each.secondary), ("guardrails", each.guardrails)):
        yield from (((key, index), metric) for index, metric in enumerate(metrics))

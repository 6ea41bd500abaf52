"""Metrics of an experiment: their names, directions and smallest effects."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from monitor.config.sections.base.section import Section, invalid
from monitor.config.sections.base.suggestions import did_you_mean

LOG_FEATURES: Final = (
    "latency_ms",
    "time_to_first_token_ms",
    "input_tokens",
    "output_tokens",
    "tokens_per_second",
    "cost_usd",
    "prompt_chars",
    "response_chars",
)
"""Features that are compared by their logarithm."""
MEAN_FEATURES: Final = ("error", "refusal", "empty_response", "feedback")
NAMED_FEATURES: Final = ("score", "feedback", "judge", "ragas", "check", "metadata")
"""First parts of features that end with a name of the user, such as score.NAME."""
SUFFIXES: Final = ("zero", "capped", "p50", "p95")
"""Other scales of LOG_FEATURES, written as latency_ms.p95."""
LOWER_IS_BETTER: Final = frozenset(
    {
        "latency_ms",
        "time_to_first_token_ms",
        "input_tokens",
        "output_tokens",
        "cost_usd",
        "error",
        "refusal",
        "empty_response",
    }
)
"""Features of which lower values are better."""

_METRICS: Final = (
    *(name for f in LOG_FEATURES for name in (f, *(f"{f}.{suffix}" for suffix in SUFFIXES))),
    *MEAN_FEATURES,
)


def split_metric(name: str) -> tuple[str, str]:
    """Return the feature of a metric and its suffix, or "" without one.

    Raises ValueError if there is no such metric.
    """
    if name in LOG_FEATURES or name in MEAN_FEATURES:
        return name, ""
    feature, _, suffix = name.rpartition(".")
    if feature in LOG_FEATURES and suffix in SUFFIXES:
        return feature, suffix
    first, _, rest = name.partition(".")
    if first in NAMED_FEATURES and 0 < len(rest) <= 100 and rest.isprintable():
        return name, ""
    raise ValueError(f"unknown metric {name[:80]!r}{_metric_hint(name)}")


def _metric_hint(name: str) -> str:
    """Return a suggestion for a metric that does not exist."""
    first, _, rest = name.partition(".")
    if first in LOG_FEATURES:
        scales = ", ".join(f"{first}.{suffix}" for suffix in SUFFIXES)
        return f"; there are {first}, {scales}"
    if first in NAMED_FEATURES:
        return f"; write it with a name, as {first}.NAME"
    if rest:
        close = did_you_mean(first, (*NAMED_FEATURES, *LOG_FEATURES))
        return close.replace("'?", f".{rest[:80]}'?")
    return did_you_mean(name.lower(), _METRICS)


def _check_metric(name: str) -> str:
    try:
        split_metric(name)
    except ValueError as error:
        raise invalid(str(error)) from None
    return name


def _named(value: object) -> object:
    """Return a metric that is given by its name alone as a mapping."""
    return {"metric": value} if isinstance(value, str) else value


_MetricName = Annotated[str, AfterValidator(_check_metric)]
Effect = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]
"""A relative effect, such as .05."""


class MetricConfig(Section):
    """A metric: its name alone, or with its own direction and smallest effect."""

    metric: _MetricName = Field(description="Name of the metric, such as `latency_ms`.")
    direction: Literal["higher", "lower"] | None = Field(
        default=None, description="Which values are better. Default: that of the metric."
    )
    mde: Effect | None = Field(
        default=None,
        description="Smallest relative effect that matters; for a guardrail its margin. Default:"
        " that of the experiment.",
    )

    @property
    def lower_is_better(self) -> bool:
        """Whether lower values are better. Fewer zeros are better: most of them are failures."""
        if self.direction is not None:
            return self.direction == "lower"
        feature, suffix = split_metric(self.metric)
        return suffix == "zero" or feature in LOWER_IS_BETTER


Metric = Annotated[MetricConfig, BeforeValidator(_named, json_schema_input_type=str | MetricConfig)]


def check_unique(metrics: tuple[MetricConfig, ...], others: list[str]) -> None:
    """Raise an error if a metric is listed twice. others: names of further metrics."""
    names = [each.metric for each in metrics]
    repeated = sorted({name for name in names if (names + others).count(name) > 1})
    if repeated:
        raise invalid(f"{repeated[0]!r} is a metric of this experiment already")

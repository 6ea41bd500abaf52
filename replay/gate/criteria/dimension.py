"""A dimension of the criteria: what is measured, in which direction, and its rules."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from replay.gate.criteria.section import Finite, Names, Positive, Section, Text, invalid

Statistic = Literal["mean", "p50", "p90", "p95", "p99"]

RELATIVE: Final = frozenset(
    {
        "latency_ms",
        "time_to_first_token_ms",
        "input_tokens",
        "output_tokens",
        "tokens_per_second",
        "cost_usd",
    }
)
"""Measures whose margin is a share of the baseline's value; that of others is a difference."""
_ABSOLUTE: Final = frozenset({"error", "feedback"})
_HIGHER: Final = frozenset({"tokens_per_second", "feedback"})
_MEASURE: Final = re.compile(
    f"{'|'.join(sorted(RELATIVE | _ABSOLUTE))}|(scores|check)\\.[A-Za-z0-9._-]+"
)


class Dimension(Section):
    """One dimension: scores of tasks, or a measure of each answer."""

    tasks: Names = Field(default=(), description="Tasks of lm-eval or of evaluation sets.")
    metric: Text | None = Field(
        default=None, description="Metric of the tasks, as lm-eval names it: exact_match."
    )
    measure: Text | None = Field(
        default=None,
        description="latency_ms, time_to_first_token_ms, input_tokens, output_tokens,"
        " tokens_per_second, cost_usd, error, feedback, scores.NAME or check.NAME.",
    )
    statistic: Statistic = Field(default="mean", description="Statistic of a measure.")
    better: Literal["higher", "lower"] | None = Field(
        default=None, description="Which values of a measure are better."
    )
    margin: Positive | None = Field(
        default=None, description="Largest tolerated worsening against the baseline."
    )
    at_least: Finite | None = Field(default=None, description="Lowest value.")
    at_most: Finite | None = Field(default=None, description="Highest value.")
    weight: Annotated[float, Field(gt=0, le=1000)] | None = Field(
        default=None, description="Weight in the balance."
    )
    required: bool = Field(
        default=True, description="Whether its rules must hold; if not, only the balance counts it."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.tasks) == (self.measure is not None):
            raise invalid("needs either tasks or a measure")
        if self.measure is not None and not _MEASURE.fullmatch(self.measure):
            raise invalid(
                f"must be one of {', '.join(sorted(RELATIVE | _ABSOLUTE))}, scores.NAME or"
                " check.NAME",
                "measure",
            )
        if self.measure is not None and self.metric is not None:
            raise invalid("is for tasks; a measure has a statistic", "metric")
        if self.measure is None:
            for key in ("statistic", "better"):
                if key in self.model_fields_set:
                    raise invalid("is for measures; tasks have their own", key)
        if self.margin is None and self.at_least is None and self.at_most is None:
            raise invalid("needs a rule: margin, at_least or at_most")
        if self.weight is not None and self.margin is None:
            raise invalid("is required for a weight: effects are in units of it", "margin")
        if not self.required and self.weight is None:
            raise invalid("is required if the rules need not hold", "weight")
        return self

    @property
    def relative(self) -> bool:
        """Whether the margin is a share of the baseline's value."""
        return self.measure in RELATIVE

    @property
    def higher_is_better(self) -> bool:
        """Whether larger values of the measure are better."""
        if self.better is not None:
            return self.better == "higher"
        measure = self.measure or ""
        return measure in _HIGHER or measure.startswith(("scores.", "check."))

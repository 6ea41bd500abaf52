"""The section `sampling`: which records are drawn as samples, and what is removed from them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr, field_validator

from monitor.config.sections.base.fields import (
    NonEmpty,
    Secret,
    SegmentValue,
    UniqueTuple,
)
from monitor.config.sections.base.section import Section, invalid
from monitor.redaction.custom import CustomRule

Rate = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class NegativeFeedback(Section):
    """Additional samples of records with bad feedback in the log."""

    rate: Rate = Field(default=0.05, description="Share of these records, 0 to 1.")
    below: float = Field(
        default=0.0,
        allow_inf_nan=False,
        description="Feedback below this value is negative. Use 0.5 where thumbs are 0 and 1.",
    )


class Disagreement(Section):
    """Additional samples of records whose logged scores differ from each other."""

    rate: Rate = Field(default=0.05, description="Share of these records, 0 to 1.")
    scores: UniqueTuple[NonEmpty] = Field(
        default=(),
        description="Names of scores of one scale that should agree, at least two. None: no record"
        " disagrees.",
    )
    difference: float = Field(
        default=1.0,
        gt=0,
        allow_inf_nan=False,
        description="Smallest difference of two of these scores that is a disagreement.",
    )

    @field_validator("scores")
    @classmethod
    def _check_scores(cls, scores: tuple[str, ...]) -> tuple[str, ...]:
        if len(scores) == 1:
            raise invalid("must list at least two scores, or none")
        return scores


class BoostConfig(Section):
    """Samples beside the uniform ones, for review and evaluation sets. They enter no statistic."""

    errors: Rate = Field(default=0.05, description="Share of records with an error, 0 to 1.")
    refusals: Rate = Field(default=0.05, description="Share of refusals, 0 to 1.")
    open_alarms: Rate = Field(
        default=0.05,
        description="Share of the records of models with an open drift alarm, 0 to 1. Above 0,"
        " ingest reads the events topic.",
    )
    negative_feedback: NegativeFeedback = Field(
        default=NegativeFeedback(), description=NegativeFeedback.__doc__
    )
    disagreement: Disagreement = Field(default=Disagreement(), description=Disagreement.__doc__)


class SamplingConfig(Section):
    """Samples: whole records, redacted, that are drawn for judging. Written only for judges,
    replays and review."""

    # Precedence: see monitor.ingest.sampling.rates.
    rate: Rate = Field(
        default=0.01,
        description="Share of the records of a model that are drawn, 0 to 1. A record is drawn at"
        " the largest rate that applies to it.",
    )
    models: dict[NonEmpty, Rate] = Field(
        default={}, description="Rates of models, by name. An example: {large-model: 0.05}."
    )
    segments: dict[SegmentValue, Rate] = Field(
        default={},
        description="Rates of segments, by `finish_reason=VALUE` or `metadata.KEY=VALUE`.",
        json_schema_extra={"additionalProperties": False},  # other keys match no pattern
    )
    experiments: dict[NonEmpty, Rate] = Field(
        default={},
        description="Rates of experiments, by name. They replace all other rates for the records of"
        " the experiment, so that its variants have the same rate.",
    )
    boost: BoostConfig = Field(default=BoostConfig(), description=BoostConfig.__doc__)
    max_bytes: int = Field(
        default=100_000,
        ge=2_000,
        le=900_000,
        description="Maximum size of a sample, in bytes of JSON. The texts of a larger one are cut,"
        " and it names the fields that were cut.",
    )
    redact: bool = Field(
        default=True,
        description="Replace secrets and personal data in the texts of samples before they are"
        " written.",
    )
    redact_patterns: dict[str, str] = Field(
        default={},
        description="Further kinds of text to redact: a name and a regular expression each, in the"
        " syntax of RE2, for any case of letters. They need the extra `samples`.",
    )
    user_key: Secret | None = Field(
        default=None,
        description="Key of the hash of user ids in samples. A secret. Without it the hash of an id"
        " that can be guessed can be reversed.",
    )

    @field_validator("redact_patterns")
    @classmethod
    def _check_patterns(cls, patterns: dict[str, str]) -> dict[str, str]:
        for name, pattern in patterns.items():
            try:
                CustomRule(name, pattern)
            except ValueError as error:
                raise invalid(str(error)) from None
        return patterns

    @field_validator("user_key")
    @classmethod
    def _check_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not key.get_secret_value().strip():
            raise invalid("must not be empty")
        return key

"""The sections `format` and `decoding`: what the messages of a log are, and what records become."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from monitor.config.sections.base.section import Section, invalid

FormatName = Literal[
    "auto",
    "native",
    "otlp",
    "litellm",
    "kong",
    "azure",
    "kserve",
    "apisix",
    "envoy",
    "bedrock",
    "bifrost",
    "databricks",
    "openai",
    "anthropic",
]


class DecodingConfig(Section):
    """Choices that apply to the records of all formats but the native one."""

    model: Literal["requested", "responded"] = Field(
        default="requested",
        description="Which name is the model of a record: `requested`, the name or deployment that"
        " the application asked for, or `responded`, the name in the response.",
    )
    duplicates: Literal["ignore", "count", "drop"] = Field(
        default="ignore",
        description="What happens to records with the request id of one of the last 200,000 records"
        " that the process has read: `count` counts them, `drop` drops them as well. The search"
        " takes time, so `ignore` is the default.",
    )
    join_seconds: float = Field(
        default=900,
        gt=0,
        le=86_400,
        description="How long the parts of a call that are in several messages wait for each other,"
        " such as a request for its response, by the times in the log. It must exceed the duration"
        " of the longest call.",
    )
    fold_model: str | None = Field(
        default=None,
        description="Regular expression of what is removed from the name of a model, such as"
        r" `-\\d{4}-\\d{2}-\\d{2}$` for the date of a version. None: names stay as logged.",
    )

    @field_validator("fold_model")
    @classmethod
    def _check_fold_model(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise invalid(f"is no regular expression: {error}") from None
        return pattern

    @property
    def fold_pattern(self) -> re.Pattern[str] | None:
        """What is removed from the name of a model."""
        return None if self.fold_model is None else re.compile(self.fold_model)

"""The sections `judges.panel`, `judges.golden` and `judges.canaries`: trust in a judge."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from monitor.config.sections.base.fields import NonEmpty, NonEmptyPath, Positive, UniqueTuple
from monitor.config.sections.base.section import Section


class PanelConfig(Section):
    """Further judges on a share of the samples, which measure agreement. They change no score."""

    models: Annotated[UniqueTuple[NonEmpty], Field(max_length=8)] = Field(
        default=(),
        description="Models that judge in addition. `judges.model` among them judges twice, which"
        " measures how far its own scores vary.",
    )
    share: float = Field(
        default=0.1, ge=0, le=1, description="Share of the samples that the panel judges, 0 to 1."
    )


class GoldenConfig(Section):
    """A golden set: records that are judged again and again, to notice a change of the judge."""

    path: NonEmptyPath | None = Field(
        default=None,
        description="File of records, one JSON object per line; 10 to 500 of them are judged.",
    )
    every_hours: Positive = Field(default=24.0, description="Hours between two runs.")


class CanariesConfig(Section):
    """Attacks on the judge, made on purpose, to measure how often they succeed."""

    attacks: int = Field(
        default=0, ge=0, le=100, description="Number of attacks in a run. 0: no canaries."
    )
    every_hours: Positive = Field(default=24.0, description="Hours between two runs.")

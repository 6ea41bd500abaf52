"""The section `web.queues`: responses that people rate."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from monitor.config.sections.base.fields import NonEmpty, NonEmptyPath, Positive, UniqueTuple
from monitor.config.sections.base.section import Section

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class ReviewQueueConfig(Section):
    """A review queue that is filled from the samples of the traffic."""

    rubric: NonEmpty = Field(
        description="Dimensions to rate: the name of a shipped rubric, or the path of a file, as in"
        " `judges.rubrics`."
    )
    task: Literal["single", "spans"] = Field(
        default="single",
        description="What annotators do: score a response (`single`), or mark errors in it"
        " (`spans`). Queues of pairs and rankings are created with the API.",
    )
    guideline: NonEmptyPath | None = Field(
        default=None,
        description="Text file with instructions to annotators. A change makes a new version.",
    )
    overlap: Annotated[int, Field(ge=1, le=20)] = Field(
        default=3, description="Annotators who rate each item. Agreement needs two or more."
    )
    lease_minutes: Positive = Field(
        default=15.0,
        le=1440,
        description="Time after which an item that was not rated is given to another annotator.",
    )
    base: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = Field(
        default=0.1,
        description="Share of easy items in the queue, above 0 to 1. The inclusion probability of"
        " an item is base + boost * difficulty, at most 1.",
    )
    boost: Share = Field(
        default=0.9, description="What the difficulty of an item, 0 to 1, adds to this probability."
    )
    gold_share: Annotated[float, Field(ge=0, le=0.5, allow_inf_nan=False)] = Field(
        default=0.05,
        description="Share of items with a known answer among those that an annotator receives.",
    )
    contested_from: Annotated[float, Field(gt=0, le=5, allow_inf_nan=False)] = Field(
        default=2.0,
        description="Range of the overall scores of an item, 0 to 5, from which an admin decides.",
    )
    retention_days: Positive = Field(
        default=90.0, le=3650, description="Days after which the texts of an item are erased."
    )
    settle_minutes: Annotated[float, Field(ge=0, le=1440, allow_inf_nan=False)] = Field(
        default=5.0,
        description="Time in which the judge's scores of an item may change its difficulty. It is"
        " given to annotators afterwards.",
    )
    models: UniqueTuple[NonEmpty] = Field(
        default=(), description="Models whose samples enter the queue. Default: all."
    )
    boosted: bool = Field(
        default=True,
        description="Whether samples that were drawn for a reason, such as an error, enter as well."
        " They are rated, and never enter an estimate.",
    )
    limit: Annotated[int, Field(ge=10, le=1_000_000)] = Field(
        default=100_000,
        description="Items that wait at most. Beyond it new samples are dropped and counted.",
    )

"""The section `feedback`: values that arrive after their records, and how they find them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from monitor.config.sections.base.fields import Duration, NonEmptyPath
from monitor.config.sections.base.section import Section
from monitor.config.sections.ingest.sampling import Rate


class JoinConfig(Section):
    """Join of feedback that names no model with its record, by id."""

    horizon: Annotated[Duration, Field(ge=60, le=30 * 86_400)] = Field(
        default=86_400.0,
        description="Longest time from a record to its feedback, by their timestamps, such as"
        " `24h`: ids are kept for so long.",
    )
    rate: Rate = Field(
        default=1.0,
        description="Share of the ids that are kept, 0 to 1, by a hash of the id. Feedback of the"
        " others is counted as not indexed.",
    )
    directory: NonEmptyPath | None = Field(
        default=None,
        description="Directory for ids that do not fit into memory. Default: that of the system for"
        " temporary files.",
    )


class FeedbackConfig(Section):
    """Feedback that arrives later, from the topic `kafka.feedback`. Read if this section exists."""

    join: JoinConfig | None = Field(
        default=None,
        description="Join of feedback without a model. Without it, only feedback that names its"
        " model counts.",
    )
    settle: Annotated[Duration, Field(le=3_600)] = Field(
        default=30.0,
        description="Time for which a value waits for one that replaces it, such as `30s`. Later"
        " ones are counted and ignored.",
    )

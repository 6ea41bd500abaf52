"""The section `style`."""

from __future__ import annotations

from pydantic import Field

from monitor.config.sections.base.section import Section


class StyleConfig(Section):
    """Style of answers: markers such as headings or hedges in one answer in 16, and of prompts."""

    enabled: bool = Field(
        default=True,
        description="Whether to watch the style of answers, where texts are logged. Only numbers"
        " leave ingest, no text.",
    )

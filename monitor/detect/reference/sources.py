"""How each source of a model is watched: windows, warm-up, and share of the false-page budget.

Each source has its own windows and reference, because its records are others and arrive at another
rate. Every configured source beside the log takes SHARE of the budget, and the log keeps the rest;
the style has STYLE_SHARE beside them. The shares do not depend on which chunks arrive.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from monitor.config.schema import Config
from monitor.config.sections.detection import (
    REFERENCE_WINDOWS,
    WarmupReference,
    WindowsConfig,
)
from monitor.config.sections.judging.section import JudgesConfig
from monitor.ingest.chunks import segments
from monitor.ingest.chunks.columns import Columns
from monitor.records import Source

SHARE = Fraction(1, 5)
"""Share of the false-page budget of each source beside the log and the style."""
STYLE_SHARE = Fraction(1, 20)
"""Share of the false-page budget of the style, beside the whole budget of the others: the style is
on by default and changes no level of theirs."""
STYLE_WINDOWS = WindowsConfig.model_construct(records=500, stride=100)
"""Windows of the style, in sampled answers."""
STYLE_REFERENCE = 5_000
"""Sampled answers in a reference of the style: enough for strata of some hundred answers."""
NO_RATE_FACTOR = 1e9
"""Factor that no rate of the style reaches: only its population stability index pages. A rare word
that becomes twice as frequent is no swap."""


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """The settings of one source.

    config: the configuration, with the windows and the reference of the source.
    share: of the false-page budget of the model.
    section: prefix of the configuration keys of its windows and reference.
    """

    source: Source
    config: Config
    share: float = 1.0
    section: str = ""

    @property
    def warmup_records(self) -> int:
        """Length of a warm-up, also of models without a profile in a configured reference."""
        reference = self.config.reference
        if reference.source == "warmup":
            return reference.records
        return max(WarmupReference().records, self.required_records)

    @property
    def required_records(self) -> int:
        """Number of records that a reference needs."""
        return REFERENCE_WINDOWS * self.config.windows.records

    def key(self, key: str) -> str:
        """Return the name in the configuration file of a key of `config`."""
        return self.section + key if key.startswith(("windows.", "reference.")) else key

    def split(self, columns: Columns) -> Iterator[tuple[str, Columns]]:
        """Yield each segment with its records, the whole traffic first (`segments.split`).

        Features of the log that chunks of another source carry only select the segment: they are
        watched in the source `log`.
        """
        for segment, part in segments.split(columns, self.config.segments):
            yield segment, part if self.source is Source.LOG else _without_log_features(part)


def settings(config: Config) -> Mapping[Source, SourceSettings]:
    """Return the settings of each source.

    A source that is not configured has default windows, and a share in addition to the budget: its
    chunks come from a process with another configuration.
    """
    configured = [Source.JUDGE] if config.judges.enabled else []
    configured += [Source.FEEDBACK] if config.feedback is not None else []
    judged = _sampled(config, config.judges)
    return {
        Source.LOG: SourceSettings(Source.LOG, config, float(1 - len(configured) * SHARE)),
        Source.JUDGE: SourceSettings(Source.JUDGE, judged, float(SHARE), "judges."),
        Source.FEEDBACK: SourceSettings(
            Source.FEEDBACK, _sampled(config, JudgesConfig()), float(SHARE)
        ),
        Source.STYLE: SourceSettings(Source.STYLE, _style(config), float(STYLE_SHARE), "style."),
    }


def _style(config: Config) -> Config:
    """Return the configuration of the style.

    The e-detector alone compares within strata, so it has the whole share. If the user gives it no
    part in alarms, the style has none.
    """
    alarms = config.alarms.model_copy(update={"min_rate_factor": NO_RATE_FACTOR})
    return config.model_copy(
        update={
            "windows": STYLE_WINDOWS,
            "reference": WarmupReference.model_construct(records=STYLE_REFERENCE),
            "detectors": ("e_detector",),
            "alarms": alarms,
        }
    )


def _sampled(config: Config, sampled: JudgesConfig) -> Config:
    """Return the configuration with the windows and the reference of a sampled source."""
    # not validated: the limits of the section `windows` are those of the log
    windows = WindowsConfig.model_construct(
        records=sampled.windows.records, stride=sampled.windows.stride
    )
    reference = WarmupReference.model_construct(records=sampled.reference.records)
    return config.model_copy(update={"windows": windows, "reference": reference})


def _without_log_features(columns: Columns) -> Columns:
    """Return the columns without the features by which segments are selected."""
    kept = tuple(c for c in columns.categories if not segments.is_key(c.name))
    return replace(columns, categories=kept)

"""The sections of drift detection: features, limits, windows, reference and alarms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator

from monitor.config.sections.base.fields import (
    LegalName,
    NonEmpty,
    NonEmptyPath,
    Positive,
    Regex,
    UniqueTuple,
)
from monitor.config.sections.base.section import Section, invalid

DetectorName = Literal["psi", "ks", "zscore", "chi2", "e_detector", "adwin", "page_hinkley"]
FeatureKind = Literal["numeric", "categorical"]
REFERENCE_WINDOWS: Final = 10
"""Minimum length of a reference, in windows."""


class FeaturesConfig(Section):
    """Features to watch in addition to the default features."""

    metadata: dict[NonEmpty, FeatureKind] = Field(
        default={},
        description="Metadata keys to watch as features `metadata.KEY`, each with its kind:"
        " `numeric` or `categorical`.",
    )
    refusal_patterns: UniqueTuple[Regex] = Field(
        default=(),
        max_length=100,
        description="Regular expressions (syntax of Rust, any case). A response is also a refusal"
        " if one of them is found in its first 200 characters.",
    )


class LimitsConfig(Section):
    """Limits on the number of models, scores, categories and segments to watch."""

    models: int = Field(
        default=500,
        ge=1,
        le=32_000,
        description="Number of models to watch by name. Records of further models are counted as"
        " `other`.",
    )
    scores: int = Field(
        default=50,
        ge=0,
        description="Number of scores to watch by name: the most frequent ones of the reference."
        " Further scores are not watched.",
    )
    categories: int = Field(
        default=1000,
        ge=1,
        le=32_000,
        description="Number of categories to keep per feature: the most frequent ones of the"
        " reference. All others are counted together.",
    )
    segments: int = Field(
        default=20,
        ge=1,
        description="Number of segments to watch per model and segment key. Records of further"
        " segments are counted, not watched.",
    )


class WindowsConfig(Section):
    """The current window, which is compared with the reference window."""

    records: int = Field(default=1000, ge=100, description="Length of a window, in records.")
    stride: int = Field(
        default=100,
        ge=10,
        description="Number of records between two evaluations. The length of a window must be a"
        " multiple of it.",
    )

    @field_validator("stride")
    @classmethod
    def _check_stride(cls, stride: int, info: ValidationInfo) -> int:
        keys = ("windows.stride", "windows.records")
        records = info.data.get("records")
        if records is None:  # invalid, which is already reported
            return stride
        if records % stride:
            raise invalid(f"{stride} does not divide windows.records, which is {records}", *keys)
        if records < 2 * stride:
            raise invalid(f"a window of {records} records must hold at least 2 strides", *keys)
        return stride


class WarmupReference(Section):
    """Reference that consists of the first records of each model."""

    source: Literal["warmup"] = Field(
        default="warmup", description="`warmup`: the first records of each model."
    )
    records: int = Field(
        default=50_000,
        ge=1,
        description="Number of records in the reference: at least ten windows.",
    )


class FileReference(Section):
    """Reference that is read from a file of records."""

    source: Literal["file"] = Field(description="`file`: a file of records, read at the start.")
    path: NonEmptyPath = Field(description="File of records, one JSON object per line.")


class NamedReference(Section):
    """Reference that was built and promoted earlier with `plumbline reference`."""

    source: Literal["named"] = Field(
        description="`named`: a version that was built and promoted earlier."
    )
    name: LegalName = Field(description="Name under which the reference was built.")
    directory: NonEmptyPath = Field(
        default=Path("references"), description="Directory that contains the named references."
    )


def _reference_source(reference: Any) -> Any:
    """Return the source of a reference: `warmup` if the user gives none."""
    if isinstance(reference, dict):
        return reference.get("source", "warmup")
    return getattr(reference, "source", None)


ReferenceConfig = Annotated[
    Annotated[WarmupReference, Tag("warmup")]
    | Annotated[FileReference, Tag("file")]
    | Annotated[NamedReference, Tag("named")],
    Discriminator(_reference_source),
]


class AlarmsConfig(Section):
    """False-page budget and minimum effect size."""

    false_pages: Positive = Field(
        default=1.0,
        description="Number of false pages allowed per model in `per_days` days, when nothing has"
        " changed.",
    )
    per_days: Positive = Field(
        default=30.0, description="Number of days to which `false_pages` applies."
    )
    advisory: UniqueTuple[DetectorName] = Field(
        default=("adwin",),
        description="Detectors whose findings are shown but raise no alarm and use no budget.",
    )
    weights: Mapping[DetectorName, Positive] = Field(
        default={"e_detector": 20.0},
        description="Weight of each detector when the budget is shared. Detectors that are not"
        " listed have weight 1.",
    )
    min_psi: Positive = Field(
        default=0.1, description="Smallest population stability index that opens an alarm."
    )
    critical_psi: Positive = Field(
        default=0.25, description="Population stability index from which an alarm is critical."
    )
    min_rate_factor: float = Field(
        default=2.0,
        gt=1,
        allow_inf_nan=False,
        description="Smallest factor, up or down, by which the rate of a binary feature or of a"
        " category must change to open an alarm, whatever its population stability index.",
    )
    min_rate_change: float = Field(
        default=0.005,
        gt=0,
        le=1,
        description="Smallest absolute change of such a rate, in addition to `min_rate_factor`."
        " 0.005 is half a percentage point.",
    )

    @field_validator("critical_psi")
    @classmethod
    def _check_critical_psi(cls, critical_psi: float, info: ValidationInfo) -> float:
        min_psi = info.data.get("min_psi", critical_psi)
        if critical_psi < min_psi:
            message = f"{critical_psi:g} is less than alarms.min_psi, which is {min_psi:g}"
            raise invalid(message, "alarms.critical_psi", "alarms.min_psi")
        return critical_psi

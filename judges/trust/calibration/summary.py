"""The whole report of a calibration: a judge against people, rubric by rubric."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from judges.trust.calibration.corrected import ModelQuality
from judges.trust.calibration.dimensions import Dimensions, dimension_lines
from judges.trust.calibration.report import Calibration, json_value, printable, to_json, to_text
from monitor.statistics.agreement import Undefined
from monitor.statistics.corrected import Corrected


@dataclass(frozen=True, slots=True)
class RubricSummary:
    """The results of one rubric.

    version: of the evaluations; empty if the verdicts come from the file of labels.
    left_out: labelled responses that are not compared, by reason.
    published: number of labels that were published; None if that was not requested.
    unpublished: labelled responses that cannot be published, by reason.
    """

    rubric: str
    calibrations: list[Calibration]
    version: str = ""
    qualities: list[ModelQuality] = field(default_factory=list)
    dimension_comparison: Dimensions | None = None
    left_out: dict[str, int] = field(default_factory=dict)
    published: int | None = None
    unpublished: dict[str, int] = field(default_factory=dict)


def summary_json(summaries: Sequence[RubricSummary]) -> dict[str, Any]:
    """Return the report as JSON values."""
    rubrics = {}
    for each in summaries:
        fields = json_value(each)
        del fields["rubric"], fields["calibrations"]
        rubrics[each.rubric] = fields
    calibrations = [found for each in summaries for found in each.calibrations]
    return to_json(calibrations) | {"rubrics": rubrics}


def summary_text(summaries: Sequence[RubricSummary]) -> str:
    """Return the report as text for a console, without control characters."""
    return "\n".join(
        to_text(each.calibrations) + "".join(f"{line}\n" for line in _lines(each))
        for each in summaries
    )


def _lines(found: RubricSummary) -> Iterator[str]:
    for quality in found.qualities:
        name = printable(quality.model)
        yield f"  corrected mean of {name}: {_shown(quality.mean)}"
        yield f"  corrected pass rate of {name}: {_shown(quality.pass_rate)}"
        yield f"    by sensitivity and specificity: {_shown(quality.pass_rate_by_errors)}"
    if found.dimension_comparison is not None:
        yield from dimension_lines(found.dimension_comparison)
    for reason, count in found.left_out.items():
        yield f"  labelled, but left out: {count} ({reason})"
    if found.published is not None:
        yield f"  published {found.published} labels of version {printable(found.version)}"
    for reason, count in found.unpublished.items():
        yield f"  labelled, but not published: {count} ({reason})"


def _shown(found: Corrected | Undefined) -> str:
    if isinstance(found, Undefined):
        return f"undefined: {found.reason}"
    return (
        f"{found.value:.3f} ({found.lower:.3f} to {found.upper:.3f}); judge alone"
        f" {found.naive:.3f}, people alone {found.people:.3f}, {found.labels:.0f} effective labels"
    )

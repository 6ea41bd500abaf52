"""The drift event. Log, metrics, notifications, the events topic and reports all use it."""

from __future__ import annotations

from typing import Final, Literal, get_args

import msgspec

from monitor.events.drift_types import DriftType, drift_type
from monitor.records import Source

Severity = Literal["info", "warning", "critical"]
"""`info`: significant, but too small to page."""
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
"""All severities, the lowest first."""
Transition = Literal["opened", "escalated", "updated", "resolved"]
Kind = Literal["numeric", "binary", "categorical"]


def rank(severity: Severity) -> int:
    """Return the position of a severity in their order, the lowest first."""
    return SEVERITIES.index(severity)


def pages(severity: Severity) -> bool:
    """Return whether alarms of this severity are sent to notification targets."""
    return severity != "info"


class ChangePoint(msgspec.Struct, frozen=True, kw_only=True):
    """Estimated start of a change, with the precision of a stride.

    record: number of the first changed record in the stream.
    time: event time of the record before it; None if it is too old to be known.
    """

    record: int
    time: float | None = None


class BinShift(msgspec.Struct, frozen=True, kw_only=True):
    """Share of records in a bin, in the reference and in the current window."""

    bin: str
    before: float
    after: float


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """The number that describes the change best, in the unit of the feature.

    of: median, p95, p99, p05 or mean; "share" for a binary feature: share of records; otherwise the
    bin (a category, or missing) whose share of records changed most.
    unit: "" if the name of the feature has none.
    """

    of: str
    before: float
    after: float
    unit: str = ""


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A marker of style that moved: its name, and the shares of answers before and after."""

    marker: str
    before: float
    after: float


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """Size of a change: its PSI, its effect, and the number of records that were measured."""

    psi: float
    records: int
    effect: Effect | None = None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Context of an event. Fields are empty if unknown.

    bins: the bins that changed most, those that grew first.
    examples: request ids of records since the change that are in bins that grew, newest first.
    together: other features of the model (or segment) that changed too -> PSI, largest first.
    unmoved: statistics of which nothing suggests that they have moved: quantiles and mean, whose
        interval of 80 % includes the reference's value, or categories.
    uncertain: quantiles and mean that may have moved or not. These and those in `unmoved` have the
        reference's value in `current`: that of a few records is mostly noise.
    new_categories: of a categorical feature with more records of categories that the reference
        lacks: the most frequent of these -> share of the values, largest first.
    markers: of an event about style, the markers that moved, that of the event first.
    bet: the kind of change that the e-detector found, if it is among the detectors that found it.
    final: of an alarm that resolved, the mean size of full windows since the change began; if it
        ended sooner, the size that was reported last.
    further: of an escalation, whether a later step caused it, at which the change then begins.
    """

    since: ChangePoint | None = None
    effect: Effect | None = None
    bins: tuple[BinShift, ...] = ()
    examples: tuple[str, ...] = ()
    together: dict[str, float] = {}
    unmoved: tuple[str, ...] = ()
    uncertain: tuple[str, ...] = ()
    bet: str | None = None
    final: Size | None = None
    new_categories: dict[str, float] = {}
    markers: tuple[Moved, ...] = ()
    further: bool = False


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Summary of the reference or the current window, in the unit of the feature.

    n: number of records with a value; missing: share of records without one.
    mean, p05 to p99: for numeric and binary features; shares: of some categories, for categorical
    features. None if they do not apply.
    """

    n: int
    missing: float
    mean: float | None = None
    p05: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    shares: dict[str, float] | None = None


class DriftEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A transition of an alarm of a stream: it opens, becomes more severe, or resolves.

    An alarm is "updated" at most once per severity: when full windows since the change began
    certainly have another size than was reported.

    id: deterministic; the same finding has the same id after a restart, see `event_id`.
    alarm: id of the event that opened the alarm; it identifies the incident.
    detector: the detector with the strongest evidence; found_by: all that found the change.
    position: of the newest record in its log: line of the file, or offset plus one; 0 if unknown.
    record: number of records of the model so far; time: event time of the newest record.
    threshold: the value that `statistic` must reach; psi: size of the drift, from which the
    severity follows.
    psi_values, psi_missing: size of the drift of the values, and of the share of records without
    one; None in events written by versions that did not tell them apart.
    reference, current: for a categorical feature both have the same categories, those whose shares
    changed most first.
    explanation: empty in events written by versions without it.
    reason: why the alarm ended although its feature was not quiet, for example a changed setting;
    empty otherwise.
    escalated_from: severity before an escalation; None in other events.
    type: the events topic will have events of other types. drift_type: follows from the feature.
    source: where the values come from; `record` and the other counts are of its records. The log in
    events of versions without it.
    """

    id: str
    alarm: str
    change: Transition
    model: str
    segment: str
    feature: str
    detector: str
    found_by: tuple[str, ...]
    severity: Severity
    position: int
    record: int
    time: float
    statistic: float | None
    threshold: float | None
    p_value: float | None
    psi: float
    reference_id: str
    reference: Summary
    current: Summary
    kind: Kind = "numeric"
    explanation: Explanation = Explanation()
    psi_values: float | None = None
    psi_missing: float | None = None
    reason: str = ""
    escalated_from: Severity | None = None
    type: Literal["drift"] = "drift"
    drift_type: DriftType | None = None
    source: Source = Source.LOG

    def __post_init__(self) -> None:
        """Set the drift type of an event without one, such as one of an earlier version."""
        if self.drift_type is None:
            msgspec.structs.force_setattr(self, "drift_type", drift_type(self.feature))

"""The drift event: one typed finding that log, metrics, topic and report all tell from."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec

Severity = Literal["warning", "critical"]
Change = Literal["opened", "escalated", "resolved"]


class Summary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One side of the comparison, in the feature's own unit.

    n: records with a value; missing: share of records without one. Mean and quantiles of numeric
    and binary features, `shares` of the most frequent categories of categorical ones.
    """

    n: int
    missing: float
    mean: float | None = None
    p50: float | None = None
    p95: float | None = None
    shares: dict[str, float] | None = None


class DriftEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm of a stream opens, becomes critical, or resolves.

    id: the same for the same finding, however often it is made; see `event_id`.
    alarm: the id of the event that opened the alarm: what belongs to one incident.
    detector: the one that speaks most clearly; `found_by` names all that found the change.
    position: where the newest record of the window stood in its log (line of the file, or offset
    plus one); record: how many of the model's records had been seen; time: its event time.
    threshold: what `statistic` had to reach. psi: how much it matters.
    """

    id: str
    alarm: str
    change: Change
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


def event_id(
    *, model: str, segment: str, feature: str, detector: str, record: int, time: float
) -> str:
    """A hash of what was found where.

    `record` counts the model's own records, so the id does not depend on how the log is
    partitioned or batched; the event time keeps lives apart in which counting began anew.
    """
    text = "\0".join((model, segment, feature, detector, str(record), repr(time)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def encode(event: DriftEvent) -> bytes:
    """The event as JSON."""
    return msgspec.json.encode(event)


def fields(event: DriftEvent) -> dict[str, Any]:
    """The event as plain values, for a log line."""
    plain: dict[str, Any] = msgspec.to_builtins(event)
    return plain


def sentence(event: DriftEvent) -> str:
    """The event in words, for a log line or a page."""
    where = f"{event.model} [{event.segment}]" if event.segment else event.model
    if event.change == "resolved":
        return f"{event.feature} of {where} is back within its reference"
    before, after = event.reference, event.current
    if before.p50 is not None and after.p50 is not None:
        moved = f"median {before.p50:.4g} -> {after.p50:.4g}"
        moved += f", mean {before.mean:.4g} -> {after.mean:.4g}"
    else:
        moved = f"shares {_shares(before)} -> {_shares(after)}"
    return (
        f"{event.feature} of {where} has drifted ({event.severity}): {moved}, PSI {event.psi:.3f}"
    )


def _shares(summary: Summary) -> str:
    shares = (summary.shares or {}).items()
    return ", ".join(f"{name} {share:.1%}" for name, share in shares) or "none"

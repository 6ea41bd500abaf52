"""The drift event: one typed finding that log, metrics, topic and report all tell from."""

from __future__ import annotations

import hashlib
import math
from typing import Any, Literal

import msgspec

Severity = Literal["warning", "critical"]
Change = Literal["opened", "escalated", "resolved"]
Kind = Literal["numeric", "binary", "categorical"]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """One side of the comparison, in the feature's own unit.

    n: records with a value; missing: share of records without one. Mean and quantiles of numeric
    and binary features, `shares` of some categories of categorical ones; None where there are none.
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
    reference, current: of a categorical feature they name the same categories, those first whose
    shares have moved most.
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
    kind: Kind = "numeric"


def event_id(
    *, model: str, segment: str, feature: str, detector: str, record: int, time: float
) -> str:
    """A hash of what was found where.

    `record` counts the model's own records, so the id does not depend on how the log is
    partitioned or batched; the event time keeps lives apart in which counting began anew.
    """
    parts = msgspec.json.encode((model, segment, feature, detector, record, time))
    return hashlib.sha256(parts).hexdigest()[:16]


def encode(event: DriftEvent) -> bytes:
    """The event as JSON."""
    return msgspec.json.encode(event)


def decode(content: bytes) -> DriftEvent:
    """An event from its JSON. Raises ValueError for what is none."""
    return _decoder.decode(content)


_decoder = msgspec.json.Decoder(DriftEvent)


def fields(event: DriftEvent) -> dict[str, Any]:
    """The event as plain values, for a log line."""
    plain: dict[str, Any] = msgspec.to_builtins(event)
    return plain


def sentence(event: DriftEvent) -> str:
    """The event in words, for a log line or a page: what moved, from where to where, how much."""
    what = f"{event.feature} of {event.model}"
    what += f" [{event.segment}]" if event.segment else ""
    psi = f"PSI {event.psi:.2f}"
    if event.change == "resolved":
        return printable(f"{what} is quiet again: {_standing(event)}; {psi}")
    drifted = "has drifted further" if event.change == "escalated" else "has drifted"
    return printable(f"{what} {drifted} ({event.severity}): {_moved(event)}; {psi}")


def printable(text: str) -> str:
    """Text from a log on one line, without characters that a terminal would obey."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _moved(event: DriftEvent) -> str:
    """What moved: the share of missing values, or the values, or both."""
    before, after = event.reference, event.current
    missing = f"missing in {_shift(before.missing, after.missing)} of records"
    if after.n == 0:
        return f"no record has a value any more; {missing}"
    part = _missing_psi(before.missing, after.missing)
    if part >= event.psi / 2:
        return missing
    values = _values(event)
    return f"{values}; {missing}" if part >= event.psi / 10 else values


def _missing_psi(before: float, after: float) -> float:
    """What missing values alone make of the population stability index."""
    p, q = (min(max(share, 5e-4), 1 - 5e-4) for share in (before, after))
    return (q - p) * math.log(q * (1 - p) / (p * (1 - q)))


def _values(event: DriftEvent) -> str:
    before, after = event.reference, event.current
    if event.kind == "categorical":
        now, then = after.shares or {}, before.shares or {}
        return ", ".join(
            f"{_CATEGORIES.get(name, name)} {_shift(then.get(name, 0.0), share)}"
            for name, share in list(now.items())[:3]
        )
    if event.kind == "binary" and before.mean is not None and after.mean is not None:
        return f"{_shift(before.mean, after.mean)} of records" + _times(before.mean, after.mean)
    return _numbers(before, after)


_CATEGORIES = {"rare": "rare categories", "other": "unknown categories"}
"""What the bins of a categorical stream without a category of their own are called."""


def _numbers(before: Summary, after: Summary) -> str:
    """Of median, 95th percentile and mean those that moved, and what stayed where it was."""
    pairs = {
        "median": (before.p50, after.p50),
        "p95": (before.p95, after.p95),
        "mean": (before.mean, after.mean),
    }
    both = {name: (a, b) for name, (a, b) in pairs.items() if a is not None and b is not None}
    tail = (before.p95 or 0.0) - (before.p50 or 0.0)
    moved = [name for name, (a, b) in both.items() if _differ(a, b, tail)]
    if not moved:
        return "its shape has changed: " + ", ".join(
            f"{name} {_change(*pair)}" for name, pair in both.items()
        )
    told = moved[:2] if moved[0] != "mean" else ["mean"]
    texts = [f"{name} {_change(*both[name])}{_times(*both[name])}" for name in told]
    still = [name for name in ("median", "p95") if name in both and name not in moved]
    texts += [f"{name} still {_number(both[name][1], 3)}" for name in still]
    return ", ".join(texts)


def _standing(event: DriftEvent) -> str:
    """Where a feature stands that is quiet again, beside its reference."""
    before, after = event.reference, event.current
    if after.n == 0:
        return "no record has a value"
    if event.kind == "categorical":
        now, then = after.shares or {}, before.shares or {}
        name = max(now, key=lambda each: now[each], default="")
        label = _CATEGORIES.get(name, name)
        return f"{label} {now.get(name, 0):.1%}, reference {then.get(name, 0):.1%}"
    if event.kind == "binary" and before.mean is not None and after.mean is not None:
        return f"{after.mean:.1%} of records, reference {before.mean:.1%}"
    if before.p50 is None or after.p50 is None:
        return "its values are as in the reference"
    return f"median {_number(after.p50, 3)}, reference {_number(before.p50, 3)}"


def _differ(before: float, after: float, tail: float) -> bool:
    """Whether a number has moved by so much that people would call it a move."""
    gap = abs(after - before)
    return gap > 0.05 * max(abs(before), abs(after)) or gap > tail / 2 > 0


def _shift(before: float, after: float) -> str:
    """Two shares, with the digits that tell them apart."""
    digits = next((d for d in (1, 2, 3) if f"{before:.{d}%}" != f"{after:.{d}%}"), 1)
    return f"{before:.{digits}%} -> {after:.{digits}%}"


def _change(before: float, after: float) -> str:
    """Two numbers, with the digits that tell them apart."""
    gap, size = abs(after / 2 - before / 2), max(abs(before), abs(after))  # halves: no overflow
    digits = min(9, max(3, math.ceil(math.log10(size / 2) - math.log10(gap)) + 1)) if gap else 3
    return f"{_number(before, digits)} -> {_number(after, digits)}"


def _times(before: float, after: float) -> str:
    """How much more or less that is; nothing where a ratio would say nothing."""
    if before <= 0 or after <= 0 or not math.isfinite(after / before):
        return ""
    ratio = after / before
    if ratio >= 2:
        return f" (x{_number(ratio, 2)})"
    percent = f"{ratio - 1:+.0%}"
    return "" if percent in {"+0%", "-0%"} else f" ({percent})"


def _number(value: float, digits: int) -> str:
    """A number with that many digits, and all of those before the point."""
    magnitude = math.floor(math.log10(abs(value))) if value else 0
    if not -4 <= magnitude < 15:
        return f"{value:.{digits}g}"
    decimals = max(0, digits - 1 - magnitude)
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text

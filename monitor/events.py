"""The drift event: one typed finding that log, metrics, topic and report all tell from."""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from monitor.explanation import Explanation, differ, pairs, tail_of, unit_of

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
    p05: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
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
    explanation: what else there is to say; nothing in events written before there was one.
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
    explanation: Explanation = Explanation()


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
    """The event in words, for a log line or a page: what moved, from where to where, how much,
    since when, and what else moved.
    """
    what = f"{event.feature} of {event.model}"
    what += f" [{event.segment}]" if event.segment else ""
    psi = f"PSI {event.psi:.2f}"
    if event.change == "resolved":
        return printable(f"{what} is quiet again: {_standing(event)}; {psi}")
    drifted = "has drifted further" if event.change == "escalated" else "has drifted"
    told = _moved(event) + _since(event) + _company(event)
    return printable(f"{what} {drifted} ({event.severity}): {told}; {psi}")


_YEAR_9999 = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
"""From here on, and before 1970, a time is somebody's mistake, and no calendar need know it."""


def _since(event: DriftEvent) -> str:
    """When the change began: the time of day, with the date where that is not the event's own."""
    since = event.explanation.since
    if since is None:
        return ""
    ago = f"{_count(event.record - since.record + 1)} ago"
    if since.time is None or not all(0 <= time < _YEAR_9999 for time in (since.time, event.time)):
        return f", since {ago}"
    then, now = (datetime.fromtimestamp(time, UTC) for time in (since.time, event.time))
    form = "%H:%M:%S" if then.date() == now.date() else "%Y-%m-%d %H:%M:%S"
    return f", since {then.strftime(form)} UTC, {ago}"


def _company(event: DriftEvent) -> str:
    """What moved as well: the first two by name."""
    others = event.explanation.together
    named = ", ".join(list(others)[:2])
    more = f" and {len(others) - 2} more" if len(others) > 2 else ""
    return f", with {named}{more}" if others else ""


def _count(records: int) -> str:
    return f"{records:,} record" if records == 1 else f"{records:,} records"


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
            f"{_category(name)} {_shift(then.get(name, 0.0), share)}"
            for name, share in list(now.items())[:3]
        )
    if event.kind == "binary" and before.mean is not None and after.mean is not None:
        return f"{_shift(before.mean, after.mean)} of records" + _times(before.mean, after.mean)
    return _numbers(event)


_CATEGORIES = {"rare": "rare categories", "other": "unknown categories"}
"""What the bins of a categorical stream without a category of their own are called."""
_LONG = 40


def _category(name: str) -> str:
    """A category for people; anybody may have made it as long as an answer."""
    label = _CATEGORIES.get(name, name)
    return label if len(label) <= _LONG else label[: _LONG - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _numbers(event: DriftEvent) -> str:
    """Of quantiles and mean the first that moved, and what stayed where it was."""
    before, after, unit = event.reference, event.current, _unit(event)
    both = pairs(before, after)
    moved = [name for name, (a, b) in both.items() if differ(a, b, tail_of(before))]
    if not moved:
        return "its shape has changed: " + (_bins(event) or _standstill(both))
    told = moved[:2] if moved[0] != "mean" else ["mean"]
    texts = [f"{name} {_change(*both[name])}{unit}{_times(*both[name])}" for name in told]
    still = [name for name in ("median", "p95") if name in both and name not in moved]
    texts += [f"{name} still {_number(both[name][1], 3)}" for name in still]
    return ", ".join(texts[:3])


def _bins(event: DriftEvent) -> str:
    """The bins that moved most, where nothing simpler tells the change."""
    moves = sorted(event.explanation.bins, key=lambda move: -abs(move.after - move.before))
    return ", ".join(f"{m.bin}{_unit(event)} in {_shift(m.before, m.after)}" for m in moves[:2])


def _standstill(both: dict[str, tuple[float, float]]) -> str:
    first = ("median", "p95", "mean")
    return ", ".join(f"{name} {_change(*both[name])}" for name in first if name in both)


def _unit(event: DriftEvent) -> str:
    unit = unit_of(event.feature)
    return f" {unit}" if unit else ""


def _standing(event: DriftEvent) -> str:
    """Where a feature stands that is quiet again, beside its reference."""
    before, after = event.reference, event.current
    if after.n == 0:
        return "no record has a value"
    if event.kind == "categorical":
        now, then = after.shares or {}, before.shares or {}
        name = max(now, key=lambda each: now[each], default="")
        return f"{_category(name)} {now.get(name, 0):.1%}, reference {then.get(name, 0):.1%}"
    if event.kind == "binary" and before.mean is not None and after.mean is not None:
        return f"{after.mean:.1%} of records, reference {before.mean:.1%}"
    if before.p50 is None or after.p50 is None:
        return "its values are as in the reference"
    unit = _unit(event)
    return f"median {_number(after.p50, 3)}{unit}, reference {_number(before.p50, 3)}{unit}"


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

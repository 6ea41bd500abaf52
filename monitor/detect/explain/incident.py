"""What the events of an alarm have reported so far, and whether a new size is worth an event."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from msgspec import structs
from scipy.special import ndtri

from monitor.detect.alarms.alarm import Alarm, Incident
from monitor.detect.alarms.lasting_size import LastingSize
from monitor.events.types import ChangePoint, DriftEvent, Size
from monitor.events.wording.comparison import STATISTICS, common_statistics

MIN_CORRECTION = 0.3
"""Least difference of the reported and the settled value, as share of the settled change."""
MIN_PSI_RATIO = 1.5
"""Least ratio of the reported and the settled PSI, where their effects cannot be compared."""
TYPICAL = 0.1
"""Largest difference of the window that an update shows from the settled size, as share of the
settled change."""
_Z = float(ndtri(0.975))


@dataclass(frozen=True, slots=True)
class Extent:
    """Records of the stream: up to the event, since the start that it names, and measured.

    inflation: variance inflation of the stream. margin: returns half of the 95 % interval of a
    statistic (`Effect.of`) of the measured records; None if it has none. lasting: size over all
    records of the change.
    """

    record: int
    since: int
    measured: int
    inflation: float
    margin: Callable[[str], float | None]
    lasting: LastingSize | None


def report(alarm: Alarm, event: DriftEvent, extent: Extent, window: int) -> bool:
    """Record an event in its alarm, and return whether the event is to be sent.

    An event about a settled size is sent if it certainly differs from the reported size, at most
    once after the opening and once after each escalation.

    window: records of a full window.
    """
    incident, since = alarm.incident, event.explanation.since
    if event.change == "resolved":
        return True
    size = Size(psi=event.psi, records=event.current.n, effect=event.explanation.effect)
    if event.change == "updated":
        incident = _with_window(incident, event, size, extent)
        assert incident.settled is not None
        send = (
            not incident.updated
            and _is_typical(size, incident.settled)
            and _corrects(incident, extent)
        )
        reported = size if send else incident.reported
        alarm.incident = structs.replace(
            incident, reported=reported, updated=incident.updated or send
        )
        return send
    if event.change == "opened":
        alarm.id, alarm.since = event.id, since
    alarm.detector = event.detector
    known = incident if _same(since, incident.level) else Incident()
    incident = structs.replace(
        known,
        level=since,
        first=extent.record - extent.since + 1,
        paged=event.record,
        reported=size,
        updated=False,
    )
    if not incident.windows and min(extent.since, extent.measured) >= window:
        incident = _with_window(incident, event, size, extent)
    alarm.incident = incident
    return True


def _with_window(incident: Incident, event: DriftEvent, size: Size, extent: Extent) -> Incident:
    """Return what an alarm has reported, with one more window in its mean size."""
    count, effect = incident.windows, size.effect
    settled = incident.settled if count else None
    margin = (extent.margin(effect.of) if effect else None) or 0.0
    if settled is not None:
        size, margin = _averaged(settled, size, event, extent, incident)
    size, margin = _lasting(size, margin, extent.lasting)
    return structs.replace(
        incident, settled=size, windows=count + 1, settled_at=extent.record, margin=margin
    )


def _averaged(
    settled: Size, size: Size, event: DriftEvent, extent: Extent, incident: Incident
) -> tuple[Size, float]:
    """Return the mean size of the windows so far and one more, and the margin of its effect."""
    count, effect, margin = incident.windows, settled.effect, incident.margin
    value, own = (_value(event, effect.of), extent.margin(effect.of)) if effect else (None, None)
    if effect is not None and value is not None and own is not None:
        effect = structs.replace(effect, after=_mean(effect.after, value, count))
        margin = math.hypot(count * margin, own) / (count + 1)
    psi, records = _mean(settled.psi, size.psi, count), settled.records + size.records
    return Size(psi=psi, records=records, effect=effect), margin


def _lasting(size: Size, margin: float, lasting: LastingSize | None) -> tuple[Size, float]:
    """Return a size whose effect, if it is a share, is that of all records of the change."""
    found = lasting.share(size.effect.of) if lasting and size.effect else None
    if lasting is None or found is None or size.effect is None:
        return size, margin
    effect = structs.replace(size.effect, after=found[0])
    return Size(psi=lasting.psi, records=round(lasting.records), effect=effect), found[1]


def final_size(alarm: Alarm, lasting: LastingSize | None) -> Size | None:
    """Return the size of a change that is over: of a share, over all of its records."""
    incident = alarm.incident
    if incident.settled is None:
        return incident.reported
    return _lasting(incident.settled, 0.0, lasting)[0]


def _same(one: ChangePoint | None, other: ChangePoint | None) -> bool:
    """Return whether two starts are at the same record."""
    return (one and one.record) == (other and other.record)


def _mean(mean: float, value: float, count: int) -> float:
    """Return the mean of `count` values and one more, without an overflow."""
    return mean + (value / (count + 1) - mean / (count + 1))


def _value(event: DriftEvent, of: str) -> float | None:
    """Return the statistic or share of an event's measured records (`Effect.of`)."""
    effect = event.explanation.effect
    if effect is not None and effect.of == of:
        return effect.after
    if event.kind == "numeric" and of in STATISTICS:
        both = common_statistics(event.reference, event.current)
        return both[of][1] if of in both else None
    return next((shift.after for shift in event.explanation.bins if shift.bin == of), None)


def _is_typical(size: Size, settled: Size) -> bool:
    """Return whether the window of an update shows about the settled size."""
    now, mean = size.effect, settled.effect
    if now is not None and mean is not None and now.of == mean.of:
        return abs(now.after - mean.after) <= TYPICAL * abs(mean.after - mean.before)
    return abs(size.psi - settled.psi) <= TYPICAL * settled.psi


def _corrects(incident: Incident, extent: Extent) -> bool:
    """Return whether the settled size certainly differs from the reported one.

    The difference must be material at the near end of the settled size's interval. The root of PSI
    has the standard error of a mean of as many records, about.
    """
    settled, reported = incident.settled, incident.reported
    if settled is None or reported is None:
        return False
    now, then = settled.effect, reported.effect
    if now is not None and then is not None and now.of == then.of:
        gap = abs(now.after - then.after) - incident.margin
        return gap > MIN_CORRECTION * abs(now.after - now.before)
    error = _Z * math.sqrt(extent.inflation / max(1, settled.records))
    low, high = (max(0.0, math.sqrt(settled.psi) + side * error) ** 2 for side in (-1, 1))
    return low > MIN_PSI_RATIO * reported.psi or high * MIN_PSI_RATIO < reported.psi

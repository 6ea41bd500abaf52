"""What the events of an alarm have reported so far, and whether a new size is worth an event."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import structs

from monitor.detect.alarms.alarm import Alarm, Incident
from monitor.events.types import DriftEvent, Size

MIN_CORRECTION = 0.3
"""Least difference of the reported and the settled value, as share of the settled change."""
MIN_PSI_RATIO = 1.5
"""Least ratio of the reported and the settled PSI, where their effects cannot be compared, and of
their growth after the size has settled for the first time."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Records of the stream: up to the event, since the start that it names, and measured."""

    record: int
    since: int
    measured: int


def report(alarm: Alarm, event: DriftEvent, extent: Extent, window: int) -> bool:
    """Record an event in its alarm, and return whether the event is to be sent.

    An event about a settled size is sent if it differs from the reported size, at most once after
    the opening and once after each escalation. After the first settled size only growth counts.

    window: records of a full window.
    """
    incident, since = alarm.incident, event.explanation.since
    if event.change == "resolved":
        return True
    size = Size(psi=event.psi, records=event.current.n, effect=event.explanation.effect)
    if event.change == "updated":
        corrects = _corrects if incident.settled is None else _exceeds
        send = not incident.updated and corrects(size, incident.reported)
        reported = size if send else incident.reported
        alarm.incident = structs.replace(
            incident, settled=size, reported=reported, updated=incident.updated or send
        )
        return send
    if event.change == "opened":
        alarm.id, alarm.since = event.id, since
    alarm.detector = event.detector
    whole = since is not None and min(extent.since, extent.measured) >= window
    alarm.incident = Incident(
        level=since,
        first=extent.record - extent.since + 1,
        paged=event.record,
        reported=size,
        settled=size if whole else incident.settled,
    )
    return True


def _corrects(settled: Size, reported: Size | None) -> bool:
    """Return whether a settled size differs from the reported one by more than noise."""
    if reported is None:
        return False
    now, then = settled.effect, reported.effect
    if now is not None and then is not None and now.of == then.of:
        return abs(now.after - then.after) > MIN_CORRECTION * abs(now.after - now.before)
    return not 1 / MIN_PSI_RATIO < settled.psi / max(reported.psi, 1e-9) < MIN_PSI_RATIO


def _exceeds(settled: Size, reported: Size | None) -> bool:
    """Return whether a change has become much larger than was reported."""
    return reported is not None and settled.psi >= MIN_PSI_RATIO * reported.psi

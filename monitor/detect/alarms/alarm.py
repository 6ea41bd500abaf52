"""The states of one alarm: when it opens, escalates and resolves."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from monitor.events.types import ChangePoint, Severity, Size, Transition, pages, rank

SETTLING_WINDOWS = 10
"""Windows after each of which the size is settled anew; later, after each so many windows."""


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """What the events of an alarm have reported.

    level: start of the present level, which is later than that of the alarm if the change has
    become larger; first: its first record among those of the stream. paged: records of the model
    up to the last one at which the alarm opened or escalated. reported: size in the last event.
    step: first record of the stream after the last step that was found since; 0 without one.
    settled: size of the change, from `windows` full windows since the level or the step began, the
    newest of which ended at the record `settled_at` of the stream; until there is one, what it was
    before the step. margin: half of the 95 % interval of its effect.
    updated: whether an event has corrected the size since the alarm opened or escalated.
    """

    level: ChangePoint | None = None
    first: int = 0
    paged: int = 0
    reported: Size | None = None
    settled: Size | None = None
    updated: bool = False
    step: int = 0
    windows: int = 0
    settled_at: int = 0
    margin: float = 0.0


@dataclass(slots=True)
class Alarm:
    """An open alarm of one stream.

    id: id of the event that opened it. detector: detector of its last event. Both are empty until
    the first event is built.
    last_found: records of the stream up to the last one at which the alarm held.
    since: start of the change, as estimated when the alarm opened.
    incident: what its events have reported; empty until the first event is built.
    """

    id: str
    detector: str
    severity: Severity
    last_found: int
    since: ChangePoint | None = None
    incident: Incident = field(default_factory=Incident)

    def settles(self, record: int, window: int) -> bool:
        """Return whether the size of the change is settled (anew) with a window.

        It is full of records since the present level or step began, none of which was in the window
        before. The largest size of all windows would be the largest noise.

        record: of the stream at the end of the window. window: its records.
        """
        incident = self.incident
        if incident.level is None:
            return False
        if record - max(incident.first, incident.step) + 1 < window:
            return False
        wait = window if incident.windows < SETTLING_WINDOWS else SETTLING_WINDOWS * window
        return not incident.windows or record - incident.settled_at >= wait

    def add_step(self, first: int) -> None:
        """Begin another mean size if a tested step is later than the level and the last step.

        first: first record of the stream after the step.
        """
        incident = self.incident
        if incident.level is not None and first > max(incident.first, incident.step):
            self.incident = msgspec.structs.replace(incident, step=first, windows=0, margin=0.0)


@dataclass(frozen=True, slots=True)
class AlarmPolicy:
    """When alarms open, escalate and resolve.

    min_psi: minimum PSI of a significant change that opens an alarm. An open alarm holds while the
    PSI is at least min_psi, significant or not: ADWIN and Page-Hinkley detect a change once and
    then restart. It also holds while the change is significant and the PSI is at least half of
    min_psi, so that a drift near the limit is one alarm and not twenty.
    critical_psi: minimum PSI of a critical alarm.
    resolve_after: records after which an alarm that no longer holds is resolved, if its episode is
    over. One episode of drift is one alarm, however many evaluations exceed their thresholds during
    it.
    """

    min_psi: float
    critical_psi: float
    resolve_after: int

    def holds(self, significant: bool, psi: float) -> bool:
        """Return whether an open alarm holds at this evaluation."""
        return psi >= (self.min_psi / 2 if significant else self.min_psi)

    def severity(
        self, psi: float, alarm: Alarm | None, *, rate: bool, settled: bool
    ) -> Severity | None:
        """Return the severity of a significant change; None if it is too early to report it.

        rate: whether the rate of a value or category is material. settled: whether the change has
        lasted long enough to be reported though it is not material.
        """
        if psi >= self.critical_psi:
            return "critical"
        limit = self.min_psi / 2 if alarm and pages(alarm.severity) else self.min_psi
        if psi >= limit or rate:
            return "warning"
        return "info" if settled else None

    def transition(
        self, alarm: Alarm | None, found: Severity | None, over: bool, record: int
    ) -> Transition | None:
        """Return the transition of a stream's alarm at its `record`-th record.

        alarm: the open alarm, if any. found: severity of the change found, if it is significant and
        reported. over: whether the episode is over.
        """
        if alarm is None:
            return "opened" if found else None
        if found is not None and rank(found) > rank(alarm.severity):
            return "escalated"
        if found is not None and pages(found) >= pages(alarm.severity):
            return None
        return "resolved" if over and record - alarm.last_found >= self.resolve_after else None

"""When a finding becomes an alarm, grows and ends: the life of one alarm, without any numbers."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.events import Change, Severity
from monitor.explanation import Since


@dataclass(slots=True)
class Alarm:
    """An open alarm of one stream.

    id: of the event that opened it. detector: that opened it, or found it grown. Both are empty
    until that event is made.
    last_found: how many records the stream had seen when the alarm last held.
    since: when the change began, as it was seen when the alarm opened.
    """

    id: str
    detector: str
    severity: Severity
    last_found: int
    since: Since | None = None


@dataclass(frozen=True, slots=True)
class AlarmPolicy:
    """What makes an alarm, and how long one lasts.

    min_psi: a significant change matters from here on. An open alarm holds as long as the change
    is of this size, significant or not (ADWIN and Page-Hinkley find a change once and then start
    anew), and while it is significant down to half of it: a drift that hovers at the limit is one
    alarm and not twenty.
    latch: records after which an alarm that no longer holds is resolved: one episode of drift is
    one alarm, however many evaluations exceed their thresholds in it.
    """

    min_psi: float
    critical_psi: float
    latch: int

    def material(self, psi: float, alarm: Alarm | None) -> bool:
        """Whether a significant change of this size matters."""
        return psi >= (self.min_psi if alarm is None else self.min_psi / 2)

    def holds(self, significant: bool, psi: float) -> bool:
        """Whether an open alarm is still about something."""
        return psi >= (self.min_psi / 2 if significant else self.min_psi)

    def severity(self, psi: float) -> Severity:
        """How much it matters."""
        return "critical" if psi >= self.critical_psi else "warning"

    def change(self, alarm: Alarm | None, found: bool, psi: float, record: int) -> Change | None:
        """What happens to a stream's alarm (None: it has none) at its `record`-th record.

        found: whether the stream's change is significant and matters now.
        """
        if alarm is None:
            return "opened" if found else None
        if found:
            grows = alarm.severity == "warning" and self.severity(psi) == "critical"
            return "escalated" if grows else None
        return "resolved" if record - alarm.last_found >= self.latch else None

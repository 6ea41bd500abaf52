"""Open alarms and recent events, from the events topic."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from monitor.events.types import DriftEvent

MAX_EVENTS = 10_000
"""Events that are kept, the newest ones."""
MAX_ALARMS = 10_000
"""Open alarms that are kept; beyond it the one that opened first is dropped."""


@dataclass(frozen=True, slots=True)
class OpenAlarm:
    """An alarm that is not resolved.

    opened: event time of the event that opened it, or of the oldest one that is known.
    event: its newest event.
    """

    opened: float
    event: DriftEvent


class EventHistory:
    """The state that follows from drift events, added in the order of the topic.

    A restart of detect may write an event twice, with the same id: the second is ignored. One
    thread may add events while others read.

    unreadable: messages that are no events. other_types: events of types that this version does not
    know. alarms_dropped: open alarms beyond MAX_ALARMS.
    """

    def __init__(self) -> None:
        self.unreadable = 0
        self.other_types = 0
        self.alarms_dropped = 0
        self._events: deque[DriftEvent] = deque()
        self._ids: set[str] = set()
        self._open: dict[str, OpenAlarm] = {}
        self._lock = threading.Lock()

    def add(self, event: DriftEvent) -> bool:
        """Add the next event; return whether it is new."""
        with self._lock:
            if event.id in self._ids:
                return False
            self._events.append(event)
            self._ids.add(event.id)
            if len(self._events) > MAX_EVENTS:
                self._ids.discard(self._events.popleft().id)
            self._update_alarm(event)
        return True

    def _update_alarm(self, event: DriftEvent) -> None:
        before = self._open.pop(event.alarm, None)
        if event.change != "resolved":
            opened = before.opened if before else event.time
            self._open[event.alarm] = OpenAlarm(opened, event)
            if len(self._open) > MAX_ALARMS:
                del self._open[min(self._open, key=lambda alarm: self._open[alarm].opened)]
                self.alarms_dropped += 1

    def open_alarms(self) -> list[OpenAlarm]:
        """Return the open alarms, the newest first."""
        with self._lock:
            alarms = list(self._open.values())
        return sorted(alarms, key=lambda alarm: alarm.opened, reverse=True)

    def newest(self, count: int, *, model: str | None = None) -> list[DriftEvent]:
        """Return the newest events by event time, of one model if it is given, oldest first."""
        events = [event for event in self._copy() if model in {None, event.model}]
        return sorted(events, key=lambda event: event.time)[max(0, len(events) - count) :]

    def since(self, time: float) -> list[DriftEvent]:
        """Return the kept events with an event time of at least `time`."""
        return [event for event in self._copy() if event.time >= time]

    def _copy(self) -> list[DriftEvent]:
        with self._lock:
            return list(self._events)

"""The open alarms of a target that forgets alerts unless they are posted again.

Alertmanager resolves an alert that is not posted again before it expires, and keeps alerts in
memory only. So every open alarm is posted again each minute.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from monitor.events.types import DriftEvent
from monitor.notify.message import Batch, Notice

REFRESH_SECONDS: Final = 60.0
"""Time between two refreshes: several fit into the time in which an alert is valid."""
MAX_OPEN: Final = 10_000
"""Number of open alarms that are posted again; beyond it the oldest is not."""

_LEVELS = {"warning": 1, "critical": 2}


@dataclass(slots=True)
class OpenAlerts:
    """The last event of each open alarm, by model, segment and feature.

    By stream and not by alarm: a new alarm of a stream replaces one whose resolution is missing.

    severity: lowest severity of the target. clock: monotonic time in seconds.
    ready: whether the events before the first to send were read; until then the open alarms are not
    complete, and nothing is posted again.
    dropped: number of alarms beyond MAX_OPEN.
    """

    severity: Literal["warning", "critical"]
    clock: Callable[[], float]
    ready: bool = False
    notices: OrderedDict[tuple[str, str, str], Notice] = field(default_factory=OrderedDict)
    due_time: float = 0.0
    dropped: int = 0

    def restore(self, partition: int, event: DriftEvent) -> None:
        """Remember the event of an alarm that an earlier process has sent."""
        since = event.time if event.change == "opened" else None
        self.update([Notice(event, since, partition)])

    def update(self, notices: Iterable[Notice]) -> None:
        """Remember the events of a message: their alarms are open, or no longer."""
        for notice in notices:
            event = notice.event
            stream = event.model, event.segment, event.feature
            earlier = self.notices.pop(stream, None)
            if notice.resolved or _LEVELS.get(event.severity, 0) < _LEVELS[self.severity]:
                continue
            since = notice.since
            if since is None and earlier and earlier.event.alarm == event.alarm:
                since = earlier.since
            self.notices[stream] = Notice(event, since, notice.partition)
            if len(self.notices) > MAX_OPEN:
                self.notices.popitem(last=False)
                self.dropped += 1

    def drop_partitions(self, partitions: Collection[int]) -> None:
        """Forget the alarms of revoked partitions; their new owner posts them."""
        kept = {key: each for key, each in self.notices.items() if each.partition not in partitions}
        self.notices = OrderedDict(kept)

    def next_refresh(self) -> Batch | None:
        """Return the open alarms, if it is time to post them again."""
        if not self.ready or self.clock() < self.due_time:
            return None
        self.due_time = self.clock() + REFRESH_SECONDS
        return Batch(tuple(self.notices.values()), refresh=True)

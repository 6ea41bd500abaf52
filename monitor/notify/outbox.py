"""The events of one target on their way: which it is told of, when, and which together.

Knows nothing of Kafka or HTTP. An event waits here until its message is delivered or given up; what
may be committed follows from that.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Literal

from monitor.config_notify import Target
from monitor.events import DriftEvent
from monitor.notify.kinds import MOST
from monitor.notify.notice import Batch, Notice

REMEMBERED: Final = 10_000
"""Ids of events, and alarms that are open, that are kept in mind."""
MINUTE: Final = 60.0

Suppressed = Literal["duplicate", "severity", "unreadable"]
SUPPRESSED: Final[tuple[Suppressed, ...]] = ("duplicate", "severity", "unreadable")


@dataclass(slots=True)
class _Alarm:
    """An open alarm. shared: whether it may have been told of together with others."""

    partition: int
    since: float | None
    shared: bool


@dataclass(slots=True)
class Outbox:
    """What a target has been told and is to be told. clock: seconds, never backwards."""

    target: Target
    clock: Callable[[], float]
    waiting: deque[tuple[int, Notice]] = field(default_factory=deque)
    """With their offsets, oldest first."""
    read: dict[int, int] = field(default_factory=dict)
    """By partition, the offset after the last event that was taken."""
    seen: OrderedDict[str, None] = field(default_factory=OrderedDict)
    alarms: OrderedDict[str, _Alarm] = field(default_factory=OrderedDict)
    sent: deque[float] = field(default_factory=deque)

    def recall(self, partition: int, event: DriftEvent) -> None:
        """Keep in mind an event that was dealt with before this process began.

        How its alarm was told of is not known any more; that it was told with others is assumed.
        """
        self._note(event.id)
        self._open(partition, event, shared=True)
        if event.change == "resolved":
            self.alarms.pop(event.alarm, None)

    def take(self, partition: int, offset: int, event: DriftEvent | None) -> Suppressed | None:
        """Take the next event of a partition; why nobody is told of it, None where somebody is.

        event: None where the message could not be read.
        """
        self.read[partition] = offset + 1
        if event is None:
            return "unreadable"
        if event.id in self.seen:
            return "duplicate"
        self._note(event.id)
        alarm = self._open(partition, event, shared=event.change != "opened")
        if self.target.severity == "critical" and event.severity != "critical":
            if event.change == "resolved":
                self.alarms.pop(event.alarm, None)
            return "severity"
        self.waiting.append((offset, Notice(event, alarm.since, partition)))
        return None

    def next(self) -> Batch | None:
        """What is to be told now, in one message; None while nothing is or may be.

        One event, as long as all that wait may have a message of their own within this minute;
        otherwise all that wait.
        """
        room = self.room()
        if not self.waiting or not room:
            return None
        number = 1 if len(self.waiting) <= room else MOST[self.target.kind]
        notices = [notice for _, notice in islice(self.waiting, number)]
        if len(notices) > 1:
            for notice in notices:
                if notice.event.alarm in self.alarms:
                    self.alarms[notice.event.alarm].shared = True
        self.sent.append(self.clock())
        return Batch(notices, self._ended(notices))

    def room(self) -> int:
        """How many messages may be sent now."""
        while self.sent and self.clock() - self.sent[0] >= MINUTE:
            self.sent.popleft()
        return self.target.per_minute - len(self.sent)

    def done(self, batch: Batch) -> None:
        """A message was delivered, or given up for good: its events wait no more."""
        ids = {notice.event.id for notice in batch.notices}
        self.waiting = deque(each for each in self.waiting if each[1].event.id not in ids)
        for notice in batch.notices:
            if notice.over:
                self.alarms.pop(notice.event.alarm, None)

    def positions(self) -> dict[int, int]:
        """By partition, the offset of the first event that is not dealt with."""
        first = {notice.partition: offset for offset, notice in reversed(self.waiting)}
        return self.read | first

    def forget(self, partitions: Iterable[int]) -> None:
        """Partitions go to another member, which will tell of what still waits."""
        gone = set(partitions)
        for _, notice in self.waiting:
            if notice.partition in gone:
                self.seen.pop(notice.event.id, None)
        self.waiting = deque(each for each in self.waiting if each[1].partition not in gone)
        self.alarms = OrderedDict(
            (key, alarm) for key, alarm in self.alarms.items() if alarm.partition not in gone
        )
        for partition in gone:
            self.read.pop(partition, None)

    def _note(self, identity: str) -> None:
        self.seen[identity] = None
        if len(self.seen) > REMEMBERED:
            self.seen.popitem(last=False)

    def _open(self, partition: int, event: DriftEvent, *, shared: bool) -> _Alarm:
        """The event's alarm; shared: what is assumed of one that is not known yet."""
        since = event.time if event.change == "opened" else None
        alarm = self.alarms.setdefault(event.alarm, _Alarm(partition, since, shared))
        if len(self.alarms) > REMEMBERED:
            self.alarms.popitem(last=False)
        return alarm

    def _ended(self, notices: Iterable[Notice]) -> frozenset[int]:
        """Partitions whose last shared alarm ends with these events."""
        over = {n.event.alarm: n.partition for n in notices if n.over}
        left = {a.partition for key, a in self.alarms.items() if a.shared and key not in over}
        known = {key for key, alarm in self.alarms.items() if not alarm.shared}
        return frozenset({p for key, p in over.items() if key not in known} - left)

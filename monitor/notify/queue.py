"""Queue of the events for one target, without Kafka and HTTP.

An event waits in the queue until its message is delivered or abandoned. The offsets to commit
follow from the events that wait.
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice, takewhile
from typing import Final, Literal, get_args

from monitor.config.sections.notifications import Target
from monitor.events.findings.judges import JudgeEvent
from monitor.events.replay import ReplayEvent
from monitor.events.types import DriftEvent, rank
from monitor.notify.channels.registry import MAX_EVENTS, AnyBatch
from monitor.notify.findings.finding import FindingBatch, FindingEvent, FindingNotice
from monitor.notify.message import Batch, Notice

MAX_REMEMBERED: Final = 10_000
"""Number of event ids, and of open alarms, that are remembered."""
MINUTE: Final = 60.0
MAX_METADATA_CHARS: Final = 4_000
"""Characters of metadata in a committed offset. The default limit of the broker is 4,096 bytes."""
_METADATA: Final = "shared:"

Suppressed = Literal["duplicate", "severity", "type", "unreadable"]
SUPPRESSED: Final[tuple[Suppressed, ...]] = get_args(Suppressed)


@dataclass(slots=True)
class _Alarm:
    """An open alarm.

    sent: whether one of its events is sent to the target, or was by an earlier process.
    """

    partition: int
    since: float | None
    sent: bool = False


@dataclass(slots=True)
class _SharedIncident:
    """The open alarms of a partition that share an incident, by a hash of their ids.

    known: whether the members are those of a committed offset, not an assumption.
    """

    members: set[str] = field(default_factory=set)
    known: bool = False


@dataclass(slots=True)
class EventQueue:
    """Deduplicates, filters and groups the events for one target.

    clock: monotonic time in seconds.
    waiting: offsets and events, oldest first.
    next_offsets: offset after the last event that was added, by partition.
    repeated_before: offset before which an earlier process may have sent events, by partition.
    sent_times: times of the messages of the last minute.
    shared: shared incident by partition.
    """

    target: Target
    clock: Callable[[], float]
    waiting: deque[tuple[int, Notice | FindingNotice]] = field(default_factory=deque)
    next_offsets: dict[int, int] = field(default_factory=dict)
    repeated_before: dict[int, int] = field(default_factory=dict)
    seen: OrderedDict[str, None] = field(default_factory=OrderedDict)
    alarms: OrderedDict[str, _Alarm] = field(default_factory=OrderedDict)
    sent_times: deque[float] = field(default_factory=deque)
    shared: defaultdict[int, _SharedIncident] = field(
        default_factory=lambda: defaultdict(_SharedIncident)
    )

    def resume(self, partition: int, start: int, end: int) -> None:
        """Continue a partition at the offset `start`; `end` is the end of the topic at that time.

        An earlier process that was killed may have sent events between them without committing
        their offsets.
        """
        self.next_offsets[partition] = start
        self.repeated_before[partition] = end

    def restore_shared(self, partition: int, metadata: str) -> None:
        """Restore the members of a shared incident from the metadata of a committed offset."""
        prefix, _, members = metadata.partition(" ")
        if prefix == _METADATA:
            self.shared[partition] = _SharedIncident(set(members.split()), known=True)

    def metadata(self, partition: int) -> str:
        """Return the members of a shared incident as metadata of an offset.

        It is empty if they do not fit; the next process then assumes that all open alarms share the
        incident.
        """
        text = " ".join([_METADATA, *sorted(self.shared[partition].members)])
        return text if len(text) <= MAX_METADATA_CHARS else ""

    def replay(self, partition: int, event: DriftEvent) -> None:
        """Remember an event that an earlier process has handled.

        If it was sent and the members of the shared incident are not known (`restore_shared`), its
        alarm is assumed to be one.
        """
        self._remember(event.id)
        alarm, shared = self._open(partition, event), self.shared[partition]
        if self._is_severe_enough(event):
            alarm.sent = True
            if not shared.known:
                shared.members.add(_member(event.alarm))
        if event.change == "resolved":
            self.alarms.pop(event.alarm, None)
            shared.members.discard(_member(event.alarm))

    def add(self, partition: int, offset: int, event: DriftEvent | None) -> Suppressed | None:
        """Add the next event of a partition; return the reason if it is not sent.

        event: None if the message could not be decoded.
        """
        self.next_offsets[partition] = offset + 1
        if event is None:
            return "unreadable"
        if event.id in self.seen:
            return "duplicate"
        self._remember(event.id)
        known = event.alarm in self.alarms
        alarm = self._open(partition, event)
        # what was reported as open is reported as resolved, whatever its severity is now
        if not self._is_severe_enough(event) and not (alarm.sent and event.change == "resolved"):
            if event.change == "resolved":
                self.alarms.pop(event.alarm, None)
            return "severity"
        alarm.sent = True
        shared = self.shared[partition]
        # it opened before all events that are remembered
        old = not known and event.change != "opened" and not shared.known
        # an earlier process may have sent it with others, although it is alone now
        repeated = event.change != "resolved" and offset < self.repeated_before.get(partition, 0)
        if old or repeated:
            shared.members.add(_member(event.alarm))
        self.waiting.append((offset, Notice(event, alarm.since, partition)))
        return None

    def add_finding(self, partition: int, offset: int, event: FindingEvent) -> Suppressed | None:
        """Add the next event of a partition, which nothing resolves; return why it is not sent.

        event: of an experiment, a replay or a judge.
        """
        self.next_offsets[partition] = offset + 1
        if event.id in self.seen:
            return "duplicate"
        self._remember(event.id)
        if isinstance(event, ReplayEvent):
            wanted = self.target.replays
        elif isinstance(event, JudgeEvent):
            wanted = self.target.judges
        else:
            wanted = self.target.experiments
        if wanted == "none":
            return "type"
        severe = rank(event.severity) >= rank(self.target.severity)
        if wanted == "problems" and not severe:
            return "severity"
        self.waiting.append((offset, FindingNotice(event, partition)))
        return None

    def replay_finding(self, event: FindingEvent) -> None:
        """Remember a finding that an earlier process has handled."""
        self._remember(event.id)

    def skip_type(self, partition: int, offset: int) -> Suppressed:
        """Skip the next event of a partition, whose type is not known; return the reason."""
        self.next_offsets[partition] = offset + 1
        return "type"

    def next_batch(self) -> AnyBatch | None:
        """Return the events of the next message; None if none wait or the limit is reached.

        One event, if all waiting events fit within the messages left in this minute; otherwise all
        of them up to one of another type, and up to the maximum of the target's kind.
        """
        allowed = self.messages_left()
        if not self.waiting or not allowed:
            return None
        number = 1 if len(self.waiting) <= allowed else MAX_EVENTS[self.target.kind]
        self.sent_times.append(self.clock())
        first = [notice for _, notice in islice(self.waiting, number)]
        kind = type(first[0].event)
        same = list(takewhile(lambda notice: type(notice.event) is kind, first))
        notices = [notice for notice in same if isinstance(notice, Notice)]
        if not notices:
            return FindingBatch([each for each in same if isinstance(each, FindingNotice)])
        self._mark_shared(notices)
        return Batch(notices, self._ended(notices))

    def messages_left(self) -> int:
        """Return how many messages the limit per minute still allows."""
        while self.sent_times and self.clock() - self.sent_times[0] >= MINUTE:
            self.sent_times.popleft()
        return self.target.per_minute - len(self.sent_times)

    def complete(self, batch: AnyBatch) -> None:
        """Remove the events of a message that was delivered or abandoned."""
        ids = {notice.event.id for notice in batch.notices}
        self.waiting = deque(each for each in self.waiting if each[1].event.id not in ids)
        for notice in batch.notices if isinstance(batch, Batch) else ():
            if notice.resolved:
                self.alarms.pop(notice.event.alarm, None)
                self.shared[notice.partition].members.discard(_member(notice.event.alarm))

    def offsets(self) -> dict[int, int]:
        """Return the offset to commit by partition: of the first event that waits."""
        first = {notice.partition: offset for offset, notice in reversed(self.waiting)}
        return self.next_offsets | first

    def drop_partitions(self, partitions: Iterable[int]) -> None:
        """Remove revoked partitions; their new owner sends the events that wait."""
        dropped = set(partitions)
        for _, notice in self.waiting:
            if notice.partition in dropped:
                self.seen.pop(notice.event.id, None)
        self.waiting = deque(each for each in self.waiting if each[1].partition not in dropped)
        self.alarms = OrderedDict(
            (key, alarm) for key, alarm in self.alarms.items() if alarm.partition not in dropped
        )
        for partition in dropped:
            self.next_offsets.pop(partition, None)
            self.repeated_before.pop(partition, None)
            self.shared.pop(partition, None)

    def _remember(self, identity: str) -> None:
        self.seen[identity] = None
        if len(self.seen) > MAX_REMEMBERED:
            self.seen.popitem(last=False)

    def _is_severe_enough(self, event: DriftEvent) -> bool:
        """Return whether the target receives events of this severity."""
        return rank(event.severity) >= rank(self.target.severity)

    def _open(self, partition: int, event: DriftEvent) -> _Alarm:
        """Return the alarm of an event, a new one if it is not remembered yet."""
        since = event.time if event.change == "opened" else None
        alarm = self.alarms.setdefault(event.alarm, _Alarm(partition, since))
        if len(self.alarms) > MAX_REMEMBERED:
            self.alarms.popitem(last=False)
        return alarm

    def _mark_shared(self, notices: Sequence[Notice]) -> None:
        """Mark the alarms that share an incident: several of a partition that stay open."""
        resolved = {notice.event.alarm for notice in notices if notice.resolved}
        still_open = [notice for notice in notices if notice.event.alarm not in resolved]
        by_partition = Counter(notice.partition for notice in still_open)
        for notice in still_open:
            if by_partition[notice.partition] > 1:
                self.shared[notice.partition].members.add(_member(notice.event.alarm))

    def _ended(self, notices: Iterable[Notice]) -> frozenset[int]:
        """Return the partitions whose last shared alarm is resolved by these events."""
        resolved: defaultdict[int, set[str]] = defaultdict(set)
        for notice in notices:
            if notice.resolved:
                resolved[notice.partition].add(_member(notice.event.alarm))
        return frozenset(
            partition
            for partition, alarms in resolved.items()
            if not alarms.isdisjoint(self.shared[partition].members)
            and self.shared[partition].members <= alarms
        )


def _member(alarm: str) -> str:
    """Return a hash of the id of an alarm: metadata is short."""
    return hashlib.blake2b(alarm.encode("utf-8", "replace"), digest_size=4).hexdigest()

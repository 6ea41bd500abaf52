"""PagerDuty's incidents as they follow from the queue: each is resolved with its last alarm."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config.sections.notifications import PagerDutyTarget
from monitor.events.types import DriftEvent
from monitor.notify.channels import pagerduty as channel
from monitor.notify.message import Batch, Sender
from monitor.notify.queue import MAX_METADATA_CHARS, MINUTE, EventQueue
from tests.monitor.notify.drift_events import event, pagerduty

SHARED = "test-many-0"


@dataclass
class PagerDuty:
    """Receives the notifications of a target whose process may be restarted.

    topic: events with their partition. done: number of events whose offset is committed.
    incidents: open incidents with the alarms that they were triggered for.
    metadata: of the committed offsets, by partition; None if a version without it committed them.
    """

    target: PagerDutyTarget
    topic: list[tuple[int, DriftEvent]] = field(default_factory=list)
    done: int = 0
    incidents: dict[str, set[str]] = field(default_factory=dict)
    now: float = 0.0
    metadata: dict[int, str] | None = field(default_factory=dict)
    queue: EventQueue = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Start a new process, which reads the committed events again to remember them, and then
        the others to send them.
        """
        self.queue = EventQueue(self.target, lambda: self.now)
        for partition in {partition for partition, _ in self.topic}:
            self.queue.resume(partition, self.done, len(self.topic))
        for partition, metadata in (self.metadata or {}).items():
            self.queue.restore_shared(partition, metadata)
        for partition, each in self.topic[: self.done]:
            self.queue.replay(partition, each)
        for offset, (partition, each) in enumerate(self.topic[self.done :], self.done):
            self.queue.add(partition, offset, each)

    def receive(self, *events: DriftEvent, partition: int = 0) -> None:
        """Add events to the topic and to the queue."""
        for each in events:
            self.queue.add(partition, len(self.topic), each)
            self.topic.append((partition, each))

    def deliver(self, *, commit: bool = True) -> None:
        """Deliver everything that waits, one message a minute; commit, unless it is killed."""
        while self.queue.waiting:
            self.now += MINUTE
            batch = self.queue.next_batch()
            assert isinstance(batch, Batch)
            for request in channel.requests(self.target, batch, Sender("test")):
                self._accept(msgspec.json.decode(request.body), batch.notices)
            self.queue.complete(batch)
        if not commit:
            return
        self.done = len(self.topic)
        if self.metadata is not None:
            self.metadata = {p: self.queue.metadata(p) for p, _ in self.topic}

    def _accept(self, message: dict[str, Any], notices: Any) -> None:
        key = message["dedup_key"]
        if message["event_action"] == "resolve":
            self.incidents.pop(key, None)
            return
        resolved = {n.event.alarm for n in notices if n.resolved}
        alarms = {n.event.alarm for n in notices if not n.resolved} - resolved
        own = {alarm for alarm in alarms if channel.dedup_key(alarm) == key}
        self.incidents.setdefault(key, set()).update(own or alarms)


def receiver(**fields: Any) -> PagerDuty:
    """Return a receiver of critical alarms, one message a minute."""
    given: dict[str, Any] = {"per_minute": 1, "severity": "critical"} | fields
    return PagerDuty(pagerduty(**given))


def opened(*alarms: str, severity: str = "critical") -> list[DriftEvent]:
    """Return the events that open these alarms."""
    return [event("opened", alarm, severity=severity) for alarm in alarms]


def resolved(alarm: str, severity: str = "critical") -> DriftEvent:
    """Return the event that resolves an alarm."""
    return event("resolved", alarm, severity=severity)


@pytest.mark.parametrize("restarts", [False, True])
def test_a_warning_that_was_never_sent_keeps_no_incident_open(restarts: bool) -> None:
    """It is open at a target of critical alarms, before and after a restart."""
    target = receiver()
    target.receive(*opened("warning", severity="warning"))
    target.deliver()
    if restarts:
        target.restart()
    target.receive(*opened("b", "c"))
    target.deliver()
    assert target.incidents == {SHARED: {"b", "c"}}
    target.receive(resolved("b"))
    target.deliver()
    assert SHARED in target.incidents
    if restarts:
        target.restart()
    target.receive(resolved("c"))
    target.deliver()
    assert not target.incidents


def test_a_warning_that_becomes_critical_belongs_to_the_incident() -> None:
    """The incident stays open until this alarm is resolved, also after a restart."""
    target = receiver()
    target.receive(*opened("a", severity="warning"))
    target.deliver()
    target.receive(event("escalated", "a"), *opened("b"))
    target.deliver()
    assert target.incidents == {SHARED: {"a", "b"}}
    target.restart()
    target.receive(resolved("b"))
    target.deliver()
    assert target.incidents == {SHARED: {"a", "b"}}
    target.receive(resolved("a"))
    target.deliver()
    assert not target.incidents


def test_a_resolution_is_sent_whatever_its_severity() -> None:
    """An alarm that was reported as critical does not stay open because it ends as a warning."""
    target = receiver()
    target.receive(*opened("a", "b"))
    target.deliver()
    target.receive(resolved("a", "warning"), resolved("b", "warning"))
    target.deliver()
    assert not target.incidents


def test_an_alarm_with_an_incident_of_its_own_keeps_no_other_open() -> None:
    """It was in a message with alarms of another partition, but is alone in its own."""
    target = receiver()
    target.receive(*opened("alone"), partition=0)
    target.receive(*opened("x", "y"), partition=1)
    target.deliver()
    assert set(target.incidents) == {channel.dedup_key("alone"), "test-many-1"}
    target.receive(*opened("b", "c"), partition=0)
    target.deliver()
    target.receive(resolved("b"), resolved("c"), partition=0)
    target.deliver()
    assert set(target.incidents) == {channel.dedup_key("alone"), "test-many-1"}


@pytest.mark.parametrize("forgotten", [False, True])
def test_members_are_known_after_a_restart(forgotten: bool) -> None:
    """An alarm with an incident of its own keeps the shared one open no longer, and members that
    opened before all events that are read again keep it open.
    """
    target = receiver()
    target.receive(*opened("alone"))
    target.deliver()
    target.receive(*opened("b", "c"))
    target.deliver()
    if forgotten:
        target.topic[: target.done] = [(0, event("resolved", "long-ago"))] * target.done
    target.restart()
    target.receive(resolved("b"))
    target.deliver()
    assert SHARED in target.incidents
    target.receive(resolved("c"))
    target.deliver()
    assert set(target.incidents) == {channel.dedup_key("alone")}


def test_without_metadata_every_open_alarm_is_assumed_to_be_a_member() -> None:
    """The incident ends late rather than early, but it ends."""
    target = receiver()
    target.metadata = None
    target.receive(*opened("alone"))
    target.deliver()
    target.receive(*opened("b", "c"))
    target.deliver()
    target.restart()
    for alarm in ("b", "c"):
        target.receive(resolved(alarm))
        target.deliver()
        assert SHARED in target.incidents
    target.receive(resolved("alone"))
    target.deliver()
    assert not target.incidents


def test_too_many_members_are_not_listed() -> None:
    """Metadata stays below the limit of the broker; the next process assumes all members."""
    target = receiver()
    target.receive(*opened(*(f"alarm-{number}" for number in range(600))))
    target.deliver()
    assert target.metadata == {0: ""}
    target.restart()
    target.receive(*(resolved(f"alarm-{number}") for number in range(600)))
    target.deliver()
    assert not target.incidents
    assert len(target.queue.metadata(0)) < MAX_METADATA_CHARS


@pytest.mark.parametrize("first", ["b", "c"])
@pytest.mark.parametrize("change", ["opened", "escalated"])
def test_a_kill_between_sending_and_committing(change: str, first: str) -> None:
    """The successor sends the alarms one by one, and resolves the incident that they shared."""
    target = receiver()
    if change == "escalated":
        target.receive(*opened("b", "c", severity="warning"))
        target.deliver()
        target.receive(event("escalated", "b"), event("escalated", "c"))
    else:
        target.receive(*opened("b", "c"))
    target.deliver(commit=False)
    assert SHARED in target.incidents
    target.target = pagerduty(per_minute=10, severity="critical")
    target.restart()
    target.deliver()
    assert len(target.incidents) == 3
    target.receive(resolved(first))
    target.deliver()
    assert SHARED in target.incidents
    target.restart()
    target.receive(resolved("c" if first == "b" else "b"))
    target.deliver()
    assert not target.incidents


def test_events_after_a_restart_are_no_members() -> None:
    """No earlier process can have sent them."""
    target = receiver()
    target.receive(*opened("b", "c"))
    target.deliver(commit=False)
    target.target = pagerduty(per_minute=10, severity="critical")
    target.restart()
    target.receive(*opened("d"))
    target.deliver()
    for alarm in ("b", "c"):
        target.receive(resolved(alarm))
        target.deliver()
    assert set(target.incidents) == {channel.dedup_key("d")}


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, Any]]:
    """Draw steps: events of some alarms in a possible order, deliveries and restarts."""
    steps: list[tuple[str, Any]] = []
    states: dict[str, str] = {}
    for number in range(draw(st.integers(1, 25))):
        action = draw(
            st.sampled_from(("open", "open", "escalate", "resolve", "deliver", "restart", "kill"))
        )
        if action == "open":
            states[f"alarm-{number}"] = severity = draw(st.sampled_from(("warning", "critical")))
            steps.append(("event", event("opened", f"alarm-{number}", severity=severity)))
        elif action in ("deliver", "restart", "kill"):
            steps.append((action, None))
        elif states:
            alarm = draw(st.sampled_from(sorted(states)))
            if action == "resolve":
                steps.append(("event", resolved(alarm, states.pop(alarm))))
            elif states[alarm] == "warning":
                states[alarm] = "critical"
                steps.append(("event", event("escalated", alarm)))
    return steps + [("event", resolved(alarm, severity)) for alarm, severity in states.items()]


@settings(max_examples=150, deadline=None)
@given(histories(), st.sampled_from(("warning", "critical")))
def test_incidents_end_with_their_alarms(steps: list[tuple[str, Any]], severity: str) -> None:
    """No incident remains when all alarms are resolved, and none ends before its alarms.

    A restart happens after a delivery: what waited is delivered first. A kill happens before the
    commit, and the successor may send more messages a minute.
    """
    target = receiver(severity=severity)
    open_alarms: set[str] = set()
    for action, each in steps:
        if action == "event":
            target.receive(each)
            (open_alarms.discard if each.change == "resolved" else open_alarms.add)(each.alarm)
        else:
            target.deliver(commit=action != "kill")
            known = {alarm for alarms in target.incidents.values() for alarm in alarms}
            sent = {
                e.alarm
                for _, e in target.topic
                if e.change != "resolved" and (severity == "warning" or e.severity == "critical")
            }
            assert open_alarms & sent <= known
        if action == "kill":
            target.target = pagerduty(per_minute=10, severity=severity)
        if action in ("restart", "kill"):
            target.restart()
    target.deliver()
    assert not target.incidents

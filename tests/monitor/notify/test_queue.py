"""The queue of a target: deduplication, filtering, grouping, the limit per minute, and offsets."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from monitor.config.sections.notifications import Target
from monitor.events.findings.experiments import ExperimentEvent
from monitor.events.types import DriftEvent
from monitor.notify.findings.finding import FindingBatch
from monitor.notify.message import Batch
from monitor.notify.queue import MINUTE, EventQueue
from tests.monitor.notify.drift_events import event, pagerduty, slack, webhook
from tests.monitor.notify.experiment_events import verdict


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def new_queue(target: Target | None = None) -> tuple[EventQueue, Clock]:
    """Return an empty queue and its clock."""
    clock = Clock()
    return EventQueue(target or slack(), clock), clock


def ids(batch: Batch | FindingBatch | None) -> list[str]:
    """Return the ids of the events of a batch."""
    return [notice.event.id for notice in batch.notices] if batch else []


def deliver(queue: EventQueue) -> Batch:
    """Return the next batch, delivered."""
    batch = queue.next_batch()
    assert isinstance(batch, Batch)
    queue.complete(batch)
    return batch


# --- deduplication and filtering --------------------------------------------------------------


def test_an_event_is_sent_once() -> None:
    """A repeated event is recognized by its id, before and after its delivery."""
    queue, _ = new_queue()
    one = event()
    assert queue.add(0, 5, one) is None
    assert queue.add(0, 6, one) == "duplicate"
    assert ids(deliver(queue)) == [one.id]
    assert queue.add(0, 7, one) == "duplicate"
    assert queue.next_batch() is None
    assert queue.offsets() == {0: 8}


def test_replayed_events_are_not_sent_again() -> None:
    """Events before the committed offset are remembered, with the opening time of their alarms."""
    queue, _ = new_queue()
    one, resolved = event(), event("resolved", alarm="a", time=1_790_000_060.0)
    queue.replay(0, one)
    queue.replay(0, event("opened", alarm="a"))
    assert queue.add(0, 9, one) == "duplicate"
    assert queue.add(0, 10, resolved) is None
    assert deliver(queue).notices[0].since == 1_790_000_000.0


def test_the_number_of_remembered_events_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest ids and alarms are removed."""
    monkeypatch.setattr("monitor.notify.queue.MAX_REMEMBERED", 10)
    queue, _ = new_queue()
    for offset in range(50):
        queue.replay(0, event())
        queue.add(0, offset, event())
    assert len(queue.seen) == len(queue.alarms) == 10


@pytest.mark.parametrize(
    ("least", "severity", "change", "reason"),
    [
        ("warning", "warning", "opened", None),
        ("warning", "info", "opened", "severity"),
        ("warning", "info", "resolved", "severity"),
        ("critical", "info", "opened", "severity"),
        ("critical", "critical", "escalated", None),
        ("critical", "warning", "opened", "severity"),
        ("critical", "warning", "resolved", "severity"),
        ("critical", "critical", "resolved", None),
    ],
)
def test_events_are_filtered_by_severity(
    least: str, severity: str, change: str, reason: str | None
) -> None:
    """A target receives alarms of its severity, and the resolutions of these alarms."""
    queue, _ = new_queue(slack(severity=least))
    assert queue.add(0, 0, event(change, severity=severity)) == reason
    assert queue.offsets() == {0: 0 if reason is None else 1}


def test_small_change_that_becomes_material_is_sent() -> None:
    """The escalation of an info alarm is its first message; it states when the alarm opened."""
    queue, _ = new_queue()
    first = event("opened", alarm="a", severity="info", time=1_790_000_000.0)
    later = event("escalated", alarm="a", severity="warning", time=1_790_000_060.0)
    assert queue.add(0, 0, first) == "severity"
    assert queue.add(0, 1, later) is None
    assert deliver(queue).notices[0].since == first.time
    assert queue.add(0, 2, event("resolved", alarm="a", severity="warning")) is None


def test_unreadable_messages_are_skipped() -> None:
    """Their offset can be committed."""
    queue, _ = new_queue()
    assert queue.add(1, 41, None) == "unreadable"
    assert queue.offsets() == {1: 42}


def test_events_of_unknown_types_are_skipped() -> None:
    """Their offset can be committed, and the next event is sent."""
    queue, _ = new_queue()
    assert queue.skip_type(1, 41) == "type"
    assert queue.offsets() == {1: 42}
    assert queue.add(1, 42, event()) is None
    assert queue.offsets() == {1: 42}


def test_events_have_the_opening_time_of_their_alarm() -> None:
    """It is None for an alarm whose opening was not read."""
    queue, _ = new_queue()
    for change, time in (("opened", 10.0), ("escalated", 20.0), ("resolved", 30.0)):
        queue.add(0, 0, event(change, alarm="a", time=time))
        assert deliver(queue).notices[0].since == 10.0
    queue.add(0, 0, event("escalated", alarm="unknown"))
    assert deliver(queue).notices[0].since is None


# --- the limit per minute ---------------------------------------------------------------------


def test_few_events_are_separate_messages() -> None:
    """Each event has its own message while all of them fit into the limit."""
    queue, _ = new_queue(slack(per_minute=3))
    several = [event() for _ in range(3)]
    for offset, each in enumerate(several):
        queue.add(0, offset, each)
    assert [ids(deliver(queue)) for _ in several] == [[each.id] for each in several]


def test_many_events_are_one_message() -> None:
    """Events that do not fit into the limit are combined; at the limit they wait."""
    queue, clock = new_queue(slack(per_minute=3))
    queue.add(0, 0, event())
    assert len(deliver(queue).notices) == 1
    for offset in range(1, 38):
        queue.add(0, offset, event())
    assert len(deliver(queue).notices) == 37
    queue.add(0, 38, event())
    assert len(deliver(queue).notices) == 1
    queue.add(0, 39, event())
    queue.add(0, 40, event())
    assert queue.next_batch() is None
    clock.now = MINUTE
    assert len(deliver(queue).notices) == 1
    assert len(deliver(queue).notices) == 1


@pytest.mark.parametrize("target", [slack(), pagerduty(), webhook()], ids=lambda t: t.kind)
def test_a_change_in_all_models_is_one_message(target: Target) -> None:
    """With the default settings, alarms of forty models are combined."""
    queue, _ = new_queue(target)
    for offset in range(40):
        queue.add(0, offset, event(model=f"m{offset}"))
    assert len(deliver(queue).notices) == 40
    assert queue.next_batch() is None


def test_a_message_to_a_webhook_has_a_maximum_of_events() -> None:
    """Further events are in the next messages."""
    queue, _ = new_queue(webhook(per_minute=5))
    for offset in range(250):
        queue.add(0, offset, event())
    assert [len(deliver(queue).notices) for _ in range(3)] == [100, 100, 50]


# --- shared incidents -------------------------------------------------------------------------


def test_a_shared_incident_ends_with_its_last_alarm() -> None:
    """`Batch.ended` has the partition with the last resolution of alarms that shared an incident.

    Alarm "c" is the only one of its partition, and so has an incident of its own.
    """
    queue, clock = new_queue(pagerduty(per_minute=1))
    for alarm, partition in (("a", 0), ("b", 0), ("c", 1)):
        queue.add(partition, 0, event(alarm=alarm))
    assert deliver(queue).ended == frozenset()
    resolutions: list[tuple[str, set[int]]] = [("a", set()), ("c", set()), ("b", {0})]
    for alarm, expected in resolutions:
        clock.now += MINUTE
        queue.add(0 if alarm != "c" else 1, 1, event("resolved", alarm=alarm))
        assert deliver(queue).ended == expected


def test_an_unshared_alarm_does_not_affect_a_shared_incident() -> None:
    """Its resolution neither ends a shared incident nor delays its end."""
    queue, clock = new_queue(pagerduty(per_minute=1))
    queue.add(0, 0, event(alarm="alone"))
    deliver(queue)
    clock.now += MINUTE
    for alarm in "ab":
        queue.add(0, 1, event(alarm=alarm))
    deliver(queue)
    clock.now += MINUTE
    for alarm in "ab":
        queue.add(0, 1, event("resolved", alarm=alarm))
    assert deliver(queue).ended == {0}
    clock.now += MINUTE
    queue.add(0, 1, event("resolved", alarm="alone"))
    assert deliver(queue).ended == frozenset()


def test_after_a_restart_open_alarms_count_as_shared() -> None:
    """An unnecessary resolve has no effect; a missing one leaves an incident open."""
    queue, _ = new_queue(pagerduty())
    queue.replay(0, event(alarm="a"))
    queue.replay(0, event(alarm="b"))
    queue.replay(0, event("resolved", alarm="b"))
    queue.add(0, 9, event("resolved", alarm="a"))
    assert deliver(queue).ended == {0}
    queue.add(0, 10, event("resolved", alarm="unknown"))
    assert deliver(queue).ended == {0}


def test_after_a_restart_small_changes_do_not_keep_an_incident_open() -> None:
    """An info alarm was never sent, so it shares no incident; it does so once it has escalated."""
    queue, _ = new_queue(pagerduty())
    queue.replay(0, event(alarm="small", severity="info"))
    queue.replay(0, event(alarm="a"))
    queue.add(0, 9, event("resolved", alarm="a"))
    assert deliver(queue).ended == {0}
    queue, _ = new_queue(pagerduty())
    queue.replay(0, event(alarm="small", severity="info"))
    queue.replay(0, event("escalated", alarm="small"))
    queue.replay(0, event(alarm="a"))
    queue.add(0, 9, event("resolved", alarm="a"))
    assert deliver(queue).ended == frozenset()


# --- partitions -------------------------------------------------------------------------------


def test_waiting_events_of_a_revoked_partition_are_dropped() -> None:
    """They are accepted again when the partition returns."""
    queue, _ = new_queue()
    kept, revoked = event(), event()
    queue.add(0, 3, revoked)
    queue.add(1, 7, kept)
    batch = queue.next_batch()
    assert ids(batch) == [revoked.id]
    queue.drop_partitions([0])
    assert queue.offsets() == {1: 7}
    assert batch is not None
    queue.complete(batch)
    assert ids(deliver(queue)) == [kept.id]
    assert queue.add(0, 3, revoked) is None


class QueueMachine(RuleBasedStateMachine):
    """Events, deliveries and restarts in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.target = webhook(per_minute=2)
        self.log: dict[int, list[DriftEvent | ExperimentEvent]] = {0: [], 1: []}
        self.committed = {0: 0, 1: 0}
        self.sent: Counter[str] = Counter()
        self.times: list[float] = []
        self.repeated: set[str] = set()
        self.start()

    def start(self) -> None:
        """Start a process at the committed offsets; it replays the events before them."""
        self.queue = EventQueue(self.target, self.clock)
        self.batch: Batch | FindingBatch | None = None
        self.times.clear()
        for partition, log in self.log.items():
            self.queue.next_offsets[partition] = self.committed[partition]
            for offset, each in enumerate(log):
                if offset >= self.committed[partition]:
                    self.add(partition, offset, each)
                elif isinstance(each, ExperimentEvent):
                    self.queue.replay_finding(each)
                else:
                    self.queue.replay(partition, each)

    def add(self, partition: int, offset: int, each: DriftEvent | ExperimentEvent) -> None:
        """Add an event of a partition to the queue."""
        if isinstance(each, ExperimentEvent):
            self.queue.add_finding(partition, offset, each)
        else:
            self.queue.add(partition, offset, each)

    @rule(partition=st.integers(0, 1), count=st.integers(1, 5))
    def find(self, partition: int, count: int) -> None:
        """Produce new events."""
        for _ in range(count):
            self.write(partition, event())

    @rule(partition=st.integers(0, 1), count=st.integers(1, 3))
    def decide(self, partition: int, count: int) -> None:
        """Produce new events of experiments."""
        for _ in range(count):
            self.write(partition, verdict())

    @rule(partition=st.integers(0, 1), back=st.integers(1, 5))
    def find_again(self, partition: int, back: int) -> None:
        """Produce an event again, as detect does after a crash."""
        if len(self.log[partition]) >= back:
            self.write(partition, self.log[partition][-back])

    def write(self, partition: int, each: DriftEvent | ExperimentEvent) -> None:
        """Append an event to the log and add it to the queue."""
        self.log[partition].append(each)
        self.add(partition, len(self.log[partition]) - 1, each)

    @precondition(lambda self: self.batch is None)
    @rule()
    def send(self) -> None:
        """Take the next message from the queue."""
        self.batch = self.queue.next_batch()
        if self.batch is not None:
            self.times.append(self.clock())
            self.sent.update(notice.event.id for notice in self.batch.notices)

    @precondition(lambda self: self.batch is not None)
    @rule(commit=st.booleans())
    def deliver(self, commit: bool) -> None:
        """Complete the message; commit its offset or not."""
        assert self.batch is not None
        self.queue.complete(self.batch)
        self.batch = None
        if commit:
            self.committed |= self.queue.offsets()

    @rule()
    def kill(self) -> None:
        """Replace the process without a commit."""
        self.repeated |= {
            each.id for p, log in self.log.items() for each in log[self.committed[p] :]
        }
        self.start()

    @rule(seconds=st.sampled_from([1.0, 30.0, 60.0]))
    def wait(self, seconds: float) -> None:
        """Advance the clock."""
        self.clock.now += seconds

    @invariant()
    def respects_the_limit(self) -> None:
        """No minute has more messages than the limit."""
        for at in self.times:
            assert sum(at <= other < at + MINUTE for other in self.times) <= 2

    @invariant()
    def commits_sent_events_only(self) -> None:
        """Every event before a committed offset was sent."""
        for partition, log in self.log.items():
            assert all(self.sent[each.id] for each in log[: self.committed[partition]])

    def teardown(self) -> None:
        """Every event is sent in the end; only events after a commit before a kill are repeated."""
        for _ in range(200):
            if self.batch is None:
                self.send()
            if self.batch is not None:
                self.deliver(True)
            self.clock.now += MINUTE
        for log in self.log.values():
            for each in log:
                assert self.sent[each.id] >= 1
                assert self.sent[each.id] == 1 or each.id in self.repeated
        assert not self.queue.waiting


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)

"""What a target is told, when and which together: nothing lost, nothing twice, never too often."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from monitor.config_notify import Target
from monitor.events import DriftEvent
from monitor.notify import outbox as module
from monitor.notify.notice import Batch
from monitor.notify.outbox import Outbox
from tests.monitor.notify.news import event, pagerduty, slack, webhook


class Clock:
    """A clock that is set."""

    now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def outbox(target: Target | None = None) -> tuple[Outbox, Clock]:
    """An empty outbox and its clock."""
    clock = Clock()
    return Outbox(target or slack(), clock), clock


def ids(batch: Batch | None) -> list[str]:
    """The events of a batch."""
    return [notice.event.id for notice in batch.notices] if batch else []


def told(box: Outbox) -> Batch:
    """The next batch, delivered."""
    batch = box.next()
    assert batch is not None
    box.done(batch)
    return batch


# --- which ------------------------------------------------------------------------------------


def test_an_event_is_told_once() -> None:
    """A repetition of detect's is known by its id, before and after it was told."""
    box, _ = outbox()
    one = event()
    assert box.take(0, 5, one) is None
    assert box.take(0, 6, one) == "duplicate"
    assert ids(told(box)) == [one.id]
    assert box.take(0, 7, one) == "duplicate"
    assert box.next() is None
    assert box.positions() == {0: 8}


def test_what_was_told_before_a_restart_is_known() -> None:
    """Events before the committed offset are recalled, and not told again."""
    box, _ = outbox()
    one, end = event(), event("resolved", alarm="a", time=1_790_000_060.0)
    box.recall(0, one)
    box.recall(0, event("opened", alarm="a"))
    assert box.take(0, 9, one) == "duplicate"
    assert box.take(0, 10, end) is None
    assert told(box).notices[0].since == 1_790_000_000.0


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest ids and alarms are forgotten."""
    monkeypatch.setattr(module, "REMEMBERED", 10)
    box, _ = outbox()
    for offset in range(50):
        box.recall(0, event())
        box.take(0, offset, event())
    assert len(box.seen) == len(box.alarms) == 10


@pytest.mark.parametrize(
    ("least", "severity", "change", "why"),
    [
        ("warning", "warning", "opened", None),
        ("critical", "critical", "escalated", None),
        ("critical", "warning", "opened", "severity"),
        ("critical", "warning", "resolved", "severity"),
        ("critical", "critical", "resolved", None),
    ],
)
def test_severity(least: str, severity: str, change: str, why: str | None) -> None:
    """A target is told of alarms of its severity, and of their end if it was told of them."""
    box, _ = outbox(slack(severity=least))
    assert box.take(0, 0, event(change, severity=severity)) == why
    assert box.positions() == {0: 0 if why is None else 1}


def test_unreadable_messages_are_passed_over() -> None:
    """They hold up nothing."""
    box, _ = outbox()
    assert box.take(1, 41, None) == "unreadable"
    assert box.positions() == {1: 42}


def test_since_when_is_told_of_the_alarm() -> None:
    """Growth and end of an alarm carry the time at which it opened."""
    box, _ = outbox()
    for change, time in (("opened", 10.0), ("escalated", 20.0), ("resolved", 30.0)):
        box.take(0, 0, event(change, alarm="a", time=time))
        assert told(box).notices[0].since == 10.0
    box.take(0, 0, event("escalated", alarm="never heard of"))
    assert told(box).notices[0].since is None


# --- when -------------------------------------------------------------------------------------


def test_few_are_told_one_by_one() -> None:
    """As long as the minute has room for all of them, each has its message."""
    box, _ = outbox(slack(per_minute=3))
    several = [event() for _ in range(3)]
    for offset, each in enumerate(several):
        box.take(0, offset, each)
    assert [ids(told(box)) for _ in several] == [[each.id] for each in several]


def test_a_storm_is_told_in_one() -> None:
    """What has no room of its own comes together, and all of it."""
    box, clock = outbox(slack(per_minute=3))
    box.take(0, 0, event())
    assert len(told(box).notices) == 1
    for offset in range(1, 38):
        box.take(0, offset, event())
    assert len(told(box).notices) == 37
    box.take(0, 38, event())
    assert len(told(box).notices) == 1
    box.take(0, 39, event())
    box.take(0, 40, event())
    assert box.next() is None
    clock.now = module.MINUTE
    assert len(told(box).notices) == 1
    assert len(told(box).notices) == 1


@pytest.mark.parametrize("target", [slack(), pagerduty(), webhook()], ids=lambda t: t.kind)
def test_a_fleet_that_shifts_is_one_message(target: Target) -> None:
    """Forty alarms of as many models that come together are one message at the usual settings."""
    box, _ = outbox(target)
    for offset in range(40):
        box.take(0, offset, event(model=f"m{offset}"))
    assert len(told(box).notices) == 40
    assert box.next() is None


def test_programs_are_told_of_all_in_bounded_messages() -> None:
    """A webhook is sent each event whole, so many at a time."""
    box, _ = outbox(webhook(per_minute=5))
    for offset in range(250):
        box.take(0, offset, event())
    assert [len(told(box).notices) for _ in range(3)] == [100, 100, 50]


# --- incidents that are shared ----------------------------------------------------------------


def test_a_shared_incident_ends_with_its_last_alarm() -> None:
    """Of alarms that were told together the last to end is said to be the last, by partition."""
    box, clock = outbox(pagerduty(per_minute=1))
    for alarm, partition in (("a", 0), ("b", 0), ("c", 1)):
        box.take(partition, 0, event(alarm=alarm))
    assert told(box).ended == frozenset()
    ends: list[tuple[str, set[int]]] = [("a", set()), ("c", {1}), ("b", {0})]
    for alarm, expected in ends:
        clock.now += module.MINUTE
        box.take(0 if alarm != "c" else 1, 1, event("resolved", alarm=alarm))
        assert told(box).ended == expected


def test_an_alarm_of_its_own_ends_no_shared_one() -> None:
    """Nor is an alarm that stands alone waited for."""
    box, clock = outbox(pagerduty(per_minute=1))
    box.take(0, 0, event(alarm="alone"))
    told(box)
    clock.now += module.MINUTE
    for alarm in "ab":
        box.take(0, 1, event(alarm=alarm))
    told(box)
    clock.now += module.MINUTE
    for alarm in "ab":
        box.take(0, 1, event("resolved", alarm=alarm))
    assert told(box).ended == {0}
    clock.now += module.MINUTE
    box.take(0, 1, event("resolved", alarm="alone"))
    assert told(box).ended == frozenset()


def test_after_a_restart_an_open_alarm_may_share() -> None:
    """It is not known how it was told of; a resolve too many does nothing, one too few pages on."""
    box, _ = outbox(pagerduty())
    box.recall(0, event(alarm="a"))
    box.recall(0, event(alarm="b"))
    box.recall(0, event("resolved", alarm="b"))
    box.take(0, 9, event("resolved", alarm="a"))
    assert told(box).ended == {0}
    box.take(0, 10, event("resolved", alarm="from before all memory"))
    assert told(box).ended == {0}


# --- partitions -------------------------------------------------------------------------------


def test_what_still_waits_is_left_to_the_next_member() -> None:
    """It is forgotten, so that it is told when the partition comes back untold."""
    box, _ = outbox()
    mine, others = event(), event()
    box.take(0, 3, others)
    box.take(1, 7, mine)
    batch = box.next()
    assert ids(batch) == [others.id]
    box.forget([0])
    assert box.positions() == {1: 7}
    assert batch is not None
    box.done(batch)
    assert ids(told(box)) == [mine.id]
    assert box.take(0, 3, others) is None


class Traffic(RuleBasedStateMachine):
    """Any order of events, deliveries and restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.target = webhook(per_minute=2)
        self.log: dict[int, list[DriftEvent]] = {0: [], 1: []}
        self.committed = {0: 0, 1: 0}
        self.told: Counter[str] = Counter()
        self.times: list[float] = []
        self.repeated: set[str] = set()
        self.begin()

    def begin(self) -> None:
        """A process begins where the last one has committed, and recalls what was before."""
        self.box = Outbox(self.target, self.clock)
        self.batch: Batch | None = None
        self.times.clear()
        for partition, log in self.log.items():
            self.box.read[partition] = self.committed[partition]
            for offset, each in enumerate(log):
                if offset < self.committed[partition]:
                    self.box.recall(partition, each)
                else:
                    self.box.take(partition, offset, each)

    @rule(partition=st.integers(0, 1), count=st.integers(1, 5))
    def found(self, partition: int, count: int) -> None:
        """Detect finds something."""
        for _ in range(count):
            self.write(partition, event())

    @rule(partition=st.integers(0, 1), back=st.integers(1, 5))
    def found_again(self, partition: int, back: int) -> None:
        """Detect finds something again after a crash."""
        if len(self.log[partition]) >= back:
            self.write(partition, self.log[partition][-back])

    def write(self, partition: int, each: DriftEvent) -> None:
        """An event is written, and read."""
        self.log[partition].append(each)
        self.box.take(partition, len(self.log[partition]) - 1, each)

    @precondition(lambda self: self.batch is None)
    @rule()
    def send(self) -> None:
        """A message is sent."""
        self.batch = self.box.next()
        if self.batch is not None:
            self.times.append(self.clock())
            self.told.update(notice.event.id for notice in self.batch.notices)

    @precondition(lambda self: self.batch is not None)
    @rule(commit=st.booleans())
    def delivered(self, commit: bool) -> None:
        """The message is delivered, and perhaps committed."""
        assert self.batch is not None
        self.box.done(self.batch)
        self.batch = None
        if commit:
            self.committed |= self.box.positions()

    @rule()
    def killed(self) -> None:
        """The process dies, and another one begins."""
        self.repeated |= {
            each.id for p, log in self.log.items() for each in log[self.committed[p] :]
        }
        self.begin()

    @rule(seconds=st.sampled_from([1.0, 30.0, 60.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.now += seconds

    @invariant()
    def never_too_often(self) -> None:
        """No minute has more messages than it may."""
        for at in self.times:
            assert sum(at <= other < at + module.MINUTE for other in self.times) <= 2

    @invariant()
    def never_ahead(self) -> None:
        """What is committed has been told."""
        for partition, log in self.log.items():
            assert all(self.told[each.id] for each in log[: self.committed[partition]])

    def teardown(self) -> None:
        """In the end everything is told, and only what a crash made uncertain more than once."""
        for _ in range(200):
            if self.batch is None:
                self.send()
            if self.batch is not None:
                self.delivered(True)
            self.clock.now += module.MINUTE
        for log in self.log.values():
            for each in log:
                assert self.told[each.id] >= 1
                assert self.told[each.id] == 1 or each.id in self.repeated
        assert not self.box.waiting


TestTraffic = Traffic.TestCase
TestTraffic.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)

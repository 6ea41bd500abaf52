"""Notify: drift events in, messages to people and programs out; a consumer group for each target.

A target that is away must hold up no other, so each has offsets of its own. They are committed when
a message has been delivered, or given up for good: a crash may repeat what was just being sent, and
loses nothing. Sending has threads of its own, so that the loop goes on polling, whatever a target
does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

import structlog
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from monitor import events, kafka
from monitor.config import Config
from monitor.config_notify import Target
from monitor.events import DriftEvent
from monitor.health import Health
from monitor.kafka import Topics
from monitor.metrics import Metrics
from monitor.notify.outbox import Outbox
from monitor.notify.sender import Sender

log = structlog.get_logger(__name__)

ROLE = "notify"
TURN_SECONDS = 0.2
READ = 500
"""Events read in a turn."""
MOST_WAITING = 1_000
"""Events of one target in memory; beyond that its partitions are paused."""
HISTORY = 1_000
"""Events before the committed offset that are read again at assignment, to be kept in mind."""
COMMIT_AGAIN_SECONDS = 2.0
SETTLE_SECONDS = 5.0
"""How long what is being sent may take to end when partitions go, or the process does."""


class Notify:
    """One member of each target's group.

    stop: waits so many seconds and says whether to end.
    """

    def __init__(
        self, config: Config, metrics: Metrics, health: Health, stop: Callable[[float], bool]
    ) -> None:
        self.config = config
        self.health = health
        self.stop = stop
        self.couriers = [
            Courier(name, target, config, metrics, self._go_on)
            for name, target in config.notifications.targets.items()
        ]
        self.members: list[Courier] = []

    def run(self) -> None:
        """Join, work until told to stop, leave."""
        existing = kafka.wait_for_broker(self.config.kafka, self._waiting, ROLE)
        if existing is None:
            return
        kafka.ensure_topics(self.config.kafka, existing, ROLE)
        try:
            for courier in self.couriers:
                courier.join()
                self.members.append(courier)
            while not self._waiting(TURN_SECONDS):
                for courier in self.couriers:
                    courier.turn()
                if all(courier.joined for courier in self.couriers):
                    self.health.ready(ROLE)
        except KafkaException as error:
            if not (self.stop(0) and error.args[0].retriable()):
                raise
        finally:
            self._leave()

    def _waiting(self, seconds: float) -> bool:
        self.health.beat(ROLE)
        return self.stop(seconds)

    def _go_on(self) -> None:
        """Raises KafkaException once told to stop: an assignment may wait long for a broker."""
        if self._waiting(0):
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "told to stop", retriable=True))

    def _leave(self) -> None:
        until = time.monotonic() + SETTLE_SECONDS
        for courier in self.members:
            courier.leave(until)


class Courier:
    """Tells one target. go_on: is called where it may take a while; what it raises ends it."""

    def __init__(
        self, name: str, target: Target, config: Config, metrics: Metrics, go_on: Callable[[], None]
    ) -> None:
        self.name = name
        self.config = config
        self.metrics = metrics
        self.go_on = go_on
        self.topic = Topics(config.kafka.prefix).events
        self.began = time.time()
        self.outbox = Outbox(target, time.monotonic)
        source = f"{config.kafka.prefix}-{ROLE}-{name}"
        template = config.notifications.dashboard_url
        self.sender = Sender(name, self.outbox, metrics.notices, source, template)
        self.joined = False
        self.paused: bool | None = False
        self.starts: dict[int, int] = {}
        """By partition, the first offset that was not dealt with before."""
        self.committed: dict[int, int] = {}
        self.commit_due = 0.0

    def join(self) -> None:
        """Become a member of the target's group."""
        settings = kafka.consumer_settings(self.config.kafka, f"{ROLE}-{self.name}")
        # events are few, and there is a client for each target
        settings |= {"queued.max.messages.kbytes": 4096, "on_commit": self._on_commit}
        self.consumer = Consumer(settings)
        self.consumer.subscribe(
            [self.topic],
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._lost,
        )

    def turn(self) -> None:
        """Read what there is, send what is due, commit what is done; never waits."""
        self._read()
        self.sender.turn()
        self._commit()
        self._measure()

    def leave(self, until: float) -> None:
        """Let what is being sent end, commit what is done, leave the group."""
        try:
            self.sender.settle(until)
            self._commit()
        finally:
            self.consumer.close()

    # --- reading ----------------------------------------------------------------------------------

    def _read(self) -> None:
        for _ in range(READ):
            message = self.consumer.poll(0)
            if message is None:
                break
            text = kafka.trouble(message)
            if text is None:
                self._take(message)
            else:
                log.warning("cannot read for now", role=ROLE, target=self.name, error=text)
            if len(self.outbox.waiting) >= MOST_WAITING:
                break
        self._apply_backpressure()

    def _apply_backpressure(self) -> None:
        """Read nothing more while much waits; the group still sees a member that polls."""
        full = len(self.outbox.waiting) >= MOST_WAITING
        if full != self.paused:
            (self.consumer.pause if full else self.consumer.resume)(self.consumer.assignment())
            self.paused = full

    def _take(self, message: Message) -> None:
        (_, partition), offset = kafka.place(message), kafka.offset(message)
        if partition not in self.starts:  # given away; what had been fetched may still come
            return
        event = _decode(message.value())
        if offset < self.starts[partition]:
            if event is not None:
                self.outbox.recall(partition, event)
            return
        why = self.outbox.take(partition, offset, event)
        if why is not None:
            self.metrics.notices.suppressed[self.name, why] += 1
        if why == "unreadable":
            where = {"partition": partition, "offset": offset}
            log.error("event skipped, it cannot be read", target=self.name, **where)

    # --- offsets ----------------------------------------------------------------------------------

    def _commit(self) -> None:
        positions = self.outbox.positions()
        changed = {p: at for p, at in positions.items() if self.committed.get(p) != at}
        if not changed or time.monotonic() < self.commit_due:
            return
        self.committed |= changed
        offsets = [TopicPartition(self.topic, p, at) for p, at in changed.items()]
        try:
            self.consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            self._on_commit(error.args[0], offsets)

    def _on_commit(self, error: KafkaError | None, partitions: Sequence[TopicPartition]) -> None:
        failed = [p for p in partitions if error is not None or p.error is not None]
        if not failed:
            return
        why = error or failed[0].error
        log.warning("not committed for now", target=self.name, error=why.str() if why else "")
        self.commit_due = time.monotonic() + COMMIT_AGAIN_SECONDS
        for each in failed:
            self.committed.pop(each.partition, None)

    def _measure(self) -> None:
        waiting = 0
        for partition, at in self.outbox.positions().items():
            place = TopicPartition(self.topic, partition)
            _, high = self.consumer.get_watermark_offsets(place, cached=True)
            waiting += max(0, high - at)
        self.metrics.notices.waiting[self.name] = waiting

    # --- partitions -------------------------------------------------------------------------------

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Begin where the group left off, and a little before, to remember what was told."""
        with self.metrics.lock:
            self.metrics.rebalances[ROLE] += 1
        committed = kafka.committed(consumer, self.topic, self.go_on) if partitions else {}
        for each in partitions:
            low, high = kafka.watermarks(consumer, each, self.go_on)
            start = self._start(each, committed, low, high)
            self.starts[each.partition] = self.outbox.read[each.partition] = start
            each.offset = max(low, start - HISTORY)
        consumer.incremental_assign(partitions)
        self.paused = None  # the new partitions are not paused, the old ones may be: see to all
        self.joined = True
        numbers = [each.partition for each in partitions]
        log.info("partitions assigned", role=ROLE, target=self.name, partitions=numbers)

    def _start(self, each: TopicPartition, committed: dict[int, int], low: int, high: int) -> int:
        """The first offset to tell of: a new target is told of what comes from now on."""
        at = committed.get(each.partition)
        if at is None:
            # a partition that was added later is new as a whole
            return low if committed else kafka.since(self.consumer, each, self.began, self.go_on)
        if low <= at <= high:
            return at
        log.error("events are gone that nobody was told of", target=self.name, first=low, wanted=at)
        return low

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Commit before the partitions go to another member."""
        self.sender.settle(time.monotonic() + SETTLE_SECONDS)
        self._commit()
        self._forget(partitions)

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Another member has the partitions already."""
        self._forget(partitions)

    def _forget(self, partitions: Iterable[TopicPartition]) -> None:
        gone = {each.partition for each in partitions}
        log.info("partitions revoked", role=ROLE, target=self.name, partitions=sorted(gone))
        self.outbox.forget(gone)
        for partition in gone:
            self.starts.pop(partition, None)
            self.committed.pop(partition, None)
        self.sender.drop(gone)


def _decode(value: bytes | None) -> DriftEvent | None:
    """The event, None for what is none, or has numbers that cannot be put into words."""
    try:
        event = events.decode(value or b"")
        events.sentence(event)
    except (ValueError, ArithmeticError, RecursionError):
        return None
    return event

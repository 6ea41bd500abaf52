"""Replay: consume events and answers of commands; insert runs; do them; send their verdicts.

The role's thread inserts runs together with the offsets of what it has read, in one transaction of
the result store, from which it also reads the offsets when partitions are assigned. Workers claim
runs in threads of their own, or in `plumbline replay work`. Events of verdicts are in the outbox of
the store; the owner of partition 0 of the events topic sends them.

A broker or a store that is down is waited for. Nothing is lost: what was read is kept in memory,
and the offsets in the store do not move.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from monitor.config.schema import Config
from monitor.events.commands import Answer
from monitor.kafka.clients import consumer_settings, producer_settings
from monitor.kafka.messages import message_offset, topic_partition
from monitor.kafka.offsets import offset_since, watermarks
from monitor.kafka.topics import partition_of
from monitor.roles.lag import LagMeter
from monitor.roles.names import REPLAY as ROLE
from monitor.roles.replay_actions import ActionSender
from monitor.roles.replay_baselines import (
    RETRY_SECONDS,
    freeze,
    reference_items,
    unfrozen_items,
)
from monitor.roles.replay_consumer import Decoded, Trigger, decode
from monitor.roles.replay_counter import RunCounter, queue_state
from monitor.roles.replay_outbox import send_events
from monitor.roles.replay_samples import SampleReader
from monitor.roles.replay_setup import open_configured, worker_name, workplace
from monitor.roles.replay_worker import ReplayWorker, finish_expired
from monitor.roles.role import Role
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.counters.replay import ReplayMetrics
from monitor.telemetry.health import Health
from replay.sets.item import Item
from replay.store import (
    Store,
    StoreError,
    StoreFull,
    StoreUnavailable,
    baselines,
    queue,
)

if TYPE_CHECKING:
    pass

log = structlog.get_logger(__name__)

MOST_MESSAGES: Final = 200
"""Messages that are applied in one transaction."""
STORE_SECONDS: Final = 2.0
"""Pause before a transaction that failed is repeated."""
HOUSEKEEPING_SECONDS: Final = 2.0
"""Time between two looks at the queue, the schedule and runs that nobody claims."""
SEARCH_SECONDS: Final = 5.0
MAX_SEARCH_SECONDS: Final = 600.0
"""Time between two searches for models without frozen items: it doubles up to the maximum."""
JOIN_SECONDS: Final = 30.0
"""Maximum time for workers to give their runs back at a stop."""


@dataclass(frozen=True, slots=True)
class _Read:
    """A message that is not applied yet."""

    key: tuple[str, int]
    offset: int
    content: Decoded


class Replay(Role):
    """A member of the replay group.

    pending: messages that were read and are not in the store, oldest first.
    """

    name = ROLE

    def __init__(
        self, config: Config, metrics: Metrics, health: Health, stop: Callable[[float], bool]
    ) -> None:
        super().__init__(config, metrics, health, stop)
        self.outputs = (self.topics.events,)
        self.started = time.time()
        self.counts = metrics.replay = ReplayMetrics()
        self.meter = LagMeter()
        self.pending: list[_Read] = []
        self.runs = RunCounter(metrics, self.counts)
        self.paused = False
        self.assigned: set[tuple[str, int]] = set()
        self.partitions = config.kafka.partitions
        self.retry_due = self.housekeeping_due = 0.0
        self.search_pause = SEARCH_SECONDS
        self.search_due = time.monotonic() + SEARCH_SECONDS

    def run(self) -> None:
        """Open the store, start the workers, and run sessions until the daemon stops.

        Raises UserError if the store cannot be used, for example because its schema is older.
        """
        store = self._open_store()
        if store is None:
            return
        with store:
            self.place = workplace(self.config, store, self.metrics, self.stop)
            self.trigger = Trigger(self.place)
            threads = [
                ReplayWorker(self.place, worker_name(number))
                for number in range(self.config.replay.workers)
            ]
            shared = self.metrics, self.counts, self.stop, self._is_first
            sender = ActionSender(store, self.config.replay.actions, *shared)
            for thread in (*threads, sender):
                thread.start()
            super().run()
            deadline = time.monotonic() + JOIN_SECONDS
            for thread in (*threads, sender):
                thread.join(max(0.0, deadline - time.monotonic()))

    def _open_store(self) -> Store | None:
        """Return the store; None if the daemon stops while it is not available."""
        logged = False
        while True:
            try:
                return open_configured(self.config)
            except (StoreUnavailable, StoreFull) as error:
                if not logged:
                    log.warning("waiting for the result store", role=ROLE, error=str(error))
                logged = True
                self._count_store_error()
            if self._wait(STORE_SECONDS):
                return None

    def _session(self) -> None:
        self.pending.clear()
        self.assigned.clear()
        self.paused = False
        self.producer = Producer(producer_settings(self.config.kafka, ROLE, transactional=False))
        self.consumer = Consumer(consumer_settings(self.config.kafka, ROLE))
        try:
            self.consumer.subscribe(
                [self.topics.events, self.topics.commands],
                on_assign=self._assigned,
                on_revoke=self._revoked,
                on_lost=self._revoked,
            )
            while not self.stop(0):
                self._run_once()
        except KafkaException as error:
            if not self._stopped_by(error):
                raise
        finally:
            self._leave(self.consumer.close)
            self.assigned.clear()

    def _run_once(self) -> None:
        self.health.beat(ROLE)
        self._read()
        now = time.monotonic()
        if self.pending and now >= self.retry_due:
            self._try(self._apply)
        if now >= self.housekeeping_due:
            self.housekeeping_due = now + HOUSEKEEPING_SECONDS
            self._try(self._keep_house)
        if now >= self.search_due and not self.pending:
            self._try(self._search)
            self.search_due = time.monotonic() + self.search_pause
            self.search_pause = min(MAX_SEARCH_SECONDS, 2 * self.search_pause)
        if self.meter.due():
            with self.metrics.lock:
                self.metrics.lag |= self.meter.lag(self.consumer)

    def _try(self, operation: Callable[[], None]) -> None:
        """Run an operation of the store; after a failure it is repeated later.

        Raises StoreError if repeating it cannot help.
        """
        try:
            operation()
        except (StoreUnavailable, StoreFull) as error:
            self._count_store_error()
            self.retry_due = time.monotonic() + STORE_SECONDS
            log.warning("result store not available, retrying", role=ROLE, error=str(error))

    def _count_store_error(self) -> None:
        with self.metrics.lock:
            self.counts.store_errors += 1

    # --- messages ---------------------------------------------------------------------------------

    def _read(self) -> None:
        """Read the messages that are available; wait only for the first."""
        full = len(self.pending) >= MOST_MESSAGES
        if full != self.paused:
            change = self.consumer.pause if full else self.consumer.resume
            change(self.consumer.assignment())
            self.paused = full
        for message in self._available(self.consumer, self.meter.reached_end):
            self._keep(message)
            if len(self.pending) >= MOST_MESSAGES:
                break

    def _keep(self, message: Message) -> None:
        key, offset = topic_partition(message), message_offset(message)
        if key not in self.assigned:  # prefetched messages of a revoked partition may arrive
            return
        self.meter.read(key, offset, offset + 1, 1)
        content = decode(message.value(), command=key[0] == self.topics.commands)
        self.pending.append(_Read(key, offset, content))

    def _apply(self) -> None:
        """Apply the pending messages, and store their offsets, in one transaction."""
        batch = self.pending[:MOST_MESSAGES]
        items = self._items(batch)
        outcomes = Counter[str]()
        now = self.place.clock()
        with self.place.store.write() as connection:
            for read in batch:
                outcomes[self.trigger.apply(connection, read.content, items, now)] += 1
            offsets = {read.key: read.offset + 1 for read in batch}
            queue.save_offsets(connection, self.group, offsets)
        del self.pending[: len(batch)]
        self._count(outcomes)
        self.runs.count(read.content for read in batch)
        self._commit(offsets)

    def _items(self, batch: Iterable[_Read]) -> dict[str, tuple[Item, ...]]:
        """Return the items of accepted references, by the id of the command.

        The samples are read before the transaction begins, because that takes seconds.
        """
        found = {}
        for read in batch:
            answer = read.content
            if isinstance(answer, Answer) and self.config.replay.model_for(answer.model):
                found[answer.command] = reference_items(self._reader(), self.config, answer)
        return found

    def _reader(self) -> SampleReader:
        return SampleReader(self.config.kafka, self._check_running)

    def _count(self, outcomes: Mapping[str, int]) -> None:
        with self.metrics.lock:
            self.counts.events.update(outcomes)

    def _commit(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Commit the offsets to Kafka as well: for tools that show the lag of the group."""
        at = [TopicPartition(*key, offset) for key, offset in offsets.items()]
        with suppress(KafkaException):
            self.consumer.commit(offsets=at, asynchronous=True)

    # --- the store --------------------------------------------------------------------------------

    def _keep_house(self) -> None:
        """Finish runs that nobody claims, insert those of the schedule, and send the outbox."""
        now = self.place.clock()
        with self.place.store.write() as connection:
            ended = finish_expired(connection, self.place, now)
            outcomes = self.trigger.schedule(connection, now) if self._is_first() else None
        for run in ended:
            log.warning("run ended without a worker", run=run.id, verdict=run.verdict)
        if outcomes:
            self._count(outcomes)
        if self._is_first():
            send_events(self.place.store, self.producer, self.topics.events, self.place.clock)
        with self.place.store.read() as connection:
            state = queue_state(connection, self.place.gpu_seconds_per_day, now)
            models = baselines.models(connection)
        with self.metrics.lock:
            self.counts.queue = state
            for model in models:
                self.counts.start(model)

    def _is_first(self) -> bool:
        """Return whether this process does what only one needs to do."""
        return (self.topics.events, 0) in self.assigned

    def _search(self) -> None:
        """Freeze items of the models of this process that have no baseline yet.

        A model with an open alarm waits: its present traffic is no reference.
        """
        if not any(topic == self.topics.events for topic, _ in self.assigned):
            return
        reader, now, store = self._reader(), self.place.clock(), self.place.store
        alarmed = self.trigger.alarms.models() | reader.models_with_alarms()
        found = unfrozen_items(reader, self.config, store, now, alarmed)
        for model, items in found.items():
            number = partition_of(model.encode("utf-8", "surrogatepass"), self.partitions)
            if (self.topics.events, number) in self.assigned:
                key = f"first {int(now // RETRY_SECONDS)}"
                with store.write() as connection:
                    outcome = freeze(connection, self.config, (model, items), key, now)
                self._count({outcome: 1})

    # --- rebalances -------------------------------------------------------------------------------

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Resume at the offsets in the store; a new partition begins with what is new."""
        with self.metrics.lock:
            self.metrics.rebalances[ROLE] += 1
        stored = self._stored_offsets()
        new = {}
        for each in partitions:
            key = (each.topic, each.partition)
            low, high = watermarks(consumer, each, self._check_running)
            offset = stored.get(key)
            if offset is None:
                begins = any(topic == each.topic for topic, _ in stored)
                offset = low if begins else self._since_start(consumer, each)
                new[key] = offset
            each.offset = offset if low <= offset <= high else low
            self.meter.assign(key, each.offset)
            self.assigned.add(key)
        if new:
            self._save_first(new)
        found = consumer.list_topics(self.topics.events, timeout=10.0)
        self.partitions = len(found.topics[self.topics.events].partitions) or self.partitions
        consumer.incremental_assign(partitions)
        self.paused = False
        if partitions and self.pending:
            self.retry_due = 0.0
        numbers = [f"{each.topic}:{each.partition}" for each in partitions]
        log.info("partitions assigned", role=ROLE, partitions=numbers)
        self.health.mark_ready(ROLE)

    def _since_start(self, consumer: Consumer, each: TopicPartition) -> int:
        """Return the first offset that is read by a new group: what is written from now on."""
        return offset_since(consumer, each, self.started, self._check_running)

    def _stored_offsets(self) -> dict[tuple[str, int], int]:
        """Return the offsets in the store; wait for it."""
        while True:
            try:
                with self.place.store.read() as connection:
                    return queue.load_offsets(connection, self.group)
            except (StoreUnavailable, StoreFull) as error:
                self._wait_for_store(error)

    def _save_first(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Store the first offsets of partitions, so that a restart does not skip what follows."""
        while True:
            try:
                with self.place.store.write() as connection:
                    queue.save_offsets(connection, self.group, offsets)
                return
            except (StoreUnavailable, StoreFull) as error:
                self._wait_for_store(error)

    def _wait_for_store(self, error: StoreError) -> None:
        self._count_store_error()
        log.warning("waiting for the result store", role=ROLE, error=str(error))
        self.stop(STORE_SECONDS)
        self._check_running()

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Drop what was read of partitions that another member is assigned; it reads it again."""
        keys = {(each.topic, each.partition) for each in partitions}
        self.assigned -= keys
        self.pending = [read for read in self.pending if read.key not in keys]
        self.meter.drop(keys)
        with self.metrics.lock:
            for key in keys:
                self.metrics.lag.pop(key, None)
        log.info("partitions revoked", role=ROLE, partitions=sorted(map(str, keys)))

"""Detect: feature chunks in, drift events out. One worker sees a model's whole traffic in order.

The feature topic is the history: on assignment a partition is read from its beginning, so the
windows and alarms of its models are what they were, and events found again have the ids they had.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    Message,
    Producer,
    TopicPartition,
)

from monitor import columns, events, kafka
from monitor.columns import ChunkError
from monitor.config import Config
from monitor.drift import DriftMonitor, References
from monitor.events import DriftEvent
from monitor.health import Health
from monitor.kafka import Topics
from monitor.metrics import Metrics, ModelState
from monitor.segments import WHOLE
from monitor.watch import Watch

log = structlog.get_logger(__name__)

ROLE = "detect"
BATCH = 500
POLL_SECONDS = 0.1
PUBLISH_SECONDS = 2.0
"""How often the numbers behind the verdicts are worked out for the metrics."""
FLUSH_SECONDS = 30.0


class Detect:
    """One member of the detect group: a DriftMonitor for each feature partition that it has.

    stop: waits so many seconds and says whether to end. on_event: is given each event as well.
    """

    def __init__(
        self,
        config: Config,
        references: References,
        metrics: Metrics,
        health: Health,
        stop: Callable[[float], bool],
    ) -> None:
        self.config = config
        self.references = references
        self.metrics = metrics
        self.health = health
        self.stop = stop
        self.topics = Topics(config.kafka.prefix)
        self.monitors: dict[int, DriftMonitor] = {}
        self.published = 0.0

    def run(self) -> None:
        """Join, work until told to stop, deliver what is in hand, leave."""
        existing = kafka.wait_for_broker(self.config.kafka, self._waiting, ROLE)
        if existing is None:
            return
        kafka.ensure_topics(self.config.kafka, existing, ROLE)
        self.producer = Producer(
            kafka.producer_settings(self.config.kafka, ROLE, transactional=False)
        )
        self.consumer = Consumer(kafka.consumer_settings(self.config.kafka, ROLE))
        try:
            self.consumer.subscribe(
                [self.topics.features], on_assign=self._assigned, on_revoke=self._revoked
            )
            while not self.stop(0):
                self._turn()
            self._flush()
        finally:
            self.consumer.close()

    def _waiting(self, seconds: float) -> bool:
        self.health.beat(ROLE)
        return self.stop(seconds)

    def _turn(self) -> None:
        self.health.beat(ROLE)
        for message in self.consumer.consume(BATCH, POLL_SECONDS):
            text = kafka.trouble(message)
            if text is None:
                self._take(message)
            else:
                log.warning("cannot read for now", role=ROLE, error=text)
        self.producer.poll(0)
        if time.monotonic() - self.published >= PUBLISH_SECONDS:
            self._publish()

    def _take(self, message: Message) -> None:
        _, partition = kafka.place(message)
        monitor = self.monitors.get(partition)
        if monitor is None:  # a partition given away may still deliver what had been fetched
            return
        try:
            chunk = columns.decode(message.value() or b"")
        except ChunkError as error:
            self.metrics.chunks_rejected += 1
            where = {"partition": partition, "offset": kafka.offset(message)}
            log.error("feature chunk skipped", error=str(error), **where)
            return
        self.metrics.watched[chunk.model] += len(chunk)
        for event in monitor.process(chunk):
            self._emit(event)

    def _emit(self, event: DriftEvent) -> None:
        """One event feeds log, metrics and topic."""
        self.metrics.drift(event)
        level = log.info if event.change == "resolved" else log.warning
        level("drift " + event.change, summary=events.sentence(event), **events.fields(event))
        while True:
            try:
                self.producer.produce(
                    self.topics.events, events.encode(event), event.model.encode()
                )
                return
            except BufferError:
                self.producer.poll(POLL_SECONDS)
                self.health.beat(ROLE)

    def _flush(self) -> None:
        left = self.producer.flush(FLUSH_SECONDS)
        if left:
            log.error("events not delivered", count=left)
        self._publish()

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.metrics.rebalances[ROLE] += 1
        for partition in partitions:
            partition.offset = OFFSET_BEGINNING
            self.monitors[partition.partition] = DriftMonitor(self.config, self.references)
        consumer.incremental_assign(partitions)
        log.info("partitions assigned", role=ROLE, partitions=[p.partition for p in partitions])
        self.health.ready(ROLE)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        log.info("partitions revoked", role=ROLE, partitions=[p.partition for p in partitions])
        self._flush()
        for partition in partitions:
            self.monitors.pop(partition.partition, None)
            self.metrics.models.pop(partition.partition, None)
            self.metrics.lag.pop((self.topics.features, partition.partition), None)

    def _publish(self) -> None:
        """Work out what people see; the events do not depend on it."""
        self.published = time.monotonic()
        states = {p: _states(monitor) for p, monitor in self.monitors.items()}
        positions = self.consumer.position(
            [TopicPartition(self.topics.features, partition) for partition in self.monitors]
        )
        with self.metrics.lock:
            self.metrics.models = states
            self.metrics.segments_dropped = sum(m.segments_dropped for m in self.monitors.values())
            for at in positions:
                _, high = self.consumer.get_watermark_offsets(at, cached=True)
                if high >= 0 and at.offset >= 0:
                    self.metrics.lag[at.topic, at.partition] = max(0, high - at.offset)


def _states(monitor: DriftMonitor) -> list[ModelState]:
    whole: Sequence[Watch] = [
        watch for (_, segment), watch in monitor.watches.items() if segment == WHOLE
    ]
    return [
        ModelState(
            model=watch.model,
            reference_records=watch.profile.records if watch.profile else 0,
            window_records=watch.window_records(),
            readings=watch.readings(),
            psi=watch.psi(),
            severities=watch.severities(),
        )
        for watch in whole
    ]

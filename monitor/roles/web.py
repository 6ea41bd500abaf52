"""The web role: serve pages and the API, fill review queues, send labels, erase old texts.

Any number of processes run it over one database. The pages are served before Kafka is reached, and
while it is away.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from monitor.config.schema import Config
from monitor.database.errors import StoreError, StoreFull, StoreUnavailable
from monitor.database.offsets import load_offsets, save_offsets
from monitor.database.store import Store
from monitor.events.evaluations import Evaluation
from monitor.kafka.clients import consumer_settings, producer_settings
from monitor.kafka.messages import (
    message_offset,
    topic_partition,
)
from monitor.kafka.offsets import offset_since, watermarks
from monitor.records import Sample
from monitor.roles import web_setup
from monitor.roles.lag import LagMeter
from monitor.roles.names import WEB as ROLE
from monitor.roles.open_alarms import OpenAlarms
from monitor.roles.role import Role
from monitor.roles.web_inflow import Inflow, decode
from monitor.roles.web_labels import send_labels
from monitor.roles.web_runs import StoreRuns
from monitor.roles.web_state import review_state
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.counters.web import WebMetrics
from monitor.telemetry.health import Health
from monitor.web.application import make_application
from monitor.web.context import WebContext
from monitor.web.review import erasure
from monitor.web.server.server import WebServer
from monitor.web.store.tables import OFFSETS
from monitor.web.views.sources import Published, Sources

log = structlog.get_logger(__name__)

POLL_SECONDS: Final = 0.2
MOST_MESSAGES: Final = 200
"""Messages that are applied in one transaction."""
STORE_SECONDS: Final = 2.0
"""Pause before a transaction that failed is repeated."""
HOUSEKEEPING_SECONDS: Final = 2.0
STATE_SECONDS: Final = 10.0
RETENTION_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Read:
    """A message that is not applied yet."""

    key: tuple[str, int]
    offset: int
    content: Sample | Evaluation | str | None


class Web(Role):
    """Serves the web application, and is a member of the web group if queues have an inflow."""

    name = ROLE

    def __init__(
        self,
        config: Config,
        metrics: Metrics,
        health: Health,
        stop: Callable[[float], bool],
        published: Published | None = None,
    ) -> None:
        super().__init__(config, metrics, health, stop)
        self.outputs = (self.topics.evaluations,)
        self.published = published
        self.started = time.time()
        self.clock = time.time
        self.counts = metrics.web = WebMetrics()
        self.counts.add_queues(config.web.queues)
        self.meter = LagMeter()
        below = config.sampling.boost.negative_feedback.below
        self.inflow = Inflow(below)
        self.alarms = OpenAlarms(config.kafka, stop)
        self.pending: list[_Read] = []
        self.assigned: set[tuple[str, int]] = set()
        self.paused = False
        self.retry_due = self.housekeeping_due = self.retention_due = self.state_due = 0.0
        self.port = 0

    def run(self) -> None:
        """Open the database, serve, and run sessions until the daemon stops.

        Raises UserError if the database cannot be used, for example because its schema is older.
        """
        store = self._open_store()
        if store is None:
            return
        with store:
            self.store = store
            with store.write() as connection:
                web_setup.configure(connection, self.config, self.clock())
            context = WebContext(
                store=store,
                metrics=self.counts,
                sources=Sources(
                    self.published, StoreRuns(store), web_setup.evaluation_sets(self.config)
                ),
                clock=self.clock,
                user_hash=web_setup.hash_of_users(self.config),
                stopping=threading.Event(),
            )
            web = self.config.web
            application = make_application(context, web)
            with WebServer(application, web.host, web.port, context.stopping) as server:
                self.port = server.port
                log.info("web application started", host=web.host, port=server.port)
                if web.review:
                    self.alarms.start()
                super().run()

    def _open_store(self) -> Store | None:
        """Return the database; None if the daemon stops while it is not available."""
        logged = False
        while True:
            try:
                return web_setup.open_configured(self.config)
            except (StoreUnavailable, StoreFull) as error:
                if not logged:
                    log.warning("waiting for the database", role=ROLE, error=str(error))
                logged = True
                self.counts.count_store_error()
            if self._wait(STORE_SECONDS):
                return None

    def _session(self) -> None:
        self.pending.clear()
        self.assigned.clear()
        self.paused = False
        self.producer = Producer(producer_settings(self.config.kafka, ROLE, transactional=False))
        self.consumer = Consumer(consumer_settings(self.config.kafka, ROLE))
        try:
            if self.config.web.review:
                self.consumer.subscribe(
                    [self.topics.samples, self.topics.evaluations],
                    on_assign=self._assigned,
                    on_revoke=self._revoked,
                    on_lost=self._revoked,
                )
            else:
                self.health.mark_ready(ROLE)
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
        if self.config.web.review:
            self._read()
        else:
            self.stop(POLL_SECONDS)
        now = time.monotonic()
        if self.pending and now >= self.retry_due:
            self._try(self._apply)
        if now >= self.housekeeping_due:
            self.housekeeping_due = now + HOUSEKEEPING_SECONDS
            self._try(self._keep_house)
        if now >= self.retention_due:
            self.retention_due = now + RETENTION_SECONDS
            self._try(self._erase)
        if self.config.web.review and self.meter.due():
            with self.metrics.lock:
                self.metrics.lag |= self.meter.lag(self.consumer)

    def _try(self, operation: Callable[[], None]) -> None:
        """Run an operation of the database; after a failure it is repeated later.

        Raises StoreError if repeating it cannot help.
        """
        try:
            operation()
        except (StoreUnavailable, StoreFull) as error:
            self.counts.count_store_error()
            self.retry_due = time.monotonic() + STORE_SECONDS
            log.warning("database not available, retrying", role=ROLE, error=str(error))

    # --- messages ---------------------------------------------------------------------------------

    def _read(self) -> None:
        """Read the messages that are available; wait only for the first."""
        full = len(self.pending) >= MOST_MESSAGES
        if full != self.paused:
            if full:
                self.consumer.pause(self.consumer.assignment())
            else:
                self.consumer.resume(self.consumer.assignment())
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
        content = decode(message.value(), evaluation=key[0] == self.topics.evaluations)
        self.pending.append(_Read(key, offset, content))

    def _apply(self) -> None:
        """Apply the pending messages, and store their offsets, in one transaction."""
        batch = self.pending[:MOST_MESSAGES]
        offsets = {read.key: read.offset + 1 for read in batch}
        contents = [read.content for read in batch]
        with self.store.write() as connection:
            outcomes = self.inflow.apply(connection, contents, self.alarms.models, self.clock())
            save_offsets(connection, OFFSETS, self.group, offsets)
        del self.pending[: len(batch)]
        self.counts.count_inflow(outcomes)
        self._commit(offsets)

    def _commit(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Commit the offsets to Kafka as well: for tools that show the lag of the group."""
        at = [TopicPartition(*key, offset) for key, offset in offsets.items()]
        with suppress(KafkaException):
            self.consumer.commit(offsets=at, asynchronous=True)

    # --- the database -----------------------------------------------------------------------------

    def _keep_house(self) -> None:
        """Give late scores to their items, send labels, and read the numbers of the queues."""
        if self.inflow.waits:
            with self.store.write() as connection:
                outcomes = self.inflow.apply(connection, (), self.alarms.models, self.clock())
            self.counts.count_inflow(outcomes)
        sent, failed = send_labels(self.store, self.producer, self.topics.evaluations, self.clock)
        self.counts.count_labels("sent", sent)
        self.counts.count_labels("failed", failed)
        if time.monotonic() >= self.state_due:
            self.state_due = time.monotonic() + STATE_SECONDS
            with self.store.read() as connection:
                self.counts.review = review_state(connection, self.clock())

    def _erase(self) -> None:
        """Erase the texts whose retention is over."""
        erased = -1
        while erased and not self.stop(0):
            with self.store.write() as connection:
                erased = erasure.expire_texts(connection, self.clock())
            self.counts.count_erased("retention", erased)

    # --- rebalances -------------------------------------------------------------------------------

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Resume at the offsets in the database; a new partition begins with what is new."""
        with self.metrics.lock:
            self.metrics.rebalances[ROLE] += 1
        stored = self._repeated(self._stored_offsets)
        new = {}
        for each in partitions:
            key = (each.topic, each.partition)
            low, high = watermarks(consumer, each, self._check_running)
            offset = stored.get(key)
            if offset is None:
                begins = any(topic == each.topic for topic, _ in stored)
                since = offset_since(consumer, each, self.started, self._check_running)
                offset = low if begins else since
                new[key] = offset
            each.offset = offset if low <= offset <= high else low
            self.meter.assign(key, each.offset)
            self.assigned.add(key)
        if new:
            self._repeated(lambda: self._save_first(new))
        consumer.incremental_assign(partitions)
        self.paused = False
        numbers = [f"{each.topic}:{each.partition}" for each in partitions]
        log.info("partitions assigned", role=ROLE, partitions=numbers)
        self.health.mark_ready(ROLE)

    def _stored_offsets(self) -> dict[tuple[str, int], int]:
        with self.store.read() as connection:
            return load_offsets(connection, OFFSETS, self.group)

    def _save_first(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Store the first offsets of partitions, so that a restart does not skip what follows."""
        with self.store.write() as connection:
            save_offsets(connection, OFFSETS, self.group, offsets)

    def _repeated(
        self, operation: Callable[[], dict[tuple[str, int], int] | None]
    ) -> dict[tuple[str, int], int]:
        """Return the result of an operation, repeated while the database is not available."""
        while True:
            try:
                return operation() or {}
            except (StoreUnavailable, StoreFull) as error:
                self._wait_for_store(error)

    def _wait_for_store(self, error: StoreError) -> None:
        self.counts.count_store_error()
        log.warning("waiting for the database", role=ROLE, error=str(error))
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

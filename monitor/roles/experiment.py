"""Experiment: consume exposures; sum them by shard, look at the sums, and decide.

A checkpoint commits the state of each partition of the exposures topic, and its offset, in one
transaction. Its closed sums are read by the owner of shard 0 of each experiment, which merges them
at every look (`experiment_looks`). At an assignment the state is restored, and reading resumes at
the offset of the checkpoint: every exposure is in the sums once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from itertools import islice

import structlog
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from monitor.config.schema import Config
from monitor.experiments.decisions.result import Result
from monitor.experiments.exposures.columns import key_of
from monitor.kafka.admin import topic_states
from monitor.kafka.clients import consumer_settings, producer_settings
from monitor.kafka.errors import RejoinError, is_abortable, with_group
from monitor.kafka.messages import message_offset, topic_partition
from monitor.kafka.offsets import unread, watermarks
from monitor.kafka.output.produce import produce
from monitor.kafka.readers.compacted import read_compacted
from monitor.kafka.topics import partition_of
from monitor.kafka.transactions import abort, commit_with_offsets, init_transactions
from monitor.roles.experiment_looks import OwnedExperiments
from monitor.roles.experiment_messages import Assembled, Name, assemble
from monitor.roles.experiment_partition import Partition, restore
from monitor.roles.lag import LagMeter, count_expired
from monitor.roles.local_experiments import configured
from monitor.roles.names import EXPERIMENT as ROLE
from monitor.roles.role import Role
from monitor.roles.waiting_partitions import WaitingPartitions
from monitor.telemetry.counters.experiments import ExperimentMetrics
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.health import Health

log = structlog.get_logger(__name__)

ITERATION_MESSAGES = 500
"""Maximum number of messages that an iteration reads."""
ITERATION_BYTES = 16 * 1024 * 1024
CLOSE_SECONDS = 1.0
"""Time between two attempts to close minutes of the past."""
COMMIT_SECONDS = 15.0
OPERATION_SECONDS = 30.0
REVOKE_SECONDS = 60.0
"""Maximum time for the checkpoint at a revocation."""
STATE_BYTES_PER_SECOND = 8 * 1024 * 1024
"""Maximum average rate at which checkpoints are written."""


class UnusableStateError(Exception):
    """The state of a partition cannot be used, and `state.unusable` is "stop"."""


class Experiment(Role):
    """A member of the experiment group.

    partitions: assigned partitions of the exposures topic. owned: experiments that this process
    evaluates. checkpoint_due, close_due: monotonic times.
    """

    name = ROLE

    def __init__(
        self, config: Config, metrics: Metrics, health: Health, stop: Callable[[float], bool]
    ) -> None:
        super().__init__(config, metrics, health, stop)
        topics = self.topics
        self.outputs = topics.experiment_state, topics.events
        self.experiments = configured(config)
        self.partitions: dict[int, Partition] = {}
        self.owned = OwnedExperiments(config.kafka, self.experiments)
        self.waiting = WaitingPartitions(
            config.kafka, ROLE, topics.exposures, topics.experiment_state
        )
        self.meter = LagMeter()
        self.metrics.expired.update({topics.exposures: 0})
        self.counts = metrics.experiments = ExperimentMetrics()
        self.checkpoint_due = self.close_due = 0.0

    def _session(self) -> None:
        kafka = self.config.kafka
        settings = producer_settings(kafka, ROLE, transactional=True)
        self.producer = Producer(settings)
        self.consumer = Consumer(consumer_settings(kafka, ROLE))
        try:
            init_transactions(self.producer, settings, OPERATION_SECONDS, self._wait)
            self.consumer.subscribe(
                [self.topics.exposures],
                on_assign=self._assigned,
                on_revoke=self._revoked,
                on_lost=self._lost,
            )
            while not self.stop(0):
                self._run_once()
        except Exception as error:
            self.partitions.clear()  # `close` revokes them: incomplete work must not be committed
            self._forget(list(self.owned.by_name))
            self.owned.clear()
            if not self._stopped_by(error):
                raise
        finally:
            self._leave(self.consumer.close)
            self.owned.close()

    def _run_once(self) -> None:
        self.health.beat(ROLE)
        self._read()
        now = time.monotonic()
        if now >= self.close_due:
            self.close_due = now + CLOSE_SECONDS
            for partition in self.partitions.values():
                partition.close(time.time(), now)
        self.owned.read(now)
        for result in self.owned.look(now):
            self._publish(result)
        if now >= self.checkpoint_due or self.owned.needs_write or self._has_closed():
            self._checkpoint(now)
        if self.meter.due():
            self._measure()

    # --- exposures --------------------------------------------------------------------------------

    def _read(self) -> None:
        """Read the messages that are available; wait only for the first."""
        size = 0
        available = self._available(self.consumer, self._reached_end)
        for message in islice(available, ITERATION_MESSAGES):
            size += self._add(message)
            if size > ITERATION_BYTES:
                break

    def _reached_end(self, message: Message) -> None:
        self.meter.reached_end(message)
        partition = self.partitions.get(topic_partition(message)[1])
        if partition is not None:
            partition.at_end = True

    def _has_closed(self) -> bool:
        """Return whether there are closed sums to publish at once. Not with a backlog."""
        partitions = self.partitions.values()
        return all(each.at_end for each in partitions) and any(p.has_closed for p in partitions)

    def _add(self, message: Message) -> int:
        """Add the exposures of a message; return its size in bytes."""
        payload = message.value() or b""
        number, offset = topic_partition(message)[1], message_offset(message)
        partition = self.partitions.get(number)
        if partition is None:  # prefetched messages of a revoked partition may still arrive
            return len(payload)
        if offset < partition.offset:  # the client starts anew at offsets that do not exist
            raise RejoinError(f"offset {offset} of partition {number} is read again")
        self.meter.read((self.topics.exposures, number), offset, offset + 1, 1)
        partition.offset = offset + 1
        partition.add(payload, time.time(), time.monotonic())
        return len(payload)

    # --- checkpoints ------------------------------------------------------------------------------

    def _checkpoint(self, now: float) -> None:
        """Commit sums, decisions and offsets in one transaction.

        After a failure the next checkpoint has the same content and more.
        """
        self.checkpoint_due = now + self.config.state.checkpoint_seconds
        changed = [each for each in self.partitions.values() if each.needs_write]
        if not changed and not self.owned.needs_write:
            return
        size = 0
        try:
            self.producer.begin_transaction()
            for partition in changed:
                for key, value in partition.messages():
                    topic = self.topics.experiment_state
                    size += self._produce(topic, value, key, partition.number)
            for outgoing in self.owned.messages():
                size += self._produce(*outgoing)
            offsets = [
                TopicPartition(self.topics.exposures, number, partition.offset)
                for number, partition in self.partitions.items()
            ]
            commit_with_offsets(self.producer, self.consumer, offsets, COMMIT_SECONDS, self._wait)
        except KafkaException as error:
            self._roll_back(error)
        else:
            for partition in changed:
                partition.mark_written()
            self.owned.mark_written()
            self._count(changed)
            self.metrics.count_checkpoint(time.monotonic() - now, size)
        pause = max(self.config.state.checkpoint_seconds, size / STATE_BYTES_PER_SECOND)
        self.checkpoint_due = time.monotonic() + pause

    def _produce(self, topic: str, value: bytes, key: bytes, partition: int | None) -> int:
        chosen = {} if partition is None else {"partition": partition}
        produce(
            self.producer, lambda: self.health.beat(ROLE), topic, value=value, key=key, **chosen
        )
        self.producer.poll(0)
        return len(value)

    def _roll_back(self, error: KafkaException) -> None:
        """Abort a checkpoint; the next one writes its content again."""
        cause = error.args[0]
        log.warning("checkpoint rolled back", role=ROLE, error=with_group(cause, self.group).str())
        self.metrics.checkpoints_failed += 1
        if self._stopped_by(error):
            self.partitions.clear()  # no broker to commit to
        elif is_abortable(cause):
            abort(self.producer, cause, COMMIT_SECONDS, self._wait)
            self._check_rights(cause)
        else:
            raise error

    # --- rebalances -------------------------------------------------------------------------------

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Restore each partition, and resume at the offset of its checkpoint."""
        with self.metrics.lock:
            self.metrics.rebalances[ROLE] += 1
        waiting = self.waiting.choose([each.partition for each in partitions])
        found = topic_states(self.config.kafka, [self.topics.exposures], ROLE)
        state = found.get(self.topics.exposures)
        count = self.config.kafka.partitions if state is None else state.partitions
        self._forget(self.owned.drop_moved(lambda name: partition_of(key_of(name, 0), count)))
        for each in partitions:
            if each.partition in waiting:
                continue
            topic_id = "" if state is None else state.id
            each.offset = self._restore(consumer, each, count, topic_id)
            self.meter.assign((each.topic, each.partition), each.offset)
        consumer.incremental_assign(partitions)
        if waiting:
            consumer.pause([each for each in partitions if each.partition in waiting])
        log.info("partitions assigned", role=ROLE, partitions=[p.partition for p in partitions])
        self.health.mark_ready(ROLE)

    def _restore(
        self, consumer: Consumer, assigned: TopicPartition, count: int, topic_id: str
    ) -> int:
        """Restore a partition; return the offset at which reading resumes.

        count: number of partitions of the exposures topic.
        """
        number, topic = assigned.partition, self.topics.experiment_state
        values = assemble(read_compacted(self.config.kafka, topic, number, self._check_running))
        low, high = watermarks(consumer, assigned, self._check_running)
        partition, unusable = restore(number, self.experiments, values)
        if partition is None:
            partition = Partition(number, self.experiments, low, topic_id)
            partition.sequence = max((each.sequence for each in values.values()), default=0)
        if unusable:
            self._report_unusable(number, unusable)
        self._continue(partition, topic_id, low, high)
        self.partitions[number] = partition
        self._own(number, count, values)
        log.info(
            "sums restored",
            partition=number,
            shards=len(partition.shards),
            offset=partition.offset,
            behind=high - partition.offset,
        )
        return partition.offset

    def _report_unusable(self, number: int, reasons: Sequence[str]) -> None:
        policy = self.config.state.unusable
        self.metrics.checkpoints_unusable += 1
        for reason in reasons:
            log.error("sums of a shard lost", partition=number, reason=reason, policy=policy)
        if policy == "stop":
            raise UnusableStateError(f"partition {number}: {reasons[0]}")

    def _continue(self, partition: Partition, topic_id: str, low: int, high: int) -> None:
        """Set the offset of a partition if it does not exist in the topic; the sums stay."""
        again = "" != partition.topic_id != topic_id != ""
        if topic_id:
            partition.topic_id = topic_id
        if not again and low <= partition.offset <= high:
            return
        key = self.topics.exposures, partition.number
        if again:
            text = "the exposures topic was made again, reading it from its start"
            log.warning(text, topic=key[0], partition=partition.number, offset=low)
        else:
            self.metrics.expired[key[0]] += count_expired(key, partition.offset, low)
        partition.offset = low

    def _own(self, number: int, count: int, values: dict[Name, Assembled]) -> None:
        """Own the experiments whose shard 0 is in a partition."""
        for name in self.experiments:
            if partition_of(key_of(name, 0), count) == number:
                self.owned.assign(name, number, values)
                result = self.owned.by_name[name].result
                if result is not None:
                    self._publish(result)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Write a checkpoint before another member is assigned the partitions."""
        log.info("partitions revoked", role=ROLE, partitions=[p.partition for p in partitions])
        self.deadline = time.monotonic() + REVOKE_SECONDS
        try:
            self._checkpoint(time.monotonic())
        finally:
            self.deadline = math.inf
        self._drop(partitions)

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Drop partitions that another member already has; it resumes at the last checkpoint."""
        log.warning("partitions lost", role=ROLE, partitions=[p.partition for p in partitions])
        self._drop(partitions)

    def _drop(self, partitions: Sequence[TopicPartition]) -> None:
        keys = [(self.topics.exposures, each.partition) for each in partitions]
        for _, number in keys:
            self.partitions.pop(number, None)
            self._forget(self.owned.drop(number))
        self.waiting.numbers.difference_update(number for _, number in keys)
        self.meter.drop(keys)
        with self.metrics.lock:
            for key in keys:
                self.metrics.lag.pop(key, None)

    # --- metrics ----------------------------------------------------------------------------------

    def _measure(self) -> None:
        waiting = [(self.topics.exposures, number) for number in self.waiting.numbers]
        lag = self.meter.lag(self.consumer) | unread(self.consumer, waiting)
        expired = self.meter.expired(self.consumer)
        with self.metrics.lock:
            self.metrics.lag |= lag
            self.metrics.expired.update(expired)
        if self.waiting.has_ended():
            raise RejoinError("the state topic has enough partitions")

    def _publish(self, result: Result) -> None:
        """Export the result of a look."""
        with self.metrics.lock:
            self.counts.publish(result)

    def _forget(self, names: Sequence[str]) -> None:
        """Remove the results of experiments that another process owns now."""
        with self.metrics.lock:
            for name in names:
                self.counts.remove(name)

    def _count(self, partitions: Sequence[Partition]) -> None:
        """Count the exposures of partitions whose checkpoint is committed."""
        with self.metrics.lock:
            for partition in partitions:
                self.counts.exposures.update(partition.counted)
                self.counts.ignored.update(partition.ignored)
                partition.counted.clear()
                partition.ignored.clear()

"""Judge: consume samples; produce evaluations and chunks of scores.

The role's thread reads samples and commits; the calls run in a thread of their own, outside of any
transaction. Samples finish in any order. About once a second, a short transaction holds the
evaluations of the contiguous finished prefix, its scores as feature chunks, its offsets, the
results of later samples (a journal) and the ledger of the budget. After a crash, samples are read
again from the committed offset, and journalled results are not paid again.

A judge that is down or out of money leaves samples unscored, by name. Monitoring does not wait.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import structlog
from confluent_kafka import (
    OFFSET_END,
    Consumer,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from judges.live.evaluator import CallThread
from judges.live.funds import LEDGER, is_added
from judges.live.outages import Outages
from judges.live.worker import Assigned, Worker
from judges.trust.schedule import Trust
from monitor.config.schema import Config
from monitor.events.findings.judges import JudgeEvent
from monitor.ingest.sampling.codec import decode_sample
from monitor.kafka.admin import topic_states
from monitor.kafka.clients import consumer_settings, producer_settings, reset_offset
from monitor.kafka.errors import RejoinError, is_abortable, with_group
from monitor.kafka.messages import message_offset, topic_partition
from monitor.kafka.offsets import committed_metadata, watermarks
from monitor.kafka.output.produce import produce
from monitor.kafka.readers.compacted import read_compacted
from monitor.kafka.transactions import abort, commit_with_offsets, init_transactions
from monitor.records import Sample
from monitor.roles import judge_output
from monitor.roles.judge_events import JudgeEvents
from monitor.roles.judge_metrics import JudgeCounters
from monitor.roles.judge_setup import build_judging, trust_settings
from monitor.roles.lag import LagMeter
from monitor.roles.names import JUDGE as ROLE
from monitor.roles.role import Role
from monitor.roles.waiting_partitions import WaitingPartitions
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.health import Health

log = structlog.get_logger(__name__)

IN_FLIGHT = 256
"""Maximum number of samples per partition that are read and not committed."""
READ = 64
"""Maximum number of samples that an iteration reads."""
POLL_SECONDS = 0.05
COMMIT_SECONDS = 1.0
"""Time between two commits; after a crash, this much work is repeated and paid again."""
OPERATION_SECONDS = 15.0
REPARTITION_SECONDS = 300.0
"""Time between two queries for the number of partitions, by which the budget is divided."""
REVOKE_SECONDS = 5.0
"""Time in which started calls may finish before their partition is handed over."""


class Judge(Role):
    """A member of the judge group.

    assigned: what is judged, by partition of the samples topic. partitions: of this topic.
    """

    name = ROLE

    def __init__(
        self, config: Config, metrics: Metrics, health: Health, stop: Callable[[float], bool]
    ) -> None:
        super().__init__(config, metrics, health, stop)
        topics = self.topics
        self.outputs = topics.features, topics.evaluations, topics.judge_state
        if config.experiments:
            self.outputs = *self.outputs, topics.exposures
        self.assigned: dict[int, Assigned] = {}
        self.paused: set[int] = set()
        self.waiting = WaitingPartitions(config.kafka, ROLE, topics.samples, topics.judge_state)
        self.meter = LagMeter()
        self.counters = JudgeCounters(metrics, config.judges.model or "", config.limits.models)
        self.trust_settings = trust_settings(config)
        self.commit_due = self.repartition_due = 0.0
        self.partitions = config.kafka.partitions
        self.outages = Outages()
        self.events = JudgeEvents(config.kafka)
        self.first_offset = reset_offset(consumer_settings(config.kafka, ROLE))

    def _session(self) -> None:
        kafka = self.config.kafka
        settings = producer_settings(kafka, ROLE, transactional=True)
        self.judging = judging = build_judging(self.config.judges, self.counters.meter)
        self.thread = CallThread("judge calls")
        self.worker = self.thread.run(lambda: Worker(judging))
        self.producer = Producer(settings)
        self.consumer = Consumer(consumer_settings(kafka, ROLE))
        try:
            init_transactions(self.producer, settings, OPERATION_SECONDS, self._wait)
            self.consumer.subscribe(
                [self.topics.samples],
                on_assign=self._assigned,
                on_revoke=self._revoked,
                on_lost=self._lost,
            )
            while not self.stop(0):
                self._run_once()
            self._hand_over(self.assigned)
        except Exception as error:
            if not self._stopped_by(error):
                raise
        finally:
            self.assigned.clear()  # `close` revokes them: incomplete work must not be committed
            self._leave(self.consumer.close)
            self.worker.close()
            self.thread.close(judging.client.close)
            self.events.close()

    def _run_once(self) -> None:
        self.health.beat(ROLE)
        self._read()
        needed = any(each.needs_commit for each in self.assigned.values())
        if needed or time.monotonic() >= self.commit_due:
            self._commit()
        if self.meter.due():
            self._measure()
            self.thread.run(self._start_scheduled)
            self._report_changes()
            if self.waiting.has_ended():
                raise RejoinError("the judges' state topic has enough partitions")
            if time.monotonic() >= self.repartition_due:
                self._repartition()

    def _report_changes(self) -> None:
        """Write events of judges that are down, answer again, or have changed.

        The owner of samples partition 0 keeps them in its state until they are delivered.
        """
        delivered = self.events.take_delivered()
        self.events.write(self.thread.run(lambda: self._changes(delivered)))

    def _changes(self, delivered: Sequence[str]) -> list[JudgeEvent]:
        found = self.outages.look(self.judging.meter.requests, self.judging.clock())
        for each in self.assigned.values():
            if isinstance(each.scheduled, Trust):
                each.scheduled.mark_delivered(delivered)
                each.scheduled.report(found, sorted(self.outages.down))
                return each.scheduled.events_to_write()
        return found

    def _start_scheduled(self) -> None:
        for each in self.assigned.values():
            if each.scheduled is not None:
                each.scheduled.start(each)

    # --- samples ----------------------------------------------------------------------------------

    def _read(self) -> None:
        """Read the samples that are available; wait only for the first."""
        self._apply_backpressure()
        found = defaultdict[int, list[tuple[int, Sample | None]]](list)
        for message in islice(self._available(self.consumer, self.meter.reached_end), READ):
            number, offset = topic_partition(message)[1], message_offset(message)
            self.meter.read((self.topics.samples, number), offset, offset + 1, 1)
            found[number].append((offset, _decode(message)))
        for number, samples in found.items():
            self._add(number, samples)

    def _add(self, number: int, samples: Sequence[tuple[int, Sample | None]]) -> None:
        """Judge the next samples of a partition."""
        assigned = self.assigned.get(number)
        if assigned is None:  # prefetched messages of a revoked partition may still arrive
            return
        first = samples[0][0]
        if first < assigned.samples.offset:
            raise RejoinError(f"offset {first} of partition {number} is read again")
        self.thread.run(lambda: self.worker.add(assigned, samples))

    def _apply_backpressure(self) -> None:
        """Pause partitions with enough samples in flight; polling keeps the group membership."""
        full = {n for n, each in self.assigned.items() if each.samples.in_flight >= IN_FLIGHT}
        paused = self.paused & self.assigned.keys()
        topic = self.topics.samples
        if full - paused:
            self.consumer.pause([TopicPartition(topic, number) for number in full - paused])
        if paused - full:
            self.consumer.resume([TopicPartition(topic, number) for number in paused - full])
        self.paused = full

    # --- the transaction --------------------------------------------------------------------------

    def _commit(self) -> None:
        """Commit results, state and offsets in one transaction, then count them."""
        self.commit_due = time.monotonic() + COMMIT_SECONDS
        commits = self.thread.run(lambda: self.worker.commits(self.assigned))
        if not commits:
            return
        try:
            self.producer.begin_transaction()
            segments, epoch = self.config.segments, self.worker.epoch
            experiments = self.config.experiments
            for message in judge_output.messages(
                self.topics, commits, segments, epoch, experiments
            ):
                self._produce(*message)
            offsets = [
                TopicPartition(self.topics.samples, number, commit.offset)
                for number, commit in commits.items()
            ]
            commit_with_offsets(
                self.producer, self.consumer, offsets, OPERATION_SECONDS, self._wait
            )
        except KafkaException as error:
            self._recover(error)
        else:
            self.thread.run(lambda: self.worker.mark_committed(self.assigned, commits))
            self.counters.count(commits)

    def _produce(self, topic: str, value: bytes | None, key: bytes, partition: int | None) -> None:
        chosen = {} if partition is None else {"partition": partition}
        produce(
            self.producer, lambda: self.health.beat(ROLE), topic, value=value, key=key, **chosen
        )

    def _recover(self, error: KafkaException) -> None:
        """Abort the transaction; the next one has the same content and more."""
        cause = error.args[0]
        if not is_abortable(cause):
            raise error
        log.warning("transaction rolled back", role=ROLE, error=with_group(cause, self.group).str())
        with self.metrics.lock:
            self.metrics.transactions_aborted[ROLE] += 1
        abort(self.producer, cause, OPERATION_SECONDS, self._wait)
        self._check_rights(cause)

    # --- rebalances -------------------------------------------------------------------------------

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Restore the state of each partition; reading resumes at the committed offset."""
        with self.metrics.lock:
            self.metrics.rebalances[ROLE] += 1
        # A member that was killed may have left offsets in an open transaction: the broker does not
        # respond to this query before that transaction has timed out.
        samples, beat = self.topics.samples, self._check_running
        committed = committed_metadata(consumer, samples, beat) if partitions else {}
        waiting = self.waiting.choose([each.partition for each in partitions])
        if partitions:
            self._repartition()
        for each in partitions:
            if each.partition in waiting:
                continue
            offset, _ = committed.get(each.partition, (None, ""))
            each.offset = self._first(consumer, each, offset)
            self.assigned[each.partition] = self._restore(
                each.partition, each.offset, judged=offset is not None
            )
            self.meter.assign((each.topic, each.partition), each.offset)
        consumer.incremental_assign(partitions)
        if waiting:
            consumer.pause([each for each in partitions if each.partition in waiting])
        log.info("partitions assigned", role=ROLE, partitions=[p.partition for p in partitions])
        self.health.mark_ready(ROLE)

    def _first(self, consumer: Consumer, partition: TopicPartition, committed: int | None) -> int:
        """Return the offset at which reading resumes: the committed one, if it still exists."""
        low, high = watermarks(consumer, partition, self._check_running)
        if committed is None:
            return high if self.first_offset == OFFSET_END else low
        return committed if low <= committed <= high else low

    def _restore(self, number: int, offset: int, *, judged: bool) -> Assigned:
        """Return a partition with its journal and its ledger.

        judged: whether samples of it have been judged, so that there must be a ledger. Without it,
        what was spent is not known: the partition spends nothing before the next day.
        """
        topic = self.topics.judge_state
        state = read_compacted(self.config.kafka, topic, number, self._check_running)
        count, first = self.partitions, {}
        if LEDGER not in state and number > 0:
            first = read_compacted(self.config.kafka, topic, 0, self._check_running)
        lost = judged and LEDGER not in state
        if lost:
            text = "the budget of a partition is lost, judging goes on tomorrow"
            log.error(text, topic=topic, partition=number)
        added = lost or is_added(number, first, time.time())
        restored = self.thread.run(
            lambda: self.worker.assign(offset, state, count, sole=number == 0, added=added)
        )
        if number == 0:
            settings, slots = self.trust_settings, self.worker.slots
            restored.scheduled = trust = Trust(settings, self.judging, slots, state)
            self.outages.down |= set(trust.down)
        return restored

    def _repartition(self) -> None:
        """Tell the ledgers the present number of partitions; without a response it stays."""
        self.repartition_due = time.monotonic() + REPARTITION_SECONDS
        found = topic_states(self.config.kafka, [self.topics.samples], ROLE)
        if self.topics.samples in found:
            self.partitions = found[self.topics.samples].partitions
        assigned, count = list(self.assigned.values()), self.partitions
        self.thread.run(lambda: self.worker.repartition(assigned, count))

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Commit what is finished before another member is assigned the partitions."""
        log.info("partitions revoked", role=ROLE, partitions=[p.partition for p in partitions])
        self._hand_over([each.partition for each in partitions])
        self._drop(partitions)

    def _hand_over(self, numbers: Iterable[int]) -> None:
        """Wait a little for the started calls of partitions, end their blocks, and commit."""
        chosen = [self.assigned[number] for number in numbers if number in self.assigned]
        self.thread.run(lambda: self.worker.finish_started(chosen))
        deadline = time.monotonic() + REVOKE_SECONDS
        while any(each.running for each in chosen) and time.monotonic() < deadline:
            self.health.beat(ROLE)
            time.sleep(POLL_SECONDS)
        self.thread.run(lambda: self.worker.release(chosen))
        self._commit()

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Drop partitions that another member already has."""
        log.warning("partitions lost", role=ROLE, partitions=[p.partition for p in partitions])
        self._drop(partitions)

    def _drop(self, partitions: Sequence[TopicPartition]) -> None:
        numbers = [each.partition for each in partitions]
        self.waiting.numbers.difference_update(numbers)
        dropped = [self.assigned.pop(number) for number in numbers if number in self.assigned]
        self.thread.run(lambda: self.worker.release(dropped))
        keys = [(self.topics.samples, number) for number in numbers]
        self.meter.drop(keys)
        with self.metrics.lock:
            for key in keys:
                self.metrics.lag.pop(key, None)

    def _measure(self) -> None:
        lag = self.meter.lag(self.consumer)
        with self.metrics.lock:
            self.metrics.lag |= lag
        partitions, now = list(self.assigned.values()), time.time()
        self.thread.run(lambda: self.counters.publish(self.worker, partitions, now))


def _decode(message: Message) -> Sample | None:
    """Return the sample of a message; None if it is none."""
    try:
        return decode_sample(message.value() or b"")
    except ValueError:
        return None

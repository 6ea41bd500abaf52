"""Notify: consume drift events and send them to the targets, with a consumer group per target.

Each target has its own offsets, so that an unavailable target does not delay the others. An offset
is committed when its message was delivered or abandoned: a crash may repeat the message that was
being sent, and loses none. Messages are sent in threads of their own, so that the loop keeps
polling.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from monitor.config.schema import Config
from monitor.config.sections.notifications import Target
from monitor.events.codec import UnknownEventType, decode_event
from monitor.events.findings.experiments import TYPE as EXPERIMENT
from monitor.events.findings.experiments import decode_experiment
from monitor.events.findings.judges import TYPE as JUDGE
from monitor.events.findings.judges import decode_judge
from monitor.events.replay import TYPE as REPLAY
from monitor.events.replay import decode_replay
from monitor.events.types import DriftEvent
from monitor.events.wording.drift import sentence
from monitor.events.wording.experiments import experiment_sentence
from monitor.events.wording.judges import judge_sentence
from monitor.events.wording.replay import replay_sentence
from monitor.kafka.clients import consumer_settings
from monitor.kafka.errors import with_group, with_topic
from monitor.kafka.messages import consumer_error, is_end, message_offset, topic_partition
from monitor.kafka.offsets import committed_metadata, offset_since, watermarks
from monitor.kafka.topics import Topics
from monitor.notify.delivery import DeliveryWorker
from monitor.notify.findings.finding import FindingEvent
from monitor.notify.message import Sender
from monitor.notify.queue import EventQueue
from monitor.roles.names import NOTIFY as ROLE
from monitor.roles.role import Role
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.health import Health

log = structlog.get_logger(__name__)

ITERATION_SECONDS = 0.2
"""Pause between two iterations of the loop."""
ITERATION_EVENTS = 500
"""Maximum number of events that an iteration reads for a target."""
MAX_WAITING = 1_000
"""Events of a target in memory, above which its partitions are paused."""
HISTORY_EVENTS = 1_000
"""Events before the committed offset that are read again at an assignment, for deduplication."""
OPEN_HISTORY_EVENTS = 20_000
"""The same for targets whose open alarms are posted again."""
RESTORE_SECONDS = 300.0
"""Time after which open alarms are posted again even if not all of these events were read."""
COMMIT_RETRY_SECONDS = 2.0
FINISH_SECONDS = 5.0
"""Maximum time for the current send attempts at a revocation and at shutdown."""


class Notify(Role):
    """A member of the consumer group of each target."""

    name = ROLE

    def __init__(
        self, config: Config, metrics: Metrics, health: Health, stop: Callable[[float], bool]
    ) -> None:
        super().__init__(config, metrics, health, stop)
        self.consumers = [
            TargetConsumer(name, target, config, metrics, self._check_running)
            for name, target in config.notifications.targets.items()
        ]

    def _session(self) -> None:
        members: list[TargetConsumer] = []
        try:
            for consumer in self.consumers:
                consumer.join()
                members.append(consumer)
            while not self._wait(ITERATION_SECONDS):
                for consumer in members:
                    consumer.run_once()
                if all(consumer.joined for consumer in members):
                    self.health.mark_ready(ROLE)
        except KafkaException as error:
            if not self._stopped_by(error):
                raise
        finally:
            deadline = time.monotonic() + FINISH_SECONDS
            for consumer in members:
                self._leave(partial(consumer.leave, deadline))


class TargetConsumer:
    """Consumes the drift events for one target and sends them.

    beat: called during long operations; an exception that it raises ends them.
    """

    def __init__(
        self, name: str, target: Target, config: Config, metrics: Metrics, beat: Callable[[], None]
    ) -> None:
        self.name = name
        self.config = config
        self.counts = metrics.deliveries
        self.metrics = metrics
        self.beat = beat
        self.topic = Topics(config.kafka.prefix).events
        self.group = f"{config.kafka.prefix}-{ROLE}-{name}"
        self.started = time.time()
        self.queue = EventQueue(target, time.monotonic)
        links = config.notifications
        addresses = (
            links.dashboard_url,
            links.runbooks_url,
            links.experiment_url,
            links.replay_url,
        )
        sender = Sender(f"{config.kafka.prefix}-{ROLE}-{name}", *addresses)
        self.worker = DeliveryWorker(name, self.queue, self.counts, sender)
        self.history = HISTORY_EVENTS if self.worker.open_alerts is None else OPEN_HISTORY_EVENTS
        self.restoring: set[int] = set()
        """Partitions of which some events before the first to send were not read yet."""
        self.restored_by = 0.0
        """Monotonic time from which these partitions count as read."""
        self.joined = False
        self.paused: bool | None = False
        self.starts: dict[int, int] = {}
        """First offset to send by partition; earlier events are only remembered."""
        self.committed: dict[int, tuple[int, str]] = {}
        """Offset and metadata of the last commit by partition."""
        self.commit_due = 0.0

    def join(self) -> None:
        """Join the consumer group of the target."""
        settings = consumer_settings(self.config.kafka, f"{ROLE}-{self.name}")
        # Small buffers: events are few, and every target has a client.
        settings |= {"queued.max.messages.kbytes": 4096, "on_commit": self._on_commit}
        self.consumer = Consumer(settings)
        self.consumer.subscribe(
            [self.topic],
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._lost,
        )

    def run_once(self) -> None:
        """Read available events, send what is due and commit what is done, without blocking."""
        self._read()
        if self.worker.open_alerts is not None:
            read = not self.restoring or time.monotonic() > self.restored_by
            self.worker.open_alerts.ready = bool(self.starts) and read
        self.worker.run_once()
        self._commit()
        self._measure_waiting()

    def leave(self, deadline: float) -> None:
        """Wait for the current send attempt until `deadline`, commit and leave the group."""
        try:
            self.worker.finish_attempt(deadline)
            self._commit()
        finally:
            self.consumer.close()

    # --- reading ----------------------------------------------------------------------------------

    def _read(self) -> None:
        for _ in range(ITERATION_EVENTS):
            message = self.consumer.poll(0)
            if message is None:
                break
            error = consumer_error(message, self.group)
            if is_end(message):
                continue
            if error is None:
                self._add(message)
            else:
                log.warning("read failed, retrying", role=ROLE, target=self.name, error=error)
            if len(self.queue.waiting) >= MAX_WAITING:
                break
        self._apply_backpressure()

    def _apply_backpressure(self) -> None:
        """Pause reading while the queue is full; polling keeps the group membership."""
        full = len(self.queue.waiting) >= MAX_WAITING
        if full == self.paused:
            return
        if full:
            self.consumer.pause(self.consumer.assignment())
        else:
            self.consumer.resume(self.consumer.assignment())
        self.paused = full

    def _add(self, message: Message) -> None:
        (_, partition), offset = topic_partition(message), message_offset(message)
        if partition not in self.starts:  # prefetched messages of a revoked partition may arrive
            return
        if offset >= self.starts[partition] - 1:
            self.restoring.discard(partition)
        try:
            event = _decode(message.value())
        except UnknownEventType:
            if offset >= self.starts[partition]:
                reason = self.queue.skip_type(partition, offset)
                self.counts.suppressed[self.name, reason] += 1
            return
        if offset < self.starts[partition]:
            self._remember(partition, event)
            return
        if event is None or isinstance(event, DriftEvent):
            suppressed = self.queue.add(partition, offset, event)
        else:
            suppressed = self.queue.add_finding(partition, offset, event)
        if suppressed is not None:
            self.counts.suppressed[self.name, suppressed] += 1
        if suppressed == "unreadable":
            where = {"partition": partition, "offset": offset}
            log.error("unreadable event skipped", target=self.name, **where)

    def _remember(self, partition: int, event: DriftEvent | FindingEvent | None) -> None:
        """Remember an event before the first one to send."""
        if isinstance(event, DriftEvent):
            self.queue.replay(partition, event)
            if self.worker.open_alerts is not None:
                self.worker.open_alerts.restore(partition, event)
        elif event is not None:
            self.queue.replay_finding(event)

    # --- offsets ----------------------------------------------------------------------------------

    def _commit(self) -> None:
        due = {p: (at, self.queue.metadata(p)) for p, at in self.queue.offsets().items()}
        changed = {p: commit for p, commit in due.items() if self.committed.get(p) != commit}
        if not changed or time.monotonic() < self.commit_due:
            return
        self.committed |= changed
        partitions = [TopicPartition(self.topic, p, *commit) for p, commit in changed.items()]
        try:
            self.consumer.commit(offsets=partitions, asynchronous=True)
        except KafkaException as error:
            self._on_commit(error.args[0], partitions)

    def _on_commit(self, error: KafkaError | None, partitions: Sequence[TopicPartition]) -> None:
        failed = [p for p in partitions if error is not None or p.error is not None]
        if not failed:
            return
        cause = error or failed[0].error
        text = with_topic(with_group(cause, self.group), self.topic).str() if cause else ""
        log.warning("offset commit failed, retrying", target=self.name, error=text)
        self.commit_due = time.monotonic() + COMMIT_RETRY_SECONDS
        for each in failed:
            self.committed.pop(each.partition, None)

    def _measure_waiting(self) -> None:
        waiting = 0
        for partition, offset in self.queue.offsets().items():
            at = TopicPartition(self.topic, partition)
            _, high = self.consumer.get_watermark_offsets(at, cached=True)
            waiting += max(0, high - offset)
        self.counts.waiting[self.name] = waiting

    # --- rebalances -------------------------------------------------------------------------------

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Resume at the committed offsets, and read some earlier events again to remember them."""
        with self.metrics.lock:
            self.metrics.rebalances[ROLE] += 1
        commits = committed_metadata(consumer, self.topic, self.beat) if partitions else {}
        committed = {partition: offset for partition, (offset, _) in commits.items()}
        for each in partitions:
            low, high = watermarks(consumer, each, self.beat)
            start = self._start(each, committed, low, high)
            _, metadata = commits.get(each.partition, (0, ""))
            self.queue.restore_shared(each.partition, metadata)
            self.starts[each.partition] = start
            self.queue.resume(each.partition, start, high)
            each.offset = max(low, start - self.history)
            if each.offset < start:
                self.restoring.add(each.partition)
        consumer.incremental_assign(partitions)
        self.restored_by = time.monotonic() + RESTORE_SECONDS
        self.paused = None  # unknown: new partitions are not paused, the others may be
        self.joined = True
        numbers = [each.partition for each in partitions]
        log.info("partitions assigned", role=ROLE, target=self.name, partitions=numbers)

    def _start(self, each: TopicPartition, committed: dict[int, int], low: int, high: int) -> int:
        """Return the first offset to send: a new target receives the events from now on."""
        offset = committed.get(each.partition)
        if offset is None:
            # If the group has other committed offsets, the partition is new: send all of it.
            return low if committed else offset_since(self.consumer, each, self.started, self.beat)
        if low <= offset <= high:
            return offset
        where = {"committed": offset, "first": low, "last": high}
        log.error("committed offset out of range, events not sent", target=self.name, **where)
        return low

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Commit before another member is assigned the partitions."""
        self.worker.finish_attempt(time.monotonic() + FINISH_SECONDS)
        self._commit()
        self._drop(partitions)

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Drop partitions that another member already has."""
        self._drop(partitions)

    def _drop(self, partitions: Iterable[TopicPartition]) -> None:
        dropped = {each.partition for each in partitions}
        log.info("partitions revoked", role=ROLE, target=self.name, partitions=sorted(dropped))
        self.queue.drop_partitions(dropped)
        for partition in dropped:
            self.starts.pop(partition, None)
            self.restoring.discard(partition)
            self.committed.pop(partition, None)
        self.worker.drop_partitions(dropped)


def _decode(value: bytes | None) -> DriftEvent | FindingEvent | None:
    """Return the event of a message; None if it is invalid or cannot be put into a sentence.

    Raises UnknownEventType.
    """
    try:
        event = decode_event(value or b"")
        sentence(event)
    except UnknownEventType as unknown:
        if unknown.type not in {EXPERIMENT, JUDGE, REPLAY}:
            raise
        return _decode_finding(unknown.type, value or b"")
    except (ValueError, ArithmeticError, RecursionError):
        return None
    return event


def _decode_finding(kind: str, value: bytes) -> FindingEvent | None:
    """Return the event of an experiment, a judge or a replay; None if it is invalid."""
    try:
        if kind == JUDGE:
            judge = decode_judge(value)
            judge_sentence(judge)
            return judge
        if kind == REPLAY:
            replay = decode_replay(value)
            replay_sentence(replay)
            return replay
        experiment = decode_experiment(value)
        experiment_sentence(experiment)
    except (ValueError, ArithmeticError):
        return None
    return experiment

"""Apply the commands of the assigned partitions in detect.

Commands are read beside the feature chunks, from the offset of the checkpoint on. A command is due
when the feature partition has been read up to the offset in it. The partition is paused, and a
checkpoint is committed; then the command is applied, and a second checkpoint contains its effect,
its answer and the offset of the next command. A process that is killed in between starts at the
first checkpoint and applies the command at the same place. A process without a checkpoint reads
command and answer and applies the command at the offset in the answer.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from monitor.config.schema import Config
from monitor.detect.checkpoint import acceptance
from monitor.detect.checkpoint.acceptance import AcceptanceError, Accepted
from monitor.detect.checkpoint.partition_state import Partition
from monitor.events.commands import (
    AcceptReference,
    Answer,
    CommandError,
    decode_command,
    source_of,
)
from monitor.events.types import DriftEvent
from monitor.ingest.chunks.segments import WHOLE
from monitor.kafka.messages import message_offset, topic_partition
from monitor.kafka.readers.partitions import PartitionReader
from monitor.kafka.topics import Topics
from monitor.roles.model_records import ModelRecords, Range
from monitor.telemetry.counters.metrics import Metrics

log = structlog.get_logger(__name__)

MAX_WAITING = 1_000
"""Commands of a partition that wait; further ones are read when some of them are applied."""
STEP_SECONDS = 0.5
"""Time for which a range of the feature topic is read between two iterations of the loop."""
RETRY_SECONDS = 30.0
"""Time after which a command topic that could not be read is tried again."""
NOT_IN_TOPIC = "its offset is beyond the end of the feature topic"


@dataclass(slots=True)
class _Waiting:
    """A command that is not applied.

    offset: of the command in its topic. at: feature offset at which it is applied.
    answer: recorded when it was applied before. refusal: reason for which it is refused.
    """

    command: AcceptReference
    offset: int
    at: int
    answer: Answer | None = None
    refusal: str = ""


@dataclass(slots=True)
class _Queue:
    """The commands of a partition, in their order.

    position: offset of the next command to read. records: the range of the first command, while it
    is read. held: chunks read from the paused partition, which follow the first command.
    """

    position: int
    waiting: deque[_Waiting] = field(default_factory=deque)
    records: ModelRecords | None = None
    paused: bool = False
    held: list[Message] = field(default_factory=list)

    @property
    def next_offset(self) -> int:
        """Offset of the first command that is not applied."""
        return self.waiting[0].offset if self.waiting else self.position

    def is_due(self, offset: int) -> bool:
        """Return whether the first command precedes the chunk at an offset."""
        return bool(self.waiting) and self.waiting[0].at <= offset

    def is_due_in(self, partition: Partition) -> bool:
        """Return whether the first command is due after the chunks that were read."""
        held = self.held and self.is_due(message_offset(self.held[0]))
        return bool(held) or self.is_due(partition.offset)

    def close(self) -> None:
        """Close the reader of the range."""
        if self.records is not None:
            self.records.close()
            self.records = None


class Commands:
    """The commands of the assigned partitions.

    beat: called at least every few seconds; an exception that it raises ends a read.
    """

    def __init__(self, config: Config, metrics: Metrics, beat: Callable[[], None]) -> None:
        self.config = config
        self.metrics = metrics
        self.topics = Topics(config.kafka.prefix)
        self.queues: dict[int, _Queue] = {}
        self._beat = beat
        self._reader: PartitionReader | None = None
        self._unread: dict[int, int] = {}
        self._retry_at = 0.0

    def close(self) -> None:
        """Drop all partitions and close the clients."""
        for queue in self.queues.values():
            queue.close()
        self.queues.clear()
        self._unread.clear()
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    # --- reading ----------------------------------------------------------------------------------

    def assign(self, number: int, offset: int) -> None:
        """Read the commands of a partition from an offset to their end; later ones follow.

        A command that was sent before a restart is so known before the chunks are read.
        """
        self.queues[number] = _Queue(offset)
        self._unread[number] = offset
        self._start()

    def drop(self, number: int, consumer: Consumer) -> None:
        """Forget a partition that was revoked."""
        queue = self.queues.pop(number, None)
        unread = self._unread.pop(number, None)
        if queue is None:
            return
        queue.close()
        if queue.paused:  # another assignment must not begin paused
            with suppress(KafkaException):
                consumer.resume([TopicPartition(self.topics.features, number)])
        if self._reader is not None and unread is None:
            self._reader.unassign(number)

    def poll(self) -> None:
        """Read the commands that are available, without waiting."""
        if self._unread and time.monotonic() >= self._retry_at:
            self._start()
        while self._reader is not None and not self._full():
            try:
                message = self._reader.poll(0)
            except KafkaException as error:
                self._stop(error)
                return
            if message is None:
                return
            self._add(message)

    def _full(self) -> bool:
        return any(len(queue.waiting) >= MAX_WAITING for queue in self.queues.values())

    def _start(self) -> None:
        """Start to read the partitions that are not read yet."""
        try:
            if self._reader is None:
                self._reader = PartitionReader(self.config.kafka, self.topics.commands, self._beat)
            count = self._reader.partitions(self.topics.commands)
            for number, offset in list(self._unread.items()):
                if number < count:
                    self._reader.assign(number, offset)
                    del self._unread[number]
                    self._read_to_end(self._reader, number)
        except KafkaException as error:
            if error.args[0].retriable():  # the daemon stops
                raise
            self._stop(error)
            return
        if self._unread:
            self._retry_at = time.monotonic() + RETRY_SECONDS
            partitions = sorted(self._unread)
            log.warning("no topic of commands", topic=self.topics.commands, partitions=partitions)

    def _read_to_end(self, reader: PartitionReader, number: int) -> None:
        while number not in reader.ends and not self._full():
            self._beat()
            message = reader.poll(0.1)
            if message is not None:
                self._add(message)

    def _stop(self, error: KafkaException) -> None:
        """Continue without commands for some time: they must not stop the detection of drift."""
        log.warning("commands not read", topic=self.topics.commands, error=error.args[0].str())
        self._unread = {number: queue.position for number, queue in self.queues.items()}
        self._retry_at = time.monotonic() + RETRY_SECONDS
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _add(self, message: Message) -> None:
        """Add a command to its queue, or an answer to its command."""
        number, offset = topic_partition(message)[1], message_offset(message)
        queue = self.queues.get(number)
        if queue is None or offset < queue.position:
            return
        queue.position = offset + 1
        try:
            content = decode_command(message.value() or b"")
        except CommandError:
            self.metrics.commands["rejected"] += 1
            log.warning("command skipped, it cannot be decoded", partition=number, offset=offset)
            return
        same = content.command if isinstance(content, Answer) else content.id
        known = next((each for each in queue.waiting if each.command.id == same), None)
        if isinstance(content, Answer):
            if known is not None:
                self._answered(number, queue, known, content)
        elif known is None:
            refusal = NOT_IN_TOPIC if content.at > self._feature_end(number) else ""
            at = 0 if refusal else content.at
            queue.waiting.append(_Waiting(content, offset, at, refusal=refusal))

    def _answered(self, number: int, queue: _Queue, known: _Waiting, answer: Answer) -> None:
        """Apply a command where it was applied before, unless it was refused."""
        if answer.outcome == "refused" or answer.at > self._feature_end(number):
            queue.waiting.remove(known)
        else:
            known.answer, known.at = answer, answer.at

    def _feature_end(self, number: int) -> int:
        assert self._reader is not None
        return self._reader.watermarks(self.topics.features, number)[1]

    # --- applying ---------------------------------------------------------------------------------

    def hold(self, message: Message) -> bool:
        """Keep a chunk back if a command must be applied before it; return whether it is kept."""
        _, number = topic_partition(message)
        queue = self.queues.get(number)
        if queue is None or not queue.is_due(message_offset(message)):
            return False
        queue.held.append(message)
        return True

    def due(self, partitions: Mapping[int, Partition], consumer: Consumer) -> dict[int, Partition]:
        """Return the partitions with a command that is due; they are paused."""
        found = {}
        for number, partition in partitions.items():
            queue = self.queues.get(number)
            if queue is None or not queue.is_due_in(partition):
                continue
            found[number] = partition
            if not queue.paused:
                consumer.pause([TopicPartition(self.topics.features, number)])
                queue.paused = True
        return found

    def advance(self, number: int, partition: Partition) -> list[DriftEvent]:
        """Read the range of the command that is due; when it is complete, apply the command.

        Returns the events of the alarms that the command ends.
        """
        queue = self.queues[number]
        waiting = queue.waiting[0]
        try:
            if not waiting.refusal and not self._read_range(number, queue, waiting):
                return []
            accepted: Accepted | None = self._apply(partition, queue, waiting)
        except KafkaException as error:
            if error.args[0].retriable():  # the daemon stops
                raise
            accepted, waiting.refusal = None, f"cannot read the range: {error.args[0].str()}"
        except AcceptanceError as error:
            accepted, waiting.refusal = None, str(error)
        queue.close()
        queue.waiting.popleft()
        answer = _answer(waiting, accepted, partition.offset)
        partition.end_command(None if waiting.answer else answer, queue.next_offset)
        self.metrics.commands[answer.outcome] += 1
        level = log.info if answer.outcome == "applied" else log.warning
        level(
            "command " + answer.outcome,
            model=answer.model,
            source=source_of(waiting.command),
            reason=answer.reason,
            records=answer.records,
            reference=answer.reference,
            alarms=answer.alarms,
        )
        return accepted.events if accepted else []

    def release(self, partitions: Mapping[int, Partition], consumer: Consumer) -> Iterator[Message]:
        """Resume the partitions whose commands are applied; yield the chunks that were kept."""
        for number, partition in partitions.items():
            queue = self.queues.get(number)
            if queue is not None and queue.paused and not queue.is_due_in(partition):
                held, queue.held = queue.held, []
                queue.paused = False
                consumer.resume([TopicPartition(self.topics.features, number)])
                yield from held

    def _read_range(self, number: int, queue: _Queue, waiting: _Waiting) -> bool:
        """Read the range of a command for some time; return whether it is complete."""
        command = waiting.command
        if queue.records is None:
            source = source_of(command)
            chosen = Range(command.model, number, command.first, command.last, source=source)
            queue.records = ModelRecords(self.config.kafka, chosen, command.records, self._beat)
        return queue.records.read(STEP_SECONDS)

    def _apply(self, partition: Partition, queue: _Queue, waiting: _Waiting) -> Accepted:
        """Apply a command. Raises AcceptanceError."""
        if waiting.refusal:
            raise AcceptanceError(waiting.refusal)
        assert queue.records is not None
        command, records = waiting.command, queue.records
        watches = partition.monitor.of(source_of(command))
        configured = watches.references.get((command.model, command.segment or WHOLE))
        if waiting.answer and waiting.answer.configured != (configured.id if configured else ""):
            raise AcceptanceError("the configuration has another reference since then")
        if not records.newest.seen and records.begins > command.first:
            raise AcceptanceError("the feature topic no longer has the records of the range")
        return acceptance.accept(watches, command.model, command.segment, records.newest.pieces())


def _answer(waiting: _Waiting, accepted: Accepted | None, offset: int) -> Answer:
    command = waiting.command
    if accepted is None:
        return Answer(
            command=command.id,
            model=command.model,
            outcome="refused",
            reason=waiting.refusal,
            at=offset,
        )
    profile = accepted.profile
    return Answer(
        command=command.id,
        model=command.model,
        outcome="applied",
        at=offset,
        records=profile.records,
        reference=profile.id,
        first_time=profile.first_time,
        last_time=profile.last_time,
        segments=accepted.segments,
        kept=accepted.kept,
        alarms=len(accepted.events),
        configured=accepted.configured,
    )

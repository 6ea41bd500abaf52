"""A partition of the joins topic: its state, its offset, and how both are restored.

The checkpoint of a partition is the committed offset with its metadata: the offset from which the
state can be read again, and the time up to which its values were sent. Both are committed in the
transaction that holds what was sent.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import structlog
from confluent_kafka import Message, TopicPartition

from monitor.config.schema import Config
from monitor.config.sections.ingest.feedback import FeedbackConfig, JoinConfig
from monitor.ingest.joins.messages import JoinError, Keys, decode
from monitor.ingest.joins.state import JoinState
from monitor.kafka.messages import message_offset
from monitor.kafka.readers.partitions import PartitionReader

log = structlog.get_logger(__name__)

VERSION = "1"
READ_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A committed offset. start: of the messages that make the state. clock: epoch seconds."""

    offset: int
    start: int
    clock: float

    @property
    def metadata(self) -> str:
        """The metadata of the committed offset."""
        return f"{VERSION} {self.start} {self.clock!r}"


def checkpoint_of(offset: int, metadata: str) -> Checkpoint:
    """Return a checkpoint from a committed offset; without its metadata the state is empty."""
    version, _, rest = metadata.partition(" ")
    start, _, clock = rest.partition(" ")
    try:
        if version == VERSION:
            return Checkpoint(offset, min(int(start), offset), float(clock))
    except ValueError:
        pass
    return Checkpoint(offset, offset, 0.0)


class Partition:
    """One assigned partition. offset: of the next message. unreadable: messages that are none."""

    def __init__(self, number: int, config: Config, checkpoint: Checkpoint) -> None:
        feedback = config.feedback or FeedbackConfig()
        join = feedback.join or JoinConfig()
        self.number = number
        self.state = JoinState(join.horizon, feedback.settle, join.directory)
        self.offset = checkpoint.offset
        self.committed = checkpoint
        self.unreadable = 0

    def add(self, message: Message) -> None:
        """Add a message to the state."""
        offset = message_offset(message)
        self.offset = offset + 1
        try:
            batch = decode(message.value() or b"")
        except JoinError as error:
            self.unreadable += 1
            log.error("message of a join skipped", partition=self.number, error=str(error))
            return
        written = message.timestamp()[1] / 1000
        if isinstance(batch, Keys):
            self.state.add_keys(batch, offset, written)
        else:
            self.state.add_values(batch, offset, written)

    def checkpoint(self, clock: float) -> Checkpoint:
        """Return the checkpoint after the values were sent that are due at a time."""
        first = self.state.first_offset
        start = self.offset if first is None else min(first, self.offset)
        return Checkpoint(self.offset, start, clock)

    def restore(self, config: Config, topic: str, beat: Callable[[], None]) -> int:
        """Read the state again; return the number of messages that it needs and that are deleted.

        beat: called at least every second. Raises KafkaException if the topic cannot be read.
        """
        saved = self.committed
        if saved.start >= saved.offset:
            return 0
        with closing(PartitionReader(config.kafka, topic, beat)) as reader:
            low, _ = reader.watermarks(topic, self.number)
            reader.assign(self.number, max(saved.start, low))
            at_end = low >= saved.offset
            while not at_end:
                for message in reader.read(self.number, saved.offset, READ_SECONDS):
                    if message is None:
                        at_end = True
                        break
                    self.add(message)
                    self.state.settle_until(min(saved.clock, message.timestamp()[1] / 1000))
                    self.state.expire()
        self.state.settle_until(saved.clock)
        self.state.expire()
        self.state.counts.clear()  # the process that committed the checkpoint has counted them
        self.offset, self.unreadable = saved.offset, 0
        return max(0, min(low, saved.offset) - saved.start)


def place(topic: str, checkpoint: Checkpoint, number: int) -> TopicPartition:
    """Return what is committed of a checkpoint."""
    return TopicPartition(topic, number, checkpoint.offset, checkpoint.metadata)

"""Read the records of one source of a model from a range of its feature partition, step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.detect.checkpoint.acceptance import NewestRecords
from monitor.ingest.chunks.chunk import ChunkError, decode_chunk
from monitor.ingest.chunks.columns import Columns
from monitor.kafka.messages import message_offset
from monitor.kafka.readers.partitions import PartitionReader
from monitor.kafka.topics import Topics
from monitor.records import Source


@dataclass(frozen=True, slots=True)
class Range:
    """Chunks of a source of a model at offsets `first` to `last` (excluded) of its partition.

    since, until: event times, epoch seconds; a chunk counts whose median is in this period. A few
    records with wrong clocks do not matter.
    """

    model: str
    partition: int
    first: int
    last: int
    since: float = float("-inf")
    until: float = float("inf")
    source: Source = Source.LOG

    def contains(self, chunk: Columns) -> bool:
        """Return whether a chunk of the partition belongs to the range."""
        if (chunk.model, chunk.source) != (self.model, self.source) or not len(chunk):
            return False
        return bool(self.since <= np.median(chunk.times) < self.until)


class ModelRecords:
    """The newest records of a source of a model in a range, `limit` at most.

    Other models share the partition; their messages are skipped without decoding them.

    newest: the records read so far. begins: first offset that the partition still has.
    """

    def __init__(
        self, config: KafkaConfig, chosen: Range, limit: int, beat: Callable[[], None]
    ) -> None:
        self.range = chosen
        self.newest = NewestRecords(limit)
        self._key = chosen.model.encode()
        self._reader = PartitionReader(config, Topics(config.prefix).features, beat)
        try:
            self.begins, _ = self._reader.watermarks(self._reader.topic, chosen.partition)
            self._reader.assign(chosen.partition, max(chosen.first, self.begins))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the client."""
        self._reader.close()

    def read(self, seconds: float) -> bool:
        """Read on for some time; return whether the range has been read to its end.

        Raises KafkaException if the topic cannot be read.
        """
        for message in self._reader.read(self.range.partition, self.range.last, seconds):
            if message is None:
                return True
            if message.key() == self._key:
                self._add(message_offset(message), message.value() or b"")
        return False

    def _add(self, offset: int, payload: bytes) -> None:
        try:
            chunk = decode_chunk(payload)
        except ChunkError:  # detect has skipped and counted it
            return
        if self.range.contains(chunk):
            self.newest.add(offset, chunk)

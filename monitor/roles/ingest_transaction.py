"""The content of an open ingest transaction, and the messages that it produces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from monitor.experiments.exposures.extract import BatchExposures, ExposureCounts
from monitor.ingest.decode.decoded import Decoded
from monitor.ingest.features import Batch
from monitor.ingest.sampling.sampler import SampleCounts
from monitor.kafka.messages import TopicPartitionKey
from monitor.kafka.output.dead_letters import Headers
from monitor.kafka.output.topic_limit import OnDelivery


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to produce. alone: whether it must be sent before the next one is produced."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers | None = None
    on_delivery: OnDelivery | None = None
    alone: bool = False


@dataclass(slots=True)
class Transaction:
    """The content of an open transaction.

    opened: monotonic time.
    starts: first offset by partition; reading resumes there after a rollback.
    ends: offset after the last message by partition; committed with the transaction.
    counts: number of messages by partition. consumed: the same by topic.
    dead_letters: number of those that are not complete, by outcome.
    decoded: records without features yet, with their positions.
    payloads: messages of the decoded records, if samples are drawn. payload_bytes: their size.
    pending: features that are not in chunks yet. batches: features that are.
    samples: numbers of samples.
    exposures: of the pending features. exposure_counts: of the whole transaction.
    """

    opened: float
    starts: dict[TopicPartitionKey, int] = field(default_factory=dict)
    ends: dict[TopicPartitionKey, int] = field(default_factory=dict)
    counts: Counter[TopicPartitionKey] = field(default_factory=Counter)
    consumed: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    decoded: list[tuple[Decoded, NDArray[np.int64]]] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    payload_bytes: int = 0
    samples: SampleCounts = field(default_factory=SampleCounts)
    pending: list[Batch] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    exposures: list[BatchExposures] = field(default_factory=list)
    exposure_counts: ExposureCounts = field(default_factory=ExposureCounts)

    def cover(self, partitions: Sequence[TopicPartitionKey], offsets: Sequence[int]) -> None:
        """Add messages by partition and offset; those of one partition are in order."""
        after = 0
        for partition, run in groupby(partitions):  # messages of a partition come in long runs
            first, after = after, after + len(list(run))
            self.starts.setdefault(partition, offsets[first])
            self.ends[partition] = offsets[after - 1] + 1
            self.counts[partition] += after - first
            self.consumed[partition[0]] += after - first

    def keep(self, payloads: Sequence[bytes]) -> None:
        """Add messages of decoded records."""
        self.payloads += payloads
        self.payload_bytes += sum(map(len, payloads))

    def take_payloads(self) -> list[bytes]:
        """Return the messages of the decoded records, and forget them."""
        payloads, self.payloads, self.payload_bytes = self.payloads, [], 0
        return payloads

    @property
    def decoded_records(self) -> int:
        """Number of records without features yet."""
        return sum(len(decoded.records) for decoded, _ in self.decoded)

    @property
    def pending_records(self) -> int:
        """Number of records with features that are not in chunks yet."""
        return sum(len(batch.codes) for batch in self.pending)

"""The content of an open ingest transaction, and the messages that it produces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitor.experiments.exposures.extract import BatchExposures, ExposureCounts
from monitor.ingest.decode.decoded import Decoded
from monitor.ingest.features import Batch
from monitor.ingest.joins.messages import Keys
from monitor.ingest.sampling.sampler import Candidate, SampleCounts
from monitor.ingest.style.sample import StyleBatch
from monitor.kafka.messages import Headers, Run, TopicPartitionKey
from monitor.kafka.output.topic_limit import OnDelivery


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to produce. alone: whether it must be sent before the next one is produced.

    partition: -1 if the key decides.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers | None = None
    on_delivery: OnDelivery | None = None
    alone: bool = False
    partition: int = -1


@dataclass(slots=True)
class Transaction:
    """The content of an open transaction.

    opened: monotonic time.
    starts: first offset by partition; reading resumes there after a rollback.
    ends: offset after the last message by partition; committed with the transaction.
    counts: number of messages by partition. consumed: the same by topic.
    skipped: number of things that are no inference, by kind. formats: number of records by format.
    duplicates: number of records with a request id that was seen before.
    dead_letters: number of those that are not complete, by outcome.
    decoded: records without features yet, with their positions.
    payloads: message of each decoded record, if any text is read. payload_bytes: their size.
    pending: features that are not in chunks yet. batches: features that are.
    style: of sampled records, not in chunks yet.
    samples: numbers of samples.
    exposures: of the pending features. exposure_counts: of the whole transaction.
    keys: of the pending features, for the join. keys_written: number of those in messages.
    """

    opened: float
    starts: dict[TopicPartitionKey, int] = field(default_factory=dict)
    ends: dict[TopicPartitionKey, int] = field(default_factory=dict)
    counts: Counter[TopicPartitionKey] = field(default_factory=Counter)
    consumed: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)
    decoded: list[tuple[Decoded, NDArray[np.int64]]] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    payload_bytes: int = 0
    candidates: list[Candidate] = field(default_factory=list)
    candidate_bytes: int = 0
    samples: SampleCounts = field(default_factory=SampleCounts)
    pending: list[Batch] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    style: list[StyleBatch] = field(default_factory=list)
    exposures: list[BatchExposures] = field(default_factory=list)
    exposure_counts: ExposureCounts = field(default_factory=ExposureCounts)
    keys: list[Keys] = field(default_factory=list)
    keys_written: int = 0

    def cover(self, runs: Sequence[Run]) -> None:
        """Add messages; those of one partition are in order."""
        for run in runs:
            self.starts.setdefault(run.key, run.first)
            self.ends[run.key] = run.last + 1
            self.counts[run.key] += run.count
            self.consumed[run.key[0]] += run.count

    def keep(self, payloads: Sequence[bytes], size: int) -> None:
        """Add the message of each decoded record. size: of the messages, in bytes."""
        self.payloads += payloads
        self.payload_bytes += size

    def add_candidates(self, candidates: Sequence[Candidate]) -> None:
        """Add what may be sampled."""
        self.candidates += candidates
        self.candidate_bytes += sum(each.size for each in candidates)

    def take_candidates(self) -> list[Candidate]:
        """Return what may be sampled, and forget it."""
        found, self.candidates, self.candidate_bytes = self.candidates, [], 0
        return found

    def take_payloads(self) -> list[bytes]:
        """Return the messages of the decoded records, and forget them."""
        payloads, self.payloads, self.payload_bytes = self.payloads, [], 0
        return payloads

    @property
    def decoded_records(self) -> int:
        """Number of records without features yet."""
        return sum(len(decoded.fields) for decoded, _ in self.decoded)

    @property
    def pending_records(self) -> int:
        """Number of records with features that are not in chunks yet."""
        return sum(len(batch.codes) for batch in self.pending)

"""The part of ingest that writes the keys of records for the join."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from monitor.config.schema import Config
from monitor.experiments.exposures.extract import BatchExposures
from monitor.ingest.features import Batch
from monitor.ingest.fields.fields import Fields
from monitor.kafka.admin import topic_states
from monitor.kafka.topics import Topics
from monitor.roles.ingest_transaction import Outgoing, Transaction
from monitor.roles.join_keys import join_keys, keys_of, messages_of


class KeyWriter:
    """Writes keys to the joins topic. partitions: of this topic; a session sets it."""

    def __init__(self, config: Config, rate: float) -> None:
        self.partitions = config.kafka.partitions
        self._topic = Topics(config.kafka.prefix).joins
        self._segments = config.segments
        self._rate = rate

    def add(
        self,
        records: Fields,
        batch: Batch,
        exposures: Sequence[BatchExposures],
        transaction: Transaction,
    ) -> None:
        """Add the keys of records to a transaction."""
        if len(records):
            keys = keys_of(records, batch, exposures, self._segments, self._rate)
            transaction.keys.append(keys)

    def messages(self, transaction: Transaction) -> Iterator[Outgoing]:
        """Yield the messages of the keys of a transaction, which then has none."""
        pieces, transaction.keys = transaction.keys, []
        if not pieces:
            return
        keys = join_keys(pieces)
        transaction.keys_written += len(keys)
        for partition, value in messages_of(keys, self.partitions):
            yield Outgoing(self._topic, None, value, partition=partition)


def key_writer(config: Config) -> KeyWriter | None:
    """Return the writer of a configuration; None if no ids are kept."""
    if config.feedback is None or config.feedback.join is None:
        return None
    return KeyWriter(config, config.feedback.join.rate)


def joins_partitions(config: Config, role: str) -> int:
    """Return the number of partitions of the joins topic; the configured one without an answer."""
    topic = Topics(config.kafka.prefix).joins
    found = topic_states(config.kafka, [topic], role).get(topic)
    return config.kafka.partitions if found is None else found.partitions

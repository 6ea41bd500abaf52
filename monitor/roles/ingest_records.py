"""From messages to what ingest produces: feature chunks, dead letters and samples.

Records are decoded in the batches in which they are read, their features are extracted from several
batches together, and chunks hold still more of them.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Sequence
from itertools import chain

import numpy as np
import structlog
from confluent_kafka import KafkaError, Message
from numpy.typing import NDArray

from monitor.config.schema import Config
from monitor.experiments.exposures.columns import encode_within, key_of
from monitor.experiments.exposures.extract import BatchExposures, ExposureExtractor
from monitor.experiments.exposures.extract import join as join_exposures
from monitor.ingest import files
from monitor.ingest.chunks.chunk import encode_chunks
from monitor.ingest.decode.decoded import Decoded
from monitor.ingest.features import join
from monitor.ingest.fields import fields
from monitor.ingest.sampling.sampler import Sampler
from monitor.ingest.style.sample import StyleSampler
from monitor.ingest.style.sample import columns as style_columns
from monitor.kafka.messages import log_message
from monitor.kafka.output.dead_letters import DeadLetters
from monitor.kafka.output.topic_limit import DEFAULT_LIMIT, SMALL_LIMIT, TopicLimit
from monitor.kafka.readers.registry import schema_opener
from monitor.kafka.topics import Topics
from monitor.records import RejectedRecord, UnitExposure, WholeRecord
from monitor.redaction.custom import CustomRule
from monitor.redaction.redactor import Redactor
from monitor.roles.ingest_joins import key_writer
from monitor.roles.ingest_transaction import Outgoing, Transaction

log = structlog.get_logger(__name__)

EXTRACT_RECORDS = 2_000
"""Records whose features are extracted at a time; enough to make the cost of a call negligible."""
PAYLOAD_BYTES = 16 * 1024 * 1024
"""Size of the messages kept for samples from which on features are extracted early."""
CHUNK_RECORDS = 50_000
"""Maximum number of records that are encoded as chunks together."""
CHUNK_BYTES = 900_000
"""Maximum size of a chunk; below the default message size limit of a broker."""
SAMPLE_MARGIN = 1_000
"""Bytes of a message with a sample beyond key and value, with a margin."""


class RecordPipeline:
    """Converts messages to outgoing messages.

    config: whether samples are drawn follows from `judges` and `replay`, how from `sampling`, and
        which exposures are written from `experiments`.
    largest: size of the largest message that the producer accepts, in bytes.
    unwritable: returns the topics that may not be written; None if they are unknown.
    alarmed: returns the models with an open drift alarm.
    outbox: messages to produce, in order.
    """

    def __init__(
        self,
        config: Config,
        topics: Topics,
        largest: int,
        unwritable: Callable[[], set[str] | None],
        alarmed: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        self.topics = topics
        open_schema = schema_opener(config.kafka.schema_registry)
        self.framing = files.framing_for(config, open_schema, undoable=True)
        self.decode = files.decoder_for(config, self.framing)
        self.extractor = files.extractor_for(config)
        self.outbox: deque[Outgoing] = deque()

        def may_write(topic: str) -> bool:
            return topic not in (unwritable() or ())

        self.letters = DeadLetters(
            topics.dead_letters, largest, may_write=lambda: may_write(topics.dead_letters)
        )
        self.sampler: Sampler | None = None
        if config.sampled:
            self.sampler = sampler_for(config, self.decode.whole, alarmed)
        self.style = StyleSampler(self.decode.texts) if config.style.enabled else None
        self.styled = False  # whether the records without features yet are sampled from
        self.exposures: ExposureExtractor | None = None
        if config.experiments:
            self.exposures = ExposureExtractor(config.experiments)
        self.keys = key_writer(config)
        sizes = [largest, *(size for size in (DEFAULT_LIMIT, SMALL_LIMIT) if size < largest)]
        self.sample_limit = TopicLimit(
            topics.samples, "sample refused", sizes, lambda: may_write(topics.samples)
        )
        self.sample_bytes = config.sampling.max_bytes

    def process(
        self, messages: Sequence[Message], offsets: NDArray[np.int64], transaction: Transaction
    ) -> int:
        """Decode messages and add them to the transaction; extract and encode if there is enough.

        offsets: of the messages, shape (n,). Returns the size of the messages in bytes.
        Raises RegistryUnavailable if a schema cannot be read now: the transaction must be rolled
        back then.
        """
        payloads = [message.value() or b"" for message in messages]
        size = sum(map(len, payloads))
        decoded = self.decode.many(
            payloads, lambda index: log_message(messages[index], payloads[index])
        )
        self._reject(messages, decoded.rejected, transaction)
        transaction.skipped.update(decoded.skipped)
        transaction.formats.update(decoded.formats)
        transaction.duplicates += decoded.duplicates
        if not transaction.decoded:
            self.styled = self.style is not None and self.style.takes_next()
        if self.sampler is not None or self.styled:
            transaction.keep(_chosen(payloads, decoded.indices), size)
        positions = offsets[decoded.indices] + 1
        transaction.decoded.append((decoded, positions))
        full = transaction.decoded_records >= EXTRACT_RECORDS
        if full or transaction.payload_bytes >= PAYLOAD_BYTES:
            self._extract(transaction)
        if transaction.pending_records >= CHUNK_RECORDS:
            self.encode(transaction)
        return size

    def encode(self, transaction: Transaction) -> None:
        """Encode all pending features as chunks, by model, and add them to the outbox."""
        self._extract(transaction)
        self._draw(transaction)
        if not transaction.pending:
            return
        batch = join(transaction.pending)
        transaction.batches.append(batch)
        transaction.pending = []
        style, transaction.style = transaction.style, []
        if self.style is not None:
            self.style.adapt(len(batch.codes))
        for chunk in chain(batch.by_model(), style_columns(style)):
            for payload in encode_chunks(chunk, CHUNK_BYTES):
                self.outbox.append(Outgoing(self.topics.features, chunk.model.encode(), payload))
        self._encode_exposures(transaction)
        if self.keys is not None:
            self.outbox.extend(self.keys.messages(transaction))

    def _encode_exposures(self, transaction: Transaction) -> None:
        """Encode the pending exposures by experiment and shard."""
        by_name: dict[str, list[BatchExposures]] = defaultdict(list)
        for each in transaction.exposures:
            by_name[each.design.name].append(each)
        transaction.exposures = []
        for name, pieces in by_name.items():
            for exposures in join_exposures(pieces).by_shard():
                key = key_of(name, exposures.shard)
                for payload in encode_within(exposures, CHUNK_BYTES):
                    self.outbox.append(Outgoing(self.topics.exposures, key, payload))

    def refuse(self, topics: set[str]) -> None:
        """Drop dead letters and samples while their topic cannot be written: reading must go on."""
        error = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
        if self.topics.dead_letters in topics:
            self.letters.refused(error)
        if self.topics.samples in topics:
            self.sample_limit.refused(error)

    def _reject(
        self,
        messages: Sequence[Message],
        rejected: Sequence[tuple[int, RejectedRecord]],
        transaction: Transaction,
    ) -> None:
        """Count what is rejected, and add one dead letter for each message to the outbox.

        A message with several invalid inferences is one dead letter, with the first reason.
        """
        last = None
        for index, error in rejected:
            transaction.rejected[error.reason] += 1
            if index != last:
                self._add_letter(messages[index], error, transaction)
            last = index

    def _add_letter(
        self, message: Message, rejected: RejectedRecord, transaction: Transaction
    ) -> None:
        letter, outcome = self.letters.build(message, rejected)
        if outcome is not None:
            transaction.dead_letters[outcome] += 1
        if letter is not None:
            topic, alone = self.topics.dead_letters, self.letters.alone
            self.outbox.append(Outgoing(topic, *letter, alone=alone))

    def _extract(self, transaction: Transaction) -> None:
        """Extract the features of the decoded records, and draw samples from them."""
        if not transaction.decoded:
            return
        decoded, positions = zip(*transaction.decoded, strict=True)
        transaction.decoded = []
        records = fields.join([each.fields for each in decoded])
        batch = self.extractor.batch(records, np.concatenate(positions))
        transaction.pending.append(batch)
        exposures: list[BatchExposures] = []
        if self.exposures is not None:
            exposures = self.exposures.extract(records, batch, transaction.exposure_counts)
            transaction.exposures += exposures
        if self.keys is not None:
            self.keys.add(records, batch, exposures, transaction)
        payloads, wholes = transaction.take_payloads(), _wholes(decoded)
        if self.sampler is not None:
            found = self.sampler.candidates(
                records,
                payloads,
                wholes,
                (batch.row("error"), batch.row("refusal")),
                lambda index: _exposures_of(exposures, index),
            )
            transaction.add_candidates(found)
            if transaction.candidate_bytes >= PAYLOAD_BYTES:
                self._draw(transaction)
        if self.style is not None and self.styled:
            sample = self.style.sample(batch, payloads, wholes)
            transaction.style += [sample] if sample is not None else []

    def _draw(self, transaction: Transaction) -> None:
        """Add the samples of the candidates to the outbox, within the limit of their topic."""
        candidates = transaction.take_candidates()
        if self.sampler is None or not candidates:
            return
        counts = transaction.samples
        limit = self.sample_limit
        limit.refresh()
        max_bytes = min(self.sample_bytes, limit.size - SAMPLE_MARGIN)
        drawn = self.sampler.draw(candidates, max_bytes, counts.dropped)
        for sample, value in drawn:
            key = sample.request_id.encode()
            if limit.dropping:
                counts.dropped["refused"] += 1
            elif len(key) + len(value) > limit.size - SAMPLE_MARGIN:
                counts.dropped["too_large"] += 1
            else:
                counts.add(sample)
                out = Outgoing(
                    limit.topic, key, value, None, limit.on_delivery(), alone=limit.alone
                )
                self.outbox.append(out)


def _exposures_of(exposures: Sequence[BatchExposures], index: int) -> dict[str, UnitExposure]:
    """Return the exposures of a record by experiment."""
    found = {each.design.name: each.of_record(index) for each in exposures}
    return {name: exposure for name, exposure in found.items() if exposure is not None}


def _wholes(decoded: Sequence[Decoded]) -> dict[int, WholeRecord | bytes]:
    """Return the whole records of several batches by the index of the record in all of them."""
    found, first = dict[int, WholeRecord | bytes](), 0
    for each in decoded:
        if each.wholes:
            found |= {first + index: whole for index, whole in each.wholes.items()}
        first += len(each.fields)
    return found


def _chosen(payloads: list[bytes], indices: NDArray[np.signedinteger]) -> list[bytes]:
    """Return the payload of each record. Mostly each message is one record.

    indices: of the messages of the records, ascending.
    """
    if len(indices) == len(payloads) and (indices[-1:] == len(payloads) - 1).all():
        return payloads
    return [payloads[index] for index in indices.tolist()]


def sampler_for(
    config: Config,
    whole: Callable[[bytes], WholeRecord],
    alarmed: Callable[[], Collection[str]],
) -> Sampler:
    """Return the sampler of a configuration, with redaction unless it is switched off."""
    sampling = config.sampling
    if sampling.redact:
        rules = [CustomRule(name, regex) for name, regex in sampling.redact_patterns.items()]
        redactor = Redactor(rules)
        redactor.redact("é")  # compiles its tables now, not with the first record
        return Sampler(sampling, whole, redactor.redact, redactor.clean, alarmed)
    log.warning("samples are written without redaction", setting="sampling.redact")
    return Sampler(sampling, whole, None, alarmed=alarmed)

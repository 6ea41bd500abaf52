"""Produce the messages of detect, and report what it has evaluated."""

from __future__ import annotations

from collections.abc import Iterator

import structlog
from confluent_kafka import KafkaError, KafkaException, Message

from monitor.detect.checkpoint.partition_state import Partition
from monitor.detect.monitor import DriftMonitor
from monitor.detect.reference.warmup import Warmup
from monitor.events.commands import encode_command
from monitor.ingest.chunks.columns import Columns
from monitor.ingest.chunks.segments import WHOLE
from monitor.kafka.errors import UNKNOWN_TOPIC, UnusableProducerError
from monitor.kafka.topics import Topics
from monitor.records import Source
from monitor.telemetry.counters.metrics import Metrics

log = structlog.get_logger(__name__)

PROGRESS_STEPS = 4
"""Steps of a warm-up of judged samples or feedback, each with a log line: it can take days."""


def report(metrics: Metrics, monitor: DriftMonitor, chunk: Columns) -> None:
    """Count the records of a chunk that was evaluated, and log the progress of warm-ups."""
    watches = monitor.of(chunk.source)
    model = watches.label(chunk.model)
    skipped = watches.skipped.pop(model, 0)
    metrics.count_watched(model, chunk.source, len(chunk) - skipped, skipped)
    for watch, reason in monitor.take_restarted():
        log.warning("warm-up begins again", **_stream(watch.model, watch.source), reason=reason)
    for watch in monitor.take_warmed_up():
        records = watch.profile.records if watch.profile else 0
        log.info(
            "warm-up ended, watching",
            **_stream(watch.model, watch.source),
            reference_records=records,
        )
    if chunk.source is not Source.LOG and (model, WHOLE) in watches.watches:
        _log_progress(watches.watches[model, WHOLE].warmup, model, chunk)


def _log_progress(warmup: Warmup, model: str, chunk: Columns) -> None:
    """Log a warm-up that a chunk has brought to its next step. It begins with its first record."""
    needed, now = warmup.needed, warmup.collected
    if not needed:
        return
    before = now - len(chunk)
    steps = [records * PROGRESS_STEPS // needed for records in (before, now)]
    if before == 0 or steps[0] < steps[1]:
        log.info("warming up", **_stream(model, chunk.source), records=now, needed=needed)


def _stream(model: str, source: Source) -> dict[str, str]:
    """Return the fields of a log line; the source is that of the records unless it is stated."""
    return {"model": model} if source is Source.LOG else {"model": model, "source": source}


def checkpoint_messages(
    topics: Topics, number: int, partition: Partition
) -> Iterator[tuple[str, bytes | None, bytes, int]]:
    """Yield topic, value, key and partition of the messages of a checkpoint, answers included."""
    for key, value in partition.messages():
        yield topics.state, value, key, number
    for answer in partition.answers:
        yield topics.commands, encode_command(answer), answer.model.encode(), number


def raise_if_failed(error: KafkaError | None, _: Message) -> None:
    """End the session if an event cannot be delivered; it is found again after the checkpoint.

    Raises UnusableProducerError if the topic may be writable later, and KafkaException otherwise.
    """
    if error is None:
        return
    if error.code() in UNKNOWN_TOPIC | {KafkaError.TOPIC_AUTHORIZATION_FAILED}:
        raise UnusableProducerError(error)
    raise KafkaException(error)

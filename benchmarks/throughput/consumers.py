"""Loops over the same topic that the daemon is compared with.

    python -m benchmarks.throughput.consumers MODE BOOTSTRAP TOPIC RECORDS

RECORDS is the number of messages. Each loop runs in a new process with the batch size and, except
in the plain mode, the settings of the daemon's consumer. It prints microseconds per message, wall
and CPU time, measured from the end of its first batch to the end of its last one; from its start if
one batch contains all records.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from river.drift import ADWIN

from monitor.config.sections.kafka.section import KafkaConfig
from monitor.kafka.clients import consumer_settings
from monitor.roles.ingest import BATCH
from monitor.roles.role import POLL_SECONDS

IDLE_SECONDS = 120.0


Handler = Callable[[Sequence[Message]], None]


def _ignore() -> Handler:
    """Return a handler that does nothing with the messages."""
    return lambda _: None


def _parse(loads: Callable[[bytes], Any]) -> Handler:
    """Return a handler that parses every message."""

    def handle(messages: Sequence[Message]) -> None:
        for message in messages:
            loads(message.value() or b"")

    return handle


def _adwin() -> Handler:
    """Return a handler that parses every message and updates river's ADWIN with its latency."""
    detector = ADWIN()

    def handle(messages: Sequence[Message]) -> None:
        for message in messages:
            detector.update(orjson.loads(message.value() or b"")["latency_ms"])

    return handle


def upb(payload: bytes) -> list[dict[str, Any]]:
    """Parse a message with the official library, and access the attributes of its spans."""
    found = []
    for group in TracesData.FromString(payload).resource_spans:
        for scope in group.scope_spans:
            for span in scope.spans:
                values = {}
                for pair in span.attributes:
                    kind = pair.value.WhichOneof("value")
                    values[pair.key] = None if kind is None else getattr(pair.value, kind)
                values["time"] = (span.start_time_unix_nano, span.end_time_unix_nano)
                found.append(values)
    return found


JSON_LOADS = "json_loads"
UPB = "upb"
MODES: dict[str, Callable[[], Handler]] = {
    "consume": _ignore,
    JSON_LOADS: partial(_parse, json.loads),
    UPB: partial(_parse, upb),
    "orjson": partial(_parse, orjson.loads),
    "river_adwin": _adwin,
    "json_loads_plain": partial(_parse, json.loads),
}
PLAIN = ("json_loads_plain",)
"""Modes with the default settings of the client."""

_SETTINGS = consumer_settings(KafkaConfig(), "bench")
FETCH = {
    key: _SETTINGS[key]
    for key in ("queued.max.messages.kbytes", "fetch.max.bytes", "fetch.queue.backoff.ms")
}
"""The settings of the daemon's consumer that decide its speed; the peers get them too."""


def whole_topic(bootstrap: str, topic: str, *, plain: bool = False) -> Consumer:
    """Return a consumer at the beginning of every partition of a topic.

    plain: use the client's default settings instead of the daemon's.
    """
    config = KafkaConfig(bootstrap_servers=bootstrap, prefix=f"bench-{uuid.uuid4().hex[:8]}")
    settings = consumer_settings(config, "bench")
    settings["enable.partition.eof"] = False  # every message is a record
    if plain:
        settings = {key: settings[key] for key in ("bootstrap.servers", "group.id")}
    consumer = Consumer(settings)
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    return consumer


def next_batch(consumer: Consumer) -> Sequence[Message]:
    """Return the next batch that is not empty.

    Raises TimeoutError after IDLE_SECONDS without records.
    """
    deadline = time.monotonic() + IDLE_SECONDS
    while time.monotonic() < deadline:
        messages = consumer.consume(BATCH, POLL_SECONDS)
        if messages:
            return messages
    raise TimeoutError(f"no records for {IDLE_SECONDS:g} s")


def measure(mode: str, bootstrap: str, topic: str, records: int) -> tuple[float, float]:
    """Read `records` records of a topic; return wall and CPU time in microseconds per record."""
    handle = MODES[mode]()
    consumer = whole_topic(bootstrap, topic, plain=mode in PLAIN)
    try:
        started, cpu, counted_from = time.perf_counter(), time.process_time(), 0
        first = next_batch(consumer)
        handle(first)
        done = len(first)
        if done < records:
            started, cpu, counted_from = time.perf_counter(), time.process_time(), done
        while done < records:
            messages = next_batch(consumer)
            handle(messages)
            done += len(messages)
        seconds = time.perf_counter() - started, time.process_time() - cpu
        wall_us, cpu_us = (1e6 * each / (done - counted_from) for each in seconds)
        return wall_us, cpu_us
    finally:
        consumer.close()


def main() -> int:
    """Measure one loop and print wall and CPU time as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("bootstrap")
    parser.add_argument("topic")
    parser.add_argument("records", type=int)
    a = parser.parse_args()
    print(json.dumps(measure(a.mode, a.bootstrap, a.topic, a.records)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

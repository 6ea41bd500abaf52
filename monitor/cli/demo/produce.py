"""Produce synthetic traffic to Kafka: `python -m monitor.cli.demo.produce HOST:PORT`.

docker-compose.yaml runs it. Phases of normal and of drifted traffic alternate, so that alarms open
and resolve.
"""

from __future__ import annotations

import argparse
import itertools
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from confluent_kafka import Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # NewTopic is not re-exported
    AdminClient,
    NewTopic,
)

from monitor.cli.arguments import positive_number
from monitor.cli.demo.traffic import model_of, traffic
from monitor.config.sections.kafka.section import KafkaConfig
from monitor.config.sections.process.section import LogConfig
from monitor.kafka.admin import wait_for_broker
from monitor.kafka.clients import client_settings, producer_settings
from monitor.telemetry import logging

ROLE = "synthetic-traffic"
"""Part of the client id."""
TICK_SECONDS = 0.05
FLUSH_SECONDS = 10.0
SEED = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Produce until SIGTERM or SIGINT; return the exit status."""
    arguments = _parser().parse_args(argv)
    logging.configure(LogConfig())
    signals: list[int] = []  # not an Event: a handler could deadlock on its lock
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda number, _: signals.append(number))

    def stop(seconds: float) -> bool:
        time.sleep(0 if signals else seconds)
        return bool(signals)

    config = KafkaConfig(bootstrap_servers=arguments.bootstrap)
    lines = alternating_traffic(arguments.rate, arguments.phase, time.time())
    run(config, lines, arguments.rate, stop)
    return 0


def alternating_traffic(rate: float, phase: float, start: float) -> Iterator[bytes]:
    """Yield records without end, in phases of `phase` seconds; every second phase is drifted.

    rate: records per second. start: time of the first record (epoch seconds).
    """
    count = max(1, round(rate * phase))
    for number in itertools.count():
        yield from traffic(
            count,
            change_at=0 if number % 2 else count,
            seed=SEED + number,  # part of the request ids, which must be unique
            rate=rate,
            start=start + number * count / rate,
        )


def run(
    config: KafkaConfig, lines: Iterator[bytes], rate: float, stop: Callable[[float], bool]
) -> int:
    """Produce records to the first log topic, which is created if missing; return their number.

    rate: records per second. stop: waits for a number of seconds and returns whether to stop.
    """
    topics = wait_for_broker(config, stop, ROLE)
    if topics is None:
        return 0
    topic = config.logs[0]
    if topic not in topics:
        _create(config, topic)
    producer = Producer(producer_settings(config, ROLE, transactional=False))
    sent, started = 0, time.monotonic()
    while not stop(TICK_SECONDS):
        due = int((time.monotonic() - started) * rate) - sent
        for line in islice(lines, due):
            _produce(producer, topic, line, stop)
            sent += 1
        producer.poll(0)
    producer.flush(FLUSH_SECONDS)
    return sent


def _create(config: KafkaConfig, topic: str) -> None:
    """Create the log topic, unless it exists by now."""
    admin = AdminClient(client_settings(config, ROLE))
    new = NewTopic(topic, num_partitions=config.partitions, replication_factor=-1)
    for future in admin.create_topics([new], request_timeout=10).values():
        future.exception(timeout=15)


def _produce(producer: Producer, topic: str, line: bytes, stop: Callable[[float], bool]) -> None:
    while True:
        try:
            producer.produce(topic, line, key=model_of(line))
            return
        except BufferError:  # the queue is full: the broker is unreachable
            producer.poll(1.0)
            if stop(0):
                return


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m monitor.cli.demo.produce",
        description="Produce synthetic traffic of two models to Kafka, normal and drifted in turn.",
    )
    parser.add_argument("bootstrap", metavar="HOST:PORT", help="bootstrap broker")
    parser.add_argument(
        "--rate", type=positive_number, default=200.0, help="records per second (default: 200)"
    )
    parser.add_argument(
        "--phase", type=positive_number, default=300.0, help="seconds per phase (default: 300)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())

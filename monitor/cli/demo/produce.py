"""Made traffic into a Kafka of yours, until stopped: `python -m monitor.demo.produce HOST:PORT`.

For a first look at the whole of it on a laptop (docker-compose.yaml). Phases of normal and of
drifted traffic take turns, so that alarms are raised and resolved while you watch.
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
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # NewTopic is there, not exported
    AdminClient,
    NewTopic,
)

from monitor import kafka, logs
from monitor.argument_types import positive
from monitor.config import KafkaConfig, LogConfig
from monitor.demo.traffic import model_of, traffic

ROLE = "made-traffic"
TICK = 0.05
FLUSH_SECONDS = 10.0
SEED = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Produce until SIGTERM or SIGINT; the exit status."""
    arguments = _parser().parse_args(argv)
    logs.configure(LogConfig())
    signals: list[int] = []  # and no Event: its lock may be held by what a signal interrupts
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda number, _: signals.append(number))

    def stop(seconds: float) -> bool:
        time.sleep(0 if signals else seconds)
        return bool(signals)

    config = KafkaConfig(bootstrap_servers=arguments.bootstrap)
    run(config, made(arguments.rate, arguments.phase, time.time()), arguments.rate, stop)
    return 0


def made(rate: float, phase: float, start: float) -> Iterator[bytes]:
    """Records without end, `rate` a second from `start` on; every other `phase` seconds drifted."""
    count = max(1, round(rate * phase))
    for number in itertools.count():
        yield from traffic(
            count,
            change_at=0 if number % 2 else count,
            seed=SEED + number,  # a seed is part of the request ids, which are given once
            rate=rate,
            start=start + number * count / rate,
        )


def run(
    config: KafkaConfig, lines: Iterator[bytes], rate: float, stop: Callable[[float], bool]
) -> int:
    """Produce the lines at `rate` a second to the first log topic, making it; how many there were.

    stop: waits so many seconds, and says whether to end.
    """
    topics = kafka.wait_for_broker(config, stop, ROLE)
    if topics is None:
        return 0
    topic = config.logs[0]
    if topic not in topics:
        _create(config, topic)
    producer = Producer(kafka.producer_settings(config, ROLE, transactional=False))
    sent, started = 0, time.monotonic()
    while not stop(TICK):
        due = int((time.monotonic() - started) * rate) - sent
        for line in islice(lines, due):
            _produce(producer, topic, line, stop)
            sent += 1
        producer.poll(0)
    producer.flush(FLUSH_SECONDS)
    return sent


def _create(config: KafkaConfig, topic: str) -> None:
    """Make the log topic; one that somebody else made meanwhile will do."""
    admin = AdminClient(kafka.client_settings(config, ROLE))
    new = NewTopic(topic, num_partitions=config.partitions, replication_factor=-1)
    for future in admin.create_topics([new], request_timeout=10).values():
        future.exception(timeout=15)


def _produce(producer: Producer, topic: str, line: bytes, stop: Callable[[float], bool]) -> None:
    while True:
        try:
            producer.produce(topic, line, key=model_of(line))
            return
        except BufferError:  # the broker is away, and the queue full
            producer.poll(1.0)
            if stop(0):
                return


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m monitor.demo.produce",
        description="Made traffic of two models into Kafka, normal and drifted in turn.",
    )
    parser.add_argument("bootstrap", metavar="HOST:PORT", help="the broker to produce to")
    parser.add_argument(
        "--rate", type=positive, default=200.0, help="records a second (default: 200)"
    )
    parser.add_argument(
        "--phase", type=positive, default=300.0, help="seconds of a phase (default: 300)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())

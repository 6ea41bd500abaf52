"""Whether the daemon's memory stays flat over tens of millions of records; `make soak`.

One real daemon (`run`, both roles) on a real broker. The records are small, so that many go through
in little time, and never stop bringing new names of models, scores and categories as well as
messages that are no records: what must not grow is exactly what such a log would make grow.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import IO, Any

import numpy as np
import yaml
from confluent_kafka import Producer
from rich.console import Console
from rich.table import Table

from benchmarks.daemon import COMMAND, ROOT, START_SECONDS, Daemon, DaemonError
from tests.integration.broker import THROUGHPUT_JVM, BrokerError, KafkaBroker
from tests.integration.kafka_jars import KafkaUnavailable

OUT = Path(__file__).parent / "results" / "soak.json"
MODELS = 20
BODIES = 50_000
PARTITIONS = 4
WARM_UP = 10_000
START = 1_760_000_000.0
EVERY = 1000
"""One record in so many is malformed."""
AHEAD = 100_000
"""Records that the producer may be ahead of detect. With so few the daemon catches up again and
again, as one does that keeps pace with its log. Many more would lie, fetched but unread, in its
memory whenever detect is the slower role: up to a bound (kafka.consumer_settings), but the samples
would show which role was ahead and hide whether anything grows."""
SAMPLE_SECONDS = 5.0
POLL_SECONDS = 0.5
SETTLED = 0.2
"""The share of the records after which memory must be flat: warm-ups and bounds are behind it."""
MOST_GROWTH = 0.05
STALLED_SECONDS = 120.0

MB = 1 << 20
SMALL_DISK = {
    # what was consumed goes at once: a soak is about memory and must not fill a disk instead
    "log.segment.bytes": str(32 * MB),
    "log.retention.bytes": str(256 * MB),
    "log.retention.check.interval.ms": "5000",
    "log.initial.task.delay.ms": "5000",
    "log.segment.delete.delay.ms": "1000",
}

INGEST = "plumbline_records_consumed_total"
REJECT = "plumbline_records_rejected_total"
WATCH = "plumbline_records_watched_total"


@dataclass(frozen=True, slots=True)
class Sample:
    """Seconds since the start, records consumed by then, resident memory then.

    waiting: records that ingest has passed on and detect has not seen.
    """

    seconds: float
    consumed: int
    rss_mb: float
    waiting: int


@contextmanager
def running(settings: Mapping[str, Any], directory: Path, roles: str) -> Iterator[Daemon]:
    """A daemon with these settings; it need not be ready yet."""
    name = uuid.uuid4().hex[:8]
    file, log = directory / f"{name}.yaml", directory / f"{name}.log"
    file.write_text(yaml.safe_dump(dict(settings)))
    # the shell's own settings must not change what is measured
    kept = {key: v for key, v in os.environ.items() if not key.startswith("PLUMBLINE__")}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*COMMAND, "run", "-c", str(file), "--roles", roles],
            cwd=ROOT,
            env=kept,
            stdout=out,
            stderr=out,
        )
    daemon = Daemon(process, log)
    try:
        yield daemon
    finally:
        daemon.end()


def counters(daemon: Daemon) -> Counter[str]:
    """Every series of /metrics, summed over its labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{daemon.port}/metrics", timeout=60) as page:
        lines = page.read().decode().splitlines()
    sums: Counter[str] = Counter()
    for line in lines:
        if not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            sums[name.split("{", 1)[0]] += float(value)  # type: ignore[assignment]  # counts a float
    return sums


def rss_mb(daemon: Daemon) -> float:
    """Resident memory now, in MB."""
    for line in Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1000
    raise DaemonError("no VmRSS in /proc")


def malformed(records: int) -> int:
    """How many of the first `records` messages are no records."""
    return records // EVERY


def messages(records: int) -> Iterator[bytes]:
    """The log: steady traffic of 20 models, and what never ends in a log of the real world."""
    rng = random.Random(0)
    pool = cycle([_body(rng, number % MODELS) for number in range(BODIES)])
    for number, body in zip(range(records), pool, strict=False):
        if number % EVERY == EVERY - 1:
            yield b'{"request_id": "broken'
        else:
            at = START + number / 1000
            named = _with_news(number, body)
            yield b'{"request_id":"r-%d","timestamp":%.3f,%b' % (number, at, named)


def _with_news(number: int, body: bytes) -> bytes:
    """Now and then, a name that the log has never had and will not have again."""
    turn = number % EVERY
    if turn == 123 and number // EVERY % 2:
        return body.replace(b'"model-', b'"new-%d-' % number, 1)
    if turn == 499:
        return body.replace(b'"quality"', b'"score-%d"' % number, 1)
    if turn in {250, 500, 750}:
        return body.replace(b'"tenant-', b'"tenant-%d-' % number, 1)
    if turn == 600:
        return body.replace(b'"stop"', b'"stop-%d"' % number, 1)
    return body


def _body(rng: random.Random, model: int) -> bytes:
    """A record without its beginning."""
    output = round(rng.lognormvariate(5, 0.5))
    record = {
        "model": f"model-{model:03d}",
        "latency_ms": round(rng.lognormvariate(6.5, 0.4), 1),
        "time_to_first_token_ms": round(rng.lognormvariate(5, 0.3), 1),
        "input_tokens": round(rng.lognormvariate(6, 0.6)),
        "output_tokens": output,
        "cost_usd": round(output * 1.5e-5, 6),
        "finish_reason": rng.choice(("stop", "stop", "stop", "length")),
        "scores": {"quality": round(rng.betavariate(8, 2), 3)},
        "metadata": {"tenant": f"tenant-{rng.randrange(12)}"},
    }
    return json.dumps(record, separators=(",", ":")).encode()[1:]


class Allowance:
    """How many records may have been produced so far; another thread hears it from a pipe."""

    def __init__(self, pipe: IO[str]) -> None:
        self.pipe = pipe
        self.records = 0
        self.changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.pipe:
            with self.changed:
                self.records = int(line)
                self.changed.notify()
        os._exit(1)  # whoever measured is gone

    def wait(self, records: int) -> None:
        """Wait until so many records are allowed."""
        with self.changed:
            self.changed.wait_for(lambda: self.records >= records)


def produce(bootstrap: str, topic: str, records: int) -> None:
    """Put the log into the topic, as fast as standard input allows."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 50,
            "batch.size": 500_000,
            "queue.buffering.max.kbytes": 65_536,
            "queue.buffering.max.messages": 500_000,
        }
    )
    allowance = Allowance(sys.stdin)
    for number, message in enumerate(messages(records)):
        if number % EVERY == 0:
            allowance.wait(min(records, number + EVERY))
            producer.poll(0)
        while True:
            try:
                producer.produce(topic, message, partition=number // 100 % PARTITIONS)
                break
            except BufferError:
                producer.poll(0.1)
    if producer.flush(120):
        raise RuntimeError("not all records were taken")


def soak(broker: KafkaBroker, records: int, ahead: int, directory: Path) -> dict[str, Any]:
    """The result, for programs."""
    topic = "logs"
    broker.create_topic(topic, PARTITIONS)
    settings = {
        "kafka": {
            "bootstrap_servers": broker.bootstrap,
            "prefix": "soak",
            "logs": [topic],
        },
        "features": {"metadata": {"tenant": "categorical"}},
        "reference": {"source": "warmup", "records": WARM_UP},
        "http": {"port": 0},
        "log": {"format": "json"},
    }
    with running(settings, directory, "ingest,detect") as daemon:
        daemon.wait("ready", daemon.ready, START_SECONDS)
        arguments = ["--produce", broker.bootstrap, topic, "--records", str(records)]
        producer = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.soak", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            text=True,
        )
        try:
            samples, seconds, disk_mb = _follow(daemon, producer, records, ahead, broker.directory)
            producer.wait(60)
        finally:
            producer.kill()
            producer.wait()
        return _result(records, samples, seconds, counters(daemon)) | {
            "ahead": ahead,
            "peak_disk_mb": round(disk_mb),
            "peak_rss_mb": round(daemon.peak_rss_mb(), 1),
        }


def _follow(
    daemon: Daemon, producer: subprocess.Popen[str], records: int, ahead: int, broker: Path
) -> tuple[list[Sample], float, float]:
    """Samples until detect has seen the last record, the seconds that took, the broker's disk."""
    goal = records - malformed(records)
    samples: list[Sample] = []
    started = moved = time.monotonic()
    last, disk_mb = -1, 0.0
    assert producer.stdin is not None
    while True:
        daemon.check()
        sums, now = counters(daemon), time.monotonic()
        consumed, watched = int(sums[INGEST]), int(sums[WATCH])
        if not samples or now - samples[-1].seconds - started >= SAMPLE_SECONDS:
            samples.append(_sample(daemon, now - started, sums))
            disk_mb = max(disk_mb, _disk_mb(broker))
            _say(samples[-1], records)
        if watched >= goal:
            samples.append(_sample(daemon, now - started, sums))
            _say(samples[-1], records)
            return samples, now - started, disk_mb
        if consumed + watched > last:
            last, moved = consumed + watched, now
        elif now - moved > STALLED_SECONDS:
            raise DaemonError(f"stuck: {consumed} consumed, {watched} watched of {goal}")
        if producer.poll() is None:
            # what is malformed never reaches detect
            seen = watched + int(sums[REJECT])
            print(seen + ahead, file=producer.stdin, flush=True)
        elif producer.returncode:
            raise DaemonError("the producer failed")
        time.sleep(POLL_SECONDS)


def _sample(daemon: Daemon, seconds: float, sums: Mapping[str, float]) -> Sample:
    consumed, waiting = int(sums[INGEST]), int(sums[INGEST] - sums[REJECT] - sums[WATCH])
    return Sample(round(seconds, 1), consumed, round(rss_mb(daemon), 1), waiting)


def _disk_mb(directory: Path) -> float:
    size = 0
    for path in directory.rglob("*"):
        try:
            size += path.stat().st_blocks * 512
        except FileNotFoundError:  # deleted at this moment, as it should be
            continue
    return size / 1e6


def _say(sample: Sample, records: int) -> None:
    done = f"[{sample.seconds:4.0f} s] {sample.consumed:>12,} of {records:,}"
    text = f"{done}: {sample.rss_mb:.1f} MB, {sample.waiting:,} waiting"
    print(text, file=sys.stderr, flush=True)


def slope_and_growth(samples: Sequence[Sample], records: int) -> tuple[float, float]:
    """MB per million records, by least squares, once settled; and the share that memory grew.

    The growth is from the median of the samples at 20 to 30 % to that of those from 90 % on.
    """
    settled = [s for s in samples if s.consumed >= SETTLED * records]
    early = [s.rss_mb for s in settled if s.consumed <= (SETTLED + 0.1) * records]
    late = [s.rss_mb for s in settled if s.consumed >= 0.9 * records]
    if len(settled) < 2 or not early:
        return float("nan"), float("nan")
    millions = np.array([s.consumed / 1e6 for s in settled])
    if np.ptp(millions) == 0:
        return float("nan"), float("nan")
    slope = float(np.polyfit(millions, [s.rss_mb for s in settled], 1)[0])
    return slope, statistics.median(late) / statistics.median(early) - 1


def _result(
    records: int, samples: Sequence[Sample], seconds: float, sums: Mapping[str, float]
) -> dict[str, Any]:
    slope, growth = slope_and_growth(samples, records)
    consumed, rejected, watched = (int(sums[name]) for name in (INGEST, REJECT, WATCH))
    return {
        "records": records,
        "seconds": round(seconds, 1),
        "records_per_s": round(records / seconds),
        "rss_mb_per_million": round(slope, 3),
        "growth": round(growth, 4),
        "most_growth": MOST_GROWTH,
        "flat": growth < MOST_GROWTH,
        "consumed": consumed,
        "rejected": rejected,
        "watched": watched,
        "exact": consumed == records == rejected + watched and rejected == malformed(records),
        "counters": {
            name.removeprefix("plumbline_"): int(value)
            for name, value in sorted(sums.items())
            if name.startswith("plumbline_") and name.endswith("_total")
        },
        "models": MODELS,
        "warm_up": WARM_UP,
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version()},
        "samples": [[s.seconds, s.consumed, s.rss_mb, s.waiting] for s in samples],
    }


def show(result: Mapping[str, Any], console: Console) -> None:
    """The result for people."""
    table = Table(title="One daemon, many records", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for what, value in (
        ("records", f"{result['records']:,}"),
        ("records/s", f"{result['records_per_s']:,}"),
        ("resident memory at the end, MB", f"{result['samples'][-1][2]:.1f}"),
        ("slope once settled, MB per million records", f"{result['rss_mb_per_million']:+.3f}"),
        ("growth once settled", f"{result['growth']:+.2%}"),
        ("consumed", f"{result['consumed']:,}"),
        ("rejected + watched", f"{result['rejected']:,} + {result['watched']:,}"),
    ):
        table.add_row(what, value)
    console.print(table)
    verdict = "flat" if result["flat"] else "NOT FLAT"
    console.print(
        f"Memory: {verdict}; flat means that it grows by less than {MOST_GROWTH:.0%} from the"
        f" first {SETTLED:.0%} of the records to the end."
    )
    console.print(
        "Counters: " + ("they add up exactly" if result["exact"] else "THEY DO NOT AGREE")
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Soak, print the verdict, write the JSON; 1 unless memory is flat and the counters agree."""
    parser = argparse.ArgumentParser(prog="benchmarks.soak", description=__doc__)
    parser.add_argument("--records", type=int, default=20_000_000, help="(default: 20,000,000)")
    parser.add_argument(
        "--ahead",
        type=int,
        default=AHEAD,
        help="records that the producer may be ahead of detect (default: 100,000)",
    )
    parser.add_argument("--out", type=Path, default=OUT, help="where the JSON goes")
    parser.add_argument("--produce", nargs=2, help=argparse.SUPPRESS)
    a = parser.parse_args(argv)
    if a.produce:
        produce(a.produce[0], a.produce[1], a.records)
        return 0
    try:
        with tempfile.TemporaryDirectory(prefix="plumbline-soak-") as name:
            directory = Path(name)
            place = directory / "kafka"
            with KafkaBroker(place, jvm=THROUGHPUT_JVM, heap="1g", properties=SMALL_DISK) as broker:
                result = soak(broker, a.records, a.ahead, directory)
    except (KafkaUnavailable, BrokerError, DaemonError) as error:
        print(error, file=sys.stderr)
        return 1
    a.out.parent.mkdir(parents=True, exist_ok=True)
    a.out.write_text(json.dumps(result, indent=2) + "\n")
    show(result, Console())
    return 0 if result["flat"] and result["exact"] else 1


if __name__ == "__main__":
    sys.exit(main())

"""Create the records of the throughput benchmark and load them into Kafka.

A tool outside the repository produces records of real prompts and answers. Its text must not enter
the repository, so records are written to a temporary directory. Without the tool, the synthetic
traffic of the demo is padded with random words to the size of real records.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Producer

from benchmarks.harness.messages import model_name, send
from monitor.cli.demo import traffic

TOOL = Path(__file__).resolve().parents[3] / "shared" / "tools" / "make_records.py"
RECORD_BYTES = 2_600
"""Mean size of real records: prompt, answer and numbers."""

RATE = 50.0
START = 1_760_000_000.0
FLUSH_SECONDS = 120.0
KEY = b"key"
"""Key of all messages. Quix Streams ignores messages without one; Plumbline does not read it."""

BLOCK = 100
"""Consecutive records per partition: a producer without keys fills one batch after the other."""


def write(path: Path, count: int, tool: Path | None) -> str:
    """Write `count` records of one model, one per line; return a description of their source.

    tool: make_records.py; None or a missing file selects synthetic traffic.
    """
    if tool is not None and tool.exists():
        command = [sys.executable, str(tool), "-n", str(count), "--label", model_name(0)]
        with path.open("wb") as out:
            subprocess.run(command, check=True, stdout=out)
        return "make_records.py: real prompts and answers"
    with path.open("wb") as out:
        out.writelines(line + b"\n" for line in _synthetic(count))
    return "monitor.cli.demo.traffic, padded with random words (make_records.py was not found)"


def read(path: Path, count: int) -> Iterator[bytes]:
    """Yield the first `count` records of a file."""
    with path.open("rb") as lines:
        for line in islice(lines, count):
            yield line.rstrip(b"\n")


def spread(lines: Iterable[bytes], models: int) -> Iterator[bytes]:
    """Yield the records, distributed over `models` model names.

    Every `models` consecutive records contain each name once, in a new random order. All models
    get the same number of records, and partitions do not see the same pattern.
    """
    rng = random.Random(0)
    own = f'"{model_name(0)}"'.encode()
    names = [f'"{model_name(number)}"'.encode() for number in range(models)]
    lines = iter(lines)
    while block := list(islice(lines, models)):
        rng.shuffle(names)
        for line, name in zip(block, names, strict=False):
            yield line.replace(own, name, 1)


def load(bootstrap: str, topic: str, partitions: int, lines: Iterable[bytes]) -> None:
    """Load records into a topic, uncompressed, all with the same key: see `KEY`."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 50,
            "batch.size": 1_000_000,
            "queue.buffering.max.kbytes": 262_144,
        }
    )
    for number, line in enumerate(lines):
        send(producer, topic, line, KEY, number // BLOCK % partitions)
        producer.poll(0)
    if producer.flush(FLUSH_SECONDS):
        raise RuntimeError(f"topic {topic} did not accept all records in {FLUSH_SECONDS:g} s")


def _synthetic(count: int) -> Iterator[bytes]:
    """Yield the traffic of the demo without drift, for one model, padded."""
    words = _words()
    rng = random.Random(0)
    encode = msgspec.json.Encoder().encode
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    lines = traffic.traffic(count, change_at=count, seed=0, rate=RATE, start=START)
    for line in lines:
        record = decode(line)
        record["model"] = model_name(0)
        target = RECORD_BYTES * rng.lognormvariate(-0.08, 0.4)
        padding = max(0, int(target) - len(line) - 20)
        at = rng.randrange(len(words) - padding) if padding < len(words) else 0
        field = "response" if record.get("response") else "prompt"
        record[field] = f"{record[field]} {words[at : at + padding]}"
        yield encode(record)


def _words() -> str:
    """Return a long text of random words."""
    rng = random.Random(0)
    syllables = ("ba", "ke", "lo", "mi", "nu", "ra", "so", "ti", "ve", "zu")
    return " ".join("".join(rng.choices(syllables, k=rng.randint(1, 4))) for _ in range(20_000))

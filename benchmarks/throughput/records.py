"""The records of the throughput benchmark: where they come from, and their way into Kafka.

Real text comes from a tool that lies outside of the repository and whose text must stay there, so
everything is written to a temporary directory. A bare clone has no such tool and falls back to made
traffic whose words are invented, padded to the size that real records have.
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

from monitor.demo import traffic

TOOL = Path(__file__).resolve().parents[2] / "shared" / "tools" / "make_records.py"
RECORD_BYTES = 2_600
"""What real records have on average: prompt, answer and numbers."""

RATE = 50.0
START = 1_760_000_000.0
BLOCK = 100
"""Records in a row to one partition: a producer without keys fills a batch before it moves on."""


def model_name(number: int) -> str:
    """The name of the number-th model; all are as long, so that all topics are as large."""
    return f"model-{number:03d}"


def write(path: Path, count: int, tool: Path | None) -> str:
    """Write `count` records of one model, one a line; what they come from, in words.

    tool: make_records.py; None, or a file that is not there, for made traffic.
    """
    if tool is not None and tool.exists():
        command = [sys.executable, str(tool), "-n", str(count), "--label", model_name(0)]
        with path.open("wb") as out:
            subprocess.run(command, check=True, stdout=out)
        return "make_records.py: real prompts and answers"
    with path.open("wb") as out:
        out.writelines(line + b"\n" for line in _made(count))
    return "monitor.demo.traffic, padded with invented words (make_records.py is not there)"


def read(path: Path, count: int) -> Iterator[bytes]:
    """The first `count` records of a file."""
    with path.open("rb") as lines:
        for line in islice(lines, count):
            yield line.rstrip(b"\n")


def spread(lines: Iterable[bytes], models: int) -> Iterator[bytes]:
    """The records under the names of so many models.

    Each model has its turn once in every `models` records, in an order that is shuffled anew, so
    that all get as many and no two partitions see the same pattern.
    """
    rng = random.Random(0)
    own = f'"{model_name(0)}"'.encode()
    names = [f'"{model_name(number)}"'.encode() for number in range(models)]
    lines = iter(lines)
    while turn := list(islice(lines, models)):
        rng.shuffle(names)
        for line, name in zip(turn, names, strict=False):
            yield line.replace(own, name, 1)


def load(bootstrap: str, topic: str, partitions: int, lines: Iterable[bytes]) -> None:
    """Put records into a topic, uncompressed, as a producer with default settings does."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 50,
            "batch.size": 1_000_000,
            "queue.buffering.max.kbytes": 262_144,
        }
    )
    for number, line in enumerate(lines):
        partition = number // BLOCK % partitions
        while True:
            try:
                producer.produce(topic, line, partition=partition)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    if producer.flush(120):
        raise RuntimeError(f"not all records were taken by topic {topic}")


def _made(count: int) -> Iterator[bytes]:
    """The demo's traffic without its drift, of one model, padded."""
    words = _words()
    rng = random.Random(0)
    encode = msgspec.json.Encoder().encode
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    lines = traffic.traffic(count, change_at=count, seed=0, rate=RATE, start=START)
    for line in lines:
        record = decode(line)
        record["model"] = model_name(0)
        target = RECORD_BYTES * rng.lognormvariate(-0.08, 0.4)
        room = max(0, int(target) - len(line) - 20)
        at = rng.randrange(len(words) - room) if room < len(words) else 0
        field = "response" if record.get("response") else "prompt"
        record[field] = f"{record[field]} {words[at : at + room]}"
        yield encode(record)


def _words() -> str:
    """A long text of words that mean nothing."""
    rng = random.Random(0)
    syllables = ("ba", "ke", "lo", "mi", "nu", "ra", "so", "ti", "ve", "zu")
    return " ".join("".join(rng.choices(syllables, k=rng.randint(1, 4))) for _ in range(20_000))

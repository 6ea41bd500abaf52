"""Compare the daemon with loops that parse the same bytes, by log format.

    python -m benchmarks.formats [--quick] [--formats litellm otlp_json] [--before CHECKOUT]

The loops are consume() with json.loads, or for protobuf with the official library (upb) and access
to all attributes. Each round measures all contenders on the same topic, one after the other, in
rotating order; a ratio is computed within a round. `decode` is the stage alone, in this process and
without a broker. With --before, native records are also measured with the daemon of another
checkout, whose C sources must be built.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.formats.traffic import TRAFFIC, Traffic, messages
from benchmarks.harness.daemon import DaemonError
from benchmarks.harness.rounds import interleaved
from benchmarks.throughput import records
from benchmarks.throughput.consumers import JSON_LOADS, UPB, upb
from benchmarks.throughput.contenders import DAEMON, Measure, loop
from benchmarks.throughput.group import HoldError
from benchmarks.throughput.measure import Job, measure
from benchmarks.throughput.references import WARM_UP
from monitor.config.schema import Config
from monitor.ingest import files
from monitor.ingest.decode.message import LogMessage
from monitor.roles.ingest import BATCH
from tests.integration.broker import THROUGHPUT_JVM, BrokerError, KafkaBroker
from tests.integration.kafka_jars import KafkaUnavailable

OUT: Final = Path(__file__).parents[1] / "results" / "formats.json"
PARTITIONS: Final = 4
STAGE_RECORDS: Final = 3_000
STAGE_ROUNDS: Final = 15
BEFORE: Final = "before"
NATIVE: Final = "native"
PARSERS: Final[dict[str, Callable[[bytes], object]]] = {JSON_LOADS: json.loads, UPB: upb}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write the result; return 1 on failure."""
    a = _parser().parse_args(argv)
    count = a.records or (30_000 if a.quick else 150_000)
    rounds = a.rounds or (2 if a.quick else 5)
    result: dict[str, Any] = {
        "records": count,
        "rounds": rounds,
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version()},
        "formats": {},
    }
    try:
        with tempfile.TemporaryDirectory(prefix="plumbline-bench-") as name:
            path = Path(name) / "records.jsonl"
            result["source"] = records.write(path, count, records.TOOL)
            if a.decode_only:
                for each in a.formats:
                    result["formats"][each] = {"decode": stage(TRAFFIC[each], path)}
            else:
                result["formats"] = run(path, a.formats, count, rounds, a.before)
    except (KafkaUnavailable, BrokerError, DaemonError, HoldError) as error:
        print(error, file=sys.stderr)
        return 1
    a.out.parent.mkdir(parents=True, exist_ok=True)
    a.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.formats", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="30,000 records and 2 rounds")
    parser.add_argument("--records", type=int, help="records of each format (default: 150,000)")
    parser.add_argument("--rounds", type=int, help="rounds of all measurements (default: 5)")
    parser.add_argument("--formats", nargs="+", choices=TRAFFIC, default=list(TRAFFIC))
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="an earlier version")
    parser.add_argument("--decode-only", action="store_true", help="without a broker")
    parser.add_argument("--out", type=Path, default=OUT, help="output file (JSON)")
    return parser


def run(
    path: Path, formats: Sequence[str], count: int, rounds: int, before: Path | None
) -> dict[str, Any]:
    """Return the results by format. path: of native records."""
    found = {}
    directory = path.parent
    with KafkaBroker(directory / "kafka", jvm=THROUGHPUT_JVM, heap="1g") as broker:
        for name in formats:
            traffic = TRAFFIC[name]
            broker.create_topic(name, PARTITIONS)
            lines = messages(traffic, records.read(path, count))
            records.load(broker.bootstrap, name, PARTITIONS, lines)
            job = Job(
                broker.bootstrap,
                name,
                PARTITIONS,
                count,
                {"source": "warmup", "records": WARM_UP},
                per_message=traffic.per_message,
            )
            older = before if name == NATIVE else None
            daemon = _daemon_rounds(job, traffic, directory, rounds, older)
            found[name] = {"decode": stage(traffic, path), "daemon": daemon}
            print(name, found[name], file=sys.stderr, flush=True)
    return found


def _daemon_rounds(
    job: Job, traffic: Traffic, directory: Path, rounds: int, before: Path | None
) -> dict[str, Any]:
    """Return the result of the loop, the daemon, and the daemon before."""
    contenders: dict[str, Measure] = {traffic.base: loop(traffic.base), DAEMON: measure}
    if before is not None:
        older = dataclasses.replace(job, root=before)
        contenders[BEFORE] = lambda _, folder: measure(older, folder)
    runs = {name: partial(each, job, directory) for name, each in contenders.items()}
    measured = interleaved(runs, rounds)
    result: dict[str, Any] = {}
    for field in ("wall_us", "cpu_us"):
        times = {name: [getattr(m, field) for m in row] for name, row in measured.items()}
        result[field] = summary(times, traffic.base)
    return result


def stage(traffic: Traffic, path: Path) -> dict[str, Any]:
    """Return the CPU time of the library and of the daemon's decoder, without Kafka."""
    payloads = list(messages(traffic, records.read(path, STAGE_RECORDS)))
    decoder = files.decoder_for(Config())
    logged = [LogMessage(payload, topic="bench") for payload in payloads]
    expected = STAGE_RECORDS // traffic.per_message * traffic.per_message
    parse = PARSERS[traffic.base]

    def decode() -> None:
        count = 0
        for start in range(0, len(payloads), BATCH):
            stop = start + BATCH
            found = decoder.many(payloads[start:stop], logged[start:stop].__getitem__)
            count += len(found.fields)
        assert count >= expected

    def read() -> None:
        for payload in payloads:
            parse(payload)

    work: dict[str, Callable[[], None]] = {traffic.base: read, DAEMON: decode}
    decode()
    times: dict[str, list[float]] = {name: [] for name in work}
    for number in range(STAGE_ROUNDS):
        names = list(work)
        for name in names[number % 2 :] + names[: number % 2]:
            started = time.process_time()
            work[name]()
            times[name].append(1e6 * (time.process_time() - started) / STAGE_RECORDS)
    size = sum(map(len, payloads)) / STAGE_RECORDS
    return {"record_bytes": round(size)} | summary(times, traffic.base)


def summary(times: dict[str, list[float]], base: str) -> dict[str, Any]:
    """Return the medians by contender, and how many times as fast as the base each is by round."""
    result: dict[str, Any] = {name: round(statistics.median(row), 2) for name, row in times.items()}
    for name, row in times.items():
        if name != base:
            ratios = [theirs / ours for theirs, ours in zip(times[base], row, strict=True)]
            result[f"{name}_ratio"] = round(statistics.median(ratios), 2)
            result[f"{name}_ratio_by_round"] = [round(each, 2) for each in ratios]
    return result


if __name__ == "__main__":
    sys.exit(main())

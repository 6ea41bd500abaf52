"""Measure the throughput of one daemon: `make bench`.

The benchmark starts a broker, loads a topic with records and measures in rounds. Each round
contains every contender once, in rotating order: loops around consume(), the daemon, Quix Streams
and Bytewax. Then follow the stages of the daemon, and the daemon with 1, 20 and 200 models. The
result contains the median over rounds and its range. A ratio is computed within a round, so that a
slow phase of the machine affects both sides. benchmarks/README.md describes each number.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.harness.daemon import DaemonError
from benchmarks.throughput import documents, records, tables
from benchmarks.throughput.benchmark import Benchmark, Plan
from benchmarks.throughput.group import HoldError
from tests.integration.broker import THROUGHPUT_JVM, BrokerError, KafkaBroker
from tests.integration.kafka_jars import KafkaUnavailable

OUT = Path(__file__).parents[1] / "results" / "throughput.json"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the tables and write the JSON; return 1 on failure."""
    a = _parser().parse_args(argv)
    count, rounds = (60_000, 2) if a.quick else (500_000, 5)
    plan = Plan(
        records=a.records or count,
        rounds=a.rounds or rounds,
        partitions=a.partitions,
        tool=a.make_records,
        model_rounds=a.model_rounds or a.rounds or rounds,
    )
    try:
        with tempfile.TemporaryDirectory(prefix="plumbline-bench-") as name:
            directory = Path(name)
            print(f"starting a broker in {directory}", file=sys.stderr, flush=True)
            with KafkaBroker(directory / "kafka", jvm=THROUGHPUT_JVM, heap="2g") as broker:
                result = Benchmark(plan, broker.bootstrap, directory).run(broker)
    except (KafkaUnavailable, BrokerError, DaemonError, HoldError) as error:
        print(error, file=sys.stderr)
        return 1
    a.out.parent.mkdir(parents=True, exist_ok=True)
    a.out.write_text(json.dumps(result, indent=2) + "\n")
    tables.show(result, Console())
    if a.out == OUT:
        documents.update(result)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.throughput", description=__doc__)
    parser.add_argument("--records", type=int, help="records per topic (default: 500,000)")
    parser.add_argument("--rounds", type=int, help="rounds of all measurements (default: 5)")
    parser.add_argument(
        "--model-rounds", type=int, help="rounds that also measure by number of models (all)"
    )
    parser.add_argument("--partitions", type=int, default=4, help="partitions of the log (4)")
    parser.add_argument("--out", type=Path, default=OUT, help="output file (JSON)")
    parser.add_argument(
        "--quick", action="store_true", help="60,000 records and 2 rounds: a first look only"
    )
    parser.add_argument(
        "--make-records",
        type=Path,
        default=records.TOOL,
        metavar="PATH",
        help="make_records.py; without this file, synthetic traffic is used",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""Measure restart time, the cost of checkpoints and memory per model: `make bench`.

The benchmark runs a real daemon (role detect, `kafka.instance` set) on a real broker, with 200
models and every default feature. It writes chunks to the feature topic directly, because ingest of
as many records would take long and is not measured.
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
from benchmarks.restart.benchmark import Benchmark, Plan
from benchmarks.restart.report import show
from monitor.detect.checkpoint import state_topic
from tests.integration.broker import THROUGHPUT_JVM, BrokerError, KafkaBroker
from tests.integration.kafka_jars import KafkaUnavailable

OUT = Path(__file__).parents[1] / "results" / "restart.json"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the tables and write the JSON; return 1 on failure."""
    parser = argparse.ArgumentParser(prog="benchmarks.restart", description=__doc__)
    parser.add_argument("--models", type=int, default=200, help="(default: 200)")
    parser.add_argument("--restarts", type=int, default=5, help="(default: 5)")
    parser.add_argument(
        "--pairs", type=int, default=4, help="runs with and without checkpoints (default: 4)"
    )
    parser.add_argument(
        "--records", type=int, default=3_000_000, help="records of one run (default: 3,000,000)"
    )
    parser.add_argument("--out", type=Path, default=OUT, help="output file (JSON)")
    a = parser.parse_args(argv)
    plan = Plan(models=a.models, restarts=a.restarts, pairs=a.pairs, records=a.records)
    try:
        with tempfile.TemporaryDirectory(prefix="plumbline-restart-") as name:
            directory = Path(name)
            with KafkaBroker(directory / "kafka", jvm=THROUGHPUT_JVM, heap="1g") as broker:
                result = Benchmark(plan, broker, directory).run()
    except (KafkaUnavailable, BrokerError, DaemonError, state_topic.StateError) as error:
        print(error, file=sys.stderr)
        return 1
    a.out.parent.mkdir(parents=True, exist_ok=True)
    a.out.write_text(json.dumps(result, indent=2) + "\n")
    show(result, Console())
    return 0


if __name__ == "__main__":
    sys.exit(main())

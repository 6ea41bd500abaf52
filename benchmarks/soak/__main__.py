"""Measure whether the daemon's memory stays flat over tens of millions of records: `make soak`.

The benchmark runs one daemon with both roles on a real broker. The records are small, for speed.
The log keeps adding new names of models, scores and categories, and malformed messages: the inputs
that make memory grow if a limit is missing.
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
from benchmarks.soak.benchmark import AHEAD, soak
from benchmarks.soak.report import show
from tests.integration.broker import THROUGHPUT_JVM, BrokerError, KafkaBroker
from tests.integration.kafka_jars import KafkaUnavailable

OUT = Path(__file__).parents[1] / "results" / "soak.json"
MB = 1 << 20
SMALL_DISK = {
    # Delete consumed segments at once, so that the soak does not fill the disk.
    "log.segment.bytes": str(32 * MB),
    "log.retention.bytes": str(256 * MB),
    "log.retention.check.interval.ms": "5000",
    "log.initial.task.delay.ms": "5000",
    "log.segment.delete.delay.ms": "1000",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the soak; return 0 if memory is flat and the counters are exact, else 1."""
    parser = argparse.ArgumentParser(prog="benchmarks.soak", description=__doc__)
    parser.add_argument("--records", type=int, default=20_000_000, help="(default: 20,000,000)")
    parser.add_argument(
        "--ahead",
        type=int,
        default=AHEAD,
        help="records that the producer may be ahead of detect (default: 100,000)",
    )
    parser.add_argument("--out", type=Path, default=OUT, help="output file (JSON)")
    a = parser.parse_args(argv)
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

"""Measure what judging, an experiment and feedback add to the daemon.

    python -m benchmarks.additions [--records N] [--rounds N] [--out FILE]

The daemon with ingest and detect reads the same topic with each of the configurations, in
interleaved rounds and rotating order; a ratio compares two runs of a round. Judging writes samples
of one record in a hundred, the experiment compares all records, and for feedback the keys of all
records are written. The roles that read these topics are processes of their own, and do not run.
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
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.harness.daemon import DaemonError
from benchmarks.harness.rounds import interleaved
from benchmarks.sampling.__main__ import JUDGES
from benchmarks.throughput import records
from benchmarks.throughput.group import HoldError
from benchmarks.throughput.measure import Job, Measurement, measure
from benchmarks.throughput.references import WARM_UP
from tests.integration.broker import THROUGHPUT_JVM, BrokerError, KafkaBroker
from tests.integration.kafka_jars import KafkaUnavailable

OUT: Final = Path(__file__).parent / "results" / "additions.json"
PARTITIONS: Final = 4
TOPIC: Final = "records"
JUDGING: Final[dict[str, Any]] = {"judges": JUDGES, "sampling": {"rate": 0.01}}
EXPERIMENT: Final[dict[str, Any]] = {
    "experiments": {
        "prompt": {
            "variants": {"control": 1, "treatment": 1},
            "unit": "request_id",
            "assignment": "hash",
            "goal": "latency_ms",
            "secondary": ["output_tokens"],
            "guardrails": ["error", "refusal"],
        }
    }
}
FEEDBACK: Final[dict[str, Any]] = {"feedback": {"join": {}}}
NOTHING: Final = "nothing"
CONFIGURATIONS: Final[dict[str, dict[str, Any]]] = {
    NOTHING: {},
    "judging": JUDGING,
    "experiment": EXPERIMENT,
    "feedback": FEEDBACK,
    "all three": JUDGING | EXPERIMENT | FEEDBACK,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write the result; return 1 on failure."""
    parser = argparse.ArgumentParser(prog="benchmarks.additions", description=__doc__)
    parser.add_argument("--records", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--make-records", type=Path, default=records.TOOL)
    parser.add_argument("--out", type=Path, default=OUT, help="output file (JSON)")
    a = parser.parse_args(argv)
    result: dict[str, Any] = {
        "records": a.records,
        "rounds": a.rounds,
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version()},
    }
    try:
        with tempfile.TemporaryDirectory(prefix="plumbline-bench-") as name:
            path = Path(name) / "records.jsonl"
            result["source"] = records.write(path, a.records, a.make_records)
            measured = _run(path, a.records, a.rounds)
    except (KafkaUnavailable, BrokerError, DaemonError, HoldError) as error:
        print(error, file=sys.stderr)
        return 1
    result["configurations"] = {name: _summary(row, measured) for name, row in measured.items()}
    a.out.write_text(json.dumps(result, indent=2) + "\n")
    for name, row in result["configurations"].items():
        low, high = row["wall_range"]
        print(
            f"{name:12} {row['wall_us']:6.2f} us a record, {row['wall_ratio']:.3f} times"
            f" ({low:.2f} to {high:.2f}), CPU {row['cpu_us']:.2f} us, {row['cpu_ratio']:.3f} times"
        )
    return 0


def _run(path: Path, count: int, rounds: int) -> dict[str, list[Measurement]]:
    """Return the measurements by configuration. path: of the records."""
    with KafkaBroker(path.parent / "kafka", jvm=THROUGHPUT_JVM, heap="1g") as broker:
        broker.create_topic(TOPIC, PARTITIONS)
        records.load(broker.bootstrap, TOPIC, PARTITIONS, records.read(path, count))
        warm_up = {"source": "warmup", "records": WARM_UP}
        job = Job(broker.bootstrap, TOPIC, PARTITIONS, count, warm_up)
        runs = {
            name: partial(measure, dataclasses.replace(job, settings=sections), path.parent)
            for name, sections in CONFIGURATIONS.items()
        }
        return interleaved(runs, rounds)


def _summary(
    row: Sequence[Measurement], measured: dict[str, list[Measurement]]
) -> dict[str, float | list[float]]:
    """Return the medians of a configuration, with the ratios to `NOTHING` by round."""
    pairs = list(zip(row, measured[NOTHING], strict=True))
    wall = [one.wall_us / base.wall_us for one, base in pairs]
    return {
        "wall_us": round(statistics.median(one.wall_us for one in row), 3),
        "wall_ratio": round(statistics.median(wall), 3),
        "wall_range": [round(min(wall), 3), round(max(wall), 3)],
        "cpu_us": round(statistics.median(one.cpu_us for one in row), 3),
        "cpu_ratio": round(statistics.median(o.cpu_us / b.cpu_us for o, b in pairs), 3),
    }


if __name__ == "__main__":
    sys.exit(main())

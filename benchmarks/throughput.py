"""How many records a second one daemon takes, beside loops that do far less; `make bench`.

A real broker, a topic of real records, and in turns: a bare consume() loop, consume + json.loads,
consume + orjson.loads, the whole daemon, its stages; then the daemon over 1, 20 and 200 models.
Medians of interleaved rounds; ratios are taken within a round, so that a machine that slows down
for a while slows down both sides. benchmarks/README.md says what each number means.
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
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import daemon, primed, records, tables
from benchmarks.consumers import MODES
from benchmarks.daemon import DaemonError, Job, Measured, Primer
from benchmarks.group import HoldError
from benchmarks.primed import WARM_UP
from monitor import columns
from monitor.columns import Columns
from tests.integration.broker import THROUGHPUT_JVM, BrokerError, KafkaBroker
from tests.integration.kafka_jars import KafkaUnavailable

OUT = Path(__file__).parent / "results" / "throughput.json"
MODELS = (1, 20, 200)
HEADLINE = "logs-1"
STAGE_RECORDS = 100_000


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured, and with which tool records are made."""

    records: int
    rounds: int
    partitions: int
    tool: Path | None


class Benchmark:
    """All measurements against one broker, in a temporary directory."""

    def __init__(self, plan: Plan, bootstrap: str, directory: Path) -> None:
        self.plan = plan
        self.bootstrap = bootstrap
        self.directory = directory
        self.started = time.monotonic()
        self.speeds: defaultdict[str, list[float]] = defaultdict(list)
        self.stages: defaultdict[str, list[float]] = defaultdict(list)
        self.headline: list[Measured] = []
        self.by_models: defaultdict[int, list[Measured]] = defaultdict(list)
        self.primer: list[Columns] = []

    def say(self, text: str) -> None:
        """Progress, for whoever waits."""
        print(f"[{time.monotonic() - self.started:4.0f} s] {text}", file=sys.stderr, flush=True)

    def run(self, broker: KafkaBroker) -> dict[str, Any]:
        """Measure everything; the result for programs."""
        path = self.directory / "records.jsonl"
        self.say(f"making {self.plan.records:,} records")
        count = self.plan.records
        source = records.write(path, count, self.plan.tool)
        self._load(broker, path)
        self.say("building references")
        names = {_topic(models): models for models in MODELS}
        self.primer = primed.references(path, self.directory, names)
        self._alternative("consume")  # unmeasured: warms the page cache and the broker's compiler
        self.speeds.clear()
        for number in range(1, self.plan.rounds + 1):
            self.say(f"round {number} of {self.plan.rounds}")
            self._round()
        size = path.stat().st_size / count
        return self._result(source, size)

    def _load(self, broker: KafkaBroker, path: Path) -> None:
        plan = self.plan
        for models in MODELS:
            topic = _topic(models)
            self.say(f"loading {plan.records:,} records of {models} models into {topic}")
            broker.create_topic(topic, plan.partitions)
            lines = records.spread(records.read(path, plan.records), models)
            records.load(self.bootstrap, topic, plan.partitions, lines)

    def _round(self) -> None:
        for mode in MODES:
            self._alternative(mode)
        job = self._job(HEADLINE, self.plan.records, {"source": "warmup", "records": WARM_UP})
        self.headline.append(measured := daemon.measure(job, self.directory))
        self.speeds["daemon"].append(1e6 / measured.wall_us)
        self._say_daemon("daemon", measured)
        self._measure_stages()
        for models in MODELS:
            self._measure_models(models)

    def _alternative(self, mode: str) -> None:
        arguments = [mode, self.bootstrap, HEADLINE, str(self.plan.records)]
        speed = float(daemon.children(["benchmarks.consumers", *arguments]))
        self.speeds[mode].append(speed)
        self.say(f"  {mode}: {speed:,.0f} records/s")

    def _measure_stages(self) -> None:
        count = min(self.plan.records, STAGE_RECORDS)
        arguments = ["benchmarks.stages", self.bootstrap, HEADLINE, str(count)]
        for stage, us in daemon.children(arguments).items():
            self.stages[stage].append(us)

    def _measure_models(self, models: int) -> None:
        names = [records.model_name(number) for number in range(models)]
        chunks = [
            (name, columns.encode(dataclasses.replace(piece, model=name)))
            for name in names
            for piece in self.primer
        ]
        directory = str(self.directory)
        job = dataclasses.replace(
            self._job(
                _topic(models),
                self.plan.records,
                {"source": "named", "name": _topic(models), "directory": directory},
            ),
            primer=Primer(chunks, sum(map(len, self.primer)) * models),
        )
        self.by_models[models].append(measured := daemon.measure(job, self.directory))
        self._say_daemon(f"{models} models", measured)

    def _job(self, topic: str, count: int, reference: dict[str, Any]) -> Job:
        return Job(self.bootstrap, topic, self.plan.partitions, count, reference)

    def _say_daemon(self, what: str, m: Measured) -> None:
        self.say(
            f"  {what}: {1e6 / m.wall_us:,.0f} records/s, {m.wall_us:.1f} us a record"
            f" (CPU {m.cpu_us:.1f} us), {m.rss_mb:.0f} MB"
        )

    def _result(self, source: str, record_bytes: float) -> dict[str, Any]:
        plan, speeds = self.plan, {name: _median(row) for name, row in self.speeds.items()}
        job = self._job(HEADLINE, plan.records, {"records": WARM_UP})
        return {
            "consume_per_s": round(speeds["consume"]),
            "json_loads_per_s": round(speeds["json_loads"]),
            "orjson_per_s": round(speeds["orjson"]),
            "json_loads_plain_per_s": round(speeds["json_loads_plain"]),
            "daemon_per_s": round(speeds["daemon"]),
            "ratios": {mode: round(_median(self._ratios(mode)), 3) for mode in MODES},
            "ratios_by_round": {
                mode: [round(ratio, 3) for ratio in self._ratios(mode)] for mode in MODES
            },
            "by_models": self._models_table("wall_us"),
            "by_models_cpu": self._models_table("cpu_us"),
            "by_models_ratio": {
                "wall": round(self._models_ratio("wall_us"), 3),
                "cpu": round(self._models_ratio("cpu_us"), 3),
            },
            "daemon_cpu_us": round(_median([m.cpu_us for m in self.headline]), 2),
            "stages_us": {name: round(_median(row), 3) for name, row in self.stages.items()},
            "rss_mb": round(_median([m.rss_mb for m in self.headline]), 1),
            "rss_mb_by_models": {
                str(models): round(_median([m.rss_mb for m in row]), 1)
                for models, row in self.by_models.items()
            },
            "evaluated_share": round(job.evaluated / plan.records, 4),
            "warm_up": WARM_UP,
            "source": source,
            "record_bytes": round(record_bytes),
            "records": plan.records,
            "partitions": plan.partitions,
            "rounds": plan.rounds,
            "machine": {"cpus": os.cpu_count(), "python": platform.python_version()},
        }

    def _ratios(self, mode: str) -> list[float]:
        pairs = zip(self.speeds["daemon"], self.speeds[mode], strict=True)
        return [ours / theirs for ours, theirs in pairs]

    def _models_table(self, what: str) -> dict[str, float]:
        return {
            str(models): round(_median([getattr(m, what) for m in row]), 2)
            for models, row in self.by_models.items()
        }

    def _models_ratio(self, what: str) -> float:
        """What a record costs with the most models over what it costs with one, by round."""
        most, one = self.by_models[MODELS[-1]], self.by_models[MODELS[0]]
        pairs = zip(most, one, strict=True)
        return _median([getattr(a, what) / getattr(b, what) for a, b in pairs])


def _topic(models: int) -> str:
    return f"logs-{models}"


def _median(values: Sequence[float]) -> float:
    return float(statistics.median(values))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table, write the JSON."""
    a = _parser().parse_args(argv)
    count, rounds = (60_000, 2) if a.quick else (800_000, 3)
    plan = Plan(
        records=a.records or count,
        rounds=a.rounds or rounds,
        partitions=a.partitions,
        tool=a.make_records,
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
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.throughput", description=__doc__)
    parser.add_argument("--records", type=int, help="in the main topic (default: 800,000)")
    parser.add_argument("--rounds", type=int, help="of all measurements (default: 3)")
    parser.add_argument("--partitions", type=int, default=4, help="of the log (default: 4)")
    parser.add_argument("--out", type=Path, default=OUT, help="where the JSON goes")
    parser.add_argument(
        "--quick", action="store_true", help="60,000 records, 2 rounds: a look, not a result"
    )
    parser.add_argument(
        "--make-records",
        type=Path,
        default=records.TOOL,
        metavar="PATH",
        help="make_records.py; where it is not there, made traffic is taken",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())

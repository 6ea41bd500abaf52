"""All measurements of the throughput benchmark, in interleaved rounds."""

from __future__ import annotations

import dataclasses
import math
import os
import platform
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness.daemon import run_module
from benchmarks.harness.messages import model_name
from benchmarks.throughput import records
from benchmarks.throughput.contenders import (
    BASE,
    CONTENDERS,
    DAEMON,
    Contender,
    available,
    rotated,
)
from benchmarks.throughput.measure import Job, Measurement, Primer, measure
from benchmarks.throughput.references import WARM_UP, save_references
from monitor.ingest.chunks.chunk import encode_chunk
from monitor.ingest.chunks.columns import Columns
from tests.integration.broker import KafkaBroker

MODELS = (1, 20, 200)
HEADLINE = "logs-1"
STAGE_RECORDS = 100_000


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """Size of the run, and the tool that produces records.

    model_rounds: rounds that also measure the daemon by number of models; they take most time.
    """

    records: int
    rounds: int
    partitions: int
    tool: Path | None
    model_rounds: int


class Benchmark:
    """All measurements against one broker, in a temporary directory."""

    def __init__(self, plan: Plan, bootstrap: str, directory: Path) -> None:
        self.plan = plan
        self.bootstrap = bootstrap
        self.directory = directory
        self.started = time.monotonic()
        self.contenders = available()
        self.measured: defaultdict[str, list[Measurement]] = defaultdict(list)
        self.load: list[float] = []
        self.stages: defaultdict[str, list[float]] = defaultdict(list)
        self.by_models: defaultdict[int, list[Measurement]] = defaultdict(list)
        self.primer: list[Columns] = []

    def report(self, text: str) -> None:
        """Print progress to stderr."""
        print(f"[{time.monotonic() - self.started:4.0f} s] {text}", file=sys.stderr, flush=True)

    def run(self, broker: KafkaBroker) -> dict[str, Any]:
        """Run all measurements and return the result for the JSON file."""
        path = self.directory / "records.jsonl"
        count = self.plan.records
        self.report(f"writing {count:,} records")
        source = records.write(path, count, self.plan.tool)
        self._load(broker, path)
        self.report("building references")
        names = {_topic(models): models for models in MODELS}
        self.primer = save_references(path, self.directory, names)
        # Discarded: it warms the page cache and the broker's compiler.
        self.contenders[0].measure(self._headline_job(), self.directory)
        for contender in CONTENDERS:
            if contender not in self.contenders:
                self.report(f"left out: {contender.title} (run make streaming-peers)")
        for number in range(self.plan.rounds):
            self.load.append(os.getloadavg()[0])
            self.report(f"round {number + 1} of {self.plan.rounds}, load {self.load[-1]:.1f}")
            self._round(number)
        size = path.stat().st_size / count
        return self._result(source, size)

    def _load(self, broker: KafkaBroker, path: Path) -> None:
        plan = self.plan
        for models in MODELS:
            topic = _topic(models)
            self.report(f"loading {plan.records:,} records of {models} models into {topic}")
            broker.create_topic(topic, plan.partitions)
            lines = records.spread(records.read(path, plan.records), models)
            records.load(self.bootstrap, topic, plan.partitions, lines)

    def _round(self, number: int) -> None:
        for contender in rotated(self.contenders, number, self.plan.rounds):
            measured = contender.measure(self._headline_job(), self.directory)
            self.measured[contender.name].append(measured)
            self._report(contender.name, measured)
        self._measure_stages()
        if number < self.plan.model_rounds:
            for models in MODELS:
                self._measure_models(models)

    def _measure_stages(self) -> None:
        count = min(self.plan.records, STAGE_RECORDS)
        arguments = ["benchmarks.throughput.stages", self.bootstrap, HEADLINE, str(count)]
        for stage, us in run_module(arguments).items():
            self.stages[stage].append(us)

    def _measure_models(self, models: int) -> None:
        names = [model_name(number) for number in range(models)]
        chunks = [
            (name, encode_chunk(dataclasses.replace(piece, model=name)))
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
        self.by_models[models].append(measured := measure(job, self.directory))
        self._report(f"{models} models", measured)

    def _headline_job(self) -> Job:
        return self._job(HEADLINE, self.plan.records, {"source": "warmup", "records": WARM_UP})

    def _job(self, topic: str, count: int, reference: dict[str, Any]) -> Job:
        return Job(self.bootstrap, topic, self.plan.partitions, count, reference)

    def _report(self, name: str, m: Measurement) -> None:
        memory = "" if math.isnan(m.rss_mb) else f", {m.rss_mb:.0f} MB"
        self.report(
            f"  {name}: {1e6 / m.wall_us:,.0f} records/s, {m.wall_us:.1f} us per record"
            f" (CPU {m.cpu_us:.1f} us{memory})"
        )

    def _result(self, source: str, record_bytes: float) -> dict[str, Any]:
        plan, headline = self.plan, self.measured[DAEMON]
        return {
            "contenders": {c.name: self.contender_result(c) for c in self.contenders},
            "by_models": self._models_table("wall_us"),
            "by_models_cpu": self._models_table("cpu_us"),
            "by_models_ratio": {
                "wall": round(self._models_ratio("wall_us"), 3),
                "cpu": round(self._models_ratio("cpu_us"), 3),
            },
            "daemon_cpu_us": round(_median([m.cpu_us for m in headline]), 2),
            "stages_us": {name: round(_median(row), 3) for name, row in self.stages.items()},
            "rss_mb": round(_median([m.rss_mb for m in headline]), 1),
            "rss_mb_by_models": {
                str(models): round(_median([m.rss_mb for m in row]), 1)
                for models, row in self.by_models.items()
            },
            "evaluated_share": round(self._headline_job().evaluated / plan.records, 4),
            "warm_up": WARM_UP,
            "source": source,
            "record_bytes": round(record_bytes),
            "records": plan.records,
            "partitions": plan.partitions,
            "rounds": plan.rounds,
            "model_rounds": len(self.by_models[MODELS[0]]),
            "load_by_round": [round(load, 1) for load in self.load],
            "machine": {"cpus": os.cpu_count(), "python": platform.python_version()},
        }

    def contender_result(self, contender: Contender) -> dict[str, Any]:
        """Return the speed of a contender, and its ratio to BASE and to the daemon by round."""
        speeds = self._speeds(contender.name)
        return {
            "title": contender.title,
            "state": contender.state,
            "per_s": _summary(speeds, 0),
            "cpu_us": _summary([m.cpu_us for m in self.measured[contender.name]], 2),
            "per_s_by_round": [round(speed) for speed in speeds],
            "relative": _summary(_ratios(speeds, self._speeds(BASE)), 3),
            "daemon_relative": _summary(_ratios(self._speeds(DAEMON), speeds), 3),
        }

    def _speeds(self, name: str) -> list[float]:
        return [1e6 / m.wall_us for m in self.measured[name]]

    def _models_table(self, field: str) -> dict[str, float]:
        return {
            str(models): round(_median([getattr(m, field) for m in row]), 2)
            for models, row in self.by_models.items()
        }

    def _models_ratio(self, field: str) -> float:
        """Return the cost per record with most models / with one: the median over rounds."""
        most, one = self.by_models[MODELS[-1]], self.by_models[MODELS[0]]
        pairs = zip(most, one, strict=True)
        return _median([getattr(a, field) / getattr(b, field) for a, b in pairs])


def _topic(models: int) -> str:
    return f"logs-{models}"


def _ratios(speeds: Sequence[float], others: Sequence[float]) -> list[float]:
    return [mine / other for mine, other in zip(speeds, others, strict=True)]


def _summary(values: Sequence[float], digits: int) -> dict[str, float]:
    """Return the median over rounds and its range."""
    found = {"median": _median(values), "min": min(values), "max": max(values)}
    return {name: round(value, digits or None) for name, value in found.items()}


def _median(values: Sequence[float]) -> float:
    return float(statistics.median(values))

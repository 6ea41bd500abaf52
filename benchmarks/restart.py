"""What durability costs: a restart, a checkpoint every five seconds, the memory of a model.

A real daemon (role detect, `kafka.instance` set) on a real broker, 200 models with every default
feature. Chunks are written straight into the feature topic, since a log of so many records would
take long to read and is not what is asked about. A run of the second part begins where the one
before it ended, from its checkpoint: otherwise the first checkpoint, which alone holds the
references, would be most of what is measured.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka import Producer
from rich.console import Console
from rich.table import Table

from benchmarks.daemon import START_SECONDS, Daemon, DaemonError
from benchmarks.records import model_name
from benchmarks.soak import counters, running
from detectors.window import Window
from monitor import columns, kafka, reference, state
from monitor.columns import CategoryColumn, Columns
from monitor.config import Config, KafkaConfig
from monitor.features import BINARY, CATEGORICAL, NUMERIC
from monitor.kafka import Topics
from monitor.reference import Profile
from monitor.segments import WHOLE
from monitor.watch import Watch
from monitor.windows import StrideBuffer
from tests.integration.broker import THROUGHPUT_JVM, BrokerError, KafkaBroker
from tests.integration.kafka_jars import KafkaUnavailable

OUT = Path(__file__).parent / "results" / "restart.json"
WARM_UP = 10_000
BEFORE = WARM_UP + 1_050
"""Records of a model before the first restart: reference, window, and a stride half full."""
ROWS = 40_000
"""Different records; each model begins at another one of them."""
CHUNK = (25, 100)
START = 1_760_000_000.0
RATE = 10.0
ON, OFF = 5.0, 1e6
"""checkpoint_seconds with checkpoints and, in effect, without."""
MOST_SECONDS, MOST_COST = 5.0, 0.05
IDLE_SECONDS = 0.5
"""A daemon that has used no CPU for so long has nothing left to do."""
SAMPLED_WATCHES = 50
STOPPED_SECONDS = 300.0
FEATURES = len(NUMERIC) + len(BINARY) + len(CATEGORICAL)


@dataclass(frozen=True, slots=True)
class Plan:
    """records: of all models together in one run of the second part."""

    models: int
    restarts: int
    pairs: int
    records: int


@dataclass(frozen=True, slots=True)
class Restart:
    """ready: seconds from the start of the process to /readyz; restoring: seconds it logged."""

    ready: float
    restoring: float


@dataclass(frozen=True, slots=True)
class Run:
    """One stretch of chunks: seconds by the clock and of CPU, bytes of its checkpoints."""

    wall: float
    cpu: float
    state_bytes: float
    checkpoint_seconds: float


def sample(seed: int = 0) -> Columns:
    """Steady traffic with every default feature, in the order in which ingest writes them."""
    rng = np.random.default_rng(seed)
    latency = rng.lognormal(6.5, 0.4, ROWS).round(1)
    output = rng.lognormal(5, 0.5, ROWS).round()
    rows = {
        "latency_ms": latency,
        "time_to_first_token_ms": rng.lognormal(5, 0.3, ROWS).round(1),
        "input_tokens": rng.lognormal(6, 0.6, ROWS).round(),
        "output_tokens": output,
        "tokens_per_second": output / (latency / 1000),
        "cost_usd": output * 1.5e-5,
        "prompt_chars": rng.lognormal(7.4, 0.6, ROWS).round(),
        "response_chars": (output * rng.normal(4, 0.3, ROWS)).round(),
        "empty_response": (rng.random(ROWS) < 0.01) * 1.0,
        "error": (rng.random(ROWS) < 0.02) * 1.0,
        "refusal": (rng.random(ROWS) < 0.03) * 1.0,
    }
    numeric = tuple(sorted(NUMERIC))
    reasons = rng.choice(3, ROWS, p=[0.85, 0.12, 0.03]).astype(np.int16)
    return Columns(
        "",
        np.arange(ROWS, dtype=np.int64),
        np.zeros(ROWS),
        numeric,
        BINARY,
        np.array([rows[name] for name in (*numeric, *BINARY)]),
        (CategoryColumn(CATEGORICAL[0], ("stop", "length", "content_filter"), reasons),),
    )


def piece(of: Columns, model: int, start: int, size: int) -> Columns:
    """Records `start` to `start + size` of a model."""
    at = np.arange(start, start + size)
    taken = of.take((at + model * 7919) % ROWS)
    return Columns(
        model_name(model),
        at + 1,
        START + at / RATE,
        taken.numeric,
        taken.binary,
        taken.values,
        taken.categories,
    )


def stretch(of: Columns, models: int, each: int) -> list[tuple[bytes, bytes]]:
    """Chunks as ingest writes them where many models share a log: small, and all mixed up."""
    rng = random.Random(0)

    def of_model(model: int) -> Iterator[tuple[bytes, bytes]]:
        start, end = BEFORE, BEFORE + each
        while start < end:
            size = min(rng.randint(*CHUNK), end - start)
            chunk = piece(of, model, start, size)
            yield chunk.model.encode(), columns.encode(chunk)
            start += size

    turns = itertools.zip_longest(*(of_model(model) for model in range(models)))
    return [chunk for turn in turns for chunk in turn if chunk is not None]


class Benchmark:
    """All measurements against one broker, in a temporary directory."""

    def __init__(self, plan: Plan, broker: KafkaBroker, directory: Path) -> None:
        self.plan = plan
        self.broker = broker
        self.directory = directory
        self.kafka = KafkaConfig(
            bootstrap_servers=broker.bootstrap, prefix="restart", instance="bench"
        )
        self.started = time.monotonic()
        self.sample = sample()

    def say(self, text: str) -> None:
        """Progress, for whoever waits."""
        print(f"[{time.monotonic() - self.started:4.0f} s] {text}", file=sys.stderr, flush=True)

    def run(self) -> dict[str, Any]:
        """Measure everything; the result for programs."""
        self.say("memory of watches")
        bytes_each = memory(self.sample)
        self._fill()
        restarts = [self._restart() for _ in range(self.plan.restarts)]
        live, stored = self._state_bytes()
        runs = self._runs()
        return _result(self.plan, restarts, (live, stored), runs, bytes_each)

    @contextmanager
    def _daemon(self, checkpoint_seconds: float = ON) -> Iterator[Daemon]:
        """A daemon that is stopped in order, with a checkpoint, or else fails the benchmark."""
        settings = {
            "kafka": self.kafka.model_dump(
                include={"bootstrap_servers", "prefix", "instance"}, mode="json"
            ),
            "reference": {"source": "warmup", "records": WARM_UP},
            "state": {"checkpoint_seconds": checkpoint_seconds},
            "http": {"port": 0},
            "log": {"format": "json"},
        }
        with running(settings, self.directory, "detect") as daemon:
            yield daemon
            daemon.process.terminate()
            if code := daemon.process.wait(STOPPED_SECONDS):
                raise DaemonError(
                    f"the daemon ended with {code}:\n{daemon.log.read_text()[-2000:]}"
                )

    def _fill(self) -> None:
        """Give every model its reference and a full window, and have that checkpointed."""
        self.say(f"filling the windows of {self.plan.models} models")
        with self._daemon() as daemon:
            daemon.wait("ready", daemon.ready, START_SECONDS)  # it has made the topics by then
            self._produce(
                (model_name(model).encode(), columns.encode(piece(self.sample, model, at, size)))
                for at in range(0, BEFORE, 1000)
                for size in [min(1000, BEFORE - at)]
                for model in range(self.plan.models)
            )
            goal = self.plan.models * BEFORE
            daemon.wait("filled", lambda: daemon.watched() >= goal, 300, 1.0)

    def _restart(self) -> Restart:
        started = time.perf_counter()
        with self._daemon() as daemon:
            daemon.wait("ready", daemon.ready, START_SECONDS, 0.02)
            seconds = time.perf_counter() - started
            lines = map(json.loads, daemon.log.read_text().splitlines())
            restored = [line for line in lines if line.get("event") == "state restored"]
        watches = sum(line["watches"] for line in restored)
        if watches != self.plan.models:
            raise DaemonError(f"{watches} of {self.plan.models} models were restored")
        measured = Restart(seconds, sum(line["seconds"] for line in restored))
        self.say(f"  ready after {seconds:.2f} s, of which restoring {measured.restoring:.2f} s")
        return measured

    def _state_bytes(self) -> tuple[int, int]:
        """Bytes of the newest value of every key, and of all that lies in the topic's files."""
        topic = Topics(self.kafka.prefix).state
        live = sum(
            len(key) + len(value)
            for number in range(self.kafka.partitions)
            for key, value in kafka.read_compacted(self.kafka, topic, number, _nothing).items()
        )
        files = self.broker.directory.rglob(f"{topic}-*/*.log")
        return live, sum(file.stat().st_size for file in files)

    def _runs(self) -> dict[float, list[Run]]:
        each = max(1, self.plan.records // self.plan.models)
        chunks = stretch(self.sample, self.plan.models, each)
        goal = each * self.plan.models
        runs: defaultdict[float, list[Run]] = defaultdict(list)
        for number in range(self.plan.pairs):
            self.say(f"pair {number + 1} of {self.plan.pairs}")
            for seconds in (ON, OFF) if number % 2 else (OFF, ON):  # neither is always the first
                runs[seconds].append(self._follow(chunks, goal, seconds))
        return runs

    def _follow(
        self, chunks: Sequence[tuple[bytes, bytes]], goal: int, checkpoint_seconds: float
    ) -> Run:
        """How long detect takes for the stretch, which is there before it starts."""
        self._produce(chunks)
        with self._daemon(checkpoint_seconds) as daemon:
            daemon.wait("ready", daemon.ready, START_SECONDS, 0.02)
            started, cpu = time.perf_counter(), daemon.cpu_seconds()
            ended, cpu_ended = _idle(daemon, lambda: daemon.watched() >= goal)
            sums = counters(daemon)
            run = Run(
                ended - started,
                cpu_ended - cpu,
                sums["plumbline_checkpoint_bytes_total"],
                sums["plumbline_checkpoint_seconds"],
            )
        what = "with" if checkpoint_seconds == ON else "without"
        self.say(
            f"  {what} checkpoints: {goal / run.wall:,.0f} records/s, {run.cpu:.2f} s of CPU,"
            f" {run.state_bytes / 1e6:.0f} MB written"
        )
        return run

    def _produce(
        self, chunks: Iterator[tuple[bytes, bytes]] | Sequence[tuple[bytes, bytes]]
    ) -> None:
        settings = kafka.producer_settings(self.kafka, "bench", transactional=False)
        producer = Producer(settings)
        topic = Topics(self.kafka.prefix).features
        for key, chunk in chunks:
            while True:
                try:
                    producer.produce(topic, chunk, key)
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
        if producer.flush(120):
            raise DaemonError("not all chunks were taken")


def _nothing() -> None:
    """Nothing waits for this program's beats."""


def _idle(daemon: Daemon, done: Callable[[], bool]) -> tuple[float, float]:
    """The time and the CPU seconds at which the daemon last did something, once it is done.

    It is asked only when it seems to be: with 200 models an answer costs it much.
    """
    busy, cpu = time.perf_counter(), daemon.cpu_seconds()
    deadline = time.monotonic() + STOPPED_SECONDS
    while time.monotonic() < deadline:
        daemon.check()
        time.sleep(0.02)
        now, used = time.perf_counter(), daemon.cpu_seconds()
        if used - cpu > 0.015:  # more than what an idle one needs for its heartbeats
            busy, cpu = now, used
        elif now - busy > IDLE_SECONDS:
            if done():
                return busy, cpu
            busy, cpu = time.perf_counter(), daemon.cpu_seconds()
    raise DaemonError(f"not done after {STOPPED_SECONDS:g} s")


def memory(of: Columns) -> dict[str, float]:
    """Bytes a watch of one model by what they are for, as tracemalloc sees them."""
    config = Config()
    windows = config.windows
    accepted = [piece(of, 0, 0, WARM_UP)]
    profile = reference.build(
        accepted, segment=WHOLE, window=windows.records, categories=config.limits.categories
    )
    payload = profile.encode()
    newer = [piece(of, 0, WARM_UP + at, 50) for at in range(0, 2 * windows.records + 50, 50)]

    def watch(own: Profile) -> Watch:
        made = Watch("model", WHOLE, config, lambda: RATE)
        made.adopt(own)
        for chunk in newer:
            made.feed(chunk)
        return made

    watch(profile)  # whatever is worked out once for all is there by now
    shared = _traced(lambda: watch(profile))
    own = _traced(lambda: watch(Profile.decode(payload)))
    baseline = profile.baseline
    window = _traced(lambda: Window(baseline, windows.records, windows.stride))
    buffer = _traced(lambda: StrideBuffer(baseline, windows.stride))
    return {
        "window": window,
        "buffer": buffer,
        "detectors_and_rest": shared - window - buffer,
        "watch": shared,
        "reference": own - shared,
        "reference_encoded": len(payload),
    }


def _traced(make: Callable[[], object]) -> float:
    """Bytes that one of many such objects holds on to."""
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        kept = [make() for _ in range(SAMPLED_WATCHES)]
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        return (after - before) / len(kept)
    finally:
        tracemalloc.stop()


def _result(
    plan: Plan,
    restarts: Sequence[Restart],
    state_bytes: tuple[int, int],
    runs: dict[float, list[Run]],
    bytes_each: dict[str, float],
) -> dict[str, Any]:
    on, off = runs[ON], runs[OFF]
    pairs = list(zip(on, off, strict=True))
    records = max(1, plan.records // plan.models) * plan.models
    wall = [with_.wall / without.wall - 1 for with_, without in pairs]
    cpu = [with_.cpu / max(without.cpu, 0.01) - 1 for with_, without in pairs]
    took = statistics.median(run.checkpoint_seconds for run in on)
    ready = statistics.median(restart.ready for restart in restarts)
    return {
        "models": plan.models,
        "features": FEATURES,
        "reference_records": WARM_UP,
        "restart": {
            "ready_s": round(ready, 3),
            "restoring_s": round(statistics.median(r.restoring for r in restarts), 3),
            "most_s": MOST_SECONDS,
            "ready_s_by_restart": [round(restart.ready, 3) for restart in restarts],
            "restoring_s_by_restart": [round(restart.restoring, 3) for restart in restarts],
            "state_bytes": state_bytes[0],
            "state_topic_bytes": state_bytes[1],
        },
        "checkpoints": {
            "every_s": ON,
            "records": records,
            "with_per_s": round(records / statistics.median(run.wall for run in on)),
            "without_per_s": round(records / statistics.median(run.wall for run in off)),
            "cpu_s_with": [round(run.cpu, 2) for run in on],
            "cpu_s_without": [round(run.cpu, 2) for run in off],
            "wall_s_with": [round(run.wall, 2) for run in on],
            "wall_s_without": [round(run.wall, 2) for run in off],
            "cost_wall": round(statistics.median(wall), 4),
            "cost_cpu": round(statistics.median(cpu), 4),
            "cost_wall_by_pair": [round(cost, 4) for cost in wall],
            "cost_cpu_by_pair": [round(cost, 4) for cost in cpu],
            "most_cost": MOST_COST,
            "bytes_with": [round(run.state_bytes) for run in on],
            "last_checkpoint_s": round(took, 4),
            "share_of_time": round(took / (ON + took), 4),
        },
        "memory": {
            "window_records": Config().windows.records,
            "bytes_per_model": {name: round(size) for name, size in bytes_each.items()},
            "bytes_per_model_feature": {
                name: round(size / FEATURES) for name, size in bytes_each.items()
            },
        },
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version()},
    }


def show(result: dict[str, Any], console: Console) -> None:
    """The result for people."""
    restart, cost = result["restart"], result["checkpoints"]
    table = Table(
        title=f"{result['models']} models, {result['features']} features", title_justify="left"
    )
    for column in ("", "measured", "target"):
        table.add_column(column, justify="right" if column else "left")
    for row in (
        ("restart: start to ready", f"{restart['ready_s']:.2f} s", f"<= {MOST_SECONDS:g} s"),
        ("restart: restoring alone", f"{restart['restoring_s']:.2f} s", ""),
        ("state", f"{restart['state_bytes'] / 1e6:.1f} MB", ""),
        ("state topic on disk", f"{restart['state_topic_bytes'] / 1e6:.1f} MB", ""),
        ("detect without checkpoints", f"{cost['without_per_s']:,} records/s", ""),
        (f"... with one every {ON:g} s", f"{cost['with_per_s']:,} records/s", ""),
        ("checkpoints cost, wall", f"{cost['cost_wall']:+.1%}", f"<= {MOST_COST:.0%}"),
        ("checkpoints cost, CPU", f"{cost['cost_cpu']:+.1%}", f"<= {MOST_COST:.0%}"),
        ("the last checkpoint took", f"{cost['last_checkpoint_s'] * 1000:.0f} ms", ""),
        ("... of the time until the next", f"{cost['share_of_time']:.1%}", ""),
    ):
        table.add_row(*row)
    console.print(table)
    sizes = result["memory"]["bytes_per_model_feature"]
    table = Table(title="Bytes per model and feature", title_justify="left")
    table.add_column("")
    table.add_column("bytes", justify="right")
    for name, size in sizes.items():
        table.add_row(name.replace("_", " "), f"{size:,}")
    console.print(table)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.restart", description=__doc__)
    parser.add_argument("--models", type=int, default=200, help="(default: 200)")
    parser.add_argument("--restarts", type=int, default=5, help="(default: 5)")
    parser.add_argument("--pairs", type=int, default=4, help="with and without (default: 4)")
    parser.add_argument(
        "--records", type=int, default=3_000_000, help="of one run (default: 3,000,000)"
    )
    parser.add_argument("--out", type=Path, default=OUT, help="where the JSON goes")
    a = parser.parse_args(argv)
    plan = Plan(models=a.models, restarts=a.restarts, pairs=a.pairs, records=a.records)
    try:
        with tempfile.TemporaryDirectory(prefix="plumbline-restart-") as name:
            directory = Path(name)
            with KafkaBroker(directory / "kafka", jvm=THROUGHPUT_JVM, heap="1g") as broker:
                result = Benchmark(plan, broker, directory).run()
    except (KafkaUnavailable, BrokerError, DaemonError, state.StateError) as error:
        print(error, file=sys.stderr)
        return 1
    a.out.parent.mkdir(parents=True, exist_ok=True)
    a.out.write_text(json.dumps(result, indent=2) + "\n")
    show(result, Console())
    return 0


if __name__ == "__main__":
    sys.exit(main())

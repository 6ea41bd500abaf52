"""The result of the restart benchmark, as JSON and as tables."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.restart.traffic import FEATURES, WARM_UP
from monitor.config.schema import Config

ON, OFF = 5.0, 1e6
"""Values of checkpoint_seconds: with checkpoints, and in effect without."""
MAX_RESTART_SECONDS, MAX_COST = 5.0, 0.05


@dataclass(frozen=True, slots=True)
class Restart:
    """ready: seconds from the start of the process to /readyz; restoring: seconds it logged."""

    ready: float
    restoring: float


@dataclass(frozen=True, slots=True)
class Run:
    """Wall and CPU seconds of one run over the chunks, and the cost of its checkpoints.

    state_bytes: bytes of all checkpoints. checkpoint_seconds: duration of the last one.
    """

    wall: float
    cpu: float
    state_bytes: float
    checkpoint_seconds: float


@dataclass(frozen=True, slots=True)
class Measurements:
    """All measurements of one benchmark.

    records: records of one run, all models together. live_bytes: bytes of the newest value of
    every key of the state topic. topic_bytes: bytes of the topic's files. runs: runs by
    checkpoint_seconds. watch_bytes: bytes of one model's watch by component.
    """

    models: int
    records: int
    restarts: Sequence[Restart]
    live_bytes: int
    topic_bytes: int
    runs: Mapping[float, Sequence[Run]]
    watch_bytes: Mapping[str, float]


def result(m: Measurements) -> dict[str, Any]:
    """Return the result for the JSON file."""
    return {
        "models": m.models,
        "features": FEATURES,
        "reference_records": WARM_UP,
        "restart": _restart(m),
        "checkpoints": _checkpoints(m),
        "memory": {
            "window_records": Config().windows.records,
            "bytes_per_model": {name: round(size) for name, size in m.watch_bytes.items()},
            "bytes_per_model_feature": {
                name: round(size / FEATURES) for name, size in m.watch_bytes.items()
            },
        },
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version()},
    }


def _restart(m: Measurements) -> dict[str, Any]:
    ready = [restart.ready for restart in m.restarts]
    restoring = [restart.restoring for restart in m.restarts]
    return {
        "ready_s": round(statistics.median(ready), 3),
        "restoring_s": round(statistics.median(restoring), 3),
        "most_s": MAX_RESTART_SECONDS,
        "ready_s_by_restart": [round(seconds, 3) for seconds in ready],
        "restoring_s_by_restart": [round(seconds, 3) for seconds in restoring],
        "state_bytes": m.live_bytes,
        "state_topic_bytes": m.topic_bytes,
    }


def _checkpoints(m: Measurements) -> dict[str, Any]:
    on, off = m.runs[ON], m.runs[OFF]
    pairs = list(zip(on, off, strict=True))
    wall = [with_.wall / without.wall - 1 for with_, without in pairs]
    cpu = [with_.cpu / max(without.cpu, 0.01) - 1 for with_, without in pairs]
    last = statistics.median(run.checkpoint_seconds for run in on)
    return {
        "every_s": ON,
        "records": m.records,
        "with_per_s": round(m.records / statistics.median(run.wall for run in on)),
        "without_per_s": round(m.records / statistics.median(run.wall for run in off)),
        "cpu_s_with": [round(run.cpu, 2) for run in on],
        "cpu_s_without": [round(run.cpu, 2) for run in off],
        "wall_s_with": [round(run.wall, 2) for run in on],
        "wall_s_without": [round(run.wall, 2) for run in off],
        "cost_wall": round(statistics.median(wall), 4),
        "cost_cpu": round(statistics.median(cpu), 4),
        "cost_wall_by_pair": [round(cost, 4) for cost in wall],
        "cost_cpu_by_pair": [round(cost, 4) for cost in cpu],
        "most_cost": MAX_COST,
        "bytes_with": [round(run.state_bytes) for run in on],
        "last_checkpoint_s": round(last, 4),
        "share_of_time": round(last / (ON + last), 4),
    }


def show(result: dict[str, Any], console: Console) -> None:
    """Print the result."""
    restart, cost = result["restart"], result["checkpoints"]
    table = Table(
        title=f"{result['models']} models, {result['features']} features", title_justify="left"
    )
    for column in ("", "measured", "target"):
        table.add_column(column, justify="right" if column else "left")
    for row in (
        ("restart: start to ready", f"{restart['ready_s']:.2f} s", f"<= {MAX_RESTART_SECONDS:g} s"),
        ("restart: restoring state", f"{restart['restoring_s']:.2f} s", ""),
        ("state", f"{restart['state_bytes'] / 1e6:.1f} MB", ""),
        ("state topic on disk", f"{restart['state_topic_bytes'] / 1e6:.1f} MB", ""),
        ("detect without checkpoints", f"{cost['without_per_s']:,} records/s", ""),
        (f"... with one every {ON:g} s", f"{cost['with_per_s']:,} records/s", ""),
        ("cost of checkpoints, wall", f"{cost['cost_wall']:+.1%}", f"<= {MAX_COST:.0%}"),
        ("cost of checkpoints, CPU", f"{cost['cost_cpu']:+.1%}", f"<= {MAX_COST:.0%}"),
        ("duration of the last checkpoint", f"{cost['last_checkpoint_s'] * 1000:.0f} ms", ""),
        ("... share of the checkpoint interval", f"{cost['share_of_time']:.1%}", ""),
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

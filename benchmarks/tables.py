"""The benchmark's result as tables for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table


def show(result: dict[str, Any], console: Console) -> None:
    """The result for people."""
    speeds = Table(title="One daemon beside loops over the same topic", title_justify="left")
    for column in ("", "records/s", "us a record", "daemon / this"):
        speeds.add_column(column, justify="right" if column else "left")
    for mode, key, name in (
        ("consume", "consume_per_s", "consume()"),
        ("json_loads", "json_loads_per_s", "consume() + json.loads"),
        ("orjson", "orjson_per_s", "consume() + orjson.loads"),
        ("json_loads_plain", "json_loads_plain_per_s", "... json.loads, untuned client"),
        ("", "daemon_per_s", "plumbline, ingest and detect"),
    ):
        ratio = f"{result['ratios'][mode]:.2f}" if mode else ""
        speeds.add_row(name, f"{result[key]:,}", f"{1e6 / result[key]:.1f}", ratio)
    console.print(speeds)

    models = Table(title="Microseconds a record by number of models", title_justify="left")
    for column in ("models", "wall", "CPU", "peak MB"):
        models.add_column(column, justify="right")
    for key, wall in result["by_models"].items():
        cpu, rss = result["by_models_cpu"][key], result["rss_mb_by_models"][key]
        models.add_row(key, f"{wall:.1f}", f"{cpu:.1f}", f"{rss:.0f}")
    console.print(models)
    ratio = result["by_models_ratio"]
    console.print(f"200 models over 1: wall {ratio['wall']:.2f}, CPU {ratio['cpu']:.2f}")

    stages = Table(title="Stages, one after the other in one thread", title_justify="left")
    stages.add_column("stage")
    stages.add_column("us a record", justify="right")
    for stage, us in result["stages_us"].items():
        stages.add_row(stage, f"{us:.2f}")
    console.print(stages)
    console.print(
        f"Peak memory {result['rss_mb']:.0f} MB; CPU {result['daemon_cpu_us']:.1f} us a record."
        f" {result['evaluated_share']:.1%} of the daemon's records met a reference and a full"
        f" window (warm-up of {result['warm_up']:,} records), with all default features and"
        " detectors."
    )
    console.print(
        f"{result['records']:,} records of {result['record_bytes']:,} bytes in"
        f" {result['partitions']} partitions, medians of {result['rounds']} interleaved rounds,"
        f" {result['machine']['cpus']} CPUs. Records: {result['source']}."
    )

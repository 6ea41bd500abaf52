"""The result of the throughput benchmark as tables on the console."""

from __future__ import annotations

import textwrap
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.throughput.contenders import BASE, DAEMON
from detectors.registry import DETECTORS

DETECT_STAGES = ("chunk_decode", "windows", *DETECTORS)


def show(result: dict[str, Any], console: Console) -> None:
    """Print the result."""
    console.print(_speeds(result))
    console.print(_models(result))
    ratio = result["by_models_ratio"]
    console.print(f"200 models / 1 model: wall {ratio['wall']:.2f}, CPU {ratio['cpu']:.2f}")
    console.print(_stages(result))
    console.print(
        f"Peak memory {result['rss_mb']:.0f} MB; CPU {result['daemon_cpu_us']:.1f} us per record."
        f" {result['evaluated_share']:.1%} of the daemon's records were evaluated with a reference"
        f" and a full window (warm-up of {result['warm_up']:,} records), with all default features"
        " and detectors."
    )
    console.print(
        f"{result['records']:,} records of {result['record_bytes']:,} bytes in"
        f" {result['partitions']} partitions, medians of {result['rounds']} interleaved rounds,"
        f" {result['machine']['cpus']} CPUs. Source of the records: {result['source']}."
    )


def markdown(result: dict[str, Any]) -> str:
    """Return the contenders as a table of the documents."""
    base = result["contenders"][BASE]["title"]
    rows = [
        "| reads the log and computes | keeps durably | records/s | CPU time per record"
        f" | speed relative to {base} |"
    ]
    rows += ["|---|---|---|---|---|"]
    for row in result["contenders"].values():
        speed, ratio = f"{round(row['per_s']['median'], -3):,.0f}", _range(row["relative"])
        cpu = f"{row['cpu_us']['median']:.1f} us"
        rows.append(f"| {row['title']} | {row['state']} | {speed} | {cpu} | {ratio} |")
    note = (
        f"{result['records']:,} records of {result['record_bytes']:,} bytes in"
        f" {result['partitions']} partitions, on {result['machine']['cpus']} shared cores with the"
        f" broker. Medians of {result['rounds']} interleaved rounds; in brackets the lowest and"
        f" the highest round. Load average at the start of a round:"
        f" {min(result['load_by_round']):.0f} to {max(result['load_by_round']):.0f}."
    )
    return "\n".join([*rows, "", *textwrap.wrap(note, 110)])


def costs(result: dict[str, Any]) -> str:
    """Return the speed and the costs of the daemon as text of the documents."""
    speed, stages = result["contenders"][DAEMON]["per_s"], result["stages_us"]
    low, middle, high = (f"{round(speed[key], -3):,.0f}" for key in ("min", "median", "max"))
    detect = sum(stages[name] for name in DETECT_STAGES if name in stages)
    text = (
        f"On {result['machine']['cpus']} shared cores, one process handled {middle} records of"
        f" {result['record_bytes']:,} bytes a second for one model ({low} to {high} over"
        f" {result['rounds']} rounds). It used {result['daemon_cpu_us']:.1f} us of CPU per record,"
        f" of which {detect:.1f} us for windows and detectors, and"
        f" {result['by_models_cpu']['200']:.1f} us per record with 200 models."
    )
    return "\n".join(textwrap.wrap(text, 110))


def _range(summary: dict[str, float]) -> str:
    return f"{summary['median']:.2f} ({summary['min']:.2f} to {summary['max']:.2f})"


def _speeds(result: dict[str, Any]) -> Table:
    table = Table(title="Contenders that read the same topic", title_justify="left")
    for column in ("", "records/s", "CPU us", f"this / {BASE}", "daemon / this"):
        table.add_column(column, justify="right" if column else "left")
    for name, row in result["contenders"].items():
        ratios = _range(row["relative"]), _range(row["daemon_relative"])
        cpu = f"{row['cpu_us']['median']:.1f}"
        table.add_row(name, f"{row['per_s']['median']:,.0f}", cpu, *ratios)
    return table


def _models(result: dict[str, Any]) -> Table:
    table = Table(title="Microseconds per record by number of models", title_justify="left")
    for column in ("models", "wall", "CPU", "peak MB"):
        table.add_column(column, justify="right")
    for key, wall in result["by_models"].items():
        cpu, rss = result["by_models_cpu"][key], result["rss_mb_by_models"][key]
        table.add_row(key, f"{wall:.1f}", f"{cpu:.1f}", f"{rss:.0f}")
    return table


def _stages(result: dict[str, Any]) -> Table:
    table = Table(title="Stages, run one after the other in one thread", title_justify="left")
    table.add_column("stage")
    table.add_column("us per record", justify="right")
    for stage, us in result["stages_us"].items():
        table.add_row(stage, f"{us:.2f}")
    return table

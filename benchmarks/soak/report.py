"""The result of the soak: whether memory is flat and the counters are exact."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.soak.log import MODELS, malformed_count

WARM_UP = 10_000
SETTLED = 0.2
"""Share of the records after which memory must be flat: warm-ups are over, limits are reached."""
MAX_GROWTH = 0.05
CONSUMED = "plumbline_records_consumed_total"
REJECTED = "plumbline_records_rejected_total"
WATCHED = "plumbline_records_watched_total"


@dataclass(frozen=True, slots=True)
class Sample:
    """Seconds since the start, records consumed so far and resident memory.

    waiting: records that ingest has produced and detect has not processed.
    """

    seconds: float
    consumed: int
    rss_mb: float
    waiting: int


def slope_and_growth(samples: Sequence[Sample], records: int) -> tuple[float, float]:
    """Return the slope and the relative growth of memory after SETTLED of the records.

    The slope is in MB per million records, by least squares. The growth compares the median of
    the samples at 20 to 30 % of the records with the median of those from 90 % on. Both are NaN
    with too few samples.
    """
    settled = [s for s in samples if s.consumed >= SETTLED * records]
    early = [s.rss_mb for s in settled if s.consumed <= (SETTLED + 0.1) * records]
    late = [s.rss_mb for s in settled if s.consumed >= 0.9 * records]
    if len(settled) < 2 or not early:
        return float("nan"), float("nan")
    millions = np.array([s.consumed / 1e6 for s in settled])
    if np.ptp(millions) == 0:
        return float("nan"), float("nan")
    slope = float(np.polyfit(millions, [s.rss_mb for s in settled], 1)[0])
    return slope, statistics.median(late) / statistics.median(early) - 1


def result(
    records: int, samples: Sequence[Sample], seconds: float, totals: Mapping[str, float]
) -> dict[str, Any]:
    """Return the result for the JSON file."""
    slope, growth = slope_and_growth(samples, records)
    consumed, rejected, watched = (int(totals[name]) for name in (CONSUMED, REJECTED, WATCHED))
    exact = consumed == records == rejected + watched and rejected == malformed_count(records)
    return {
        "records": records,
        "seconds": round(seconds, 1),
        "records_per_s": round(records / seconds),
        "rss_mb_per_million": round(slope, 3),
        "growth": round(growth, 4),
        "most_growth": MAX_GROWTH,
        "flat": growth < MAX_GROWTH,
        "consumed": consumed,
        "rejected": rejected,
        "watched": watched,
        "exact": exact,
        "counters": {
            name.removeprefix("plumbline_"): int(value)
            for name, value in sorted(totals.items())
            if name.startswith("plumbline_") and name.endswith("_total")
        },
        "models": MODELS,
        "warm_up": WARM_UP,
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version()},
        "samples": [[s.seconds, s.consumed, s.rss_mb, s.waiting] for s in samples],
    }


def show(result: Mapping[str, Any], console: Console) -> None:
    """Print the result."""
    table = Table(title="Memory of one daemon", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, value in (
        ("records", f"{result['records']:,}"),
        ("records/s", f"{result['records_per_s']:,}"),
        ("resident memory at the end, MB", f"{result['samples'][-1][2]:.1f}"),
        ("slope after settling, MB per million records", f"{result['rss_mb_per_million']:+.3f}"),
        ("growth after settling", f"{result['growth']:+.2%}"),
        ("consumed", f"{result['consumed']:,}"),
        ("rejected + watched", f"{result['rejected']:,} + {result['watched']:,}"),
    ):
        table.add_row(name, value)
    console.print(table)
    verdict = "flat" if result["flat"] else "NOT FLAT"
    console.print(
        f"Memory: {verdict}. Flat means growth below {MAX_GROWTH:.0%} from {SETTLED:.0%} of the"
        " records to the end."
    )
    console.print("Counters: " + ("exact" if result["exact"] else "NOT EXACT"))

"""The report that `backtest` and `demo` write: what happened, for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from monitor.events import DriftEvent


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """records counts those read, rejected ones not among them; seconds is wall time.

    events: alarms that opened or became critical, in order; resolved: alarms that ended.
    rejections: refused records by reason. experiments: empty where none is configured.
    """

    records: int
    rejected: int
    rejections: dict[str, int]
    seconds: float
    models: dict[str, dict[str, int]]
    events: list[DriftEvent]
    resolved: list[DriftEvent]
    experiments: dict[str, Any]


def build(
    *,
    models: Mapping[str, int],
    rejections: Mapping[str, int],
    seconds: float,
    events: Sequence[DriftEvent],
) -> Report:
    """The report of a run from its counts and all its events."""
    return Report(
        records=sum(models.values()),
        rejected=sum(rejections.values()),
        rejections=dict(sorted(rejections.items())),
        seconds=round(seconds, 3),
        models={model: {"records": count} for model, count in sorted(models.items())},
        events=[event for event in events if event.change != "resolved"],
        resolved=[event for event in events if event.change == "resolved"],
        experiments={},
    )


def encode(report: Report) -> bytes:
    """The report as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def write(report: Report, path: Path) -> None:
    """Write the report to a file."""
    path.write_bytes(encode(report))

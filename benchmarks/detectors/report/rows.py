"""Combine the answers of tasks into rows of the result."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from scipy.special import chdtri

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TaskKey:
    """The measurement that a task is a part of.

    Its answer has an entry for every setting, in this order.

    subject: stream or change. context: base and features of a null; records before a change.
    settings: (name of the setting, knob).
    """

    contestant: str
    subject: str
    context: tuple[Any, ...]
    settings: tuple[tuple[str, float], ...]


def null_rows(answers: Iterable[tuple[TaskKey, Row]]) -> Iterator[Row]:
    """Yield a row for each contestant, stream and setting, with the sums over all tasks."""
    sums: dict[Any, list[int]] = {}
    for key, answer in answers:
        for setting, count in zip(key.settings, answer["counts"], strict=True):
            total = sums.setdefault((key.contestant, key.subject, key.context, setting), [0, 0])
            total[0] += answer["records"]
            total[1] += count
    for (name, stream, (base, features), (setting, knob)), (records, alarms) in sums.items():
        per_million = [1e6 * x / records for x in (alarms, *poisson_interval(alarms))]
        yield {
            "peer": name,
            "stream": stream,
            "features": features,
            "tuned_on": base,
            "setting": setting,
            "knob": knob,
            "records": records,
            "alarms": alarms,
            "per_million": [round(x, 4) for x in per_million],
        }


def change_rows(answers: Iterable[tuple[TaskKey, Row]]) -> Iterator[Row]:
    """Yield a row for each contestant, change, records before it, and setting."""
    found: dict[Any, list[int | None]] = {}
    for key, answer in answers:
        for setting, delays in zip(key.settings, answer["delays"], strict=True):
            found.setdefault((key.contestant, key.subject, key.context, setting), []).extend(delays)
    for (name, change, (after,), (setting, knob)), delays in found.items():
        yield {
            "peer": name,
            "change": change,
            "after": after,
            "setting": setting,
            "knob": knob,
            "seeds": len(delays),
            "median": quantile(delays, 0.5),
            "p90": quantile(delays, 0.9),
            "missed": round(delays.count(None) / len(delays), 4),
        }


def quantile(delays: Sequence[int | None], q: float) -> float | None:
    """Return the q-quantile of delays; a missed change is infinite, an infinite result is None."""
    ordered = sorted(float("inf") if delay is None else delay for delay in delays)
    if q == 0.5:
        value = statistics.median(ordered)
    else:
        value = ordered[min(len(ordered) - 1, int(q * len(ordered)))]
    return float(value) if value < float("inf") else None


def poisson_interval(count: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a Poisson mean for an observed count (Garwood 1936)."""
    tail = (1 - level) / 2
    low = float(chdtri(2 * count, 1 - tail)) / 2 if count else 0.0
    return low, float(chdtri(2 * count + 2, tail)) / 2

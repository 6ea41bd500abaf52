"""From the answers of pieces to rows of the result."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from scipy.special import chdtri

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Head:
    """What a piece is a part of; its answer has an entry for every setting, in their order.

    subject: the stream or the change. place: base and features of a null, records before a change.
    settings: name of the setting -> knob.
    """

    peer: str
    subject: str
    place: tuple[Any, ...]
    settings: tuple[tuple[str, float], ...]


def null_rows(answers: Iterable[tuple[Head, Row]]) -> Iterator[Row]:
    """One row for each contestant, stream and setting, the pieces added up."""
    sums: dict[Any, list[int]] = {}
    for head, answer in answers:
        for setting, count in zip(head.settings, answer["counts"], strict=True):
            total = sums.setdefault((head.peer, head.subject, head.place, setting), [0, 0])
            total[0] += answer["records"]
            total[1] += count
    for (peer, stream, (base, features), (setting, knob)), (records, alarms) in sums.items():
        per_million = [1e6 * x / records for x in (alarms, *poisson_interval(alarms))]
        yield {
            "peer": peer,
            "stream": stream,
            "features": features,
            "tuned_on": base,
            "setting": setting,
            "knob": knob,
            "records": records,
            "alarms": alarms,
            "per_million": [round(x, 4) for x in per_million],
        }


def change_rows(answers: Iterable[tuple[Head, Row]]) -> Iterator[Row]:
    """One row for each contestant, change, place and setting."""
    found: dict[Any, list[int | None]] = {}
    for head, answer in answers:
        for setting, delays in zip(head.settings, answer["delays"], strict=True):
            found.setdefault((head.peer, head.subject, head.place, setting), []).extend(delays)
    for (peer, change, (after,), (setting, knob)), delays in found.items():
        yield {
            "peer": peer,
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
    """The q-quantile of delays, a missed change counting as endless; None where that is it."""
    known = sorted(float("inf") if delay is None else delay for delay in delays)
    middle = q == 0.5
    value = statistics.median(known) if middle else known[min(len(known) - 1, int(q * len(known)))]
    return float(value) if value < float("inf") else None


def poisson_interval(count: int, level: float = 0.95) -> tuple[float, float]:
    """The exact (Garwood 1936) interval of a Poisson mean of which `count` was seen."""
    tail = (1 - level) / 2
    low = float(chdtri(2 * count, 1 - tail)) / 2 if count else 0.0
    return low, float(chdtri(2 * count + 2, tail)) / 2

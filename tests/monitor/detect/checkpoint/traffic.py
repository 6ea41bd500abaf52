"""Synthetic chunks that are the same on every platform and with every version of NumPy."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np

from monitor.ingest.chunks.columns import CategoryColumn, Columns
from monitor.ingest.sampling.examples import Examples

ROUNDS = 90
SIZE = 40
"""Records per chunk."""
LATE_START = 35
"""Round in which the model "late" starts."""
RECORDS_PER_SECOND = 50
START = 1_700_000_000.0

CHANGES = {
    ("first", "latency"): range(36, 52),
    ("second", "reason"): range(30, 39),
    ("second", "error"): range(60, 70),
    ("late", "latency"): range(66, 80),
}
"""Rounds in which a field of a model changes."""


def chunks() -> list[Columns]:
    """Return the chunks of three models, one chunk per model and round."""
    uniform = random.Random(1)  # random() gives the same numbers in every Python version
    return list(_chunks(uniform))


def _chunks(uniform: random.Random) -> Iterator[Columns]:
    position = 0
    for number in range(ROUNDS):
        for model in ("first", "second", "late"):
            if model != "late" or number >= LATE_START:
                yield _chunk(uniform, model, number, position)
                position += SIZE


def _chunk(uniform: random.Random, model: str, number: int, position: int) -> Columns:
    """Return a chunk whose records have the positions from `position` + 1 on."""
    changed = {
        field for (name, field), rounds in CHANGES.items() if name == model and number in rounds
    }
    draws = np.array([[uniform.random() for _ in range(6)] for _ in range(SIZE)]).T
    positions = np.arange(position + 1, position + SIZE + 1)
    latency = np.round(100 + 400 * draws[0] * draws[1] * (1.6 if "latency" in changed else 1))
    latency[draws[2] < 0.03] = np.nan
    errors = draws[3] < (0.5 if "error" in changed else 0.05)
    reasons = np.where(draws[4] < (0.6 if "reason" in changed else 0.92), 0, 1)
    routes = np.where(draws[5] < 0.85, 0, np.where(draws[5] < 0.98, 1, -1))
    places = np.flatnonzero(positions % 7 == 0).astype(np.int32)
    return Columns(
        model=model,
        positions=positions,
        times=START + positions / RECORDS_PER_SECOND,
        numeric=("latency_ms",),
        binary=("error",),
        values=np.stack((latency, errors.astype(np.float64))),
        categories=(
            CategoryColumn("finish_reason", ("stop", "length"), reasons.astype(np.int16)),
            CategoryColumn("metadata.route", ("web", "api"), routes.astype(np.int16)),
        ),
        examples=Examples(places, tuple(f"request-{positions[place]}" for place in places)),
    )

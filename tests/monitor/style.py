"""Sampled answers of made-up models, as columns of the source `style`."""

from __future__ import annotations

import numpy as np

from monitor.detect.reference.sources import STYLE_REFERENCE, STYLE_WINDOWS
from monitor.ingest.chunks.columns import Columns
from monitor.ingest.sampling.examples import Examples
from monitor.ingest.style.markers import BINARY, EPOCH, NUMERIC
from monitor.records import Source

REFERENCE, WINDOW = STYLE_REFERENCE, STYLE_WINDOWS.records
RATE = 5.0
"""Sampled answers per second."""


def answers(
    n: int,
    *,
    seed: int,
    first: int = 0,
    code: float = 0.2,
    rates: dict[str, float] | None = None,
    model: str = "chat-large",
) -> Columns:
    """Return n sampled answers.

    first: answers before them. code: share of the prompts that ask for code, on which markers of
    the answers depend. rates: share of the answers with a marker, if not the usual one.
    """
    rng = np.random.default_rng(seed)
    asked = rng.random(n) < code
    values = np.array(
        [
            *(rng.gamma(4, 5, n) for _ in NUMERIC),
            *(rng.random(n) < _share(name, asked, rates or {}) for name in BINARY),
        ]
    )
    numbers = np.arange(first + 1, first + n + 1)
    return Columns(
        model,
        numbers * 16,
        1.7e9 + numbers / RATE,
        NUMERIC,
        BINARY,
        values,
        (),
        Examples(np.arange(n, dtype=np.int32), tuple(f"r{number}" for number in numbers)),
        Source.STYLE,
        EPOCH,
    )


def _share(name: str, asked: np.ndarray, rates: dict[str, float]) -> np.ndarray | float:
    if name == "prompt.code":
        return asked.astype(float)
    if name in rates:
        return rates[name]
    if name in {"style.code_block", "style.inline_code", "style.formula"}:
        return np.where(asked, 0.8, 0.05)
    return {"style.bold": 0.55, "style.unfortunately": 0.01}.get(name, 0.2)

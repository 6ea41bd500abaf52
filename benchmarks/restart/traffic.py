"""Steady synthetic traffic with every default feature, as chunks of the feature topic."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import numpy as np

from benchmarks.harness.messages import model_name
from monitor.ingest.chunks.chunk import encode_chunk
from monitor.ingest.chunks.columns import CategoryColumn, Columns
from monitor.ingest.features import BINARY, CATEGORICAL, NUMERIC

WARM_UP = 10_000
BEFORE = WARM_UP + 1_050
"""Records of a model before the first restart: reference, window and half a stride."""
ROWS = 40_000
"""Distinct records; each model begins at another one of them."""
CHUNK_RECORDS = (25, 100)
START = 1_760_000_000.0
RATE = 10.0
FEATURES = len(NUMERIC) + len(BINARY) + len(CATEGORICAL)


def sample(seed: int = 0) -> Columns:
    """Return ROWS records with every default feature, in the order that ingest writes."""
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


def model_records(rows: Columns, model: int, start: int, size: int) -> Columns:
    """Return records `start` to `start + size` of a model, taken from a `sample`."""
    at = np.arange(start, start + size)
    taken = rows.take((at + model * 7919) % ROWS)
    return Columns(
        model_name(model),
        at + 1,
        START + at / RATE,
        taken.numeric,
        taken.binary,
        taken.values,
        taken.categories,
    )


def warm_up_chunks(rows: Columns, models: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield (key, chunk) of the first BEFORE records of every model."""
    for at in range(0, BEFORE, 1000):
        for model in range(models):
            chunk = model_records(rows, model, at, min(1000, BEFORE - at))
            yield chunk.model.encode(), encode_chunk(chunk)


def chunks(rows: Columns, models: int, records: int) -> list[tuple[bytes, bytes]]:
    """Return (key, chunk) of `records` records per model, after the first BEFORE.

    Chunks are small and interleaved, as ingest writes them when many models share a log.
    """
    rng = random.Random(0)

    def of_model(model: int) -> Iterator[tuple[bytes, bytes]]:
        start, end = BEFORE, BEFORE + records
        while start < end:
            size = min(rng.randint(*CHUNK_RECORDS), end - start)
            chunk = model_records(rows, model, start, size)
            yield chunk.model.encode(), encode_chunk(chunk)
            start += size

    turns = itertools.zip_longest(*(of_model(model) for model in range(models)))
    return [chunk for turn in turns for chunk in turn if chunk is not None]

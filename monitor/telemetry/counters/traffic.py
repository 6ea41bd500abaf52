"""Requests, tokens, cost and latency of the logged records, by model."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitor.ingest.features import Batch

LATENCY_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)
"""Upper bounds in seconds, from the time of a first token to a long response of a large model."""


@dataclass(slots=True)
class Traffic:
    """Sums over the records of M models, as arrays that grow with the models.

    Axis 0 is the model.
    requests: shape (M, 2), successful and failed. tokens: shape (M, 2), input and output.
    latency: shape (M, buckets + 1), counts by bucket. latency_sum: seconds. cost: US dollars.
    """

    models: tuple[str, ...] = ()
    requests: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    latency: NDArray[np.float64] = field(
        default_factory=lambda: np.zeros((0, len(LATENCY_BUCKETS) + 1))
    )
    latency_sum: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    tokens: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    cost: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def add(self, batch: Batch) -> None:
        """Add the records of a batch."""
        models = max(len(batch.models), len(self.models))
        if models > len(self.models):
            for name in ("requests", "latency", "latency_sum", "tokens", "cost"):
                old = getattr(self, name)
                setattr(
                    self, name, np.concatenate((old, np.zeros((models - len(old), *old.shape[1:]))))
                )
            self.models = batch.models
        codes = batch.codes.astype(np.intp)
        latency = batch.row("latency_ms") / 1000
        known = ~np.isnan(latency)
        bucket = np.searchsorted(LATENCY_BUCKETS, latency[known], side="left")
        width = len(LATENCY_BUCKETS) + 1
        self.requests += _counts(codes * 2 + (batch.row("error") > 0), (models, 2))
        self.latency += _counts(codes[known] * width + bucket, (models, width))
        self.latency_sum += _sums(codes, latency, models)
        self.tokens[:, 0] += _sums(codes, batch.row("input_tokens"), models)
        self.tokens[:, 1] += _sums(codes, batch.row("output_tokens"), models)
        self.cost += _sums(codes, batch.row("cost_usd"), models)


def _counts(index: NDArray[np.intp], shape: tuple[int, int]) -> NDArray[np.float64]:
    return np.bincount(index, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)


def _sums(codes: NDArray[np.intp], values: NDArray[np.float64], models: int) -> NDArray[np.float64]:
    """Return sums by model, without missing and negative values: a counter must not fall.

    values: finite or NaN.
    """
    weights = np.fmax(values, 0.0)
    return np.bincount(codes, weights=weights, minlength=models).astype(np.float64)

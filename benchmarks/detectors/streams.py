"""The streams of the benchmark: null streams, and streams that change at a known record.

A `Stream` draws any number of values; a `Change` alters a stream from one record on. Both are
divided into `Trial`s: a reference of REFERENCE records and the live records directly after it. Each
trial has its own seed, so a benchmark of any length needs the memory of one trial. Tuning, nulls,
changes and costs use different seeds.

Requires numpy and scipy only, because the environment of the peers runs this module too.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Floats]
"""Maps a generator and n to values of shape (F, n): NaN if missing; categories as codes."""

NUMERIC, BINARY, CATEGORICAL, WITH_MISSING = "numeric", "binary", "categorical", "gappy"
"""Kinds of stream; WITH_MISSING is numeric with missing values."""

ENTROPY = 20261120
PURPOSES = {"tune": 1, "null": 2, "change": 3, "cost": 4}
"""Each purpose has seeds of its own: no contestant is tuned on the records that judge it."""

REFERENCE = 50_000
"""Records before the live ones, from which detectors may learn."""

BLOCK = 1000
"""Records of a block of a resampled trace; dependence at shorter lags is preserved."""

LEVELS, NEW_LEVEL = 200, 200.0
TENANTS, NEW_TENANT = 5000, 5000.0
P99 = float(np.exp(1.5 * 2.3263478740408408))
"""The 99th percentile of lognormal(0, 1.5)."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A null stream: nothing changes.

    text: description. features: F, rows of a draw.
    """

    name: str
    text: str
    kind: str
    draw: Draw
    features: int = 1


@dataclass(frozen=True, slots=True)
class Change:
    """A stream whose live records change from one record on.

    alter: maps a generator and the values after the change, shape (F, n), to the changed values.
    horizon: records after the change within which an alarm is a detection.
    shift: size in standard deviations if the change is a shift of the mean.
    """

    name: str
    text: str
    base: str
    alter: Callable[[np.random.Generator, Floats], Floats]
    horizon: int = 20_000
    shift: float | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """One reference and the live records that follow it.

    reference: shape (F, REFERENCE). live: shape (F, n). change: live records before the change,
    None without a change. horizon: see `Change`.
    """

    kind: str
    reference: Floats
    live: Floats
    change: int | None = None
    horizon: int = 0

    def merge(self, others: Sequence[Trial]) -> Trial:
        """Return one trial whose features are those of several trials of one stream or change."""
        trials = (self, *others)
        reference = np.concatenate([trial.reference for trial in trials])
        return replace(
            self, reference=reference, live=np.concatenate([trial.live for trial in trials])
        )

    def by_feature(self) -> Iterator[Trial]:
        """Yield one trial for each feature."""
        for reference, live in zip(self.reference, self.live, strict=True):
            yield replace(self, reference=reference[None], live=live[None])

    def missing_indicators(self) -> Trial:
        """Return a trial of 0 and 1: whether a value is missing."""
        reference, live = (np.isnan(x).astype(float) for x in (self.reference, self.live))
        return replace(self, kind=BINARY, reference=reference, live=live)

    def without_missing(self) -> Trial:
        """Return the values of its one feature that are present."""
        reference, live = (x[:, ~np.isnan(x[0])] for x in (self.reference, self.live))
        return replace(self, kind=NUMERIC, reference=reference, live=live)


def generator(purpose: str, name: str, number: int) -> np.random.Generator:
    """Return the random generator of one trial."""
    return np.random.default_rng([ENTROPY, PURPOSES[purpose], zlib.crc32(name.encode()), number])


def null_trial(stream: Stream, purpose: str, number: int, records: int) -> Trial:
    """Return a trial of `records` live records without a change, with its own reference."""
    values = stream.draw(generator(purpose, stream.name, number), REFERENCE + records)
    return Trial(stream.kind, values[:, :REFERENCE], values[:, REFERENCE:])


def change_trial(change: Change, streams: Mapping[str, Stream], number: int, after: int) -> Trial:
    """Return a trial with a change after `after` live records."""
    base, rng = streams[change.base], generator("change", f"{change.name}@{after}", number)
    values = base.draw(rng, REFERENCE + after + change.horizon)
    altered = change.alter(rng, values[:, REFERENCE + after :])
    live = np.concatenate((values[:, REFERENCE : REFERENCE + after], altered), axis=1)
    return Trial(base.kind, values[:, :REFERENCE], live, after, change.horizon)


def normal(rng: np.random.Generator, n: int) -> Floats:
    """Draw from N(0, 1)."""
    return rng.standard_normal((1, n))


def lognormal(rng: np.random.Generator, n: int) -> Floats:
    """Draw from lognormal(0, 1.5): mean 3, median 1, skewed like latencies."""
    return rng.lognormal(0.0, 1.5, (1, n))


def bernoulli(share: float) -> Draw:
    """Draw 0 and 1, the latter with the given share."""
    return lambda rng, n: (rng.random((1, n)) < share).astype(float)


def zipf(rng: np.random.Generator, n: int) -> Floats:
    """Draw levels 0 to 199; level i has a share proportional to 1 / (i + 1)."""
    cumulative = np.cumsum(1 / np.arange(1, LEVELS + 1))
    levels = np.searchsorted(cumulative, rng.random((1, n)) * cumulative[-1], side="right")
    return np.asarray(levels, np.float64)


def heavy_tailed(exponent: float) -> Draw:
    """Draw tenants 0 to 4,999; tenant i has a share proportional to 1 / (i + 1)^exponent.

    A reference of 50,000 records has met hundreds of them once, and traffic that has not changed
    brings new ones for ever.
    """
    cumulative = np.cumsum(np.arange(1, TENANTS + 1) ** -exponent)

    def draw(rng: np.random.Generator, n: int) -> Floats:
        tenants = np.searchsorted(cumulative, rng.random((1, n)) * cumulative[-1], side="right")
        return np.asarray(tenants, np.float64)

    return draw


def autoregressive(rho: float) -> Draw:
    """Draw x_t = rho x_(t-1) + sqrt(1 - rho^2) e_t: variance 1, stationary from the start."""

    def draw(rng: np.random.Generator, n: int) -> Floats:
        noise = rng.standard_normal(n)
        noise[1:] *= np.sqrt(1 - rho**2)
        return np.asarray(lfilter([1.0], [1.0, -rho], noise), np.float64)[None]

    return draw


def correlated(features: int, rho: float) -> Draw:
    """Draw N(0, 1) features with one common factor; every two have correlation rho."""

    def draw(rng: np.random.Generator, n: int) -> Floats:
        own = rng.standard_normal((features, n))
        own *= np.sqrt(1 - rho)
        own += np.sqrt(rho) * rng.standard_normal(n)
        return own

    return draw


def with_missing(share: float) -> Draw:
    """Draw from N(0, 1); the given share of the values is missing."""

    def draw(rng: np.random.Generator, n: int) -> Floats:
        values = rng.standard_normal((1, n))
        values[rng.random((1, n)) < share] = np.nan
        return values

    return draw


def resampled(trace: Floats, block: int = BLOCK) -> Draw:
    """Draw blocks of a trace, each from a random position; the trace wraps around."""

    def draw(rng: np.random.Generator, n: int) -> Floats:
        starts = rng.integers(len(trace), size=-(-n // block))
        positions = (starts[:, None] + np.arange(block)).ravel()[:n]
        return np.asarray(trace[positions % len(trace)][None])

    return draw


STREAMS = {
    stream.name: stream
    for stream in (
        Stream("normal", "N(0, 1)", NUMERIC, normal),
        Stream("lognormal", "lognormal(0, 1.5)", NUMERIC, lognormal),
        Stream("bernoulli_01", "Bernoulli .01", BINARY, bernoulli(0.01)),
        Stream("bernoulli_10", "Bernoulli .1", BINARY, bernoulli(0.1)),
        Stream("zipf", "Zipf, 200 levels as numbers", NUMERIC, zipf),
        Stream("categories", "Zipf, 200 categories", CATEGORICAL, zipf),
        Stream("ar_2", "AR(1), rho .2", NUMERIC, autoregressive(0.2)),
        Stream("ar_5", "AR(1), rho .5", NUMERIC, autoregressive(0.5)),
        Stream("ar_8", "AR(1), rho .8", NUMERIC, autoregressive(0.8)),
        Stream("gappy", "N(0, 1), 1 % missing", WITH_MISSING, with_missing(0.01)),
        Stream("forty", "40 features, rho .6", NUMERIC, correlated(40, 0.6), 40),
        Stream("tenants_11", "Zipf 1.1, 5,000 tenants", CATEGORICAL, heavy_tailed(1.1)),
        Stream("tenants_15", "Zipf 1.5, 5,000 tenants", CATEGORICAL, heavy_tailed(1.5)),
        Stream("sampled_1", "N(0, 1) in 1 % of the records", WITH_MISSING, with_missing(0.99)),
        Stream("sampled_5", "N(0, 1) in 5 % of the records", WITH_MISSING, with_missing(0.95)),
    )
}

TRACES = {
    "azure_conv_output": ("conv", "GeneratedTokens", "Azure conversations, output tokens"),
    "azure_conv_input": ("conv", "ContextTokens", "Azure conversations, input tokens"),
    "azure_code_output": ("code", "GeneratedTokens", "Azure code, output tokens"),
}
"""Streams of real traffic: file name, column, description. They need the data files."""


def shifted(by: float) -> Callable[[np.random.Generator, Floats], Floats]:
    """Shift the mean."""
    return lambda _, values: values + by


def doubled_tail(_: np.random.Generator, values: Floats) -> Floats:
    """Double the values above the 99th percentile of lognormal(0, 1.5)."""
    return np.where(values > P99, 2 * values, values)


def new_category(rng: np.random.Generator, values: Floats) -> Floats:
    """Give one record in fifty a category that is not in the reference."""
    return np.where(rng.random(values.shape) < 0.02, NEW_LEVEL, values)


def new_tenant(rng: np.random.Generator, values: Floats) -> Floats:
    """Give one record in fifty a tenant that is not in the reference."""
    return np.where(rng.random(values.shape) < 0.02, NEW_TENANT, values)


def more_missing(rng: np.random.Generator, values: Floats) -> Floats:
    """Raise the share of missing values from 1 % to 5 %."""
    return np.where(rng.random(values.shape) < 0.04 / 0.99, np.nan, values)


def ramp(_: np.random.Generator, values: Floats) -> Floats:
    """Raise the mean to .5 over 10,000 records; it stays there."""
    return values + 0.5 * np.minimum(np.arange(1, values.shape[1] + 1) / 10_000, 1.0)


def transient(_: np.random.Generator, values: Floats) -> Floats:
    """Shift the mean to 1 for 500 records, then back to 0."""
    return values + (np.arange(values.shape[1]) < 500)


CHANGES = {
    change.name: change
    for change in (
        Change("mean_1", "mean + .1 sd", "normal", shifted(0.1), shift=0.1),
        Change("mean_2", "mean + .2 sd", "normal", shifted(0.2), shift=0.2),
        Change("mean_5", "mean + .5 sd", "normal", shifted(0.5), shift=0.5),
        Change("scale", "lognormal x 1.3", "lognormal", lambda _, values: 1.3 * values),
        Change("tail", "lognormal, beyond p99 x 2", "lognormal", doubled_tail),
        Change("new_category", "2 % new category", "categories", new_category),
        Change("missing", "missing 1 % to 5 %", "gappy", more_missing),
        Change("ramp", "ramp to .5 sd over 10,000", "normal", ramp),
        Change("transient", "1 sd for 500 records", "normal", transient, horizon=1500),
        Change("tenant_11", "Zipf 1.1, 2 % new tenant", "tenants_11", new_tenant),
        Change("tenant_15", "Zipf 1.5, 2 % new tenant", "tenants_15", new_tenant),
        Change("sampled_1_by_1", "1 % sampled, mean - 1 sd", "sampled_1", shifted(-1.0)),
        Change("sampled_1_by_3", "1 % sampled, mean - 3 sd", "sampled_1", shifted(-3.0)),
        Change("sampled_5_by_1", "5 % sampled, mean - 1 sd", "sampled_5", shifted(-1.0)),
        Change("sampled_5_by_3", "5 % sampled, mean - 3 sd", "sampled_5", shifted(-3.0)),
    )
}

BASES = tuple(dict.fromkeys(change.base for change in CHANGES.values()))
"""The streams that changes start from; contestants are tuned on them."""


def with_traces(data: Path | None) -> dict[str, Stream]:
    """Return all null streams; those of real traffic only if `data` is given.

    data: folder that contains the traces. Raises FileNotFoundError if a file is missing.
    """
    if data is None:
        return dict(STREAMS)
    return STREAMS | {
        name: Stream(name, f"{text}, resampled", NUMERIC, resampled(load_trace(data, file, column)))
        for name, (file, column, text) in TRACES.items()
    }


def load_trace(data: Path, file: str, column: str) -> Floats:
    """Return one column of an Azure LLM inference trace of November 2023, shape (n,)."""
    with gzip.open(data / f"azure_llm_2023_{file}.csv.gz", "rt", encoding="utf-8") as lines:
        return np.array([float(row[column]) for row in csv.DictReader(lines)])

"""The streams of the benchmark: quiet ones (nulls), and such that change at a known record.

A `Stream` draws values of its kind without end; a `Change` takes a stream and alters it from a
record on. Both are cut into `Trial`s: a reference of REFERENCE records and live records that follow
it without a gap, drawn from a seed of their own, so that a benchmark of any length needs the memory
of one trial. Tuning, nulls, changes and costs use different seeds.

Needs numpy and scipy alone: the other libraries' environment runs it too.
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
"""From a generator and n to values of shape (F, n), NaN where missing; categories as codes."""

NUMERIC, BINARY, CATEGORICAL, GAPPY = "numeric", "binary", "categorical", "gappy"
"""Kinds of stream; GAPPY is numeric with missing values."""

ENTROPY = 20261120
PURPOSES = {"tune": 1, "null": 2, "change": 3, "cost": 4}
"""Seeds of one purpose are not those of another: nothing is tuned on what it is judged by."""

REFERENCE = 50_000
"""Records before the live ones that every detector may learn from."""

BLOCK = 1000
"""Records of a block of a resampled trace: its dependence over fewer records survives."""

LEVELS, NEW_LEVEL = 200, 200.0
BOTTOM_99 = float(np.exp(1.5 * 2.3263478740408408))
"""The 99th percentile of lognormal(0, 1.5)."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Values in which nothing changes.

    text: what it is, for people. features: F, rows of a draw.
    """

    name: str
    text: str
    kind: str
    draw: Draw
    features: int = 1


@dataclass(frozen=True, slots=True)
class Change:
    """A stream whose live records change after some of them.

    alter: from a generator and the values after the change, shape (F, n), to what they become.
    horizon: records after the change within which an alarm counts as its detection.
    shift: size of a shift of the mean in standard deviations, where it is one.
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
    None without one. horizon: records after it that count.
    """

    kind: str
    reference: Floats
    live: Floats
    change: int | None = None
    horizon: int = 0

    def beside(self, others: Sequence[Trial]) -> Trial:
        """Trials of one stream, or of one change, as the features of a single one."""
        trials = (self, *others)
        reference = np.concatenate([trial.reference for trial in trials])
        return replace(
            self, reference=reference, live=np.concatenate([trial.live for trial in trials])
        )

    def rows(self) -> Iterator[Trial]:
        """One trial for each feature."""
        for reference, live in zip(self.reference, self.live, strict=True):
            yield replace(self, reference=reference[None], live=live[None])

    def gaps(self) -> Trial:
        """The same of 0 and 1: whether a value is missing."""
        reference, live = (np.isnan(x).astype(float) for x in (self.reference, self.live))
        return replace(self, kind=BINARY, reference=reference, live=live)

    def present(self) -> Trial:
        """The values of its one feature without those that are missing."""
        reference, live = (x[:, ~np.isnan(x[0])] for x in (self.reference, self.live))
        return replace(self, kind=NUMERIC, reference=reference, live=live)


def generator(purpose: str, name: str, number: int) -> np.random.Generator:
    """The generator of one trial."""
    return np.random.default_rng([ENTROPY, PURPOSES[purpose], zlib.crc32(name.encode()), number])


def null_trial(stream: Stream, purpose: str, number: int, records: int) -> Trial:
    """The number-th stretch of `records` quiet live records, with a reference of its own."""
    values = stream.draw(generator(purpose, stream.name, number), REFERENCE + records)
    return Trial(stream.kind, values[:, :REFERENCE], values[:, REFERENCE:])


def change_trial(change: Change, streams: Mapping[str, Stream], number: int, after: int) -> Trial:
    """The number-th trial of a change after `after` live records."""
    base, rng = streams[change.base], generator("change", f"{change.name}@{after}", number)
    values = base.draw(rng, REFERENCE + after + change.horizon)
    altered = change.alter(rng, values[:, REFERENCE + after :])
    live = np.concatenate((values[:, REFERENCE : REFERENCE + after], altered), axis=1)
    return Trial(base.kind, values[:, :REFERENCE], live, after, change.horizon)


def normal(rng: np.random.Generator, n: int) -> Floats:
    """N(0, 1)."""
    return rng.standard_normal((1, n))


def skewed(rng: np.random.Generator, n: int) -> Floats:
    """Lognormal(0, 1.5): its mean is 3, its median 1, as latencies are."""
    return rng.lognormal(0.0, 1.5, (1, n))


def bernoulli(share: float) -> Draw:
    """0 and 1, the latter with the given share."""
    return lambda rng, n: (rng.random((1, n)) < share).astype(float)


def zipf(rng: np.random.Generator, n: int) -> Floats:
    """Levels 0 to 199; level i has a share proportional to 1 / (i + 1)."""
    upto = np.cumsum(1 / np.arange(1, LEVELS + 1))
    levels = np.searchsorted(upto, rng.random((1, n)) * upto[-1], side="right")
    return np.asarray(levels, np.float64)


def autoregressive(rho: float) -> Draw:
    """x_t = rho x_(t-1) + sqrt(1 - rho^2) e_t: variance 1, stationary from the first record on."""

    def draw(rng: np.random.Generator, n: int) -> Floats:
        noise = rng.standard_normal(n)
        noise[1:] *= np.sqrt(1 - rho**2)
        return np.asarray(lfilter([1.0], [1.0, -rho], noise), np.float64)[None]

    return draw


def correlated(features: int, rho: float) -> Draw:
    """N(0, 1) features that share one factor, every two correlated by rho."""

    def draw(rng: np.random.Generator, n: int) -> Floats:
        own = rng.standard_normal((features, n))
        own *= np.sqrt(1 - rho)
        own += np.sqrt(rho) * rng.standard_normal(n)
        return own

    return draw


def gappy(rng: np.random.Generator, n: int) -> Floats:
    """N(0, 1), of which one record in a hundred has no value."""
    values = rng.standard_normal((1, n))
    values[rng.random((1, n)) < 0.01] = np.nan
    return values


def resampled(trace: Floats, block: int = BLOCK) -> Draw:
    """Blocks of a trace, each from a random place on, the trace being closed to a ring."""

    def draw(rng: np.random.Generator, n: int) -> Floats:
        starts = rng.integers(len(trace), size=-(-n // block))
        places = (starts[:, None] + np.arange(block)).ravel()[:n]
        return np.asarray(trace[places % len(trace)][None])

    return draw


STREAMS = {
    stream.name: stream
    for stream in (
        Stream("normal", "N(0, 1)", NUMERIC, normal),
        Stream("lognormal", "lognormal(0, 1.5)", NUMERIC, skewed),
        Stream("bernoulli_01", "Bernoulli .01", BINARY, bernoulli(0.01)),
        Stream("bernoulli_10", "Bernoulli .1", BINARY, bernoulli(0.1)),
        Stream("zipf", "Zipf, 200 levels as numbers", NUMERIC, zipf),
        Stream("categories", "Zipf, 200 categories", CATEGORICAL, zipf),
        Stream("ar_2", "AR(1), rho .2", NUMERIC, autoregressive(0.2)),
        Stream("ar_5", "AR(1), rho .5", NUMERIC, autoregressive(0.5)),
        Stream("ar_8", "AR(1), rho .8", NUMERIC, autoregressive(0.8)),
        Stream("gappy", "N(0, 1), 1 % missing", GAPPY, gappy),
        Stream("forty", "40 features, rho .6", NUMERIC, correlated(40, 0.6), 40),
    )
}

TRACES = {
    "azure_conv_output": ("conv", "GeneratedTokens", "Azure conversations, output tokens"),
    "azure_conv_input": ("conv", "ContextTokens", "Azure conversations, input tokens"),
    "azure_code_output": ("code", "GeneratedTokens", "Azure code, output tokens"),
}
"""Streams of real traffic: the file's name, the column, what it is. They need the data."""


def shifted(by: float) -> Callable[[np.random.Generator, Floats], Floats]:
    """A shift of the mean."""
    return lambda _, values: values + by


def doubled_tail(_: np.random.Generator, values: Floats) -> Floats:
    """What is above the 99th percentile of lognormal(0, 1.5) is doubled."""
    return np.where(values > BOTTOM_99, 2 * values, values)


def new_category(rng: np.random.Generator, values: Floats) -> Floats:
    """One record in fifty has a category that was never seen."""
    return np.where(rng.random(values.shape) < 0.02, NEW_LEVEL, values)


def more_missing(rng: np.random.Generator, values: Floats) -> Floats:
    """From 1 % missing to 5 %."""
    return np.where(rng.random(values.shape) < 0.04 / 0.99, np.nan, values)


def ramp(_: np.random.Generator, values: Floats) -> Floats:
    """The mean climbs to .5 over 10,000 records and stays there."""
    return values + 0.5 * np.minimum(np.arange(1, values.shape[1] + 1) / 10_000, 1.0)


def transient(_: np.random.Generator, values: Floats) -> Floats:
    """The mean is 1 for 500 records and 0 again."""
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
    )
}

BASES = tuple(dict.fromkeys(change.base for change in CHANGES.values()))
"""The streams that changes start from: what detectors are tuned on."""


def with_traces(data: Path | None) -> dict[str, Stream]:
    """All null streams; those of real traffic only where `data` is the folder that holds them.

    Raises FileNotFoundError when it holds none.
    """
    if data is None:
        return dict(STREAMS)
    return STREAMS | {
        name: Stream(name, f"{text}, resampled", NUMERIC, resampled(trace(data, file, column)))
        for name, (file, column, text) in TRACES.items()
    }


def trace(data: Path, file: str, column: str) -> Floats:
    """One column of an Azure LLM inference trace of November 2023, in its own order, shape (n,)."""
    with gzip.open(data / f"azure_llm_2023_{file}.csv.gz", "rt", encoding="utf-8") as lines:
        return np.array([float(row[column]) for row in csv.DictReader(lines)])

"""Synthetic columns of one model, and ways to split them into chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.arrays import Floats
from monitor.config.schema import Config
from monitor.config.sections.detection import (
    AlarmsConfig,
    LimitsConfig,
    WarmupReference,
    WindowsConfig,
)
from monitor.detect.monitor import DriftMonitor
from monitor.detect.reference import sources
from monitor.detect.reference.sources import SourceSettings
from monitor.detect.tracks.track import Track
from monitor.detect.watch import Watch
from monitor.events.types import DriftEvent
from monitor.ingest.chunks.columns import CategoryColumn, Columns
from monitor.records import Source

WINDOW, STRIDE, WARMUP = 200, 20, 2000
START = 1_700_000_000.0
RATE = 50.0
NUMERIC = ("latency_ms", "input_tokens")
BINARY = ("error",)

SLOW_PROPERTY = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def config(
    *,
    segments: tuple[str, ...] = (),
    limits: LimitsConfig | None = None,
    alarms: AlarmsConfig | None = None,
) -> Config:
    """Return a configuration with short windows, so that a test can fill many of them."""
    return Config(
        windows=WindowsConfig(records=WINDOW, stride=STRIDE),
        reference=WarmupReference(records=WARMUP),
        alarms=alarms or AlarmsConfig(),
        segments=segments,
        limits=limits or LimitsConfig(),
    )


def of_log(configuration: Config) -> SourceSettings:
    """Return the settings of the log."""
    return sources.settings(configuration)[Source.LOG]


def stream(
    n: int,
    *,
    seed: int = 0,
    first: int = 0,
    factor: float = 1.0,
    stops: float = 0.9,
    model: str = "m",
) -> Columns:
    """Return traffic of one model: two numbers, an error flag, finish reasons and routes.

    first: number of the first record. factor: multiplies the latency. stops: share of "stop".
    """
    rng = np.random.default_rng(seed)
    number = np.arange(first, first + n)
    reasons = np.where(rng.random(n) < stops, 0, 1).astype(np.int16)
    routes = rng.integers(2, size=n).astype(np.int16)
    latency = factor * rng.lognormal(6.0, 0.5, n)
    latency[rng.random(n) < 0.01] = np.nan
    return Columns(
        model=model,
        positions=number + 1,
        times=START + number / RATE,
        numeric=NUMERIC,
        binary=BINARY,
        values=np.stack((latency, rng.poisson(300, n).astype(float), rng.random(n) < 0.05)),
        categories=(
            CategoryColumn("finish_reason", ("stop", "length"), reasons),
            CategoryColumn("metadata.route", ("web", "api"), routes),
        ),
    )


def joined(*parts: Columns) -> Columns:
    """Concatenate streams with the same features and vocabularies, and renumber the records."""
    n = sum(map(len, parts))
    return Columns(
        model=parts[0].model,
        positions=np.arange(1, n + 1),
        times=START + np.arange(n) / RATE,
        numeric=parts[0].numeric,
        binary=parts[0].binary,
        values=np.concatenate([part.values for part in parts], axis=1),
        categories=tuple(
            CategoryColumn(
                column.name,
                column.vocabulary,
                np.concatenate([part.categories[i].codes for part in parts]),
            )
            for i, column in enumerate(parts[0].categories)
        ),
    )


def with_feature(columns: Columns, name: str, values: Floats) -> Columns:
    """Return the records with an additional numeric feature, shape (n,)."""
    return replace(
        columns,
        numeric=(*columns.numeric, name),
        values=np.insert(columns.values, len(columns.numeric), values, axis=0),
    )


def with_values(columns: Columns, name: str, values: Floats) -> Columns:
    """Return the records with other values of one feature, shape (n,)."""
    changed = columns.values.copy()
    changed[(*columns.numeric, *columns.binary).index(name)] = values
    return replace(columns, values=changed)


def with_categories(columns: Columns, name: str, values: Sequence[str | None]) -> Columns:
    """Return the records with other values of one category."""
    vocabulary = tuple(dict.fromkeys(value for value in values if value is not None))
    code_of = {value: i for i, value in enumerate(vocabulary)}
    codes = np.array([-1 if value is None else code_of[value] for value in values], np.int16)
    kept = tuple(column for column in columns.categories if column.name != name)
    return replace(columns, categories=(*kept, CategoryColumn(name, vocabulary, codes)))


def cut(columns: Columns, marks: Iterable[int]) -> Iterator[Columns]:
    """Split a stream at the record numbers in `marks`, into chunks as ingest produces them."""
    ends = sorted({0, len(columns), *(mark for mark in marks if 0 <= mark <= len(columns))})
    for start, end in pairwise(ends):
        yield as_ingested(columns.take(slice(start, end)))


def as_ingested(columns: Columns) -> Columns:
    """Drop features without a value, and code categories in order of appearance."""
    present = np.logical_not(np.isnan(columns.values).all(axis=1))
    kept = [
        name for name, keep in zip(columns.numeric + columns.binary, present, strict=True) if keep
    ]
    return replace(
        columns,
        numeric=tuple(name for name in columns.numeric if name in kept),
        binary=tuple(name for name in columns.binary if name in kept),
        values=columns.values[present],
        categories=tuple(map(_recoded, columns.categories)),
    )


def _recoded(column: CategoryColumn) -> CategoryColumn:
    seen = list(dict.fromkeys(code for code in column.codes.tolist() if code >= 0))
    table: NDArray[np.int16] = np.full(len(column.vocabulary) + 1, -1, np.int16)
    table[seen] = np.arange(len(seen))
    vocabulary = tuple(column.vocabulary[code] for code in seen)
    return CategoryColumn(column.name, vocabulary, table[column.codes])


def cuttings(records: int) -> st.SearchStrategy[list[int]]:
    """Generate marks for `cut`: some anywhere, some dense, some at the end of warm-up or window."""
    borders = st.sampled_from([WARMUP - 1, WARMUP, WARMUP + 1, WARMUP + STRIDE, WARMUP + WINDOW])
    anywhere = st.lists(st.integers(0, records), max_size=12)
    dense = st.builds(
        lambda at, step: list(range(at, at + 40 * step, step)),
        st.integers(0, records),
        st.integers(1, 7),
    )
    return st.builds(lambda a, b, c: a + b + c, anywhere, st.lists(borders, max_size=2), dense)


def state(watch: Watch) -> object:
    """Return the state of a watch that determines its next events, as a comparable value."""
    if watch.profile is None:
        return watch.seen, watch.warmup.collected
    return (
        watch.seen,
        watch.records,
        watch.profile.id,
        [_track_state(track) for track in watch.tracks],
    )


def _track_state(track: Track) -> object:
    """Return the state of a track."""
    buffer = track.buffer
    return (
        track.records,
        track.levels,
        (buffer.fill, buffer.values.tobytes(), buffer.categories.tobytes(), buffer.unwatched),
        track.window.snapshot(),
        track.explainer.snapshot(),
        [detector.snapshot() for detector in track.detectors],
        {index: repr(alarm) for index, alarm in track.alarms.items()},
    )


def measured_records(event: DriftEvent) -> int:
    """Return the number of newest records that an event was measured on."""
    return round(event.current.n / (1 - event.current.missing))


def watcher(settings: Config | None = None) -> Watch:
    """Return a new watch over the whole model "m"."""
    return DriftMonitor(settings or config(), {}).log.new_watch("m", "")

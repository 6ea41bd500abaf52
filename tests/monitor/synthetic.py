"""What the tests of the drift pipeline share: made columns of one model, and ways to cut them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.base import Floats
from monitor.columns import CategoryColumn, Columns
from monitor.config import AlarmsConfig, Config, LimitsConfig, WarmupReference, WindowsConfig
from monitor.drift import DriftMonitor
from monitor.events import DriftEvent
from monitor.watch import Watch

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
    """Windows so short that a test can fill a good many."""
    return Config(
        windows=WindowsConfig(records=WINDOW, stride=STRIDE),
        reference=WarmupReference(records=WARMUP),
        alarms=alarms or AlarmsConfig(),
        segments=segments,
        limits=limits or LimitsConfig(),
    )


def stream(
    n: int,
    *,
    seed: int = 0,
    first: int = 0,
    factor: float = 1.0,
    stops: float = 0.9,
    model: str = "m",
) -> Columns:
    """Quiet traffic of one model: two numbers, an error flag, finish reasons and routes.

    first: the number of the first record. factor: multiplies the latency. stops: share of "stop".
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
    """Streams with the same features and vocabularies, one after the other, counted through."""
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
    """One numeric feature more, shape (n,)."""
    return replace(
        columns,
        numeric=(*columns.numeric, name),
        values=np.insert(columns.values, len(columns.numeric), values, axis=0),
    )


def with_values(columns: Columns, name: str, values: Floats) -> Columns:
    """The same records with other values of one feature, shape (n,)."""
    changed = columns.values.copy()
    changed[(*columns.numeric, *columns.binary).index(name)] = values
    return replace(columns, values=changed)


def with_categories(columns: Columns, name: str, values: Sequence[str | None]) -> Columns:
    """The same records with other values of one category."""
    vocabulary = tuple(dict.fromkeys(value for value in values if value is not None))
    code = {value: i for i, value in enumerate(vocabulary)}
    codes = np.array([-1 if value is None else code[value] for value in values], np.int16)
    kept = tuple(column for column in columns.categories if column.name != name)
    return replace(columns, categories=(*kept, CategoryColumn(name, vocabulary, codes)))


def cut(columns: Columns, marks: Iterable[int]) -> Iterator[Columns]:
    """The stream in the chunks that `marks` cut it into, each as ingest would have made it."""
    ends = sorted({0, len(columns), *(mark for mark in marks if 0 <= mark <= len(columns))})
    for start, end in pairwise(ends):
        yield as_ingested(columns.take(slice(start, end)))


def as_ingested(columns: Columns) -> Columns:
    """Without features that none of the records has; categories coded as they appear."""
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
    met = list(dict.fromkeys(code for code in column.codes.tolist() if code >= 0))
    table: NDArray[np.int16] = np.full(len(column.vocabulary) + 1, -1, np.int16)
    table[met] = np.arange(len(met))
    vocabulary = tuple(column.vocabulary[code] for code in met)
    return CategoryColumn(column.name, vocabulary, table[column.codes])


def cuttings(records: int) -> st.SearchStrategy[list[int]]:
    """Marks at which to cut: a few anywhere, or many in one place, the borders of things too."""
    borders = st.sampled_from([WARMUP - 1, WARMUP, WARMUP + 1, WARMUP + STRIDE, WARMUP + WINDOW])
    anywhere = st.lists(st.integers(0, records), max_size=12)
    dense = st.builds(
        lambda at, step: list(range(at, at + 40 * step, step)),
        st.integers(0, records),
        st.integers(1, 7),
    )
    return st.builds(lambda a, b, c: a + b + c, anywhere, st.lists(borders, max_size=2), dense)


def state(watch: Watch) -> object:
    """All of a watch that what it does next depends on, comparable."""
    if watch.profile is None:
        return watch.seen, watch.warmup.gathered
    buffer = watch.buffer
    return (
        watch.seen,
        watch.records,
        watch.profile.id,
        watch.levels,
        (buffer.fill, buffer.values.tobytes(), buffer.categories.tobytes(), buffer.unwatched),
        watch.window.snapshot(),
        watch.explainer.snapshot(),
        [detector.snapshot() for detector in watch.detectors],
        {index: repr(alarm) for index, alarm in watch.alarms.items()},
    )


def measured(event: DriftEvent) -> int:
    """The records that the event's numbers are of: the newest so many."""
    return round(event.current.n / (1 - event.current.missing))


def watcher(settings: Config | None = None) -> Watch:
    """A watch over all of model "m" that has seen nothing."""
    return DriftMonitor(settings or config(), {}).new_watch("m", "")

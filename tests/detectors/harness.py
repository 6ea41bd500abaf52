"""Helpers of the detector tests: run detectors over arrays of any kind of stream."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray

from detectors.arrays import Bools, Floats, Ints
from detectors.baseline import Baseline
from detectors.categorical_stream import CategoricalStream, build_categorical_stream
from detectors.detector import Detector
from detectors.kinds import VALUE_KINDS, Kind
from detectors.numeric_stream import build_numeric_stream
from detectors.readings import Readings
from detectors.registry import DETECTORS, create
from detectors.window import Window, Windows

PROPERTY = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)

PAIRS = [
    (name, kind)
    for name, detector in DETECTORS.items()
    for kind in VALUE_KINDS
    if kind in detector.kinds
]
"""Every detector with every kind of stream that it supports."""


def sample(kind: Kind, rng: np.random.Generator, *shape: int) -> Floats:
    """Return quiet traffic of a kind; categories are coded as numbers."""
    if kind is Kind.NUMERIC:
        return rng.lognormal(0, 1, shape)
    if kind is Kind.BINARY:
        return (rng.random(shape) < 0.3).astype(float)
    return zipf(rng, 12, *shape)


def shifted(kind: Kind, rng: np.random.Generator, *shape: int) -> Floats:
    """Return traffic that differs grossly from `sample`."""
    values = sample(kind, rng, *shape)
    return 1 - values if kind is Kind.BINARY else values + 3


def zipf(rng: np.random.Generator, levels: int, *shape: int) -> Floats:
    """Return codes of categories with Zipf's distribution."""
    weights = 1 / np.arange(1, levels + 1)
    return rng.choice(levels, size=shape, p=weights / weights.sum()).astype(float)


def bursts(rng: np.random.Generator, run: int, *shape: int) -> Floats:
    """Return five categories, each repeated `run` times in a row."""
    return np.repeat(zipf(rng, 5, *shape[:-1], shape[-1] // run), run, axis=-1)


def baseline(kind: Kind, reference: Floats, window: int = 1000) -> Baseline:
    """Return a baseline of streams of one kind from an array of shape (S, N); NaN where missing."""
    names = [f"x{i}" for i in range(len(reference))]
    if kind is Kind.CATEGORICAL:
        coded = zip(names, map(_coded, reference), strict=True)
        streams = tuple(build_categorical_stream(name, *row, window) for name, row in coded)
        return Baseline(reference.shape[1], (), streams)
    rows = zip(names, reference, strict=True)
    numeric = tuple(build_numeric_stream(name, kind, row, window) for name, row in rows)
    return Baseline(reference.shape[1], numeric, ())


class Harness:
    """A window and detectors that process `together` strides at a time."""

    def __init__(
        self,
        base: Baseline,
        *names: str,
        level: float = 1e-6,
        window: int = 1000,
        stride: int = 100,
        together: int = 50,
    ) -> None:
        self.base = base
        self.together = together
        self.window = Window(base, window, stride)
        levels = dict.fromkeys(names, level)
        self.detectors: list[Detector] = create(levels, base, self.window)

    @property
    def readings(self) -> Readings:
        """The readings of the only detector."""
        (detector,) = self.detectors
        return detector.readings(self.window.current())

    def extend(self, values: Floats) -> Iterator[Windows]:
        """Yield the windows of the strides of `values`; records that fill no stride are dropped."""
        stride, codes = self.window.stride, self.bins(values)
        numbers = np.zeros((0, values.shape[1])) if self.base.categorical else values
        whole = values.shape[1] // stride * stride
        for start in range(0, whole, self.together * stride):
            part = slice(start, min(whole, start + self.together * stride))
            yield self.window.extend(numbers[:, part], codes[:, part])

    def feed_all(self, values: Floats) -> list[list[Bools]]:
        """Return the verdicts of every detector (axis 1) after every stride (axis 0)."""
        found = []
        for windows in self.extend(values):
            masks = [detector.update(windows) for detector in self.detectors]
            found += [[mask[at] for mask in masks] for at in range(len(windows))]
        return found

    def feed(self, values: Floats) -> Bools:
        """Return the verdicts of the only detector, shape (strides, streams)."""
        found = [only for (only,) in self.feed_all(values)]
        return np.array(found, bool).reshape(len(found), len(self.base.streams))

    def bins(self, values: Floats) -> NDArray[np.uint8]:
        """Return the bins of coded categories; empty for a numeric baseline."""
        if not self.base.categorical:
            return np.zeros((0, values.shape[1]), np.uint8)
        rows = zip(self.base.categorical, values, strict=True)
        return np.array([_bins(stream, row) for stream, row in rows])


def _coded(row: Floats) -> tuple[tuple[str, ...], Ints]:
    """Return a vocabulary and the row's codes in it, in the order of arrival; -1 where missing."""
    known, codes = np.unique(row, return_inverse=True)
    vocabulary = tuple(f"{value:g}" for value in known[~np.isnan(known)].tolist())
    return vocabulary, np.where(np.isnan(row), -1, codes)


def _bins(stream: CategoricalStream, row: Floats) -> NDArray[np.uint8]:
    codes, inverse = np.unique(row, return_inverse=True, equal_nan=True)
    cell_by_category, other = stream.cell_by_category(), stream.cells - 2
    bins = [cell_by_category.get(f"{code:g}", other) for code in codes.tolist()]
    return np.where(np.isnan(row), stream.cells - 1, np.array(bins)[inverse]).astype(np.uint8)

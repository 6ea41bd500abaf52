"""Baselines of plain arrays, and detectors run over them: for tests, benchmarks and simulations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.base import Bools, Detector, Floats, Kind
from detectors.baseline import Baseline
from detectors.registry import create
from detectors.streams import categorical_stream, numeric_stream
from detectors.window import SPAN, Window


def baseline_of(reference: Floats, kind: Kind = Kind.NUMERIC, window: int = 1000) -> Baseline:
    """A baseline of numeric (or binary) streams from an array of shape (F, N)."""
    streams = tuple(numeric_stream(f"x{i}", kind, row, window) for i, row in enumerate(reference))
    return Baseline(reference.shape[1], streams, ())


def categorical_baseline(reference: Sequence[str | None], window: int = 1000) -> Baseline:
    """A baseline of one categorical stream; None where missing."""
    vocabulary = sorted({name for name in reference if name is not None})
    code_of = {None: -1} | {name: code for code, name in enumerate(vocabulary)}
    codes = np.array([code_of[name] for name in reference], np.intp)
    stream = categorical_stream("x0", vocabulary, codes, window)
    return Baseline(len(reference), (), (stream,))


def verdicts(
    levels: Mapping[str, float],
    baseline: Baseline,
    values: Floats,
    *,
    window: int = 1000,
    stride: int = 100,
) -> dict[str, Bools]:
    """Where each named detector finds a change, by stride, shape (strides, k) each.

    levels: detector -> the level of its evaluations. values: shape (F, n), of a baseline without
    categories.
    """
    categories = np.zeros((0, values.shape[1]), np.uint8)
    found = rounds(levels, baseline, values, categories, window=window, stride=stride)
    by_detector = zip(*found, strict=True)
    return {name: np.concatenate(each) for name, each in zip(levels, by_detector, strict=True)}


def rounds(
    levels: Mapping[str, float],
    baseline: Baseline,
    values: Floats,
    categories: NDArray[np.uint8],
    *,
    window: int,
    stride: int,
) -> Iterator[list[Bools]]:
    """What each named detector finds, shape (m, k) each, some strides at a time.

    values: shape (F, n); categories: shape (C, n), as `Window.extend` takes them. Records that
    do not fill a stride are left out. The detectors are made at once, before the first round.
    """
    ring = Window(baseline, window, stride)
    return _rounds(ring, create(levels, baseline, ring), values, categories)


def _rounds(
    ring: Window, detectors: Sequence[Detector], values: Floats, categories: NDArray[np.uint8]
) -> Iterator[list[Bools]]:
    whole = values.shape[1] // ring.stride * ring.stride
    for start in range(0, whole, SPAN * ring.stride):
        part = slice(start, min(whole, start + SPAN * ring.stride))
        windows = ring.extend(values[:, part], categories[:, part])
        yield [detector.update(windows) for detector in detectors]

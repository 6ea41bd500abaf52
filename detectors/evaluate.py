"""Build baselines from arrays and run detectors on arrays: for tests, benchmarks and forecasts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Bools, Floats
from detectors.baseline import Baseline
from detectors.categorical_stream import build_categorical_stream
from detectors.detector import Detector
from detectors.kinds import Kind
from detectors.numeric_stream import build_numeric_stream
from detectors.registry import create
from detectors.window import STRIDES_PER_BATCH, Window


def baseline_from_array(
    reference: Floats, kind: Kind = Kind.NUMERIC, window: int = 1000
) -> Baseline:
    """Return a baseline of numeric (or binary) streams from an array of shape (F, N)."""
    streams = tuple(
        build_numeric_stream(f"x{i}", kind, row, window) for i, row in enumerate(reference)
    )
    return Baseline(reference.shape[1], streams, ())


def baseline_from_categories(reference: Sequence[str | None], window: int = 1000) -> Baseline:
    """Return a baseline of one categorical stream; None where missing."""
    vocabulary = sorted({name for name in reference if name is not None})
    code_of = {None: -1} | {name: code for code, name in enumerate(vocabulary)}
    codes = np.array([code_of[name] for name in reference], np.intp)
    stream = build_categorical_stream("x0", vocabulary, codes, window)
    return Baseline(len(reference), (), (stream,))


def run_detectors(
    levels: Mapping[str, float],
    baseline: Baseline,
    values: Floats,
    *,
    window: int = 1000,
    stride: int = 100,
) -> dict[str, Bools]:
    """Return where each named detector finds a change, shape (strides, k) each.

    levels: detector -> its level. values: shape (F, n), of a baseline without categorical streams.
    """
    categories = np.zeros((0, values.shape[1]), np.uint8)
    found = run_in_batches(levels, baseline, values, categories, window=window, stride=stride)
    by_detector = zip(*found, strict=True)
    return {name: np.concatenate(each) for name, each in zip(levels, by_detector, strict=True)}


def run_in_batches(
    levels: Mapping[str, float],
    baseline: Baseline,
    values: Floats,
    categories: NDArray[np.uint8],
    *,
    window: int,
    stride: int,
) -> Iterator[list[Bools]]:
    """Yield where each named detector finds a change, shape (m, k) each, for batches of m strides.

    The call creates the detectors, before the first batch. Records that do not fill a stride are
    dropped.

    values: shape (F, n); categories: shape (C, n), as in `Window.extend`.
    """
    current = Window(baseline, window, stride)
    return _run_in_batches(current, create(levels, baseline, current), values, categories)


def _run_in_batches(
    window: Window, detectors: Sequence[Detector], values: Floats, categories: NDArray[np.uint8]
) -> Iterator[list[Bools]]:
    whole = values.shape[1] // window.stride * window.stride
    for start in range(0, whole, STRIDES_PER_BATCH * window.stride):
        part = slice(start, min(whole, start + STRIDES_PER_BATCH * window.stride))
        windows = window.extend(values[:, part], categories[:, part])
        yield [detector.update(windows) for detector in detectors]

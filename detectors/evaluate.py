"""Run detectors over plain arrays: the harness of tests and benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.base import Bools, Floats, Kind
from detectors.baseline import Baseline
from detectors.registry import create
from detectors.streams import CategoricalStream, categorical_stream, numeric_stream
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
    stream: Floats | Sequence[str | None],
    *,
    window: int = 1000,
    stride: int = 100,
) -> dict[str, Bools]:
    """Where each named detector finds a change, by stride, shape (strides, k) each.

    levels: detector -> the level of its evaluations.
    stream: shape (F, n) for the baseline's numeric streams, or n categories for its only one.
    """
    ring = Window(baseline, window, stride)
    detectors = create(levels, baseline, ring)
    found: dict[str, list[Bools]] = {detector.name: [] for detector in detectors}
    if isinstance(stream, np.ndarray):
        values, categories = stream, np.zeros((0, stream.shape[1]), np.uint8)
    else:
        values = np.zeros((0, len(stream)))
        categories = bins_of(baseline.categorical[0], stream)[None]
    whole = values.shape[1] // stride * stride
    for start in range(0, whole, SPAN * stride):
        part = slice(start, min(whole, start + SPAN * stride))
        windows = ring.extend(values[:, part], categories[:, part])
        for detector in detectors:
            found[detector.name].append(detector.update(windows))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def bins_of(stream: CategoricalStream, names: Sequence[str | None]) -> NDArray[np.uint8]:
    """The bins of categories, shape (n,)."""
    bin_of = stream.bin_of() | {None: stream.bins - 1}
    return np.array([bin_of.get(name, stream.bins - 2) for name in names], np.uint8)

"""Run detectors over plain arrays: the harness of tests and benchmarks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.base import Bools, Floats, Kind
from detectors.baseline import Baseline, categorical_stream, numeric_stream
from detectors.registry import create
from detectors.window import Window


def baseline_of(reference: Floats, kind: Kind = Kind.NUMERIC, window: int = 1000) -> Baseline:
    """A baseline of numeric (or binary) streams from an array of shape (F, N)."""
    streams = tuple(numeric_stream(f"x{i}", kind, row, window) for i, row in enumerate(reference))
    return Baseline(reference.shape[1], streams, ())


def categorical_baseline(reference: Sequence[str | None]) -> Baseline:
    """A baseline of one categorical stream; None where missing."""
    return Baseline(len(reference), (), (categorical_stream("x0", Counter(reference)),))


def verdicts(
    names: Sequence[str],
    baseline: Baseline,
    stream: Floats | Sequence[str | None],
    *,
    level: float,
    window: int = 1000,
    stride: int = 100,
) -> Iterator[dict[str, Bools]]:
    """Where each named detector finds a change, stride by stride, shape (k,) each.

    stream: shape (F, n) for the baseline's numeric streams, or n categories for its only one.
    """
    ring = Window(baseline, window, stride)
    detectors = create(names, baseline, ring, level)
    for values, categories in strides(baseline, stream, stride):
        ring.append(values, categories)
        yield {detector.name: detector.update(ring) for detector in detectors}


def strides(
    baseline: Baseline, stream: Floats | Sequence[str | None], stride: int
) -> Iterator[tuple[Floats, NDArray[np.uint8]]]:
    """What `Window.append` takes, stride by stride."""
    if isinstance(stream, np.ndarray):
        for start in range(0, stream.shape[1] - stride + 1, stride):
            yield stream[:, start : start + stride], np.zeros((0, stride), np.uint8)
        return
    (reference,) = baseline.categorical
    bin_of = reference.bin_of() | {None: reference.bins - 1}
    bins = np.array([[bin_of.get(name, reference.bins - 2) for name in stream]], np.uint8)
    for start in range(0, len(stream) - stride + 1, stride):
        yield np.zeros((0, stride)), bins[:, start : start + stride]

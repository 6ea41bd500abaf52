"""Shift records of a reference by a number of standard deviations, to measure detection delays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from detectors.arrays import Floats
from detectors.baseline import Baseline, Stream
from detectors.categorical_stream import CategoricalStream
from detectors.conditional_stream import ConditionalStream
from detectors.kinds import Kind
from detectors.numeric_stream import NumericStream


def shift_records(
    baseline: Baseline,
    values: Floats,
    categories: NDArray[np.uint8],
    sd: float,
    rng: np.random.Generator,
) -> tuple[Floats, NDArray[np.uint8]]:
    """Return the records after a shift of every stream by `sd` > 0 standard deviations.

    - Numeric stream: `sd` is in standard deviations of its normal scores, as if the feature were
      transformed to a normal distribution. So an outlier does not determine the size of a shift.
    - Binary stream: the share of the rarer value increases by `sd` times sqrt(p (1 - p)).
    - Categorical stream: the share of the most frequent category decreases by as much.

    A constant stream and a conditional one do not change.

    values, categories: as in `Window.extend`.
    """
    moved, cells = values.copy(), categories.copy()
    for row, stream in zip(moved, baseline.numeric, strict=True):
        present = ~np.isnan(row)
        shift = _shift_binary if stream.kind is Kind.BINARY else _shift_numeric
        row[present] = shift(stream, row[present], sd, rng)
    for codes, category in zip(cells, baseline.binned, strict=True):
        if isinstance(category, CategoricalStream):
            codes[:] = _shift_categorical(category, codes, sd, rng)
    return moved, cells


def can_shift(stream: Stream) -> bool:
    """Return whether a stream is shifted: it is neither constant nor conditional."""
    if isinstance(stream, ConditionalStream):
        return False
    return int((stream.cell_counts()[:-1] > 0).sum()) > 1


def center_before_and_after(stream: Stream, sd: float) -> tuple[float, float]:
    """Return a stream's location before and after a shift by `sd` standard deviations.

    The location is the median of a numeric stream, the share of the larger value of a binary one
    and the share of the most frequent category of a categorical one.
    """
    if isinstance(stream, NumericStream) and stream.kind is Kind.NUMERIC:
        return stream.quantile(0.5), stream.quantile(float(ndtr(sd)))
    if isinstance(stream, NumericStream):
        share = float(np.diff(stream.below)[-1]) / max(1, stream.count)
        step = sd if share <= 0.5 else -sd
    else:
        share, step = float(stream.bin_counts()[:-1].max()) / max(1, stream.count), -sd
    return share, min(1.0, max(0.0, share + step * float(np.sqrt(share * (1 - share)))))


def _shift_numeric(
    stream: NumericStream, values: Floats, sd: float, rng: np.random.Generator
) -> Floats:
    """Replace each value with the reference's value whose normal score is larger by `sd`."""
    low = stream.below[stream.support.searchsorted(values, "left")]
    high = stream.below[stream.support.searchsorted(values, "right")]
    ranks = (low + rng.random(len(values)) * (high - low)) / max(1, stream.count)
    places = ndtr(ndtri(ranks) + sd) * stream.count
    return stream.support[stream.below[1:-1].searchsorted(places, "right")]


def _shift_binary(
    stream: NumericStream, values: Floats, sd: float, rng: np.random.Generator
) -> Floats:
    """Replace some of the more frequent value with the other one."""
    share = float(np.diff(stream.below)[-1]) / max(1, stream.count)
    if not 0 < share < 1:
        return values
    rare, usual = stream.support[[-1, 0] if share <= 0.5 else [0, -1]]
    chance = sd * np.sqrt(share * (1 - share)) / max(share, 1 - share)
    return np.where((values == usual) & (rng.random(len(values)) < chance), rare, values)


def _shift_categorical(
    stream: CategoricalStream, cells: NDArray[np.uint8], sd: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Replace some of the most frequent category with others, in proportion to their shares."""
    counts = stream.cell_counts()[:-1]
    top, others = int(counts.argmax()), counts.copy()
    others[top] = 0
    if not others.sum():
        return cells
    share = counts[top] / counts.sum()
    chance = sd * np.sqrt(share * (1 - share)) / share
    leaving = (cells == top) & (rng.random(len(cells)) < chance)
    instead = rng.choice(len(counts), len(cells), p=others / others.sum())
    return np.where(leaving, instead, cells).astype(np.uint8)

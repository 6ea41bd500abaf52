"""Traffic as a reference has it, shifted by so many standard deviations: what detectors are for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from detectors.base import Floats, Kind
from detectors.baseline import Baseline, Stream
from detectors.streams import CategoricalStream, NumericStream


def shifted(
    baseline: Baseline,
    values: Floats,
    categories: NDArray[np.uint8],
    sd: float,
    rng: np.random.Generator,
) -> tuple[Floats, NDArray[np.uint8]]:
    """Records of all streams after a shift of each by `sd` > 0 standard deviations.

    values, categories: as `Window.extend` takes them.
    Of numbers, it is the standard deviation of their normal scores: as if the feature had been
    stretched until it was bell-shaped, so that an outlier does not decide what a shift is. Of a
    binary feature, the rarer value becomes more frequent by `sd` times sqrt(p (1 - p)); of a
    categorical one, its most frequent category less frequent. A constant one stays as it is.
    """
    moved, bins = values.copy(), categories.copy()
    for row, stream in zip(moved, baseline.numeric, strict=True):
        here = ~np.isnan(row)
        move = _flipped if stream.kind is Kind.BINARY else _raised
        row[here] = move(stream, row[here], sd, rng)
    for codes, category in zip(bins, baseline.categorical, strict=True):
        codes[:] = _spread(category, codes, sd, rng)
    return moved, bins


def can_shift(stream: Stream) -> bool:
    """Whether a stream is anything but constant."""
    return int((stream.cell_counts()[:-1] > 0).sum()) > 1


def middle(stream: Stream, sd: float) -> tuple[float, float]:
    """Before and after a shift: the median of a number, the share of a flag's last value, that of
    the most frequent category."""
    if isinstance(stream, NumericStream) and stream.kind is Kind.NUMERIC:
        return stream.quantile(0.5), stream.quantile(float(ndtr(sd)))
    if isinstance(stream, NumericStream):
        share = float(np.diff(stream.below)[-1]) / max(1, stream.count)
        step = sd if share <= 0.5 else -sd
    else:
        share, step = float(stream.bin_counts()[:-1].max()) / max(1, stream.count), -sd
    return share, min(1.0, max(0.0, share + step * float(np.sqrt(share * (1 - share)))))


def _raised(stream: NumericStream, values: Floats, sd: float, rng: np.random.Generator) -> Floats:
    """Each value by the one that is `sd` further up in the reference, in normal scores."""
    low = stream.below[stream.support.searchsorted(values, "left")]
    high = stream.below[stream.support.searchsorted(values, "right")]
    ranks = (low + rng.random(len(values)) * (high - low)) / max(1, stream.count)
    places = ndtr(ndtri(ranks) + sd) * stream.count
    return stream.support[stream.below[1:-1].searchsorted(places, "right")]


def _flipped(stream: NumericStream, values: Floats, sd: float, rng: np.random.Generator) -> Floats:
    """Some of the more frequent value turned into the other."""
    share = float(np.diff(stream.below)[-1]) / max(1, stream.count)
    if not 0 < share < 1:
        return values
    rare, usual = stream.support[[-1, 0] if share <= 0.5 else [0, -1]]
    chance = sd * np.sqrt(share * (1 - share)) / max(share, 1 - share)
    return np.where((values == usual) & (rng.random(len(values)) < chance), rare, values)


def _spread(
    stream: CategoricalStream, bins: NDArray[np.uint8], sd: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Some of the most frequent category given to the others, as these are frequent."""
    counts = stream.bin_counts()[:-1]
    top, others = int(counts.argmax()), counts.copy()
    others[top] = 0
    if not others.sum():
        return bins
    share = counts[top] / counts.sum()
    chance = sd * np.sqrt(share * (1 - share)) / share
    leaving = (bins == top) & (rng.random(len(bins)) < chance)
    instead = rng.choice(len(counts), len(bins), p=others / others.sum())
    return np.where(leaving, instead, bins).astype(np.uint8)

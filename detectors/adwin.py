"""ADWIN: an adaptive window that cuts itself where its mean has changed."""

from __future__ import annotations

import math
from operator import length_hint
from typing import ClassVar

import msgspec
import numpy as np
from river.drift import ADWIN

from detectors.base import Bools, Floats, Kind, Readings
from detectors.baseline import Baseline
from detectors.streams import NumericStream
from detectors.window import Window, Windows

BLOCKS_PER_STRIDE = 5
"""Means fed per stride. More would see small shifts sooner and cost as much more."""

REACH = 2.5
"""Standard deviations of a block mean, to either side, that are stretched to fill [0, 1]."""

Cut = tuple[float, float]
"""The difference of the means of two parts, and eps for them."""


class Adwin:
    """Adaptive windowing (Bifet & Gavalda 2007), river's implementation, on block means of ranks.

    Each value is replaced by its mid-rank in the reference and averaged over a fifth of a stride:
    ADWIN's bound wants values in [0, 1], and ranks are that whatever the feature's scale or
    tail. Means of them would fill but a little of it, so they are stretched about 1/2 to fill it
    with REACH of their standard deviations, and clipped. It finds a change where two parts of
    its window, n_0 and n_1 means long, differ by more than

        eps = sqrt(2 m s^2 ln(2 ln(n) / delta)) + (2/3) m ln(2 ln(n) / delta),  m = 1/n_0 + 1/n_1

    (their variance-aware cut, with river's correction for the number of places to cut). It looks
    for one once a stride, so delta is the level.

    statistic: the difference between the part that was cut off and the part that was kept, in
    stretched ranks; 0 where no cut was made. threshold: eps for these parts, s^2 being the variance
    of what was kept; none without a cut. There is no p-value.

    Trade-off: needs no window size and forgets no slow change, but its bound is loose: on a sudden
    shift the window tests are some four times quicker. It compares recent traffic with less recent
    traffic, not with the reference, and falls silent when drift has become the new normal.
    """

    name: ClassVar[str] = "adwin"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.NUMERIC, Kind.BINARY})

    def __init__(self, baseline: Baseline, window: Window, level: float) -> None:
        self.streams = baseline.streams_of(self.kinds)
        self.blocks = min(BLOCKS_PER_STRIDE, window.stride)
        self.windows = [
            ADWIN(delta=level, clock=self.blocks)  # type: ignore[no-untyped-call] # no types
            for _ in self.streams
        ]
        self.ranks = baseline.cell_ranks.ravel()
        size = window.stride // self.blocks
        self.stretch = np.array([stretch(s, size) for s in baseline.numeric]).reshape(-1, 1)
        self.cuts: dict[tuple[int, int], Cut] = {}
        self.number = 0

    def update(self, windows: Windows) -> Bools:
        """Feed the new strides to every stream's adaptive window; where one was cut."""
        ranks = self.ranks.take(windows.places[: len(self.streams)])
        means = block_means(ranks, windows.stride, self.blocks)
        stretched = (0.5 + (means - 0.5) * self.stretch).clip(0.0, 1.0)
        gaps = np.isnan(stretched).any(axis=1).tolist()
        found: Bools = np.zeros((len(windows), len(self.streams)), bool)
        self.cuts, self.number = {}, windows.number + len(windows) - 1
        rows = zip(self.windows, stretched.tolist(), gaps, strict=True)
        for stream, (adwin, row, gap) in enumerate(rows):
            known = [i for i, m in enumerate(row) if not math.isnan(m)] if gap else range(len(row))
            for place, cut in feed(adwin, [row[i] for i in known] if gap else row).items():
                at = known[place] // self.blocks
                found[at, stream] = True
                self.cuts[windows.number + at, stream] = cut
        return found

    def readings(self, windows: Windows) -> Readings:
        """Difference and threshold of the cut that the first of `windows` made, where it did."""
        quiet = 0.0, math.nan
        pairs = [self.cuts.get((windows.number, i), quiet) for i in range(len(self.streams))]
        statistic, threshold = np.array(pairs, float).reshape(-1, 2).T
        return Readings(statistic, threshold, np.full(len(pairs), np.nan))

    def snapshot(self) -> bytes:
        """The buckets of all adaptive windows, and the cuts of the newest stride."""
        # river offers no public way to its state; its version is pinned for this
        buckets = [adwin._helper.__getstate__() for adwin in self.windows]
        cuts = {stream: cut for (at, stream), cut in self.cuts.items() if at == self.number}
        return msgspec.msgpack.encode((buckets, self.number, cuts))

    def restore(self, state: bytes) -> None:
        """Take over the buckets and the last cuts."""
        parts, self.number, cuts = msgspec.msgpack.decode(
            state, type=tuple[list[bytes], int, dict[int, Cut]]
        )
        self.cuts = {(self.number, stream): cut for stream, cut in cuts.items()}
        for adwin, part in zip(self.windows, parts, strict=True):
            adwin._helper.__setstate__(part)


def block_means(values: Floats, stride: int, blocks: int) -> Floats:
    """Means of `blocks` equal parts of each stride of each row, without NaN, shape (F, m * blocks).

    What does not fill a whole part is left out; a part without a value has mean NaN.
    """
    size = stride // blocks
    rows, count = len(values), values.shape[1] // stride
    strides = values.reshape(rows, count, stride)[:, :, : size * blocks]
    parts = strides.reshape(rows, count * blocks, size)
    means: Floats = np.add.reduce(parts, axis=2) / size
    if not np.isnan(means).any():
        return means
    missing = np.isnan(parts)
    counts = size - missing.sum(axis=2)
    sums = np.where(missing, 0.0, parts).sum(axis=2)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def stretch(stream: NumericStream, size: int) -> float:
    """By how much block means of `size` ranks are stretched; 1 for a constant stream."""
    counts, ranks = stream.cell_counts()[:-1], stream.cell_ranks()[:-1]
    variance = float(counts @ (ranks - 0.5) ** 2) / max(1, stream.count)
    sd = np.sqrt(variance * stream.inflation / size)
    return float(1 / (2 * REACH * sd)) if sd > 0 else 1.0


def feed(adwin: ADWIN, means: list[float]) -> dict[int, Cut]:
    """Feed block means, none of them NaN; place -> the cut that was made there."""
    # river's own update would forget the kept part of the window after a detection
    helper, cuts = adwin._helper, {}
    fed, width, total = 0, helper.get_width(), helper.get_total()
    waiting = iter(means)
    # a loop in Python would cost as much as ADWIN itself; this one stops where a cut was made
    while any(map(helper.update, waiting)):
        at = len(means) - length_hint(waiting) - 1
        for mean in means[fed : at + 1]:
            total += mean
        dropped, kept = width + at + 1 - fed - adwin.width, adwin.width
        gap = abs((total - adwin.total) / dropped - adwin.total / kept)
        cuts[at] = gap, min(gap, cut_threshold(adwin, dropped, kept))
        fed, width, total = at + 1, adwin.width, adwin.total
    return cuts


def cut_threshold(adwin: ADWIN, n0: float, n1: float) -> float:
    """eps for two parts of n0 and n1 means."""
    m, logarithm = 1 / n0 + 1 / n1, np.log(2 * np.log(n0 + n1) / adwin.delta)
    # river's `variance` is a sum of squares; just after a cut it can be below 0
    variance = max(0.0, adwin.variance / adwin.width)
    return float(np.sqrt(2 * m * variance * logarithm) + 2 / 3 * m * logarithm)

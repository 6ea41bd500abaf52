"""ADWIN: an adaptive window that cuts itself where its mean has changed."""

from __future__ import annotations

import math
from typing import ClassVar

import msgspec
import numpy as np
from river.drift import ADWIN

from detectors.base import Bools, Floats, Kind, Readings
from detectors.baseline import Baseline, NumericStream
from detectors.window import Window

BLOCKS_PER_STRIDE = 5
"""Means fed per stride. More would see small shifts sooner and cost as much more."""

REACH = 2.5
"""Standard deviations of a block mean, to either side, that are stretched to fill [0, 1]."""


class Adwin:
    """Adaptive windowing (Bifet & Gavalda 2007), river's implementation, on block means of ranks.

    Each value is replaced by its mid-rank in the reference and averaged over a fifth of a stride:
    ADWIN's bound wants values in [0, 1], and ranks are that whatever the feature's scale or
    tail. Means of them would fill but a little of it, so they are stretched about 1/2 to fill it
    with REACH of their standard deviations, and clipped. It finds a change where two parts of its
    window, n_0 and n_1 means long, differ by more than

        eps = sqrt(2 m s^2 ln(2 ln(n) / delta)) + (2/3) m ln(2 ln(n) / delta),  m = 1/n_0 + 1/n_1

    (their variance-aware cut, with river's correction for the number of places to cut). It looks
    for one once a stride, so delta is the level.

    statistic: the difference between the part that was cut off and the part that was kept, in
    stretched ranks; 0 where no cut was made. threshold: eps for these parts (for halves, without a
    cut), s^2 being the variance of what was kept. There is no p-value.

    Trade-off: needs no window size and forgets no slow change, but its bound is loose: on a sudden
    shift the window tests are some four times quicker. It compares recent traffic with less recent
    traffic, not with the reference, and falls silent when drift has become the new normal.
    """

    name: ClassVar[str] = "adwin"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.NUMERIC, Kind.BINARY})

    def __init__(self, baseline: Baseline, window: Window, level: float) -> None:
        self.streams = baseline.streams_of(self.kinds)
        self.level = level
        self.blocks = min(BLOCKS_PER_STRIDE, window.stride)
        self.windows = [
            ADWIN(delta=level, clock=self.blocks)  # type: ignore[no-untyped-call] # no types
            for _ in self.streams
        ]
        size = window.stride // self.blocks
        self.stretch = np.array([stretch(s, size) for s in baseline.numeric]).reshape(-1, 1)
        self.cuts: dict[int, tuple[float, float]] = {}

    def update(self, window: Window) -> Bools:
        """Feed the newest stride to every stream's adaptive window; where one was cut."""
        means = block_means(window.newest_ranks(), self.blocks)
        stretched = (0.5 + (means - 0.5) * self.stretch).clip(0.0, 1.0).tolist()
        self.cuts = {}
        for stream, (adwin, row) in enumerate(zip(self.windows, stretched, strict=True)):
            cut = feed(adwin, row)
            if cut is not None:
                self.cuts[stream] = cut
        found: Bools = np.zeros(len(self.windows), bool)
        found[list(self.cuts)] = True
        return found

    def readings(self, window: Window) -> Readings:
        """Difference and threshold of the cut that the last update made, where it made one."""
        pairs = [
            self.cuts.get(i, (0.0, cut_threshold(adwin, adwin.width / 2, adwin.width / 2)))
            for i, adwin in enumerate(self.windows)
        ]
        statistic, threshold = np.array(pairs, float).reshape(-1, 2).T
        statistic = np.where(np.isnan(threshold), np.nan, statistic)
        return Readings(statistic, threshold, np.full(len(pairs), np.nan))

    def snapshot(self) -> bytes:
        """The buckets of all adaptive windows, and the last cuts."""
        # river offers no public way to its state; its version is pinned for this
        buckets = [adwin._helper.__getstate__() for adwin in self.windows]
        return msgspec.msgpack.encode((buckets, self.cuts))

    def restore(self, state: bytes) -> None:
        """Take over the buckets and the last cuts."""
        parts, self.cuts = msgspec.msgpack.decode(
            state, type=tuple[list[bytes], dict[int, tuple[float, float]]]
        )
        for adwin, part in zip(self.windows, parts, strict=True):
            adwin._helper.__setstate__(part)


def block_means(values: Floats, blocks: int) -> Floats:
    """Means of `blocks` equal parts of each row without its NaN, shape (F, blocks).

    What does not fill a whole part is left out; a part without a value has mean NaN.
    """
    size = values.shape[1] // blocks
    parts = values[:, : size * blocks].reshape(-1, blocks, size)
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
    sd = np.sqrt(variance * stream.rank_inflation / size)
    return float(1 / (2 * REACH * sd)) if sd > 0 else 1.0


def feed(adwin: ADWIN, means: list[float]) -> tuple[float, float] | None:
    """Feed block means; (difference, threshold) of the cut that it made, if it made one."""
    # river's own update would forget the kept part of the window after a detection
    helper, cut = adwin._helper, None
    for mean in means:
        if math.isnan(mean):  # a block without any value says nothing about the mean
            continue
        width, total = helper.get_width() + 1, helper.get_total() + mean
        if helper.update(mean):
            dropped, kept = width - adwin.width, adwin.width
            gap = abs((total - adwin.total) / dropped - adwin.total / kept)
            cut = gap, min(gap, cut_threshold(adwin, dropped, kept))
    return cut


def cut_threshold(adwin: ADWIN, n0: float, n1: float) -> float:
    """eps for two parts of n0 and n1 means; NaN when either is empty."""
    if n0 < 1 or n1 < 1:
        return float("nan")
    m, logarithm = 1 / n0 + 1 / n1, np.log(2 * np.log(n0 + n1) / adwin.delta)
    # river's `variance` is a sum of squares; just after a cut it can be below 0
    variance = max(0.0, adwin.variance / adwin.width)
    return float(np.sqrt(2 * m * variance * logarithm) + 2 / 3 * m * logarithm)

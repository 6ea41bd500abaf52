"""Loops over the records and strides of a window, for which numpy has no function.

They are in C where the extension `_strides` is built. The functions in Python do the same,
operation by operation, and give the same bits.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Bools, Floats

try:
    from detectors import _strides as native
except ImportError:  # installed without a C compiler
    BUILT = False
else:
    BUILT = True


def _assign_cells(
    values: Floats,
    categories: NDArray[np.uint8],
    cuts: Floats,
    starts: NDArray[np.int64],
    indices: NDArray[np.int64],
    counts: NDArray[np.int32],
    /,
) -> None:
    """Write the cells of m * stride records to `indices`, and count them by stride.

    values: shape (F, m * stride), NaN where missing. categories: cells, shape (C, m * stride).
    cuts: of all numeric streams, ascending in each; starts: shape (F + 1,), where those of each
    begin. A value has the cell of the number of cuts that are not above it, a missing one the last.
    indices: shape (F + C, m * stride), of a raveled (F + C, G). counts: shape (m, F + C, G), zeros.
    """
    strides, streams, width = counts.shape
    for row, column, (first, end) in zip(indices, values, pairwise(starts.tolist()), strict=False):
        row[:] = cuts[first:end].searchsorted(column, "right")
    indices[: len(values)] += np.isnan(values)
    indices[len(values) :] = categories
    indices += (np.arange(streams) * width)[:, None]
    stride = indices.shape[1] // max(1, strides)
    first_of_stride = np.repeat(np.arange(strides) * streams * width, stride)
    found = np.bincount((indices + first_of_stride).ravel(), minlength=counts.size)
    counts[...] = found.reshape(counts.shape)


def _update_cusums(
    log_payoffs: Floats,
    error: Floats,
    number: int,
    largest: float,
    highest: float,
    cusums: Floats,
    since: NDArray[np.int64],
    /,
) -> None:
    """Correct the log payoffs of m strides for the error of the reference; add them to the CUSUMs.

    log_payoffs: shape (S, m, K), replaced by the corrected ones. error: shape (S, K), of a stride.
    number: of the first stride. largest: correction, in errors. highest: CUSUM.
    cusums, since: shape (S, 1 + m, K), the CUSUMs and the stride before that of their start. The
    first of the m + 1 is given, those after each stride are written.
    """
    for at in range(log_payoffs.shape[1]):
        before, started = cusums[:, at], since[:, at]
        start = np.where(before <= 0, number + at - 1, started)
        correction = (number + at - 0.5) - start
        correction *= 3 * error  # for a run of r strides: r^2 - (r - 1)^2, times 1.5
        correction = np.minimum(correction, largest) * error
        log_payoffs[:, at] -= correction
        cusums[:, at + 1] = np.minimum(np.maximum(before + log_payoffs[:, at], 0.0), highest)
        since[:, at + 1] = start


def _grow_wealth(payoffs: Floats, largest: Floats, wealth: Floats, /) -> None:
    """Multiply the wealth and a new stake of 1 by the payoffs of m strides.

    payoffs: shape (S, m, K). largest: wealth, shape (S, K). wealth: shape (S, 1 + m, K). The first
    of the m + 1 is given, those after each stride are written.
    """
    for at in range(payoffs.shape[1]):
        wealth[:, at + 1] = np.minimum((wealth[:, at] + 1) * payoffs[:, at], largest)


def _update_sums(
    steps: Floats, thresholds: Floats, sums: Floats, peaks: Floats, found: Bools, /
) -> None:
    """Add the steps of m strides to both sums of each stream, which restart at a threshold.

    steps: shape (m, 2, F). thresholds, sums: shape (2, F); the sums are replaced.
    peaks: shape (m, 2, F), before a restart. found: shape (m, F), whether a stream restarts, False
    before. Both are written.
    """
    for at, (step, peak) in enumerate(zip(steps, peaks, strict=True)):
        np.maximum(sums + step, 0.0, out=peak)
        found[at] = (peak >= thresholds).any(axis=0)
        sums[...] = np.where(found[at], 0.0, peak)


assign_cells = native.assign_cells if BUILT else _assign_cells
update_cusums = native.update_cusums if BUILT else _update_cusums
grow_wealth = native.grow_wealth if BUILT else _grow_wealth
update_sums = native.update_sums if BUILT else _update_sums

"""The loops over records and strides: those in C do exactly what those in Python do."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors import strides
from detectors.arrays import Floats
from tests.detectors.harness import PROPERTY
from tests.extensions import require_extension

built = pytest.mark.usefixtures("_extension")
Arrays = tuple[Any, ...]
seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(0, 5)


@pytest.fixture(scope="module")
def _extension() -> None:
    require_extension("_strides.c", built=strides.BUILT)


def same(ours: Arrays, theirs: Arrays) -> None:
    """Check that all arrays have the same bits."""
    for a, b in zip(ours, theirs, strict=True):
        if isinstance(a, np.ndarray):
            assert a.tobytes() == b.tobytes()


def both(native: Callable[..., None], python: Callable[..., None], arguments: Arrays) -> None:
    """Check that both functions write the same to their arguments."""
    copies = tuple([a.copy() if isinstance(a, np.ndarray) else a for a in arguments])
    native(*arguments)
    python(*copies)
    same(arguments, copies)


def cells_of(rng: np.random.Generator, numeric: int, binned: int, m: int, stride: int) -> Arrays:
    """Return arguments of `assign_cells`: values at, between and beyond cuts, or missing."""
    lengths = rng.integers(0, 40, numeric)
    cuts = [np.unique(rng.normal(size=n).round(2)) for n in lengths]
    all_cuts = np.concatenate([np.zeros(0), *cuts])
    n = m * stride
    pool = np.concatenate([all_cuts, rng.normal(size=20) * 3, [np.nan, np.inf, -np.inf, 0.0, -0.0]])
    width = 2 + max([2, *map(len, cuts)])
    return (
        # rows of a larger array, as those of a chunk are
        rng.choice(pool, (numeric, n + 3))[:, 1 : n + 1],
        rng.integers(0, width, (binned, n + 2), np.uint8)[:, 2:],
        all_cuts,
        np.cumsum([0, *map(len, cuts)], dtype=np.int64),
        np.full((numeric + binned, n), -1, np.int64),
        np.zeros((m, numeric + binned, width), np.int32),
    )


@built
@PROPERTY
@given(seeds, sizes, sizes, sizes, st.sampled_from([1, 7, 100, 4_000]))
def test_cells_are_the_same(seed: int, numeric: int, binned: int, m: int, stride: int) -> None:
    """Cells and counts equal those of numpy, which are tested against the cuts."""
    both(
        strides.assign_cells,
        strides._assign_cells,
        cells_of(np.random.default_rng(seed), numeric, binned, m, stride),
    )


@PROPERTY
@given(seeds, sizes, sizes)
def test_records_are_counted_in_their_cells(seed: int, numeric: int, m: int) -> None:
    """Each value has the number of cuts that are not above it as its cell, a missing one the last,
    and each record counts once in each stream of its stride.
    """
    arguments = cells_of(np.random.default_rng(seed), numeric, 2, m, 10)
    values, categories, cuts, starts, indices, counts = arguments
    strides.assign_cells(*arguments)
    width = counts.shape[2]
    for row, (first, end) in enumerate(pairwise(starts.tolist())):
        for value, index in zip(values[row], indices[row], strict=True):
            above = end - first + 1 if np.isnan(value) else int((cuts[first:end] <= value).sum())
            assert index == row * width + above
    np.testing.assert_array_equal(
        indices[numeric:], categories + (np.arange(2) + numeric)[:, None] * width
    )
    for at in range(m):
        own = indices[:, at * 10 : at * 10 + 10].ravel()
        np.testing.assert_array_equal(
            counts[at].ravel(), np.bincount(own, minlength=counts[at].size)
        )


def bets_of(rng: np.random.Generator, streams: int, m: int, bets: int) -> tuple[Floats, Floats]:
    """Return log payoffs and errors."""
    log_payoffs = rng.normal(0, 10.0 ** rng.integers(-3, 3), (streams, m, bets))
    return log_payoffs, rng.exponential(0.1, (streams, bets)) * rng.integers(0, 2, (streams, bets))


def room(before: NDArray[Any], m: int) -> NDArray[Any]:
    """Return an array with a state and room for m more."""
    return np.concatenate([before[:, None], np.zeros_like(before[:, None].repeat(m, 1))], axis=1)


@built
@PROPERTY
@given(seeds, sizes, sizes, sizes, st.integers(1, 10**9))
def test_runs_are_the_same(seed: int, streams: int, m: int, bets: int, number: int) -> None:
    """CUSUMs, their starts and the corrected payoffs have the same bits."""
    rng = np.random.default_rng(seed)
    log_payoffs, error = bets_of(rng, streams, m, bets)
    cusums = np.maximum(0.0, rng.normal(0, 3, error.shape))
    since = rng.integers(max(0, number - 1_000), number, error.shape)
    arguments = log_payoffs, error, number, 2.5, 100.0, room(cusums, m), room(since, m)
    both(strides.update_cusums, strides._update_cusums, arguments)


@built
@PROPERTY
@given(seeds, sizes, sizes, sizes)
def test_wealth_grows_the_same(seed: int, streams: int, m: int, bets: int) -> None:
    """Wealth has the same bits, also where a payoff is infinite."""
    rng = np.random.default_rng(seed)
    log_payoffs, error = bets_of(rng, streams, m, bets)
    with np.errstate(over="ignore"):
        payoffs = np.exp(log_payoffs * 3)
    largest = rng.choice([10.0, 1e6, 1e300], error.shape)
    arguments = payoffs, largest, room(rng.exponential(1.0, error.shape), m)
    with np.errstate(over="ignore"):
        both(strides.grow_wealth, strides._grow_wealth, arguments)


@built
@PROPERTY
@given(seeds, sizes, sizes)
def test_sums_are_the_same(seed: int, streams: int, m: int) -> None:
    """Sums, peaks and restarts have the same bits, also without a threshold (NaN)."""
    rng = np.random.default_rng(seed)
    arguments = (
        rng.normal(size=(m, 2, streams)),
        rng.choice([0.5, 1.0, 3.0, np.nan], (2, streams)),
        np.maximum(0.0, rng.normal(size=(2, streams))),
        np.empty((m, 2, streams)),
        np.zeros((m, streams), np.bool_),
    )
    both(strides.update_sums, strides._update_sums, arguments)


@built
def test_other_shapes_are_rejected() -> None:
    """Every argument of another shape, type or order of memory is an error, not a wild read."""
    rng = np.random.default_rng(1)
    log_payoffs, error = bets_of(rng, 2, 3, 4)
    state = room(np.zeros((2, 4)), 3)
    calls: list[tuple[Callable[..., None], Arrays]] = [
        (strides.assign_cells, cells_of(rng, 2, 2, 3, 10)),
        (strides.update_cusums, (log_payoffs, error, 1, 2.5, 100.0, state, state.astype(np.int64))),
        (strides.grow_wealth, (log_payoffs, error, state)),
        (
            strides.update_sums,
            (
                np.zeros((3, 2, 4)),
                np.zeros((2, 4)),
                np.zeros((2, 4)),
                np.zeros((3, 2, 4)),
                np.zeros((3, 4), np.bool_),
            ),
        ),
    ]
    for function, arguments in calls:
        for i, argument in enumerate(arguments):
            if not isinstance(argument, np.ndarray):
                continue
            others = [argument[None], argument.astype(np.complex128)]
            if argument.dtype != np.int32:  # counts may have any number of strides and cells
                others += [argument[:-1], argument[..., :-1]]
            for other in others:
                with pytest.raises((ValueError, BufferError)):
                    function(*arguments[:i], other, *arguments[i + 1 :])


@built
def test_invalid_cells_and_cuts_are_rejected() -> None:
    """A category without a cell, and cuts beyond their array, are errors."""
    rng = np.random.default_rng(1)
    values, categories, cuts, starts, indices, counts = cells_of(rng, 2, 2, 3, 10)
    beyond = categories.copy()
    beyond[1, 7] = counts.shape[2]
    with pytest.raises(ValueError, match="shapes"):
        strides.assign_cells(values, beyond, cuts, starts, indices, counts)
    for wrong in ([0, -5, len(cuts)], [0, len(cuts) + 9, len(cuts)], [1, 1, len(cuts)]):
        with pytest.raises(ValueError, match="shapes"):
            strides.assign_cells(values, categories, cuts, np.array(wrong), indices, counts)

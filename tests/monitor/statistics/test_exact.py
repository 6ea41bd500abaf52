"""Exact sums: their bytes do not depend on the order, and their values are those of math.fsum."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.statistics.exact import MAX_MAGNITUDE, QUANTUM, ExactSums, logarithm

CELLS = 3
values = st.one_of(
    st.floats(-MAX_MAGNITUDE, MAX_MAGNITUDE),
    st.floats(-1e-9, 1e-9),
    st.floats(-3e7, 3e7),
    st.sampled_from([0.0, -0.0, 2.0**24, -(2.0**24), 2.0**-41, -(2.0**-40), 1e15, -1e15]),
)
rows = st.lists(st.tuples(st.integers(0, CELLS - 1), values), max_size=40)


def sums_of(chosen: list[tuple[int, float]]) -> ExactSums:
    """Return the sums of rows that are added at once."""
    sums = ExactSums(CELLS)
    if chosen:
        cells, numbers = zip(*chosen, strict=True)
        sums.add(np.array(cells, np.int32), np.array(numbers, np.float64))
    return sums


@given(rows, st.randoms(use_true_random=False), st.lists(st.integers(0, 40), max_size=5))
def test_order_batches_and_merges_do_not_change_a_bit(
    chosen: list[tuple[int, float]], random: object, cuts: list[int]
) -> None:
    """Any order, any division into batches and any tree of merges give equal bytes."""
    expected = sums_of(chosen).encode()
    shuffled = list(chosen)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis types it as object
    edges = [0, *sorted(min(cut, len(shuffled)) for cut in cuts), len(shuffled)]
    parts = [sums_of(shuffled[start:stop]) for start, stop in pairwise(edges)]
    while len(parts) > 1:
        index = random.randrange(len(parts) - 1)  # type: ignore[attr-defined] # as above
        parts[index].merge(parts.pop(index + 1))
    assert parts[0].encode() == expected
    assert ExactSums.decode(expected, CELLS).encode() == expected


@given(rows)
def test_sums_are_those_of_fsum(chosen: list[tuple[int, float]]) -> None:
    """A sum differs from the exact one by half a quantum a value and the rounding of the result."""
    found = sums_of(chosen).floats()
    for cell in range(CELLS):
        of_cell = [value for index, value in chosen if index == cell]
        exact = math.fsum(of_cell)
        allowed = len(of_cell) * QUANTUM / 2 + 2 * math.ulp(exact)
        assert abs(float(found[cell]) - exact) <= allowed


def test_many_large_values_do_not_overflow() -> None:
    """Sums of more than a batch of values stay exact."""
    count = 3 << 20
    sums = ExactSums(1)
    sums.add(np.zeros(count, np.int8), np.full(count, -(2.0**24) + 2.0**-40))
    assert sums.floats().tolist() == [-(2.0**24) * count + 2.0**-40 * count]


def test_bytes_of_another_length_are_rejected() -> None:
    """The number of cells is checked."""
    with pytest.raises(ValueError, match="are not 2 sums"):
        ExactSums.decode(ExactSums(1).encode(), 2)


@given(st.floats(5e-324, 1e300))
def test_logarithm_is_accurate(value: float) -> None:
    """The logarithm is that of the math library, but for the last bits."""
    expected = math.log(value)
    allowed = max(1e-15, 2 * math.ulp(expected))
    assert abs(float(logarithm(np.array([value]))[0]) - expected) <= allowed


def test_logarithm_does_not_depend_on_the_layout() -> None:
    """Strides and lengths of an array change no bit."""
    numbers = np.random.default_rng(0).lognormal(3, 2, 1001)
    expected = logarithm(numbers)
    assert logarithm(numbers.repeat(2)[::2]).tobytes() == expected.tobytes()
    one_by_one = np.concatenate([logarithm(numbers[i : i + 1]) for i in range(len(numbers))])
    assert one_by_one.tobytes() == expected.tobytes()

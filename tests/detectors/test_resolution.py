"""Rounding: a change below the resolution of the data moves no record to another bin."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.arrays import Floats
from detectors.kinds import Kind
from detectors.ks import ks_distance
from detectors.numeric_stream import NumericStream, build_numeric_stream
from tests.detectors.harness import PROPERTY

Rounding = Callable[[Floats], Floats]

DATA: dict[str, Floats] = {
    "cost": np.asarray((np.random.default_rng(5).poisson(3, 10_000) + 1) * 0.0001, float),
    "scores": np.random.default_rng(6).choice([0.1, 0.3, 0.5, 0.7, 0.9], 10_000),
    "grid of 100": np.random.default_rng(7).integers(0, 100, 10_000) / 100,
    "constant": np.full(10_000, 0.002),
    "zero": np.zeros(10_000),
    "mostly zero": (np.random.default_rng(11).random(10_000) < 0.3).astype(float),
    "mixed signs": np.random.default_rng(8).choice([-1.5, -0.1, 0.0, 0.1, 2.5], 10_000),
    "tokens": np.floor(np.random.default_rng(9).lognormal(5, 1, 10_000)),
    "continuous": np.random.default_rng(10).lognormal(6, 0.5, 10_000),
}

ROUNDINGS: dict[str, Rounding] = {
    "unit in the last place up": lambda x: np.nextafter(x, np.inf),
    "unit in the last place down": lambda x: np.nextafter(x, -np.inf),
    "single precision": lambda x: x.astype(np.float32).astype(float),
    "reciprocal": lambda x: x / 3 * 3,
    "difference": lambda x: (x + 0.3) - 0.3,
    "small addition": lambda x: x + 1e-12,
    "seven digits": lambda x: np.array([float(f"{value:.7g}") for value in x]),
}


def stream_of(values: Floats) -> NumericStream:
    """Return the reference of a numeric stream."""
    return build_numeric_stream("x", Kind.NUMERIC, values, 1000)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("name", DATA)
def test_rounding_is_no_change(name: str, rounding: str) -> None:
    """Hardly a record changes its bin, and no frequent value does; KS sees no difference."""
    before = DATA[name]
    after = ROUNDINGS[rounding](before)
    stream = stream_of(before)
    bins = stream.bin_of_cell()
    moved = bins[stream.cell_of(before)] != bins[stream.cell_of(after)]
    assert moved.mean() < 1e-3
    assert ks_distance(stream, after) < 0.02


@PROPERTY
@given(st.lists(st.integers(-50, 50), min_size=2, max_size=30, unique=True), st.integers(0, 2**32))
def test_edges_lie_between_values(levels: list[int], seed: int) -> None:
    """No bin starts at a value of the reference, and the bins keep their records."""
    values = np.random.default_rng(seed).choice(np.array(levels) / 10, 2_000)
    stream = stream_of(values)
    assert not np.isin(stream.edges, stream.support).any()
    assert stream.bin_counts().sum() == len(values)
    assert stream.bin_counts()[[0, -2, -1]].tolist() == [0, 0, 0]


def test_values_computed_in_two_ways_are_one_value() -> None:
    """A reference with both 0.3 and 0.1 + 0.2 has no edge between them."""
    values = np.random.default_rng(1).choice([0.3, 0.1 + 0.2, 0.5, 0.9], 8_000)
    stream = stream_of(values)
    bins = stream.bin_of_cell()[stream.cell_of(np.array([0.3, 0.1 + 0.2]))]
    assert bins[0] == bins[1]


def test_small_real_changes_still_count() -> None:
    """A change by half the distance between values, or of a constant by 1 %, is a change."""
    scores = stream_of(DATA["scores"])
    bins, moved = scores.bin_of_cell(), DATA["scores"] + 0.15
    assert (bins[scores.cell_of(DATA["scores"])] != bins[scores.cell_of(moved)]).all()
    assert ks_distance(scores, DATA["scores"] + 0.01) > 0.15
    constant = stream_of(DATA["constant"])
    assert constant.bin_of_cell()[constant.cell_of(np.array([0.002 * 1.01]))].tolist() == [2]


def test_bins_have_different_names() -> None:
    """Names of bins tell them apart, however close their values are."""
    values = np.random.default_rng(1).choice(1_000_000 + np.arange(10) / 1000, 8_000)
    for reference in (*DATA.values(), values):
        names = stream_of(reference).bin_names()
        assert len(set(names)) == len(names)
    assert stream_of(DATA["scores"]).bin_names()[1:-2] == ("0.1", "0.3", "0.5", "0.7", "0.9")
    assert "e+" not in "".join(stream_of(DATA["tokens"] * 100).bin_names())

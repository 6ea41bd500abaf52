"""Hashes of units: fixed, uniform, and independent of the assignment and of other experiments."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from monitor.config.sections.experiments.section import ExperimentConfig
from monitor.experiments.assignment.batches import Assigner
from monitor.experiments.assignment.unit_hashes import unit_hashes
from monitor.ingest.fields.hashing import uniform_numbers

COUNT = 100_000
IDS = {
    "numbers": [str(number) for number in range(COUNT)],
    "padded": [f"user-{number:08d}" for number in range(COUNT)],
    "hexadecimal": [f"{number:x}" for number in range(COUNT)],
    "long": ["tenant/" * 12 + str(number) for number in range(COUNT)],
    "not ASCII": [f"usuário-{number}" for number in range(COUNT)],
}
TEXTS = st.text(st.characters(exclude_categories=[]), max_size=100)


def buckets(hashes: NDArray[np.uint64], bits: int = 10) -> NDArray[np.int64]:
    """Return the top bits of hashes."""
    return (hashes >> np.uint64(64 - bits)).astype(np.int64)


def z_of_chi_squared(counts: NDArray[np.int64]) -> float:
    """Return the normal score of the chi-squared statistic of equal shares."""
    expected = counts.sum() / counts.size
    statistic = float(((counts - expected) ** 2 / expected).sum())
    freedom = counts.size - 1
    return float(statistic - freedom) / math.sqrt(2 * freedom)


def joint(one: NDArray[np.int64], other: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Return how often each pair of values below `size` occurs."""
    return np.bincount(one * size + other, minlength=size * size)


def test_hashes_are_fixed() -> None:
    """The hashes never change, because stored sums depend on them."""
    assert unit_hashes("new-prompt", ["user-1", "", "é" * 100]).tolist() == [
        12_330_704_886_721_861_552,
        14_572_097_067_272_513_144,
        9_083_914_249_885_818_296,
    ]


@pytest.mark.parametrize("kind", IDS)
def test_buckets_are_uniform(kind: str) -> None:
    """The 1,024 buckets of ids in a sequence have equal shares, and no two ids share a hash."""
    hashes = unit_hashes("new-prompt", IDS[kind])
    assert len({*hashes.tolist()}) == COUNT
    for bits in (10, 8, 4):
        assert abs(z_of_chi_squared(np.bincount(buckets(hashes, bits), minlength=1 << bits))) < 4.5


@pytest.mark.parametrize("kind", ["padded", "numbers"])
def test_buckets_are_independent(kind: str) -> None:
    """Buckets do not depend on the variant, on another experiment or on the draw of samples."""
    units: Sequence[str] = IDS[kind]
    mine = buckets(unit_hashes("new-prompt", units), 6)
    config = ExperimentConfig.model_validate(
        {"variants": {str(number): 1 for number in range(8)}, "goal": "error"}
    )
    variants = Assigner("new-prompt", config).codes(units).astype(np.int64)
    others = {
        "variants": (variants, 8),
        "another experiment": (buckets(unit_hashes("new-prompt-2", units), 6), 64),
        "samples": ((uniform_numbers(units) * 64).astype(np.int64), 64),
    }
    for name, (values, size) in others.items():
        z = z_of_chi_squared(np.bincount(mine * size + values, minlength=64 * size))
        assert abs(z) < 4.5, name


@given(st.lists(TEXTS, max_size=20))
def test_a_hash_does_not_depend_on_other_units(units: list[str]) -> None:
    """Each id has the same hash alone and in any batch, and other ids have others."""
    together = unit_hashes("name", units).tolist()
    assert together == [int(unit_hashes("name", [unit])[0]) for unit in units]
    assert len({*together}) == len({*units})

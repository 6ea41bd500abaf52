from __future__ import annotations

import numpy as np
import pytest

from replay.sets.measures.sizes import detectable_drop, required_items


@pytest.mark.parametrize(
    ("drop", "correlation", "items"),
    [
        *((0.03, 0.5, 1_159), (0.03, 0.7, 697), (0.03, 0.8, 466), (0.03, 0.9, 235)),
        *((0.05, 0.5, 431), (0.05, 0.7, 260), (0.05, 0.8, 174)),
        (0.03, 0.0, 2_315),
    ],
)
def test_sizes_are_the_simulated_ones(drop: float, correlation: float, items: int) -> None:
    """The formula is within 1 % of the sizes found by simulation; without correlation, unpaired."""
    assert required_items(drop, correlation) == pytest.approx(items, rel=0.01)


def test_the_power_is_reached() -> None:
    """A simulated test of the difference of independent runs has the power of the formula."""
    random = np.random.default_rng(3)
    items = required_items(0.1, 0.0)
    differences = random.binomial(1, 0.8, (4_000, items)) - random.binomial(1, 0.7, (4_000, items))
    errors = differences.std(axis=1, ddof=1) / np.sqrt(items)
    share = np.mean(differences.mean(axis=1) / errors > 1.645)
    assert share == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("correlation", [0.5, 0.9])
@pytest.mark.parametrize("items", [50, 312, 5_000])
def test_a_detectable_drop_is_the_smallest(items: int, correlation: float) -> None:
    """One thousandth less would need more items."""
    drop = detectable_drop(items, correlation)
    assert drop is not None
    assert required_items(drop, correlation) <= items < required_items(drop - 0.001, correlation)


def test_too_few_items_show_nothing() -> None:
    """One item shows no drop at all, and a drop below zero is no question."""
    assert detectable_drop(1, 0.5) is None
    for drop in (0.0, -0.1, 0.81):
        with pytest.raises(ValueError, match="not possible"):
            required_items(drop, 0.5)

from __future__ import annotations

from math import inf, log, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.experiments.sequential.multiple import e_bh, goal_alpha


@settings(max_examples=40)
@given(st.lists(st.floats(-5, 12), max_size=12))
def test_e_bh_rejects_the_largest_set_that_is_consistent(evidence: list[float]) -> None:
    """Each rejected E is at least m / (alpha k), and no larger set is."""
    rejected = e_bh(evidence, 0.05)
    assert len(rejected) == len(evidence)
    k, m = sum(rejected), len(evidence)
    assert all(
        value >= log(m / (0.05 * k)) for value, yes in zip(evidence, rejected, strict=True) if yes
    )
    for larger in range(k + 1, m + 1):
        assert sum(value >= log(m / (0.05 * larger)) for value in evidence) < larger


def test_e_bh_needs_less_for_many() -> None:
    """Five E of 30 among five are found, one of 30 among five is not."""
    assert e_bh([log(30)] * 5, 0.05) == (True,) * 5
    assert e_bh([log(30), 0, 0, 0, 0], 0.05) == (False,) * 5
    assert e_bh([log(101), nan, -inf, 0, 0], 0.05) == (True, False, False, False, False)
    assert e_bh([], 0.05) == ()


def test_the_goal_shares_alpha_between_arms() -> None:
    """Three arms are two comparisons."""
    assert goal_alpha(0.05, 2) == 0.05
    assert goal_alpha(0.05, 3) == 0.025
    with pytest.raises(ValueError, match="at least 2 arms"):
        goal_alpha(0.05, 1)

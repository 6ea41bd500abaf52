"""Criteria that make no sense are refused."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.errors import UserError
from replay.verdict.criteria import Criteria


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"margin": 0.0}, "margin"),
        ({"margin": float("nan")}, "margin"),
        ({"margins": {"qa": -0.1}}, "qa"),
        ({"alpha": 1.0}, "alpha"),
        ({"power": 0.0}, "power"),
        ({"min_items": 1}, "min_items"),
        ({"max_failed": 1.0}, "max_failed"),
    ],
)
def test_a_value_out_of_range_is_named(options: dict[str, Any], word: str) -> None:
    """The error names the value."""
    with pytest.raises(UserError, match=word):
        Criteria(**options)

"""Criteria for tests."""

from __future__ import annotations

from typing import Any


def content(**changes: Any) -> dict[str, Any]:
    """Return the content of valid criteria, with changes; None removes a key."""
    data: dict[str, Any] = {
        "name": "support",
        "candidate": {"model": {"name": "new", "base_url": "http://localhost:8000/v1"}},
        "baseline": {"run": "run-1"},
        "dimensions": {"quality": {"tasks": ["support"], "margin": 0.05}},
    } | changes
    return {key: value for key, value in data.items() if value is not None}

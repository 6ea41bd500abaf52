"""For all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def logging_defaults() -> Iterator[None]:
    """What a test configures is undone: the next one may look for what is logged."""
    yield
    structlog.reset_defaults()

"""Fixtures for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def logging_defaults() -> Iterator[None]:
    """Reset the logging configuration after each test: the next one may capture logs."""
    yield
    structlog.reset_defaults()

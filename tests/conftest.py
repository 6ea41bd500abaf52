"""Fixtures for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

from tests.long_form import LONG

# an example may take any time: a loaded machine is many times slower than an idle one
settings.register_profile("plumbline", deadline=None, max_examples=100 if LONG else 40)
settings.load_profile("plumbline")


@pytest.fixture(autouse=True)
def logging_defaults() -> Iterator[None]:
    """Reset the logging configuration after each test: the next one may capture logs."""
    yield
    structlog.reset_defaults()

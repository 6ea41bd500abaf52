"""Fixtures for all tests."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

from tests.long_form import LONG

DOWNLOADING = pytest.StashKey["subprocess.Popen[bytes]"]()

# an example may take any time: a loaded machine is many times slower than an idle one
settings.register_profile("plumbline", deadline=None, max_examples=100 if LONG else 40)
settings.load_profile("plumbline")


def pytest_configure(config: pytest.Config) -> None:
    """Download programs beside a parallel run of all tests."""
    parallel = getattr(config.option, "numprocesses", None)
    if parallel and config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        command = [sys.executable, "-m", "tests.downloads"]
        config.stash[DOWNLOADING] = subprocess.Popen(
            command, cwd=Path(__file__).parents[1], stdin=subprocess.DEVNULL
        )


def pytest_collection_finish() -> None:
    """Leave the imported tests out of the collections of garbage: each would take half a second."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the downloads with the run."""
    process = config.stash.get(DOWNLOADING, None)
    if process is not None:
        process.terminate()
        process.wait()


@pytest.fixture(autouse=True)
def logging_defaults() -> Iterator[None]:
    """Reset the logging configuration after each test: the next one may capture logs."""
    yield
    structlog.reset_defaults()

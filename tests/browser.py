"""Chromium, for the tests of pages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.debian import needed_browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser

TIMEOUT_MS = 60_000.0
"""Of a step in the browser, on a machine under load."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Chromium. Its event loop must end before other test modules run theirs."""
    from playwright.sync_api import sync_playwright

    path, variables = needed_browser()
    with sync_playwright() as driver:
        started = driver.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-dev-shm-usage"],  # containers have little of it
            env={**os.environ, **variables},
            timeout=TIMEOUT_MS,
        )
        yield started
        started.close()

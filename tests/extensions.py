"""Tests of C extensions, which are optional."""

from __future__ import annotations

import os

import pytest


def require_extension(source: str, *, built: bool) -> None:
    """Skip a test if an extension is not built. With CI=true, fail instead.

    source: file of the extension.
    """
    if built:
        return
    if os.environ.get("CI", "").lower() in {"1", "true", "yes", "on"}:
        pytest.fail(f"{source} is not built: see the output of `make setup`")
    pytest.skip(f"{source} is not built: is there a C compiler?")

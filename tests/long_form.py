"""Tests whose long form takes minutes: `make chaos` runs it, `make test` a short one."""

from __future__ import annotations

import os
from typing import Final

import pytest

LONG: Final = os.environ.get("PLUMBLINE_CHAOS", "") == "long"
"""Whether `make chaos` runs."""
long_only = pytest.mark.skipif(not LONG, reason="only in `make chaos`")

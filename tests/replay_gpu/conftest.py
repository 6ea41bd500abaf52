"""Tests with torch: `make test-replay` runs them in an environment of its own."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = ["test_*.py"] if find_spec("torch") is None else []

"""The cache of downloaded programs, and locks: test workers and downloads run at the same time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder of downloaded programs, which outlives a run; create it if necessary."""
    base = Path(os.environ.get("PLUMBLINE_TEST_CACHE") or "~/.cache/plumbline").expanduser()
    base.mkdir(parents=True, exist_ok=True)
    return base


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time download or install what belongs to a path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def apt_locked() -> Iterator[None]:
    """Let one process at a time use apt-get, which fails if another one updates its lists."""
    with locked(cache_folder() / "apt-get"):
        yield

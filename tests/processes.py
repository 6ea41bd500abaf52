"""Processes that a tested one has started."""

from __future__ import annotations

from pathlib import Path


def child_of(parent: int, command: str) -> int:
    """Return the id of the child process with this text in its command line."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
            line = (status.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == parent and command.encode() in line:
            return int(status.parent.name)
    raise AssertionError(f"process {parent} has no child {command}")

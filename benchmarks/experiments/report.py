"""The results of the simulation as a table and a plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def write(result: dict[str, Any], out: Path) -> None:
    """Write the table beside `out`."""

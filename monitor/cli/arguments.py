"""Types of command-line arguments.

Each function converts the text of an argument and raises ArgumentTypeError if it is invalid.
"""

from __future__ import annotations

import os
import re
import time
from argparse import ArgumentTypeError
from datetime import UTC, datetime
from pathlib import Path

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def positive_number(text: str) -> float:
    """Return a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def base_url(text: str) -> str:
    """Return the URL of a directory, with a slash at its end."""
    if not re.fullmatch(r"https?://[\w.:/~%-]+", text, re.ASCII):
        raise ArgumentTypeError(f"{text!r} is not a URL such as https://host/path")
    return text.rstrip("/") + "/"


def input_file(text: str) -> Path:
    """Return the path of a readable file, or "-" for standard input."""
    path = Path(text)
    if text != "-":
        if not path.exists():
            raise ArgumentTypeError(f"{text}: no such file")
        if path.is_dir():
            raise ArgumentTypeError(f"{text}: is a directory")
        if not os.access(path, os.R_OK):
            raise ArgumentTypeError(f"{text}: permission denied")
    return path


def output_file(text: str) -> Path:
    """Return the path of a file to write; a long command must not fail at its end."""
    path = Path(text)
    if path.is_dir():
        raise ArgumentTypeError(f"{text}: is a directory")
    if not os.access(path.parent, os.W_OK):
        raise ArgumentTypeError(f"{text}: cannot write to this directory")
    return path


def count(text: str) -> int:
    """Return a whole number from 1 on."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def moment(text: str) -> float:
    """Return a time as epoch seconds: of "2026-01-31T12:00:00Z", or of "90m", so long ago.

    A time without an offset is UTC. The units are s, m, h and d.
    """
    if ago := re.fullmatch(r"([0-9]{1,9})([smhd])", text, re.ASCII):
        return time.time() - int(ago[1]) * _UNITS[ago[2]]
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ArgumentTypeError(
            f"{text!r} is neither a time such as 2026-01-31T12:00:00Z nor a duration such as 90m"
        ) from None

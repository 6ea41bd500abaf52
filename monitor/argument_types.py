"""What command-line arguments must be; argparse turns what is raised here into one line."""

from __future__ import annotations

import os
import re
from argparse import ArgumentTypeError
from pathlib import Path


def positive(text: str) -> float:
    """A finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def folder_url(text: str) -> str:
    """The address of a folder, to which names of pages can be added."""
    if not re.fullmatch(r"https?://[\w.:/~%-]+", text, re.ASCII):
        raise ArgumentTypeError(f"{text!r} is no address such as https://wiki/runbooks")
    return text.rstrip("/") + "/"


def input_file(text: str) -> Path:
    """A file to read, or "-"; what can be told before the work is told before it."""
    path = Path(text)
    if text != "-":
        if not path.exists():
            raise ArgumentTypeError(f"{text}: no such file")
        if path.is_dir():
            raise ArgumentTypeError(f"{text}: is a directory")
        if not os.access(path, os.R_OK):
            raise ArgumentTypeError(f"{text}: may not be read")
    return path


def output_file(text: str) -> Path:
    """A file to write once the work is done."""
    path = Path(text)
    if path.is_dir():
        raise ArgumentTypeError(f"{text}: is a directory")
    if not os.access(path.parent, os.W_OK):
        raise ArgumentTypeError(f"{text}: cannot be written there")
    return path

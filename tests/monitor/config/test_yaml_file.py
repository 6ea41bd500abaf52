"""Files that cannot be used as a whole, and values that YAML misreads."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.config.load import load
from monitor.config.schema import describe
from tests.monitor.config.config_files import problems, write_config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; without a file the defaults apply"),
        ("# nothing\n", "is empty; without a file the defaults apply"),
        ("- a\n", "must be a mapping of keys to values"),
        ("windows\n", "must be a mapping of keys to values"),
        ("a: \x07\n", "is not YAML: it contains control characters"),
        ("[" * 5000, "is nested too deeply"),
    ],
)
def test_file_without_a_mapping_is_rejected(tmp_path: Path, text: str, message: str) -> None:
    """A file that is not a YAML mapping gives one problem without a line."""
    path = write_config(tmp_path, text)
    assert problems(path) == [f"{path}: {message}"]


def test_unreadable_files_are_rejected(tmp_path: Path) -> None:
    """A missing file, a directory and a binary file are reported with the reason."""
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    missing = tmp_path / "no.yaml"
    assert problems(missing) == [f"{missing}: cannot be read: no such file or directory"]
    assert problems(tmp_path) == [f"{tmp_path}: cannot be read: is a directory"]
    assert problems(binary) == [f"{binary}: is not YAML: it is not UTF-8 text"]


def test_invalid_dates_are_text(tmp_path: Path) -> None:
    """Text in the form of a date that does not exist stays text."""
    path = write_config(tmp_path, "reference: {source: named, name: 2025-13-99}")
    assert describe(load(path, {}))["reference"]["name"] == "2025-13-99"

"""Kinds of streams."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """The type of a stream's values."""

    NUMERIC = "numeric"
    BINARY = "binary"
    CATEGORICAL = "categorical"

"""Kinds of streams."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """The type of a stream's values."""

    NUMERIC = "numeric"
    BINARY = "binary"
    CATEGORICAL = "categorical"
    CONDITIONAL = "conditional"
    """Binary or numeric, compared within strata (`detectors.conditional_stream`)."""


VALUE_KINDS = (Kind.NUMERIC, Kind.BINARY, Kind.CATEGORICAL)
"""Kinds of streams whose values are compared as they are."""

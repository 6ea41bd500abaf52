"""Segments: the parts of a model's traffic that share a category, such as metadata.route=search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from monitor.columns import Columns

WHOLE = ""
"""The segment that is no segment: all of a model's traffic."""


def split(columns: Columns, keys: Sequence[str]) -> Iterator[tuple[str, Columns]]:
    """(segment, its records) for each value of each key, after (WHOLE, columns) itself.

    A record without a value for a key is in no segment of that key.
    """
    yield WHOLE, columns
    for key in keys:
        column = next((c for c in columns.categories if c.name == key), None)
        if column is None:
            continue
        for code in np.unique(column.codes[column.codes >= 0]).tolist():
            chosen = np.flatnonzero(column.codes == code)
            yield f"{key}={column.vocabulary[code]}", columns.take(chosen)

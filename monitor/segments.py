"""Segments: the parts of a model's traffic that share a category, such as metadata.route=search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from monitor.columns import Columns

WHOLE = ""
"""The segment that is no segment: all of a model's traffic."""


def split(columns: Columns, keys: Sequence[str]) -> Iterator[tuple[str, Columns]]:
    """(segment, its records) for each value of each key, after (WHOLE, columns) itself.

    A record without a value for a key is in no segment of that key. Segments come in the order of
    their first records, so that it does not matter how the log was cut into batches.
    """
    yield WHOLE, columns
    for key in keys:
        column = next((c for c in columns.categories if c.name == key), None)
        if column is None:
            continue
        codes, first = np.unique(column.codes, return_index=True)
        for code in codes[np.argsort(first)].tolist():
            if code < 0:
                continue
            chosen = np.flatnonzero(column.codes == code)
            yield f"{key}={column.vocabulary[code]}", columns.take(chosen)

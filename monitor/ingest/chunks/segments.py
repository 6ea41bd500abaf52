"""Segments: parts of a model's traffic with the same category, such as metadata.route=search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from monitor.ingest.chunks.columns import Columns

WHOLE = ""
"""The name of the whole traffic of a model, which is treated as a segment."""


def is_key(feature: str) -> bool:
    """Return whether a feature can divide traffic into segments (see `Config.segments`)."""
    return feature == "finish_reason" or feature.startswith("metadata.")


def split(columns: Columns, keys: Sequence[str]) -> Iterator[tuple[str, Columns]]:
    """Yield (WHOLE, columns), then (segment, its records) for each value of each key.

    A record without a value for a key is in no segment of that key. Segments are in the order of
    their first records, so the order does not depend on batches.
    """
    yield WHOLE, columns
    for key in keys:
        column = next((c for c in columns.categories if c.name == key), None)
        if column is None:
            continue
        order = np.argsort(column.codes, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(column.codes[order])) + 1)
        for chosen in sorted(groups, key=lambda group: int(group[0]) if len(group) else -1):
            code = int(column.codes[chosen[0]]) if len(chosen) else -1
            if code >= 0:
                yield f"{key}={column.vocabulary[code]}", columns.take(chosen)

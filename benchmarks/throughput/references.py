"""References and full windows for any number of models, built from the records of one model.

A warm-up of 200 models would need two million records. Instead, every model gets the same
reference, built from the first records of the log, and a window filled with the records after them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks.harness.messages import model_name
from monitor.config.schema import Config
from monitor.detect.reference import builder, store
from monitor.detect.reference.profile import Profile
from monitor.ingest import files
from monitor.ingest.chunks.columns import Columns
from monitor.ingest.chunks.segments import WHOLE

WARM_UP = 10_000
"""Records of a reference: ten windows, the minimum that the configuration accepts."""


def save_references(path: Path, directory: Path, models: Mapping[str, int]) -> list[Columns]:
    """Save one named reference for each entry of `models`; return one window of records.

    path: a file of records. models: name of the reference -> number of models in it.
    """
    config = Config()
    pieces: list[Columns] = []
    for batch in files.reader(config).batches([path], lambda _: None):
        pieces += batch.by_model()
        if sum(map(len, pieces)) >= WARM_UP + config.windows.records:
            break
    accepted = _first(pieces, WARM_UP)
    for name, count in models.items():
        profiles = [_profile(number, accepted, config) for number in range(count)]
        store.save(directory, name, profiles, "benchmark")
    return _first(reversed(pieces), config.windows.records)


def _first(pieces: Iterable[Columns], count: int) -> list[Columns]:
    """Return the first `count` records, split as the input is."""
    taken: list[Columns] = []
    for piece in pieces:
        if count > 0:
            taken.append(piece.take(slice(0, count)))
            count -= len(taken[-1])
    return taken


def _profile(number: int, pieces: Sequence[Columns], config: Config) -> Profile:
    renamed = [dataclasses.replace(piece, model=model_name(number)) for piece in pieces]
    window, most = config.windows.records, config.limits.categories
    return builder.build(renamed, segment=WHOLE, window=window, categories=most)

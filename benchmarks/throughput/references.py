"""References and full windows for any number of models, made from the records of one.

A warm-up of 200 models would take two million records. So every model gets the same reference, from
the first records of the log, and its window is filled with the next ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks.records import model_name
from monitor import logfiles, reference
from monitor import references as named
from monitor.columns import Columns
from monitor.config import Config
from monitor.reference import Profile
from monitor.segments import WHOLE

WARM_UP = 10_000
"""Records of a reference: ten windows, the least that the configuration allows."""


def references(path: Path, directory: Path, models: Mapping[str, int]) -> list[Columns]:
    """Save a named reference for each number of models; returns one window of records.

    path: a file of records. models: how many models, by the name of the reference.
    """
    config = Config()
    pieces: list[Columns] = []
    for batch in logfiles.reader(config).batches([path], lambda _: None):
        pieces += batch.by_model()
        if sum(map(len, pieces)) >= WARM_UP + config.windows.records:
            break
    accepted = _first(pieces, WARM_UP)
    for name, count in models.items():
        profiles = [_profile(number, accepted, config) for number in range(count)]
        named.save(directory, name, profiles, "benchmark")
    return _first(reversed(pieces), config.windows.records)


def _first(pieces: Iterable[Columns], count: int) -> list[Columns]:
    """The first `count` records, in as many pieces as they come in."""
    taken: list[Columns] = []
    for piece in pieces:
        if count > 0:
            taken.append(piece.take(slice(0, count)))
            count -= len(taken[-1])
    return taken


def _profile(number: int, pieces: Sequence[Columns], config: Config) -> Profile:
    renamed = [dataclasses.replace(piece, model=model_name(number)) for piece in pieces]
    window, most = config.windows.records, config.limits.categories
    return reference.build(renamed, segment=WHOLE, window=window, categories=most)

"""What the limits on models, scores, categories and segments cut off, by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

OTHER = ""
"""The model of all records beyond the limit of models: counted, not watched. No record has it."""
LEGACY_OTHER = "other"
"""The same in chunks and checkpoints of earlier versions, in which no model has this name."""
OTHER_LABEL = "other"
"""The label of `OTHER` in metrics and reports."""
MAX_NAMES = 1000
"""Names of a kind that are kept; all are counted, up to MAX_COUNTED."""
MAX_COUNTED = 100_000
SCORES_PER_LIMIT = 4
"""Ingest keeps this many times limits.scores: the reference chooses the most frequent ones."""

_taken = re.compile(r"other( \(named\))*").fullmatch


def model_label(model: str) -> str:
    """Return the name of a model in metrics and reports, which tells it apart from "other".

    A model that is really named "other" is "other (named)", and so on: no two models are the same.
    """
    if model == OTHER:
        return OTHER_LABEL
    return f"{model} (named)" if _taken(model) else model


@dataclass(slots=True)
class Names:
    """The first names of a kind, with the number of times each was dropped.

    count: number of different names; about MAX_COUNTED at most.
    """

    first: dict[str, int] = field(default_factory=dict)
    _hashes: set[int] = field(default_factory=set)

    @property
    def count(self) -> int:
        """Number of different names."""
        return len(self._hashes)

    def add(self, name: str, times: int = 1) -> None:
        """Count a name."""
        if name in self.first:
            self.first[name] += times
        elif len(self.first) < MAX_NAMES:
            self.first[name] = times
        if len(self._hashes) < MAX_COUNTED:
            self._hashes.add(hash(name))

    @property
    def full(self) -> bool:
        """Whether no further name is kept."""
        return len(self.first) >= MAX_NAMES

    def count_all(self, names: Iterable[str]) -> None:
        """Count names without keeping them."""
        if len(self._hashes) < MAX_COUNTED:
            self._hashes.update(map(hash, names))

    def update(self, other: Names) -> None:
        """Add the names of another collection."""
        for name, times in other.first.items():
            self.add(name, times)
        self._hashes |= other._hashes


@dataclass(slots=True)
class Dropped:
    """Names that a limit cut off. categories: by feature; segments: as KEY=VALUE."""

    models: Names = field(default_factory=Names)
    scores: Names = field(default_factory=Names)
    segments: Names = field(default_factory=Names)
    categories: dict[str, Names] = field(default_factory=dict)

    def add_category(self, feature: str, category: str, records: int) -> None:
        """Count records of a category beyond the limit."""
        self.categories.setdefault(feature, Names()).add(category, records)

    def update(self, other: Dropped) -> None:
        """Add the names of another collection."""
        self.models.update(other.models)
        self.scores.update(other.scores)
        self.segments.update(other.segments)
        for feature, names in other.categories.items():
            self.categories.setdefault(feature, Names()).update(names)

    def saved(self) -> SavedDropped:
        """Return the first names of each kind, for a file."""
        return SavedDropped(
            models=self.models.first,
            scores=self.scores.first,
            segments=self.segments.first,
            categories={feature: names.first for feature, names in self.categories.items()},
        )


class SavedDropped(msgspec.Struct, frozen=True, kw_only=True):
    """Names that a limit cut off, with the number of times, in a file; see `Dropped`."""

    models: dict[str, int] = {}
    scores: dict[str, int] = {}
    segments: dict[str, int] = {}
    categories: dict[str, dict[str, int]] = {}

    def restored(self) -> Dropped:
        """Return the names."""
        return Dropped(
            models=_names(self.models),
            scores=_names(self.scores),
            segments=_names(self.segments),
            categories={feature: _names(first) for feature, first in self.categories.items()},
        )


def _names(times: Mapping[str, int]) -> Names:
    names = Names()
    for name, count in times.items():
        names.add(name, count)
    return names


def joined(parts: Iterable[Dropped]) -> Dropped:
    """Return the names of all parts together."""
    total = Dropped()
    for part in parts:
        total.update(part)
    return total

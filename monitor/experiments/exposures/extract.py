"""Exposures from the records of a batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Floats
from monitor.config.sections.experiments.section import ExperimentConfig
from monitor.experiments.assignment.batches import NOT_ASSIGNED, Assigner
from monitor.experiments.assignment.unit_hashes import unit_hashes
from monitor.experiments.design import Design, design_of
from monitor.experiments.exposures import fields
from monitor.experiments.exposures.columns import (
    NOT_COMPARED,
    SHARD_BITS,
    SHARDS,
    UNNAMED,
    Codes,
    Exposures,
    Units,
)
from monitor.ingest.features import BINARY, Batch
from monitor.ingest.fields.fields import Coded, Fields
from monitor.records import UnitExposure

FEEDBACK: Final = "feedback"
"""Feature of the record's own feedback, which is no feature of drift."""
_METADATA: Final = "metadata."


@dataclass(slots=True)
class ExposureCounts:
    """Numbers by experiment.

    written: exposures. no_unit: records of the experiment without a unit, which cannot count.
    """

    written: Counter[str] = field(default_factory=Counter)
    no_unit: Counter[str] = field(default_factory=Counter)

    def update(self, other: ExposureCounts) -> None:
        """Add the numbers of another object."""
        self.written.update(other.written)
        self.no_unit.update(other.no_unit)


@dataclass(frozen=True, slots=True, eq=False)
class BatchExposures:
    """Exposures of an experiment in a batch of records, of all shards.

    rows: shape (n,), ascending indices of the records. The other fields are as in `Exposures`.
    """

    design: Design
    rows: NDArray[np.int64]
    times: Floats
    units: Units
    variants: Codes
    compared: Codes
    features: tuple[str, ...]
    values: Floats

    def take(self, chosen: NDArray[np.int64] | slice) -> BatchExposures:
        """Return some of the exposures; a slice is not copied."""
        return BatchExposures(
            self.design,
            self.rows[chosen],
            self.times[chosen],
            self.units[chosen],
            self.variants[chosen],
            self.compared[chosen],
            self.features,
            self.values[:, chosen],
        )

    def of_record(self, index: int) -> UnitExposure | None:
        """Return the exposure of the record with this index, if it has one."""
        place = int(np.searchsorted(self.rows, index))
        if place == len(self.rows) or self.rows[place] != index:
            return None
        variant = (*self.design.variants, None)[self.variants[place]]  # -1 is UNNAMED
        return UnitExposure(self.design.phase, int(self.units[place]), variant)

    def by_shard(self) -> Iterator[Exposures]:
        """Yield the exposures of each shard that has some, in the order of the records."""
        shards = (self.units >> np.uint64(64 - SHARD_BITS)).astype(np.int8)
        order = np.argsort(shards, kind="stable")
        ends = np.cumsum(np.bincount(shards, minlength=SHARDS))
        for shard, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            if start == end:
                continue
            chosen = order[start:end]
            yield Exposures(
                self.design.name,
                self.design.phase,
                shard,
                self.times[chosen],
                self.units[chosen],
                self.design.variants,
                self.variants[chosen],
                self.compared[chosen],
                self.features,
                self.values[:, chosen],
            )


def join(pieces: Sequence[BatchExposures]) -> BatchExposures:
    """Concatenate exposures of one experiment. Features that a piece omits are missing in it."""
    if len(pieces) == 1:
        return pieces[0]
    names = tuple(dict.fromkeys(name for piece in pieces for name in piece.features))
    return BatchExposures(
        pieces[0].design,
        np.concatenate([piece.rows for piece in pieces]),
        np.concatenate([piece.times for piece in pieces]),
        np.concatenate([piece.units for piece in pieces]),
        np.concatenate([piece.variants for piece in pieces]),
        np.concatenate([piece.compared for piece in pieces]),
        names,
        np.concatenate([_values_of(piece, names) for piece in pieces], axis=1),
    )


def _values_of(piece: BatchExposures, names: tuple[str, ...]) -> Floats:
    if piece.features == names:
        return piece.values
    values = np.full((len(names), len(piece.rows)), np.nan)
    values[[names.index(name) for name in piece.features]] = piece.values
    return values


class ExposureExtractor:
    """Extracts the exposures of all configured experiments."""

    def __init__(self, experiments: Mapping[str, ExperimentConfig]) -> None:
        self._experiments = [_Experiment(name, each) for name, each in experiments.items()]

    def extract(
        self, records: Fields, batch: Batch, counts: ExposureCounts
    ) -> list[BatchExposures]:
        """Return the exposures of a batch by experiment; experiments without any are omitted.

        records: with the fields of experiments. batch: their features. counts: is updated.
        """
        if not len(records):
            return []
        columns = _Columns(records, batch)
        found = (each.exposures(columns, counts) for each in self._experiments)
        return [each for each in found if each is not None]


class _Columns:
    """The fields of the records of a batch; each is decoded when an experiment needs it."""

    def __init__(self, records: Fields, batch: Batch) -> None:
        self.batch = batch
        self._records = records
        optional = records.optional
        if optional is None:
            raise ValueError("decoded without the fields of experiments")
        self._optional = optional
        self._units: dict[str, list[str | None]] = {}

    def variants(self, experiment: str) -> Coded[Any]:
        """Return the logged variants of an experiment."""
        return fields.values_of(self._optional.experiments, experiment)

    @cached_property
    def feedback(self) -> Floats:
        """The feedback, NaN if missing."""
        return fields.numbers(self._optional.raw["feedback"])

    def units(self, unit: str) -> list[str | None]:
        """Return the ids of a kind of units."""
        if unit not in self._units:
            self._units[unit] = self._ids(unit)
        return self._units[unit]

    def _ids(self, unit: str) -> list[str | None]:
        if unit.startswith(_METADATA):
            return fields.metadata_texts(self._records.metadata[unit.removeprefix(_METADATA)])
        if unit == "request_id":
            return [each or None for each in self._records.ids]
        return fields.texts(self._optional.raw[unit])

    def feature(self, name: str) -> Floats | None:
        """Return the values of a feature; None if no record can have it."""
        if name == FEEDBACK:
            return self.feedback
        if name in self.batch.numeric or name in BINARY:
            return self.batch.row(name)
        return None


class _Experiment:
    """Extracts the exposures of one experiment."""

    def __init__(self, name: str, config: ExperimentConfig) -> None:
        self.design = design_of(name, config)
        self._unit = config.unit
        self._assigner = Assigner(name, config)
        self._codes = {variant: code for code, variant in enumerate(self.design.variants)}
        self._features = tuple(dict.fromkeys(m.feature for m in self.design.metrics))
        self._select: Callable[[_Columns, ExposureCounts], _Selection] = (
            self._by_hash if config.assignment == "hash" else self._by_log
        )

    def exposures(self, columns: _Columns, counts: ExposureCounts) -> BatchExposures | None:
        """Return the exposures of a batch; None if there are none."""
        rows, ids, variants, compared = self._select(columns, counts)
        if not len(rows):
            return None
        name = self.design.name
        counts.written[name] += len(rows)
        features, values = [], []
        for feature in self._features:
            found = columns.feature(feature)
            if found is not None and not np.isnan(chosen := found[rows]).all():
                features.append(feature)
                values.append(chosen)
        return BatchExposures(
            self.design,
            rows,
            columns.batch.times[rows],
            unit_hashes(name, ids),
            variants,
            compared,
            tuple(features),
            np.array(values, np.float64).reshape(len(values), len(rows)),
        )

    def _by_log(self, columns: _Columns, counts: ExposureCounts) -> _Selection:
        """Return the records with a logged variant and a unit; compare with the hash if told."""
        logged = self._logged(columns)
        ids = columns.units(self._unit)
        named = np.flatnonzero(logged != NOT_COMPARED).tolist()
        rows = [row for row in named if ids[row] is not None]
        counts.no_unit[self.design.name] += len(named) - len(rows)
        chosen = [ids[row] or "" for row in rows]
        overridden = set(self._assigner.overridden(chosen).tolist())
        if overridden:
            rows = [row for place, row in enumerate(rows) if place not in overridden]
            chosen = [each for place, each in enumerate(chosen) if place not in overridden]
        codes = logged[rows]
        compared = np.full(len(rows), NOT_COMPARED, np.int16)
        if self.design.assignment == "check" and rows:
            compared = self._assigner.codes(chosen)
        return np.array(rows, np.int64), chosen, codes, compared

    def _by_hash(self, columns: _Columns, counts: ExposureCounts) -> _Selection:
        """Return the records whose unit the hash assigns; compare with the logged variant."""
        ids = columns.units(self._unit)
        rows = np.array([i for i, each in enumerate(ids) if each is not None], np.int64)
        counts.no_unit[self.design.name] += len(ids) - len(rows)
        chosen = [ids[i] or "" for i in rows.tolist()]
        if not chosen:
            return rows, chosen, np.zeros(0, np.int16), np.zeros(0, np.int16)
        codes = self._assigner.codes(chosen)
        kept = np.flatnonzero(codes != NOT_ASSIGNED)
        rows = rows[kept]
        ids_kept = [chosen[place] for place in kept.tolist()]
        return rows, ids_kept, codes[kept], self._logged(columns)[rows]

    def _logged(self, columns: _Columns) -> Codes:
        """Return the code of the logged variant of each record; NOT_COMPARED without one."""
        variants = columns.variants(self.design.name)
        own = [self._code(variant) for variant in variants.vocabulary]
        codes: Codes = np.array([*own, NOT_COMPARED], np.int16)[variants.codes]
        return codes

    def _code(self, variant: Any) -> int:
        if variant is None:
            return NOT_COMPARED
        return self._codes.get(variant, UNNAMED) if isinstance(variant, str) else UNNAMED


_Selection = tuple[NDArray[np.int64], list[str], Codes, Codes]
"""Indices of records, ids of their units, variants, and variants to compare."""

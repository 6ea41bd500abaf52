"""What follows from a configuration: who may page how often, and how soon a shift is seen.

Where a reference is at hand its models are looked at; where it will come from a warm-up, an assumed
model of independent records is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from detectors import registry
from detectors.base import Kind
from detectors.baseline import Baseline
from detectors.evaluate import baseline_of, categorical_baseline
from monitor import budget, features, references
from monitor.caveats import caveats
from monitor.config import Config, WarmupReference
from monitor.delays import Delay, delays
from monitor.reference import Profile
from monitor.references import UnusableReferenceError
from monitor.segments import WHOLE

ASSUMED_RATE = 50.0
"""Records a second of a model that is not known yet."""
VALUES = 600_000
"""That are simulated for each size of shift, of all models together: about a second in all."""
MODELS = 2
"""That are simulated, those with most records."""
MANY_MODELS = 20
"""That are told of."""
LONGEST_FILE = 32 * 1024 * 1024
"""Bytes of a file of records that are read for this: a second or two."""
PACKED = 10
"""How much less a packed one may have."""


@dataclass(frozen=True, slots=True)
class Part:
    """One detector's part of a budget.

    share: of the budget. streams: that it watches. level: the chance of a false alarm that one
    evaluation of one of them has. An advisory one has no share, nor one without a stream.
    """

    detector: str
    share: float
    streams: int
    level: float


@dataclass(frozen=True, slots=True)
class Feature:
    """What becomes of shifts of one feature; none where it was not simulated, or is constant."""

    name: str
    kind: str
    inflation: float
    delays: tuple[Delay, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelOutlook:
    """One model's. assumed: it is no model that is known, but one of independent records."""

    model: str
    assumed: bool
    reference_records: int
    records_per_second: float
    seconds_per_evaluation: float
    parts: tuple[Part, ...]
    features: tuple[Feature, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outlook:
    """False pages allowed to a model in per_days days, and what follows for each model.

    whole_model: the part of them that its whole traffic has; the segments of each key have as much.
    left_out: models that are not told of.
    """

    false_pages: float
    per_days: float
    whole_model: float
    advisory: tuple[str, ...]
    models: tuple[ModelOutlook, ...]
    left_out: int
    warnings: tuple[str, ...]


def of(config: Config) -> Outlook:
    """What follows from a configuration, and from its reference if that can be read in a moment."""
    profiles, warnings = _profiles(config)
    models = [
        _known(config, profile, VALUES // min(MODELS, len(profiles)) if at < MODELS else 0)
        for at, profile in enumerate(profiles[:MANY_MODELS])
    ]
    alarms = config.alarms
    return Outlook(
        false_pages=alarms.false_pages,
        per_days=alarms.per_days,
        whole_model=budget.per_day(config) * alarms.per_days,
        advisory=tuple(name for name in config.detectors if name in alarms.advisory),
        models=tuple(models or [_assumed(config)]),
        left_out=max(0, len(profiles) - MANY_MODELS),
        warnings=warnings,
    )


def _profiles(config: Config) -> tuple[list[Profile], tuple[str, ...]]:
    """The references of whole models, the largest first, or why there are none."""
    source = config.reference
    if isinstance(source, WarmupReference):
        return [], ()
    try:
        if source.source == "file" and _is_long(source.path):
            return [], (f"{source.path} is too long to be read for a check",)
        known = references.load(config).values()
    except OSError as error:
        return [], (f"the reference cannot be used: {error.filename}: {error.strerror}",)
    except UnusableReferenceError as error:
        return [], (f"the reference cannot be used: {error}",)
    whole = [profile for profile in known if profile.segment == WHOLE]
    return sorted(whole, key=lambda profile: (-profile.records, profile.model)), ()


def _is_long(path: Path) -> bool:
    return path.stat().st_size * (PACKED if path.suffix == ".gz" else 1) > LONGEST_FILE


def _known(config: Config, profile: Profile, values: int) -> ModelOutlook:
    """Of a model with a reference. values: to simulate for each size of shift."""
    baseline, pace = profile.baseline, profile.records_per_second
    streams = registry.streams_watched(config.detectors, baseline)
    levels = budget.levels(config, streams, pace)
    found, warnings = _features(config, baseline, levels, values)
    warnings += tuple(caveats(config, profile, levels))
    return _outlook(config, profile.model, profile.records, pace, streams, found, warnings)


def _assumed(config: Config) -> ModelOutlook:
    """Of a model with the default features, of independent records."""
    reference = config.reference
    records = reference.records if isinstance(reference, WarmupReference) else 0
    records = records or WarmupReference().records
    baseline = _independent(records, config.windows.records)
    kinds = {
        Kind.NUMERIC: len(features.NUMERIC),
        Kind.BINARY: len(features.BINARY),
        Kind.CATEGORICAL: len(features.CATEGORICAL),
    }
    for kind in config.features.metadata.values():
        kinds[Kind(kind)] += 1
    streams = {
        str(name): sum(kinds[kind] for kind in registry.DETECTORS[name].kinds)
        for name in config.detectors
    }
    levels = budget.levels(config, streams, ASSUMED_RATE)
    found, warnings = _features(config, baseline, levels, VALUES // 4)
    made = _outlook(config, "", records, ASSUMED_RATE, streams, found, warnings)
    return replace(made, assumed=True)


def _outlook(
    config: Config,
    model: str,
    records: int,
    pace: float,
    streams: Mapping[str, int],
    found: Sequence[Feature],
    warnings: tuple[str, ...],
) -> ModelOutlook:
    levels = budget.levels(config, streams, pace)
    weights = {str(n): config.alarms.weights.get(n, 1.0) for n in budget.voting(config)}
    whole = sum(weight for name, weight in weights.items() if streams[name])
    parts = [
        Part(name, weights.get(name, 0.0) / whole if streams[name] else 0.0, streams[name], level)
        for name, level in levels.items()
    ]
    seconds = config.windows.stride / pace
    return ModelOutlook(model, False, records, pace, seconds, tuple(parts), tuple(found), warnings)


def _features(
    config: Config, baseline: Baseline, levels: Mapping[str, float], values: int
) -> tuple[list[Feature], tuple[str, ...]]:
    """What becomes of shifts of every feature, and what there is to warn of."""
    rows: Sequence[Sequence[Delay]] = [[] for _ in baseline.streams]
    warnings = list[str]()
    if values:
        try:
            rows = delays(baseline, config, levels, values)
        except ValueError as error:
            warnings.append(f"no shift can be simulated: {error}")
    found = [
        Feature(stream.name, stream.kind.value, stream.inflation, tuple(row))
        for stream, row in zip(baseline.streams, rows, strict=True)
    ]
    return found, (*warnings, *_unseen(found))


def _unseen(found: Sequence[Feature]) -> Iterator[str]:
    """Features in which shifts hide."""
    for feature in found:
        hidden = [delay for delay in feature.delays if delay.seen is None]
        if hidden:
            least = hidden[-1]
            yield f"{feature.name}: {least.sd:g} sd is not seen within {least.limit:,} records"


def _independent(records: int, window: int) -> Baseline:
    """A number, a flag and a category of independent records."""
    rng = np.random.default_rng(0)
    names = rng.choice(["stop", "length", "tool_calls"], records, p=[0.9, 0.07, 0.03]).tolist()
    numeric = baseline_of(rng.standard_normal((1, records)), Kind.NUMERIC, window).numeric
    binary = baseline_of((rng.random((1, records)) < 0.05).astype(float), Kind.BINARY, window)
    categorical = categorical_baseline(names, window).categorical
    return Baseline(
        records,
        (replace(numeric[0], name="a number"), replace(binary.numeric[0], name="a flag (5 %)")),
        (replace(categorical[0], name="a category"),),
    )

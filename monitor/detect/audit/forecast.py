"""Forecast of a configuration: budget shares, significance levels and detection delays.

The forecast uses the models of the configured reference. If the reference will come from a warm-up,
it uses an assumed model of independent records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from detectors import registry
from detectors.baseline import Baseline
from detectors.evaluate import baseline_from_array, baseline_from_categories
from detectors.kinds import Kind
from monitor.config.schema import Config
from monitor.config.sections.detection import WarmupReference
from monitor.detect.alarms import budget
from monitor.detect.audit.delays import Delay, delays
from monitor.detect.audit.reference_warnings import warnings_of
from monitor.detect.reference import loader, sources
from monitor.detect.reference.groups import StreamGroup
from monitor.detect.reference.profile import Profile
from monitor.detect.reference.store import UnusableReferenceError
from monitor.ingest.chunks.segments import WHOLE
from monitor.ingest.features import BINARY, CATEGORICAL, NUMERIC
from monitor.records import Source

ASSUMED_RATE = 50.0
"""Records per second of the assumed model."""
VALUES = 600_000
"""Values simulated per shift, over all models: about a second in total."""
SIMULATED_MODELS = 2
"""Models simulated, those with the most records."""
MAX_MODELS = 20
"""Models in the forecast."""
MAX_FILE_BYTES = 32 * 1024 * 1024
"""Largest file of records that is read for a forecast, which takes a second or two."""
COMPRESSION_RATIO = 10
"""Assumed ratio of a compressed file."""


@dataclass(frozen=True, slots=True)
class DetectorShare:
    """Share of one detector in the false-page budget.

    share: 0 for an advisory detector and for one without streams. streams: number of streams that
    it watches. level: false-alarm probability of one evaluation of one stream.
    """

    detector: str
    share: float
    streams: int
    level: float


@dataclass(frozen=True, slots=True)
class FeatureForecast:
    """Detection delays of one feature; none if it was not simulated or is constant."""

    name: str
    kind: str
    inflation: float
    delays: tuple[Delay, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelForecast:
    """Forecast of one model. assumed: whether it is the assumed model of independent records."""

    model: str
    assumed: bool
    reference_records: int
    records_per_second: float
    seconds_per_evaluation: float
    parts: tuple[DetectorShare, ...]
    features: tuple[FeatureForecast, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Forecast:
    """False pages allowed per model in per_days days, and the forecast of each model.

    whole_model: the part of the budget for the records of the whole traffic of a model; the
    segments of each key get an equal part. left_out: number of models beyond MAX_MODELS.
    """

    false_pages: float
    per_days: float
    whole_model: float
    advisory: tuple[str, ...]
    models: tuple[ModelForecast, ...]
    left_out: int
    warnings: tuple[str, ...]


def compute(config: Config) -> Forecast:
    """Return the forecast of a configuration, with its reference unless that is too large."""
    profiles, warnings = _profiles(config)
    models = [
        _reference_forecast(
            config,
            profile,
            VALUES // min(SIMULATED_MODELS, len(profiles)) if index < SIMULATED_MODELS else 0,
        )
        for index, profile in enumerate(profiles[:MAX_MODELS])
    ]
    alarms, share = config.alarms, _share(config)
    return Forecast(
        false_pages=alarms.false_pages,
        per_days=alarms.per_days,
        whole_model=budget.false_pages_per_day(config, share) * alarms.per_days,
        advisory=tuple(name for name in config.detectors if name in alarms.advisory),
        models=tuple(models or [_assumed_forecast(config)]),
        left_out=max(0, len(profiles) - MAX_MODELS),
        warnings=warnings,
    )


def _share(config: Config) -> float:
    """Return the share of the log in the budget: the forecast is about its records."""
    return sources.settings(config)[Source.LOG].share


def _profiles(config: Config) -> tuple[list[Profile], tuple[str, ...]]:
    """Return the references of whole models, largest first, or a warning why there are none.

    Raises UnusableReferenceError for a reference that the daemon would refuse.
    """
    source = config.reference
    if isinstance(source, WarmupReference):
        return [], ()
    try:
        if source.source == "file" and _is_too_large(source.path):
            return [], (f"{source.path} is too large to be read for a forecast",)
        profiles = loader.load(config).values()
    except OSError as error:
        raise UnusableReferenceError(f"cannot read {error.filename}: {error.strerror}") from None
    whole = [profile for profile in profiles if profile.segment == WHOLE]
    return sorted(whole, key=lambda profile: (-profile.records, profile.model)), ()


def _is_too_large(path: Path) -> bool:
    return path.stat().st_size * (COMPRESSION_RATIO if path.suffix == ".gz" else 1) > MAX_FILE_BYTES


def _reference_forecast(config: Config, profile: Profile, values: int) -> ModelForecast:
    """Return the forecast of a model with a reference. values: to simulate per shift."""
    rate, groups = profile.records_per_second, profile.groups(config.windows)
    levels = budget.group_levels(config, groups, rate, _share(config))
    features, warnings = list[FeatureForecast](), list[str]()
    streams = Counter[str]()
    for group, own in zip(groups, levels, strict=True):
        found, doubts = _features(config, group, own, values // len(groups))
        features += found
        warnings += doubts
        streams.update(registry.count_streams(config.detectors, group.baseline))
    return ModelForecast(
        model=profile.model,
        assumed=False,
        reference_records=profile.records,
        records_per_second=rate,
        seconds_per_evaluation=config.windows.stride / rate,
        parts=_shares(config, streams, levels[0]),
        features=tuple(features),
        warnings=(*warnings, *warnings_of(config, profile, levels[0])),
    )


def _assumed_forecast(config: Config) -> ModelForecast:
    """Return the forecast of a model with the default features and independent records."""
    reference = config.reference
    records = reference.records if isinstance(reference, WarmupReference) else 0
    records = records or WarmupReference().records
    kinds = {
        Kind.NUMERIC: len(NUMERIC),
        Kind.BINARY: len(BINARY),
        Kind.CATEGORICAL: len(CATEGORICAL),
        Kind.CONDITIONAL: 0,  # those of the source `style`, which has a budget of its own
    }
    for kind in config.features.metadata.values():
        kinds[Kind(kind)] += 1
    streams = {
        str(name): sum(kinds[kind] for kind in registry.DETECTORS[name].kinds)
        for name in config.detectors
    }
    levels = budget.levels(config, streams, ASSUMED_RATE, _share(config))
    baseline = _independent(records, config.windows.records)
    group = StreamGroup("", baseline, config.windows)
    features, warnings = _features(config, group, levels, VALUES // 4)
    return ModelForecast(
        model="",
        assumed=True,
        reference_records=records,
        records_per_second=ASSUMED_RATE,
        seconds_per_evaluation=config.windows.stride / ASSUMED_RATE,
        parts=_shares(config, streams, levels),
        features=features,
        warnings=warnings,
    )


def _shares(
    config: Config, streams: Mapping[str, int], levels: Mapping[str, float]
) -> tuple[DetectorShare, ...]:
    """Return the share of each detector. streams, levels: by detector."""
    weights = {str(n): config.alarms.weights.get(n, 1.0) for n in budget.alarming_detectors(config)}
    total = sum(weight for name, weight in weights.items() if streams[name])
    return tuple(
        DetectorShare(
            detector=name,
            share=weights.get(name, 0.0) / total if streams[name] else 0.0,
            streams=streams[name],
            level=level,
        )
        for name, level in levels.items()
    )


def _features(
    config: Config, group: StreamGroup, levels: Mapping[str, float], values: int
) -> tuple[tuple[FeatureForecast, ...], tuple[str, ...]]:
    """Return the delays of every feature of a group in records of the model, and warnings."""
    baseline = group.baseline
    rows: Sequence[Sequence[Delay]] = [[] for _ in baseline.streams]
    warnings = list[str]()
    if values:
        try:
            simulated = delays(baseline, group.config(config), levels, values)
            rows = [[_per_share(delay, group.share) for delay in row] for row in simulated]
        except ValueError as error:
            warnings.append(f"no shift can be simulated: {error}")
    features = tuple(
        FeatureForecast(stream.name, stream.kind.value, stream.inflation, tuple(row))
        for stream, row in zip(baseline.streams, rows, strict=True)
    )
    return features, (*warnings, *_undetected(features))


def _per_share(delay: Delay, share: float) -> Delay:
    """Return a delay in records of the model, of which a share belongs to the group."""
    seen, paged, limit = (
        None if records is None else round(records / share)
        for records in (delay.seen, delay.paged, delay.limit)
    )
    return replace(delay, seen=seen, paged=paged, limit=limit or 0)


def _undetected(features: Sequence[FeatureForecast]) -> Iterator[str]:
    """Yield a warning for each feature with undetected shifts, about the largest of them."""
    for feature in features:
        undetected = [delay for delay in feature.delays if delay.seen is None]
        if undetected:
            shift = undetected[-1]
            yield (
                f"{feature.name}: a shift of {shift.sd:g} sd is not detected within "
                f"{shift.limit:,} records"
            )


def _independent(records: int, window: int) -> Baseline:
    """Return the baseline of a number, a flag and a category with independent records."""
    rng = np.random.default_rng(0)
    names = rng.choice(["stop", "length", "tool_calls"], records, p=[0.9, 0.07, 0.03]).tolist()
    numeric = baseline_from_array(rng.standard_normal((1, records)), Kind.NUMERIC, window).numeric
    binary = baseline_from_array(
        (rng.random((1, records)) < 0.05).astype(float), Kind.BINARY, window
    )
    categorical = baseline_from_categories(names, window).categorical
    return Baseline(
        records,
        (replace(numeric[0], name="a number"), replace(binary.numeric[0], name="a flag (5 %)")),
        (replace(categorical[0], name="a category"),),
    )

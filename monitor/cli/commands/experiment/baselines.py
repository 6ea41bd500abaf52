"""The baseline of a metric from the reference of a live model, for planning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from detectors.arrays import Floats
from detectors.kinds import Kind
from detectors.numeric_stream import NumericStream
from monitor.config.sections.experiments.metrics import LOG_FEATURES, split_metric
from monitor.detect.reference import store
from monitor.detect.reference.store import Version
from monitor.errors import UserError
from monitor.events.wording.drift import printable
from monitor.experiments.planning.baseline import (
    Baseline,
    Users,
    log_baseline,
    mean_baseline,
    rate_baseline,
)

MAX_NAMES = 10
"""Names in an error message."""


def from_reference(
    path: Path, metric: str, model: str | None, cap: float | None, users: Users
) -> Baseline:
    """Return the baseline of a metric in a version of a reference.

    path: a version file, or the folder of a name for its promoted version.
    Raises UserError if there is no such reference, model or metric.
    """
    try:
        feature, suffix = split_metric(metric)
    except ValueError as error:
        raise UserError(f"--metric: {error}") from None
    stream = _stream(_version(path), feature, model)
    present = np.isfinite(stream.support)
    values, counts = stream.support[present], np.diff(stream.below)[present]
    if not counts.sum():
        raise UserError(f"the reference has no values of {printable(feature)}")
    try:
        return _baseline(feature, suffix, stream.kind, values, counts / counts.sum(), cap, users)
    except ValueError as error:
        raise UserError(f"the reference of {printable(metric)}: {error}") from None


def _version(path: Path) -> Version:
    folder = path.resolve()
    if folder.is_dir():
        return store.promoted(folder.parent, folder.name)
    number = folder.name.partition("-")[0].partition(".")[0]
    if not (number.isascii() and number.isdigit()):
        raise UserError(
            f"{printable(str(path))} is neither the file of a version of a reference nor the"
            " folder of its name, such as references/chat"
        )
    return store.version(folder.parent.parent, folder.parent.name, int(number))


def _stream(version: Version, feature: str, model: str | None) -> NumericStream:
    whole = {profile.model: profile for profile in version.profiles if not profile.segment}
    if model is None and len(whole) > 1:
        raise UserError(f"the reference has several models; add --model: {_names(whole)}")
    name = model if model is not None else next(iter(whole), "")
    if name not in whole:
        raise UserError(f"the reference has no model {printable(name)!r}; it has {_names(whole)}")
    streams = {stream.name: stream for stream in whole[name].baseline.numeric}
    if feature not in streams:
        known = _names(streams)
        raise UserError(f"the reference has no numbers of {printable(feature)}; it has {known}")
    return streams[feature]


def _names(found: dict[str, Any]) -> str:
    more = ", ..." if len(found) > MAX_NAMES else ""
    return printable(", ".join(sorted(found)[:MAX_NAMES])) + more or "none"


def _baseline(
    feature: str,
    suffix: str,
    kind: Kind,
    values: Floats,
    shares: Floats,
    cap: float | None,
    users: Users,
) -> Baseline:
    """Return the baseline of the distribution `shares` over `values`, in the metric's scale."""
    if suffix in {"p50", "p95"}:
        raise UserError("--metric: quantiles cannot be planned; plan their feature instead")
    if suffix == "zero":
        return rate_baseline(float(shares[values == 0].sum()), users)
    if suffix == "capped":
        values = np.minimum(values, cap if cap is not None else _p99(values, shares))
    elif feature in LOG_FEATURES:
        positive = values > 0
        values, shares = np.log(values[positive]), shares[positive] / shares[positive].sum()
    mean = float(values @ shares)
    variance = float(((values - mean) ** 2) @ shares)
    if kind is Kind.BINARY:
        return rate_baseline(mean, users)
    if feature in LOG_FEATURES and not suffix:
        return log_baseline(variance, mean, users)
    return mean_baseline(mean, variance, users)


def _p99(values: Floats, shares: Floats) -> float:
    """Return the 99th percentile of sorted values."""
    index = int(np.searchsorted(np.cumsum(shares), 0.99))
    return float(values[min(index, len(values) - 1)])

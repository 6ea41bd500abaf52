"""The settings on which the windows of a checkpoint depend, and how they have changed.

Settings are compared by meaning: the order of a mapping or of a set of names does not matter. A key
that a checkpoint lacks, because its version did not have it, is assumed to have its default.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from monitor.config.schema import Config
from monitor.config.sections.detection import WindowsConfig
from monitor.detect.reference.sources import SourceSettings
from monitor.records import Source

MAX_REPORTED = 3
"""Changed settings named in a reason; further ones are counted."""
SHARE = "the share of the false-page budget"
"""Key of `SourceSettings.share`, which follows from the sources that are configured."""
_LEGACY_ALARMS = (
    "false_pages",
    "per_days",
    "advisory",
    "weights",
    "min_psi",
    "critical_psi",
)
"""Keys of the section `alarms` in checkpoints of version 2."""


def current_settings(source: SourceSettings) -> dict[str, Any]:
    """Return the settings of windows, detectors, alarms and segments as JSON values by key.

    The share of the budget is among them unless it is the whole budget.
    """
    config = source.config
    alarms = config.alarms.model_dump(mode="json")
    # a detector without a weight has weight 1; weights of detectors that do not run mean nothing
    weights = config.alarms.weights
    alarms["weights"] = {name: float(weights.get(name, 1.0)) for name in config.detectors}
    alarms["advisory"] = [name for name in config.alarms.advisory if name in config.detectors]
    sections = {
        "windows": config.windows.model_dump(mode="json"),
        "detectors": list(config.detectors),
        "alarms": alarms,
        "segments": list(config.segments),
    }
    return dict(_flat("", sections)) | ({SHARE: source.share} if source.share != 1 else {})


def reason_for_restart(saved: Mapping[str, Any], fingerprint: str, source: SourceSettings) -> str:
    """Return why windows saved with these settings cannot be continued; "" if they can.

    saved: result of `current_settings` at the checkpoint; empty in a checkpoint of version 2, which
    has a fingerprint instead.
    """
    now = {SHARE: 1.0} | current_settings(source)
    before = {SHARE: 1.0} | current_settings(SourceSettings(Source.LOG, Config())) | dict(saved)
    if not saved:
        if fingerprint != _legacy_fingerprint(source.config):
            return "the settings of windows, detectors, alarms or segments have changed"
        before |= {key: value for key, value in now.items() if _is_legacy(key)}
    changes = [
        f"{source.key(key)} has changed from {_text(before.get(key))} to {_text(value)}"
        for key, value in now.items()
        if before.get(key) != value
    ]
    more = len(changes) - MAX_REPORTED
    return ", ".join(changes[:MAX_REPORTED]) + (f" and {more} more settings" if more > 0 else "")


def window_settings(saved: Mapping[str, Any], default: WindowsConfig) -> WindowsConfig:
    """Return the section `windows` of saved settings.

    default: for those that lack it. Not validated: a later version may allow other values.
    """
    return WindowsConfig.model_construct(
        records=int(saved.get("windows.records", default.records)),
        stride=int(saved.get("windows.stride", default.stride)),
    )


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and values; names in a list are sorted."""
    for name, value in sorted(values.items()):
        key = f"{prefix}.{name}" if prefix else name
        if isinstance(value, Mapping):
            yield from _flat(key, value)
        else:
            yield key, sorted(value, key=str) if isinstance(value, list | tuple) else value


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _is_legacy(key: str) -> bool:
    section, _, rest = key.partition(".")
    return key != SHARE and (section != "alarms" or rest.partition(".")[0] in _LEGACY_ALARMS)


def _legacy_fingerprint(config: Config) -> str:
    """Return the hash that checkpoints of version 2 contain: of the repr of their sections."""
    windows, alarms = config.windows, config.alarms
    keys = ", ".join(f"{name}={getattr(alarms, name)!r}" for name in _LEGACY_ALARMS)
    parts = (
        f"WindowsConfig(records={windows.records!r}, stride={windows.stride!r})",
        repr(config.detectors),
        f"AlarmsConfig({keys})",
        repr(config.segments),
    )
    return hashlib.sha256(f"({', '.join(parts)})".encode()).hexdigest()[:16]

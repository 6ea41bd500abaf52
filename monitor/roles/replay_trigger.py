"""Which drift starts a replay."""

from __future__ import annotations

from collections.abc import Iterable

from monitor.config.sections.replay.section import ReplayConfig
from monitor.events.types import DriftEvent, rank


def starts_replay(event: DriftEvent, config: ReplayConfig) -> bool:
    """Return whether a drift event starts a replay.

    It is an alarm that opens or escalates, of a severity, model and feature that are configured,
    and of a model that can be replayed.
    """
    on = config.on
    return (
        event.change in {"opened", "escalated"}
        and rank(event.severity) >= rank(on.severity)
        and (not on.models or event.model in on.models)
        and (not on.features or _matches(event.feature, on.features))
        and config.model_for(event.model) is not None
    )


def _matches(feature: str, patterns: Iterable[str]) -> bool:
    """Return whether a name is one of several; "*" at the end stands for any rest."""
    return any(
        feature.startswith(each[:-1]) if each.endswith("*") else feature == each
        for each in patterns
    )

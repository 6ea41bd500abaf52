"""The page /api/v1/experiments/NAME/assign: variants of units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import parse_qs

from monitor.experiments.assignment.assign import Assignment, Reason

AssignmentSource = Callable[[str, Sequence[str]], list[Assignment]]
"""Returns the assignments of units in an experiment. Raises UnknownExperimentError."""

MAX_UNITS: Final = 500
"""Units of a request."""

OPENFEATURE: Final[dict[Reason, str]] = {
    "hash": "SPLIT",
    "override": "TARGETING_MATCH",
    "not_covered": "DEFAULT",
    "namespace": "DEFAULT",
    "stopped": "DISABLED",
    "invalid_unit": "ERROR",
}
"""Reason of an assignment -> reason of a flag evaluation in OpenFeature."""


def assignments(source: AssignmentSource, name: str, query: str) -> dict[str, Any]:
    """Return the variants of the units of a query.

    Parameters: `unit`, an id, repeated for several; or `targetingKey`, one id, whose answer has the
    fields of OpenFeature. Raises ValueError if one of them is missing or invalid, and
    UnknownExperimentError.
    """
    parameters = _parameters(query)
    unknown = sorted(parameters.keys() - {"unit", "targetingKey"})
    if unknown:
        raise ValueError(f"unknown parameter {unknown[0][:100]!r}; there are unit and targetingKey")
    units, keys = parameters.get("unit", []), parameters.get("targetingKey", [])
    if keys:
        if units or len(keys) > 1:
            raise ValueError("give one targetingKey, without unit; or unit, repeated")
        [(variant, reason)] = source(name, keys)
        return _evaluation(name, keys[0], variant, reason)
    if not units:
        raise ValueError("the unit is missing; add ?unit=ID, repeated for several units")
    given = zip(units, source(name, units), strict=True)
    return {
        "experiment": name,
        "assignments": [
            {"unit": unit, "variant": variant, "reason": reason}
            for unit, (variant, reason) in given
        ],
    }


def _evaluation(name: str, key: str, variant: str | None, reason: Reason) -> dict[str, Any]:
    """Return an assignment in the terms of OpenFeature; the value of a flag is its variant."""
    evaluation: dict[str, Any] = {
        "flagKey": name,
        "targetingKey": key,
        "value": variant,
        "variant": variant,
        "reason": OPENFEATURE[reason],
        "flagMetadata": {"assignment": reason},
    }
    if reason == "invalid_unit":
        evaluation["errorCode"] = "INVALID_CONTEXT"
    return evaluation


def _parameters(query: str) -> dict[str, list[str]]:
    """Return the parameters of a query. Raises ValueError if it is malformed."""
    try:
        return parse_qs(query, keep_blank_values=True, max_num_fields=MAX_UNITS, errors="strict")
    except UnicodeDecodeError:  # another character in its place would be another id
        raise ValueError("the query is not percent-encoded UTF-8") from None
    except ValueError:
        raise ValueError(f"give at most {MAX_UNITS} units in a request") from None

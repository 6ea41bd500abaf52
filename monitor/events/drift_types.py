"""The type of drift that a feature measures: of the inputs, of the outputs, or of the quality."""

from __future__ import annotations

from typing import Final, Literal, get_args

DriftType = Literal["data", "prediction", "concept"]
"""data: inputs. prediction: outputs, latency and cost. concept: judged quality and feedback."""
DRIFT_TYPES: Final[tuple[DriftType, ...]] = get_args(DriftType)

MISSING_PREFIX = "missing."
"""Prefix of the stream that says whether a sparse feature is missing. Features have other names:
default ones, or those of a kind with a prefix such as `score.`."""

_FEATURES: Final[dict[DriftType, tuple[str, ...]]] = {
    "data": ("input_tokens", "prompt_chars"),
    "prediction": (
        "latency_ms",
        "time_to_first_token_ms",
        "output_tokens",
        "tokens_per_second",
        "cost_usd",
        "response_chars",
        "finish_reason",
        "error",
        "empty_response",
        "refusal",
    ),
    "concept": ("feedback",),
}
_PREFIXES: Final[dict[str, DriftType]] = {
    "metadata.": "data",
    "prompt.": "data",
    "style.": "prediction",
    "score.": "concept",
    "feedback.": "concept",
    "judge.": "concept",
    "ragas.": "concept",
    "check.": "concept",
}
_BY_FEATURE: Final = {feature: kind for kind, names in _FEATURES.items() for feature in names}


def drift_type(feature: str) -> DriftType:
    """Return the type of drift of a feature.

    A feature that this version does not have, such as one of a newer version's event, is `data`.
    """
    feature = feature.removeprefix(MISSING_PREFIX)
    prefix, dot, _ = feature.partition(".")
    return _BY_FEATURE.get(feature) or _PREFIXES.get(prefix + dot) or "data"

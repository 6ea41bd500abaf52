"""Scorers of what lm-eval does not score: refusals, and constraints on the form of a response.

A judge needs the run itself, its lease and its deadline: see `monitor.roles.replay_judge`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from judges.checks.build import Check, build
from judges.checks.specifications import (
    JsonSchemaCheck,
    KeywordCheck,
    LanguageCheck,
    LengthCheck,
    Specification,
)
from monitor.ingest.refusals.classifier import RefusalClassifier
from monitor.records import Inclusion, Sample
from replay.results import RunError
from replay.sets.item import Item, Scoring
from replay.sets.task.deferred import Scorer, refusal_scorers

MAX_CHECKS: Final = 1_000
"""Constraints whose checks are kept."""
_NAME: Final = "format"
_KEYWORDS: Final = ("required", "forbidden")


def scorers() -> dict[Scoring, Scorer]:
    """Return the scorers by scoring."""
    return refusal_scorers(RefusalClassifier().flags) | {"format": _format_scores}


def specification(constraint: dict[str, Any]) -> Specification:
    """Return the check of an item's constraint. Raises RunError("broken_task") if there is none."""
    fields = {key: value for key, value in constraint.items() if key != "name"}
    try:
        match constraint.get("name"):
            case "length":
                limits = {key: int(value) for key, value in fields.items()}
                return LengthCheck(_NAME, **limits)
            case "keywords":
                return KeywordCheck(_NAME, *(tuple(fields.get(k, ())) for k in _KEYWORDS))
            case "language":
                return LanguageCheck(_NAME, tuple(fields["languages"]))
            case "json_schema":
                return JsonSchemaCheck(_NAME, msgspec.json.decode(fields["schema"]))
    except (KeyError, TypeError, ValueError) as error:
        raise RunError("broken_task", f"constraint of an item: {error}") from None
    raise RunError("broken_task", f"constraint {constraint.get('name')!r} of an item is not known")


def _format_scores(pairs: Sequence[tuple[Item, str]]) -> list[float | None]:
    return [_format_score(item, response) for item, response in pairs]


def _format_score(item: Item, response: str) -> float | None:
    check = _check(msgspec.json.encode(item.format, order="deterministic"))
    sample = Sample(
        request_id=item.id,
        timestamp=0.0,
        model="",
        inclusion=Inclusion(uniform=True, probability=1.0),
        prompt=item.prompt if isinstance(item.prompt, str) else list(item.prompt),
        response=response,
    )
    return check(sample)


@lru_cache(MAX_CHECKS)
def _check(constraint: bytes) -> Check:
    try:
        return build(specification(msgspec.json.decode(constraint)))
    except (ValueError, ImportError) as error:
        raise RunError("broken_task", f"constraint of an item: {error}") from None

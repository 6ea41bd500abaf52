"""Turn specifications into checks."""

from __future__ import annotations

from collections.abc import Callable

from judges.checks.json_schema import matches_schema
from judges.checks.language import answers_in_language
from judges.checks.paraphrases import ParaphraseConsistency
from judges.checks.specifications import (
    JsonSchemaCheck,
    KeywordCheck,
    LanguageCheck,
    LengthCheck,
    Specification,
    TrapCheck,
)
from judges.checks.texts import admits_not_knowing, has_keywords, has_length
from monitor.records import Sample

Check = Callable[[Sample], float | None]
"""Returns the value of a sample; None if the check does not apply to it."""


def build(specification: Specification) -> Check:
    """Return the check of a specification. Raises ValueError if it cannot work."""
    if not specification.name:
        raise ValueError("a check needs a name")
    if isinstance(specification, JsonSchemaCheck):
        return matches_schema(specification.schema)
    if isinstance(specification, LanguageCheck):
        return answers_in_language(specification.languages)
    if isinstance(specification, LengthCheck):
        return has_length(specification)
    if isinstance(specification, KeywordCheck):
        return has_keywords(specification.required, specification.forbidden)
    if isinstance(specification, TrapCheck):
        return admits_not_knowing(specification.terms, specification.answers)
    return ParaphraseConsistency(specification.key, specification.pending)

"""The metrics of RAGAS: what each needs of a record, and whether it applies to one."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from judges.calls import Unscored, UnscoredReason
from judges.rubrics.prompt import is_blank
from monitor.errors import UserError
from monitor.records import Sample

MAX_CONTEXTS: Final = 50
"""Most contexts of a sample that is scored: some metrics make one call for each."""


class Component(StrEnum):
    """The part of a RAG pipeline that a metric measures."""

    RETRIEVAL = "retrieval"
    GENERATION = "generation"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of RAGAS.

    name: as in configuration and features. inputs: arguments of ragas. calls: of the judge, those
    for each context apart. embeds: whether it compares embeddings.
    """

    name: str
    component: Component
    inputs: tuple[str, ...]
    calls: int = 0
    calls_per_context: int = 0
    embeds: bool = False


_RETRIEVAL, _GENERATION = Component.RETRIEVAL, Component.GENERATION
_LIST: Final = (
    Metric("faithfulness", _GENERATION, ("user_input", "response", "retrieved_contexts"), calls=2),
    Metric("answer_relevancy", _GENERATION, ("user_input", "response"), calls=3, embeds=True),
    Metric(
        "context_precision",
        _RETRIEVAL,
        ("user_input", "reference", "retrieved_contexts"),
        calls_per_context=1,
    ),
    Metric(
        "context_recall", _RETRIEVAL, ("user_input", "reference", "retrieved_contexts"), calls=1
    ),
    Metric(
        "context_utilization",
        _RETRIEVAL,
        ("user_input", "response", "retrieved_contexts"),
        calls_per_context=1,
    ),
    Metric("context_relevance", _RETRIEVAL, ("user_input", "retrieved_contexts"), calls=2),
    Metric("response_groundedness", _GENERATION, ("response", "retrieved_contexts"), calls=2),
    Metric("semantic_similarity", _GENERATION, ("reference", "response"), embeds=True),
)
METRICS: Final = {metric.name: metric for metric in _LIST}


def metrics_of(names: Iterable[str]) -> tuple[Metric, ...]:
    """Return the metrics of these names. Raises UserError with a suggestion for an unknown one."""
    found = []
    for name in names:
        if name not in METRICS:
            close = difflib.get_close_matches(name[:80].lower(), METRICS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(METRICS)}"
            raise UserError(f"unknown RAGAS metric {name[:80]!r}; {hint}")
        found.append(METRICS[name])
    return tuple(found)


def inputs_of(metric: Metric, sample: Sample) -> dict[str, Any] | Unscored:
    """Return the arguments of a metric, or why it does not apply. Blank contexts are left out."""
    found: dict[str, Any] = {}
    for name in metric.inputs:
        value = _INPUTS[name](sample)
        if isinstance(value, Unscored):
            return value
        found[name] = value
    if metric.name == "context_relevance" and _within_question(**found):
        # ragas returns 0 here without a call, which says nothing about the context.
        detail = "the contexts stand within the question"
        return Unscored(UnscoredReason.NOT_APPLICABLE, detail)
    return found


def other_texts(inputs: dict[str, Any]) -> list[str]:
    """Return all texts of the arguments but the response."""
    return [
        text
        for name, value in inputs.items()
        if name != "response"
        for text in (value if isinstance(value, list) else [value])
    ]


def question(sample: Sample) -> str | None:
    """Return the prompt, or the last message of the user in it."""
    if not isinstance(sample.prompt, list):
        return sample.prompt
    own = [message.content for message in sample.prompt if message.role == "user"]
    return own[-1] if own else None


def _question(sample: Sample) -> str | Unscored:
    found = question(sample)
    if found is None or is_blank(found):
        return Unscored(UnscoredReason.NOT_APPLICABLE, "the prompt is empty")
    return found


def _response(sample: Sample) -> str | Unscored:
    found = sample.response
    if found is None or is_blank(found):
        return Unscored(UnscoredReason.EMPTY_RESPONSE)
    return found


def _reference(sample: Sample) -> str | Unscored:
    found = sample.reference
    if found is None or is_blank(found):
        return Unscored(UnscoredReason.NO_REFERENCE)
    return found


def _contexts(sample: Sample) -> list[str] | Unscored:
    found = [text for text in sample.contexts or () if not is_blank(text)]
    if not found:
        return Unscored(UnscoredReason.EMPTY_CONTEXTS)
    if len(found) > MAX_CONTEXTS:
        return Unscored(UnscoredReason.TOO_LONG, f"{len(found)} contexts, limit {MAX_CONTEXTS}")
    return found


_INPUTS: Final[dict[str, Callable[[Sample], str | list[str] | Unscored]]] = {
    "user_input": _question,
    "response": _response,
    "reference": _reference,
    "retrieved_contexts": _contexts,
}


def _within_question(user_input: str, retrieved_contexts: list[str]) -> bool:
    return "\n".join(retrieved_contexts).strip() in user_input.strip()

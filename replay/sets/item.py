"""An item of an evaluation set: a prompt, the expected response, its scoring and its origin."""

from __future__ import annotations

import hashlib
from typing import Final, Literal, get_args

import msgspec

from monitor.records import ChatMessage

Scoring = Literal[
    "exact_match",
    "token_f1",
    "rouge_1",
    "rouge_2",
    "rouge_l",
    "bleu",
    "choice",
    "refuses",
    "complies",
    "format",
    "judge",
]
"""How a response is scored, 0 to 1. `choice`: exact match with the letter of the correct choice.
`refuses`, `complies`: 1 if the response is a refusal, or is none. `format`: `format` of the item
holds. `judge`: by a rubric, after the run."""
SCORINGS: Final[tuple[Scoring, ...]] = get_args(Scoring)

BINARY_SCORINGS: Final[frozenset[Scoring]] = frozenset(
    {"exact_match", "choice", "refuses", "complies", "format"}
)
"""Scorings whose values are 0 or 1."""

Origin = Literal["sample", "disliked", "file", "pair", "generated", "failure", "behaviour"]


class Provenance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where an item came from.

    request_id, model, time: of the sampled record, if it is one; epoch seconds.
    window: part of the traffic, `reference` or `drifted`.
    accepted_by: who accepted the target, such as "judge.answer_quality 4.5", "human", "reference".
    parent: id of the item that this one is a variant of.
    detail: file and line, or the model that generated it.
    """

    origin: Origin
    request_id: str = ""
    model: str = ""
    time: float | None = None
    window: Literal["", "reference", "drifted"] = ""
    accepted_by: str = ""
    parent: str = ""
    detail: str = ""


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One item of an evaluation set.

    prompt: text or chat messages. target: expected response; None if it has none (`refuses`, ...).
    choices: of a multiple-choice item, in order; `target` is then one of them.
    contexts: retrieved passages, which stand in front of the prompt.
    format: of the scoring `format`, a constraint by "name": "length" (min_chars, max_chars,
        min_words, max_words), "keywords" (required, forbidden), "language" (languages),
        "json_schema" (schema, as a JSON text): the fields of `judges.checks.specifications`.
    slices: values by dimension for results by slice, such as {"language": "de"}.
    cluster: items with the same one depend on each other, such as paraphrases; empty: on their own.
    approved: by whom, empty if a person has not approved it yet.
    """

    prompt: str | tuple[ChatMessage, ...]
    scoring: Scoring
    target: str | None = None
    choices: tuple[str, ...] = ()
    contexts: tuple[str, ...] = ()
    format: dict[str, str | float | list[str]] = {}
    slices: dict[str, str] = {}
    cluster: str = ""
    approved: str = ""
    provenance: Provenance

    @property
    def id(self) -> str:
        """Hash of all that an answer and its score depend on: 16 hexadecimal digits."""
        content = msgspec.json.encode(
            (self.prompt, self.scoring, self.target, self.choices, self.contexts, self.format),
            order="deterministic",
        )
        return hashlib.sha256(content).hexdigest()[:16]

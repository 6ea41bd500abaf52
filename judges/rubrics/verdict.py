"""Verdicts: the schema of a judge's answer, its strict validation, and what follows from it.

A judge gives scores and reasons only. The overall score and whether a response passed are computed
from the rubric, so that an answer cannot state them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from judges.calls import Answer, Unscored, UnscoredReason, Usage
from judges.rubrics.rubric import HIGHEST, LEVELS, Mode, Rubric

MAX_REASONING_CHARS: Final = 2000
MAX_ITEM_CHARS: Final = 300
MAX_ITEMS: Final = 5
CHOICES: Final = ("first", "second", "tie")

Model = TypeVar("Model", bound=BaseModel)
_STRICT: Final = ConfigDict(extra="forbid", strict=True)
_Score = Annotated[int, Field(ge=0, le=HIGHEST)]
_Choice = Literal["first", "second", "tie"]


class InvalidAnswer(Exception):
    """An answer is not one JSON object of the schema. The message repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The scores of one judge for one response.

    rubric: name. rubric_hash: content of the rubric. model: as the provider names it.
    scores: dimension -> 0 to 5. overall: weighted mean, 0 to 5.
    reasoning, strengths, weaknesses: texts of the judge, cut at their limits. They quote the judged
    text and are as private and as hostile as it is.
    flags: signs that the judged text influenced the judge. Such a case is for review.
    """

    rubric: str
    rubric_hash: str
    model: str
    scores: Mapping[str, int]
    overall: float
    passed: bool
    reasoning: str
    strengths: tuple[str, ...]
    weaknesses: tuple[str, ...]
    usage: Usage = field(default_factory=lambda: Usage(requests=0))
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Which of two responses one judge prefers in one order.

    choices: dimension -> "first", "second" or "tie". preference: sum of the weights of the first
    less that of the second, -1 to 1. flags: as of a `Verdict`.
    """

    model: str
    choices: Mapping[str, str]
    preference: float
    reasoning: str
    usage: Usage
    flags: tuple[str, ...] = ()


def answer_schema(rubric: Rubric) -> dict[str, Any]:
    """Return the JSON schema of an answer. The reasoning is first, so that scores follow from it.

    Scores are an enumeration, because providers do not enforce ranges of numbers.
    """
    pairwise = rubric.mode is Mode.PAIRWISE
    one: dict[str, Any] = (
        {"type": "string", "enum": list(CHOICES)}
        if pairwise
        else {"type": "integer", "enum": list(LEVELS)}
    )
    properties: dict[str, Any] = {
        "reasoning": {"type": "string"},
        "scores": _object({dimension.name: one for dimension in rubric.dimensions}),
    }
    if not pairwise:
        items = {"type": "array", "items": {"type": "string"}}
        properties |= {"strengths": items, "weaknesses": items}
    return _object(properties)


def read_verdict(rubric: Rubric, answer: Answer) -> Verdict | Unscored:
    """Return the verdict of an answer; Unscored with `invalid_output` if it is not valid."""
    try:
        found = validated(answer.text, _model_of(rubric)).model_dump(by_alias=True)
    except InvalidAnswer as error:
        return Unscored(UnscoredReason.INVALID_OUTPUT, str(error), answer.usage)
    scores = found["scores"]
    overall = rubric.overall(scores)
    return Verdict(
        rubric=rubric.name,
        rubric_hash=rubric.hash,
        model=answer.model,
        scores=scores,
        overall=overall,
        passed=overall >= rubric.pass_mark - 1e-9,  # weights such as 0.1 are not exact
        reasoning=found["reasoning"][:MAX_REASONING_CHARS],
        strengths=_shortened(found["strengths"]),
        weaknesses=_shortened(found["weaknesses"]),
        usage=answer.usage,
    )


def read_comparison(rubric: Rubric, answer: Answer) -> Comparison | Unscored:
    """Return the comparison of an answer; Unscored with `invalid_output` if it is not valid."""
    try:
        found = validated(answer.text, _model_of(rubric)).model_dump(by_alias=True)
    except InvalidAnswer as error:
        return Unscored(UnscoredReason.INVALID_OUTPUT, str(error), answer.usage)
    signs = {"first": 1.0, "second": -1.0, "tie": 0.0}
    choices: dict[str, str] = found["scores"]
    preference = sum(share * signs[choices[name]] for name, share in rubric.shares.items())
    return Comparison(
        model=answer.model,
        choices=choices,
        preference=preference,
        reasoning=found["reasoning"][:MAX_REASONING_CHARS],
        usage=answer.usage,
    )


def validated(text: str, model: type[Model]) -> Model:
    """Return the JSON object that is the whole text, validated strictly by a model.

    Rejects text around the object, duplicate keys, NaN, extra fields and numbers in quotes.
    Raises InvalidAnswer.
    """
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode()  # escapes of half characters cannot be sent
    except RecursionError:
        raise InvalidAnswer("the answer is nested too deeply") from None
    except ValueError:
        raise InvalidAnswer("the answer is not one JSON object") from None
    try:
        return model.model_validate(value, strict=True, extra="forbid")
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False)[0]
        raise InvalidAnswer(f"the answer does not match the schema: {detail['type']}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object. Raises InvalidAnswer on a duplicate key: readers differ here."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidAnswer("the answer gives a key twice")
    return found


def _no_constant(name: str) -> None:
    raise InvalidAnswer("the answer contains a number that is not finite")


def _model_of(rubric: Rubric) -> type[BaseModel]:
    """Return the model that validates answers of a rubric."""
    names = tuple(dimension.name for dimension in rubric.dimensions)
    return _answer_model(names, pairwise=rubric.mode is Mode.PAIRWISE)


@lru_cache(maxsize=64)
def _answer_model(names: tuple[str, ...], *, pairwise: bool) -> type[BaseModel]:
    one: Any = _Choice if pairwise else _Score
    # Aliases: a dimension may have the name of an attribute of pydantic's models.
    dimensions: dict[str, Any] = {
        f"dimension_{i}": (one, Field(alias=name)) for i, name in enumerate(names)
    }
    scores = create_model("Scores", __config__=_STRICT, **dimensions)
    fields: dict[str, Any] = {"reasoning": str, "scores": scores}
    if not pairwise:
        fields |= {"strengths": list[str], "weaknesses": list[str]}
    return create_model("JudgeAnswer", __config__=_STRICT, **fields)


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object with exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _shortened(items: list[str]) -> tuple[str, ...]:
    return tuple(item[:MAX_ITEM_CHARS] for item in items[:MAX_ITEMS])

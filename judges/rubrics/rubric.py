"""A rubric: the criteria of a judge, and how its scores become one number."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

HIGHEST: Final = 5
"""Highest score of a dimension; 0 is the lowest. Of the usual scales, 0 to 5 agrees best with
people (arXiv 2601.03444)."""
LEVELS: Final = range(HIGHEST + 1)
MAX_DIMENSIONS: Final = 12
HASH_CHARS: Final = 16
_DECIMALS: Final = 9
PROMPT_VERSION: Final = 1
"""Version of the text around a rubric in `judges/rubrics/prompt.py`: part of the hash of a rubric,
because another text means other scores."""

Name = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=r"^[a-z][a-z0-9_]*$", strict=True)
]
Text = Annotated[str, StringConstraints(min_length=1, max_length=2000, strip_whitespace=True)]


class Mode(StrEnum):
    """What the judge compares a response with."""

    SINGLE = "single"
    """Nothing: the response is scored by itself."""
    REFERENCE = "reference"
    """The reference of the record, which is shown as a correct answer."""
    PAIRWISE = "pairwise"
    """Another response to the same prompt."""


class Need(StrEnum):
    """A field of a record without which a rubric does not apply."""

    REFERENCE = "reference"
    CONTEXTS = "contexts"


def _complete(levels: Mapping[int, str]) -> Mapping[int, str]:
    """Raise an error unless each score has a description."""
    missing = [level for level in LEVELS if level not in levels]
    extra = [level for level in levels if level not in LEVELS]
    if missing or extra:
        problem = f"{missing[0]} is missing" if missing else f"{extra[0]} is not one of them"
        raise PydanticCustomError(
            "rubric", f"must describe each score from 0 to {HIGHEST}; {problem}"
        )
    return dict(sorted(levels.items()))


def _distinct(dimensions: tuple[Dimension, ...]) -> tuple[Dimension, ...]:
    """Raise an error unless there are 1 to 12 dimensions with different names."""
    if not 1 <= len(dimensions) <= MAX_DIMENSIONS:
        raise PydanticCustomError("rubric", f"must be 1 to {MAX_DIMENSIONS} dimensions")
    names = [dimension.name for dimension in dimensions]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise PydanticCustomError("rubric", f"dimension {twice!r} is given twice")
    return dimensions


class Dimension(BaseModel):
    """One criterion, scored from 0 to 5.

    levels: score -> description of a response that deserves it.
    weight: share in the overall score, relative to the other dimensions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    question: Text
    levels: Annotated[Mapping[int, Text], AfterValidator(_complete)]
    weight: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False, strict=True)] = 1.0


class Rubric(BaseModel):
    """The criteria of a judge.

    version: number of the text, for people. The hash identifies the content.
    pass_mark: lowest overall score, 0 to 5, with which a response passes.
    needs: fields without which a record is unscored.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    version: Annotated[int, Field(ge=1, strict=True)]
    description: Text
    mode: Mode = Mode.SINGLE
    needs: frozenset[Need] = frozenset()
    pass_mark: Annotated[float, Field(ge=0, le=HIGHEST, allow_inf_nan=False, strict=True)]
    dimensions: Annotated[tuple[Dimension, ...], AfterValidator(_distinct)]

    @cached_property
    def hash(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the content and the prompt's version.

        Comments, the order of keys and the notation of the file do not change it; the order of the
        dimensions does, because judges read them in this order.
        """
        content = self.model_dump(mode="json") | {
            "needs": sorted(self.needs),
            "prompt": PROMPT_VERSION,
        }
        text = json.dumps(content, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:HASH_CHARS]

    @property
    def needs_reference(self) -> bool:
        """Whether a record without a reference is unscored."""
        return self.mode is Mode.REFERENCE or Need.REFERENCE in self.needs

    @property
    def needs_contexts(self) -> bool:
        """Whether a record without contexts is unscored."""
        return Need.CONTEXTS in self.needs

    @cached_property
    def shares(self) -> dict[str, float]:
        """Dimension -> its weight as a share of all weights."""
        total = sum(dimension.weight for dimension in self.dimensions)
        return {dimension.name: dimension.weight / total for dimension in self.dimensions}

    def overall(self, scores: Mapping[str, float]) -> float:
        """Return the weighted mean of the scores of all dimensions, 0 to 5.

        Rounded, because errors of summation would make equal scores different values.
        """
        mean = sum(share * scores[name] for name, share in self.shares.items())
        return round(mean, _DECIMALS)

    def as_pairwise(self) -> Rubric:
        """Return the rubric for comparing two responses by the same dimensions."""
        return Rubric.model_validate(self.model_dump() | {"mode": Mode.PAIRWISE})

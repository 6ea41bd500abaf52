"""The section `judges.checks`: checks of responses that need no judge."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field

from monitor.config.sections.base.fields import NonEmpty, NonEmptyUniqueTuple, UniqueTuple
from monitor.config.sections.base.section import Section, invalid

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,60}")


def _check_name(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise invalid(
            "has a name that is not 1 to 60 letters, digits, '_' and '-'", "judges.checks"
        )
    return name


_Limit = Annotated[int, Field(ge=0)]
CheckName = Annotated[str, AfterValidator(_check_name)]


class JsonSchemaCheck(Section):
    """1 if the response is JSON that matches a schema, else 0."""

    kind: Literal["json_schema"] = Field(description="What is checked.")
    matches: dict[str, Any] = Field(
        description="JSON schema. References to other documents are not loaded."
    )


class LanguageCheck(Section):
    """1 if the response is in one of the languages, else 0."""

    kind: Literal["language"] = Field(description="What is checked.")
    languages: UniqueTuple[NonEmpty] = Field(
        default=(), description="Languages (ISO 639-1). By default, that of the prompt."
    )


class LengthCheck(Section):
    """1 if the length of the response is within the limits, which are inclusive, else 0."""

    kind: Literal["length"] = Field(description="What is checked.")
    min_chars: _Limit | None = Field(default=None, description="Lowest number of characters.")
    max_chars: _Limit | None = Field(default=None, description="Highest number of characters.")
    min_words: _Limit | None = Field(default=None, description="Lowest number of words.")
    max_words: _Limit | None = Field(default=None, description="Highest number of words.")


class KeywordsCheck(Section):
    """1 if the response has all required and no forbidden words or phrases, else 0."""

    kind: Literal["keywords"] = Field(description="What is checked.")
    required: UniqueTuple[NonEmpty] = Field(default=(), description="Words or phrases.")
    forbidden: UniqueTuple[NonEmpty] = Field(default=(), description="Words or phrases.")


class TrapCheck(Section):
    """1 if the answer to a trap admits that it does not know, else 0."""

    kind: Literal["trap"] = Field(description="What is checked.")
    terms: NonEmptyUniqueTuple[NonEmpty] = Field(
        description="Words of a prompt that make it a trap, such as the name of a product that"
        " does not exist."
    )
    answers: UniqueTuple[NonEmpty] = Field(
        default=(), description="Phrases that are right there. By default, of several languages."
    )


class ParaphrasesCheck(Section):
    """Agreement, 0 to 1, of the responses to two prompts that mean the same."""

    kind: Literal["paraphrases"] = Field(description="What is checked.")
    key: NonEmpty = Field(
        description="Key of `metadata` whose value is the same for both prompts of a pair."
    )


CheckConfig = Annotated[
    JsonSchemaCheck | LanguageCheck | LengthCheck | KeywordsCheck | TrapCheck | ParaphrasesCheck,
    Field(discriminator="kind"),
]

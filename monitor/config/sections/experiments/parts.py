"""Names, times and parts of the section `experiments`."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from monitor.config.sections.base.fields import Positive
from monitor.config.sections.base.section import Section, invalid
from monitor.config.sections.base.suggestions import did_you_mean

MAX_VARIANTS: Final = 10
MAX_WEIGHT: Final = 1e9
MAX_UNIT_CHARS: Final = 256
"""Characters of a unit id in `overrides`."""

_NAME = r"[A-Za-z0-9._-]{1,100}"
_UNITS: Final = ("user_id", "session_id", "request_id")
_EXAMPLE_TIME = "2026-11-01T00:00:00Z"


def _check_name(name: str) -> str:
    if re.fullmatch(_NAME, name) is None or name in {".", ".."}:
        raise invalid("has a name that is not 1 to 100 letters, digits, '.', '_' and '-'")
    return name


def _check_variant(name: str) -> str:
    if not (0 < len(name) <= 100 and name.isprintable() and name == name.strip()):
        raise invalid("has a name that is not 1 to 100 printable characters without outer spaces")
    return name


def _check_unit(unit: str) -> str:
    if unit not in _UNITS and re.fullmatch(r"metadata\..+", unit) is None:
        hint = did_you_mean(unit, _UNITS)
        known = ", ".join((*_UNITS, "metadata.KEY"))
        raise invalid(f"unknown unit {unit[:80]!r}{hint or f', must be one of {known}'}")
    return unit


def _check_unit_id(unit: str) -> str:
    if not 0 < len(unit) <= MAX_UNIT_CHARS:
        raise invalid(f"has the id of a unit that is not 1 to {MAX_UNIT_CHARS} characters long")
    return unit


def _time(value: object) -> object:
    """Return RFC 3339 text, or a time as YAML reads it, as epoch seconds."""
    try:
        given = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        given = None
    if isinstance(given, bool) or not isinstance(given, datetime | float | int):
        raise invalid(f"must be a time, such as {_EXAMPLE_TIME}")
    if not isinstance(given, datetime):
        return given
    if given.tzinfo is None:
        raise invalid(f"has no time zone; write it as {_EXAMPLE_TIME}")
    return given.timestamp()


def _ordered(value: object) -> object:
    """Return variants that are given as a list of one-key mappings as one mapping."""
    if not isinstance(value, list) or not value:
        return value
    if not all(isinstance(each, dict) and len(each) == 1 for each in value):
        raise invalid("must be a mapping, or a list such as [{control: 0.5}, {treatment: 0.5}]")
    names = [next(iter(each)) for each in value]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise invalid(f"{str(repeated)[:80]!r} is listed twice")
    return {name: weight for each in value for name, weight in each.items()}


ExperimentName = Annotated[str, AfterValidator(_check_name)]
Time = Annotated[
    float,
    Field(ge=0, le=1e11, allow_inf_nan=False),
    BeforeValidator(_time, json_schema_input_type=float | str),
]
"""Epoch seconds; in the file also RFC 3339."""
VariantName = Annotated[str, AfterValidator(_check_variant)]
Weight = Annotated[float, Field(gt=0, le=MAX_WEIGHT, allow_inf_nan=False)]
Variants = Annotated[
    dict[VariantName, Weight],
    Field(min_length=2, max_length=MAX_VARIANTS),
    BeforeValidator(_ordered, json_schema_input_type=dict[str, Weight] | list[dict[str, Weight]]),
]
"""Weights by variant, the control first; as a list where mappings lose their order."""
UnitId = Annotated[str, AfterValidator(_check_unit_id)]
Unit = Annotated[str, AfterValidator(_check_unit)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class NamespaceConfig(Section):
    """Mutual exclusion: experiments with separate ranges of a namespace share no units."""

    name: ExperimentName = Field(
        description="Name of the namespace, common to the experiments that exclude each other."
    )
    range: Annotated[tuple[Share, Share], Field(strict=False)] = Field(
        description="Part of the namespace that this experiment uses, [FROM, TO], 0 to 1; TO is"
        " excluded."
    )

    @field_validator("range")
    @classmethod
    def _check_range(cls, given: tuple[float, float]) -> tuple[float, float]:
        if given[0] >= given[1]:
            raise invalid("must be [FROM, TO] with FROM less than TO")
        return given

    def overlaps(self, other: NamespaceConfig) -> bool:
        """Return whether a unit may be in both."""
        mine, its = self.range, other.range
        return self.name == other.name and mine[0] < its[1] and its[0] < mine[1]


class PrePeriodConfig(Section):
    """A fixed time before the experiment, whose metrics reduce the variance (CUPED)."""

    start: Time = Field(description="Begin of the pre-period, RFC 3339 or epoch seconds.")
    hours: Positive = Field(description="Length of the pre-period in hours.")

    @property
    def end(self) -> float:
        """Return the end, epoch seconds."""
        return self.start + 3600 * self.hours

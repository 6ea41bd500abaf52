"""A mapping as the section `format`: where the fields of a record are in messages of any JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from monitor.config.sections.base.section import Section, invalid
from monitor.config.sections.ingest.decoding import FormatName
from monitor.config.sections.ingest.paths import PathError, parse_path

MAX_ALTERNATIVES: Final = 10
MAX_NAMES: Final = 64
"""Names of metadata, scores and experiments that a mapping may list."""
FILTERED: Final = "filtered"

Unit = Literal["s", "ms", "us", "ns", "ticks"]
"""Units of times; a tick is 100 ns."""
KINDS: Final = frozenset({"<name>", "<mapping>", "<path>", "<names>"})
"""Parts that pydantic inserts into keys for the forms that a value can have."""
T = TypeVar("T")


def _check_path(text: str) -> str:
    try:
        parse_path(text)
    except PathError as error:
        raise invalid(str(error)) from None
    return text


def _check_time_format(pattern: str) -> str:
    if "%" not in pattern:
        raise invalid("must be a pattern of strptime such as '%d/%b/%Y:%H:%M:%S %z'")
    try:
        datetime.strptime(datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC).strftime(pattern), pattern)
    except ValueError:
        raise invalid("is no pattern of strptime that can be read") from None
    return pattern


def _alternatives(value: object) -> object:
    """Return one source, or a list of them, as a tuple of mappings."""
    listed = value if isinstance(value, list | tuple) else (value,)
    if not all(isinstance(each, str | Mapping | Section) for each in listed):
        raise invalid(
            "must be a path such as usage.input_tokens, a list of them, or a mapping with `path`"
        )
    if not 0 < len(listed) <= MAX_ALTERNATIVES:
        raise invalid(f"must have 1 to {MAX_ALTERNATIVES} alternatives")
    return tuple({"path": each} if isinstance(each, str) else each for each in listed)


def _check_scalar(value: object) -> object:
    if not isinstance(value, bool | int | float | str):
        raise invalid("must be a text, a number, or true or false")
    return value


def _at_most(most: int) -> Callable[[object], object]:
    """Return a check of the length of a list; that of pydantic counts valid entries only."""

    def check(value: object) -> object:
        if isinstance(value, list | tuple) and not 0 < len(value) <= most:
            raise invalid(f"must have 1 to {most} entries")
        return value

    return check


PathText = Annotated[str, AfterValidator(_check_path)]
TimeFormat = Annotated[str, AfterValidator(_check_time_format)]
Sum = Annotated[
    tuple[PathText, ...], Field(strict=False), BeforeValidator(_at_most(MAX_ALTERNATIVES))
]
Scalar = Annotated[
    Any, BeforeValidator(_check_scalar, json_schema_input_type=bool | int | float | str)
]
_PATH: Final[Any] = Field(default=None, description="Path of the value.")


class TextSource(Section):
    """Where a text is."""

    path: PathText = Field(description="Path of the value.")


class NumberSource(Section):
    """Where a number is: a path, or several whose values are added."""

    path: PathText | None = _PATH
    sum: Sum | None = Field(
        default=None,
        description="Paths of numbers that are added. Absent ones count as 0 if any is present.",
    )

    @model_validator(mode="after")
    def _check_source(self) -> NumberSource:
        if (self.path is None) == (self.sum is None):
            raise invalid("needs either `path` or `sum`")
        return self


class DurationSource(Section):
    """Where a duration is: a path, several to add, or the times of its start and its end."""

    path: PathText | None = _PATH
    sum: Sum | None = Field(
        default=None,
        description="Paths of durations that are added.",
    )
    start: PathText | None = Field(
        default=None, description="Path of the time at which the duration starts."
    )
    end: PathText | None = Field(default=None, description="Path of the time at which it ends.")
    unit: Unit | None = Field(
        default=None,
        description="Unit of numbers; ticks are 100 ns. Default: ms, but s of start and end.",
    )
    time_format: TimeFormat | None = Field(
        default=None, description="Pattern of strptime of start and end, if they are texts."
    )

    @model_validator(mode="after")
    def _check_source(self) -> DurationSource:
        if (self.start is None) != (self.end is None):
            raise invalid("needs both `start` and `end`")
        if sum(each is not None for each in (self.path, self.sum, self.start)) != 1:
            raise invalid("needs one of `path`, `sum`, or `start` with `end`")
        if self.time_format is not None and self.start is None:
            raise invalid("`time_format` belongs to `start` and `end`")
        return self


class TimeSource(Section):
    """Where a time is."""

    path: PathText = Field(description="Path of the value.")
    unit: Unit = Field(
        default="s",
        description="Unit of numbers, which count from 1970; ticks are 100 ns, from 1970 or from"
        " the year 1. Texts that are no numbers are in RFC 3339.",
    )
    time_format: TimeFormat | None = Field(
        default=None,
        description="Pattern of strptime, for texts in another form. Without a zone it is UTC.",
    )


class Condition(Section):
    """What the value at a path must be in a message that is an inference."""

    model_config = ConfigDict(serialize_by_alias=True)

    path: PathText = Field(description="Path of the value.")
    equals: Scalar | None = Field(default=None, description="The value it must be.")
    one_of: Annotated[tuple[Scalar, ...], BeforeValidator(_at_most(100))] | None = Field(
        default=None,
        alias="in",
        strict=False,
        description="The values it must be one of.",
    )
    exists: bool | None = Field(default=None, description="Whether there must be a value or none.")
    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")] = Field(
        default=FILTERED,
        description="What the others are called in the counts of what is skipped.",
    )

    @model_validator(mode="after")
    def _check_test(self) -> Condition:
        if sum(each is not None for each in (self.equals, self.one_of, self.exists)) != 1:
            raise invalid("needs one of `equals`, `in` and `exists`")
        return self


class Bodies(Section):
    """Where the bodies of API calls are; they give the fields that the mapping does not list."""

    request: PathText | None = Field(default=None, description="Path of the request's body.")
    response: PathText | None = Field(
        default=None, description="Path of the response's body, or of its events."
    )


def _listed(value: object) -> object:
    """Return one condition as a list."""
    return (value,) if isinstance(value, Mapping | Section) else value


def _sources(kind: type[T]) -> Any:
    """Return the type of a field with alternatives."""
    one = str | kind
    return Annotated[
        tuple[kind, ...],  # type: ignore[valid-type]  # pydantic reads it at run time
        Field(strict=False),
        BeforeValidator(_alternatives, json_schema_input_type=one | list[one]),  # type: ignore[valid-type]  # as above
    ]


def _named(sources: Any) -> Any:
    """Return the type of a field with names: a source for each, or the path of an object."""
    names = Annotated[dict[str, sources], Field(max_length=MAX_NAMES)]
    return Annotated[
        Annotated[PathText, Tag("<path>")] | Annotated[names, Tag("<names>")],
        Discriminator(lambda value: "<names>" if isinstance(value, Mapping) else "<path>"),
    ]


_Texts: Any = _sources(TextSource)
_Numbers: Any = _sources(NumberSource)
_Durations: Any = _sources(DurationSource)
_Times: Any = _sources(TimeSource)
_NamedTexts: Any = _named(_Texts)
_NamedNumbers: Any = _named(_Numbers)


def _field(text: str) -> Any:
    return Field(default=None, description=text)


class MappingConfig(Section):
    """Where the fields of a record are; each a path, or a list of which the first value is used."""

    records: PathText | None = _field(
        "Path of a list of records in a message, such as `events[*]`; other paths start there."
        " Default: the message is one record."
    )
    where: Annotated[
        tuple[Condition, ...],
        Field(strict=False, max_length=20),
        BeforeValidator(_listed, json_schema_input_type=Condition | list[Condition]),
    ] = Field(
        default=(), description="Conditions that all hold for inferences; others are skipped."
    )
    bodies: Bodies = Field(default=Bodies(), description=Bodies.__doc__)
    request_id: _Texts | None = _field("Identifier of the request.")
    timestamp: _Times | None = _field("Time at which the request started.")
    model: _Texts | None = _field("Name of the model, or of its deployment.")
    responded_model: _Texts | None = _field("Name of the model in the response.")
    prompt: _Texts | None = _field("Prompt: a text or chat messages.")
    response: _Texts | None = _field("Response: a text, a message, or its parts.")
    contexts: _Texts | None = _field("Retrieved passages.")
    reference: _Texts | None = _field("Reference answer.")
    user_id: _Texts | None = _field("Identifier of the user.")
    session_id: _Texts | None = _field("Identifier of the conversation.")
    trace_id: _Texts | None = _field("Identifier of the trace.")
    span_id: _Texts | None = _field("Identifier of the span.")
    latency_ms: _Durations | None = _field("Duration of the whole call.")
    time_to_first_token_ms: _Durations | None = _field("Duration until a stream began.")
    input_tokens: _Numbers | None = _field("Tokens of the prompt, including cached ones.")
    output_tokens: _Numbers | None = _field("Tokens of the response.")
    cost_usd: _Numbers | None = _field("Cost in US dollars.")
    finish_reason: _Texts | None = _field("Why the response ended.")
    error: _Texts | None = _field(
        "Class, code or status of the call. States of success, such as 200 or ok, are no error."
    )
    feedback: _Numbers | None = _field("Feedback of the user, a number or true or false.")
    scores: _NamedNumbers | None = _field("Scores by name, or the path of an object of numbers.")
    metadata: _NamedTexts | None = _field("Metadata by name, or the path of an object.")
    experiments: _NamedTexts | None = _field(
        "Variants by experiment, or the path of an object of them."
    )

    @model_validator(mode="after")
    def _check_required(self) -> MappingConfig:
        inside = self.bodies.request is not None or self.bodies.response is not None
        missing = [
            name
            for name in ("request_id", "timestamp", "model")
            if getattr(self, name) is None and not inside
        ]
        if missing:
            raise invalid(f"needs the paths of {', '.join(missing)}", ("format",))
        return self


def keys_of(key: tuple[str | int, ...]) -> Iterable[str]:
    """Return the keys of a section of a mapping; key: without `format`, empty for the mapping."""
    name = key[0] if key else ""
    kinds: dict[str, type[Section]] = {
        "": MappingConfig,
        "where": Condition,
        "bodies": Bodies,
        "timestamp": TimeSource,
        **dict.fromkeys(("latency_ms", "time_to_first_token_ms"), DurationSource),
        **dict.fromkeys(("input_tokens", "output_tokens", "cost_usd"), NumberSource),
        **dict.fromkeys(("feedback", "scores"), NumberSource),
    }
    kind = kinds.get(str(name), TextSource)
    return [info.alias or field for field, info in kind.model_fields.items()]


Format = Annotated[
    Annotated[FormatName, Tag("<name>")] | Annotated[MappingConfig, Tag("<mapping>")],
    Discriminator(lambda value: "<mapping>" if isinstance(value, Mapping | Section) else "<name>"),
]
"""The name of a format, or a mapping."""

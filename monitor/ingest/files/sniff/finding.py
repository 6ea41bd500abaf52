"""What a format gives of a sample: which fields, from where, and what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from monitor.config.schema import Config
from monitor.config.sections.ingest.mapping import MappingConfig
from monitor.ingest.decode.formats.mapping.format import MappingFormat
from monitor.ingest.decode.framing.schemas import OpenSchema, no_registry
from monitor.ingest.decode.inference import Inference, ModelNaming, whole_record
from monitor.ingest.decode.message import LogMessage, Skipped
from monitor.ingest.files import Rejections, decoder_for, framing_for
from monitor.ingest.files.rejections import Place
from monitor.records import ChatMessage, RejectedRecord, WholeRecord
from monitor.redaction.redactor import redact

MAX_EXAMPLE_CHARS: Final = 40
_MAX_REDACTED_CHARS: Final = 2_000
"""Characters of a value that are redacted for its example; the rest is not shown."""
_ID_CHARS: Final = 4
_NO_SAMPLES: Final = "samples have none, so judges and replays cannot use them"

COSTS: Final[dict[str, str]] = {
    "request_id": "every record is rejected",
    "timestamp": "every record is rejected",
    "model": "every record is rejected",
    "prompt": f"prompt_chars is not watched; {_NO_SAMPLES}",
    "response": f"response_chars, refusal and empty_response are not watched; {_NO_SAMPLES}",
    "latency_ms": "latency_ms and tokens_per_second are not watched",
    "time_to_first_token_ms": "time_to_first_token_ms is not watched",
    "input_tokens": "input_tokens is not watched",
    "output_tokens": "output_tokens and tokens_per_second are not watched",
    "cost_usd": "cost_usd is not watched",
    "finish_reason": "finish_reason is not watched",
    "error": "the error rate is 0, as if no call failed",
    "user_id": "experiments cannot assign by user",
    "session_id": "experiments cannot assign by session",
}
"""Field -> what its absence costs. Fields that few logs have are not listed."""


@dataclass(frozen=True, slots=True)
class FieldRow:
    """A field of the records: where it is, how many have it, and a value, redacted and cut."""

    field: str
    path: str
    records: int
    example: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What a format gives of a sample.

    messages, records: their numbers. formats: records by format. missing: field -> what its absence
    costs; incomplete: the fields that some records lack.
    """

    messages: int
    records: int
    formats: Mapping[str, int]
    rejections: Rejections
    fields: Sequence[FieldRow]
    missing: Mapping[str, str]
    rejected_messages: int = 0
    incomplete: Sequence[str] = field(default_factory=tuple)


def find(
    messages: Sequence[tuple[LogMessage, Place]],
    config: Config,
    open_schema: OpenSchema = no_registry,
) -> Finding:
    """Decode messages with a configuration, and return what is in them.

    open_schema: of the configured registry.
    """
    decoder, rejections = decoder_for(config, framing_for(config, open_schema)), Rejections()
    payloads = [message.value for message, _ in messages]
    decoded = decoder.many(payloads, lambda index: messages[index][0])
    for index, error in decoded.rejected:
        rejections.add(error, payloads[index], messages[index][1])
    rejections.skipped.update(decoded.skipped)
    wholes = [
        decoded.wholes.get(place, payloads[index])
        for place, index in enumerate(decoded.indices.tolist())
    ]
    rest = decoder.rest()
    rejections.skipped.update(rest.skipped)
    wholes += rest.wholes.values()
    records = [decoder.whole(each) if isinstance(each, bytes) else each for each in wholes]
    rows = list(_rows(records, config))
    found = {row.field for row in rows}
    return Finding(
        messages=len(messages),
        records=len(records),
        formats=dict(decoded.formats),
        rejections=rejections,
        fields=rows,
        missing={
            name: cost
            for name, cost in COSTS.items()
            if name not in found and not (name == "error" and _reports_errors(config))
        },
        rejected_messages=len({index for index, _ in decoded.rejected}),
        incomplete=[row.field for row in rows if row.records < len(records)],
    )


_STAND_INS: Final[Mapping[str, Any]] = {"request_id": "-", "timestamp": 0.0, "model": "-"}
"""Values of required fields that a mapping lacks, so that the others can be read."""
_NOWHERE: Final = '"(no path was found)"'


def find_with(
    messages: Sequence[tuple[LogMessage, Place]], mapping: Mapping[str, Any], lacking: Sequence[str]
) -> Finding:
    """Return what a mapping gives of messages.

    lacking: required fields that it does not have. They are missing in the finding, whose records
    are those that there would be with them.
    """
    complete = {**mapping, **dict.fromkeys(lacking, _NOWHERE)}
    config = Config(format=MappingConfig.model_validate(complete))
    if not lacking:
        return find(messages, config)
    found, rejections = list[WholeRecord](), Rejections()
    rejected = set[int]()
    for index, (message, place) in enumerate(messages):
        for each in _with_stand_ins(message, config, lacking):
            if isinstance(each, RejectedRecord):
                rejections.add(each, message.value, place)
                rejected.add(index)
            elif isinstance(each, Skipped):
                rejections.skipped[each.kind] += 1
            else:
                found.append(each)
    rows = [row for row in _rows(found, config) if row.field not in lacking]
    given = {row.field for row in rows}
    return Finding(
        messages=len(messages),
        records=len(found),
        formats={},
        rejections=rejections,
        fields=rows,
        missing={name: cost for name, cost in COSTS.items() if name not in given},
        rejected_messages=len(rejected),
        incomplete=[row.field for row in rows if row.records < len(found)],
    )


def _with_stand_ins(
    message: LogMessage, config: Config, lacking: Sequence[str]
) -> Iterator[WholeRecord | Skipped | RejectedRecord]:
    """Yield what a mapping finds in a message, with a value for each of the lacking fields."""
    assert isinstance(config.format, MappingConfig)
    try:
        for each in MappingFormat(config.format).decode(message):
            if isinstance(each, Inference):
                for name in lacking:
                    setattr(each, name, _STAND_INS[name])
                yield whole_record(each, ModelNaming())
            else:
                assert isinstance(each, Skipped | RejectedRecord)  # a mapping finds nothing else
                yield each
    except RejectedRecord as error:
        yield error.with_traceback(None)


def _reports_errors(config: Config) -> bool:
    """Return whether failed calls are errors: a sample may have none."""
    chosen = config.format
    return isinstance(chosen, str) or chosen.error is not None or chosen.bodies.response is not None


def _rows(records: Sequence[WholeRecord], config: Config) -> Iterable[FieldRow]:
    for name in WholeRecord.__struct_fields__:
        values = [value for each in records if (value := getattr(each, name)) not in (None, {})]
        if values:
            yield FieldRow(name, path_text(config.format, name), len(values), example(name, values))


def example(name: str, values: Sequence[Any]) -> str:
    """Return the first value that is not blank, redacted and cut to one line."""
    value = next((each for each in values if each not in ("", [])), values[0])
    if name == "timestamp":
        return datetime.fromtimestamp(value, UTC).isoformat()
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, list):
        last = value[-1] if value else ""
        value = last.content if isinstance(last, ChatMessage) else last
    elif isinstance(value, dict):
        value = ", ".join(f"{key}={each}" for key, each in list(value.items())[:8])
    text = redact(str(value)[:_MAX_REDACTED_CHARS]).text
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    limit = _ID_CHARS if name in ("user_id", "session_id") else MAX_EXAMPLE_CHARS
    return text if len(text) <= limit else f"{text[:limit]}…"


def path_text(chosen: str | MappingConfig, name: str) -> str:
    """Return where a field comes from: its paths, the body of a call, or the format."""
    if isinstance(chosen, str):
        return "as the format defines"
    sources = getattr(chosen, name)
    if sources is None:
        return "bodies of the call"
    if isinstance(sources, str):
        return sources
    if isinstance(sources, dict):
        named = (f"{key}: {_source_text(each)}" for key, each in sources.items())
        return ", ".join(named)
    return _source_text(sources)


def _source_text(sources: Iterable[Any]) -> str:
    return " or ".join(map(_one_text, sources))


def _one_text(source: Any) -> str:
    given = {key: value for key, value in source.model_dump().items() if value is not None}
    unit = given.get("time_format") or given.get("unit")
    if "start" in given:
        text = f"{given['end']} - {given['start']}"
    else:
        text = " + ".join(given.get("sum") or [given["path"]])
    return f"{text} ({unit})" if unit else text

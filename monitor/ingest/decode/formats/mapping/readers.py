"""Functions that read the fields of a record, made from the sources of a mapping."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from monitor.config.sections.ingest.mapping import (
    Condition,
    DurationSource,
    NumberSource,
    TimeSource,
)
from monitor.ingest.decode.bodies.calls import body_of
from monitor.ingest.decode.bodies.times import milliseconds_between
from monitor.ingest.decode.bodies.values import identifier, member, metadata, text, total
from monitor.ingest.decode.formats.mapping import values
from monitor.ingest.decode.formats.mapping.places import Place, Places

Read = Callable[[Place], Any]
"""Returns the value of a field; None if it has none. Raises RejectedRecord for a wrong type."""

_RATINGS: Final = frozenset({"feedback", "scores"})
_JOINED: Final[dict[str, Callable[[list[Any]], Any]]] = {
    "prompt": values.prompt_at,
    "response": values.response_at,
    "contexts": values.texts_at,
}
"""Fields of which all values at a path are read together."""
_TEXTS: Final[dict[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(("request_id", "user_id", "session_id", "trace_id", "span_id"), identifier),
    "reference": text,
    "finish_reason": values.reason_at,
    "error": values.error_at,
    "metadata": lambda value: member(metadata({"": value}) or {}, ""),
    "experiments": identifier,
}
_OBJECTS: Final[dict[str, Callable[[Any], Any]]] = {
    "metadata": metadata,
    "scores": values.numbers_at,
    "experiments": values.variants_at,
}
"""Fields with names, of which the path of an object may be given."""


def field_reader(name: str, config: Any, places: Places) -> Read:
    """Return the reader of a field of records."""
    if isinstance(config, str):
        return _converted(places.reader(config).first, _OBJECTS[name])
    if isinstance(config, Mapping):
        readers = {key: _sources(name, sources, places) for key, sources in config.items()}
        return lambda place: _named(readers, place)
    return _sources(name, config, places)


def body_reader(path: str | None, places: Places) -> Read:
    """Return the reader of the body of a request or a response."""
    if path is None:
        return lambda place: None
    return _converted(places.reader(path).first, body_of)


def condition(config: Condition, places: Places) -> Callable[[Place], bool]:
    """Return the test of a condition. Numbers equal their texts, as in logs that have only text."""
    read = places.reader(config.path).all
    if config.exists is not None:
        return lambda place: bool(read(place)) == config.exists
    wanted = config.one_of if config.equals is None else (config.equals,)
    names = frozenset(map(_comparable, wanted or ()))
    return lambda place: any(_comparable(value) in names for value in read(place))


def _comparable(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return str(value) if isinstance(value, str | int | float) else None


def _sources(name: str, sources: Sequence[Any], places: Places) -> Read:
    """Return the reader of the first source that has a value."""
    readers = [_source(name, each, places) for each in sources]
    if len(readers) == 1:
        return readers[0]
    return lambda place: next(
        (value for read in readers if (value := read(place)) is not None), None
    )


def _source(name: str, source: Any, places: Places) -> Read:
    if isinstance(source, TimeSource):
        return _time(name, source.path, source.unit, source.time_format, places)
    if isinstance(source, DurationSource) and source.start and source.end:
        unit = source.unit or "s"
        start = _time(name, source.start, unit, source.time_format, places)
        end = _time(name, source.end, unit, source.time_format, places)
        return lambda place: milliseconds_between(start(place), end(place))
    if isinstance(source, DurationSource | NumberSource):
        return _number(name, source, places)
    reader = places.reader(source.path)
    if name in _JOINED:
        return _converted(lambda place: reader.all(place) or None, _JOINED[name])
    convert = _TEXTS.get(name) or partial(values.name_at, field=name, path=source.path)
    return _converted(reader.first, convert)


def _number(name: str, source: DurationSource | NumberSource, places: Places) -> Read:
    """Return the reader of the sum of all numbers at the paths of a source."""
    divisor = 1.0
    if isinstance(source, DurationSource):
        divisor = values.PER_SECOND[source.unit or "ms"] / 1000.0
    number = values.rating_at if name in _RATINGS else values.number_at
    paths = [(places.reader(path).all, path) for path in source.sum or (source.path or "",)]

    def read(place: Place) -> float | None:
        found = total(*(number(value, name, path) for all_, path in paths for value in all_(place)))
        return None if found is None else found / divisor

    return read


def _time(name: str, path: str, unit: str, time_format: str | None, places: Places) -> Read:
    convert = partial(values.time_at, unit=unit, time_format=time_format, field=name, path=path)
    return _converted(places.reader(path).first, convert)


def _converted(read: Read, convert: Callable[[Any], Any]) -> Read:
    def converted(place: Place) -> Any:
        value = read(place)
        return None if value is None else convert(value)

    return converted


def _named(readers: Mapping[str, Read], place: Place) -> dict[str, Any] | None:
    values_by_name = {name: read(place) for name, read in readers.items()}
    return {name: value for name, value in values_by_name.items() if value is not None} or None

"""The plan of a mapping: messages whose values have the usual kinds are read without building them.

A plan is made for mappings of one record a message whose paths lead through objects only. Values of
other kinds, such as JSON in a text, are unusual, and read by the readers of the mapping.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from monitor.config.sections.ingest.mapping import (
    Condition,
    DurationSource,
    MappingConfig,
    NumberSource,
    TimeSource,
)
from monitor.config.sections.ingest.paths import parse_path
from monitor.ingest.decode.formats.mapping.values import SUCCESS
from monitor.ingest.decode.inference import Inference
from monitor.ingest.decode.native.plans.plan import (
    MAX_OF_FIELD,
    MAX_PLACES,
    NOTHING,
    SECONDS,
    Kind,
    Place,
    Plan,
)

TEXT: Final = NOTHING | Kind.TEXT
NUMBER: Final = NOTHING | Kind.NUMBER
SCALAR: Final = Kind.TEXT | Kind.NUMBER | Kind.TRUE | Kind.FALSE

_PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000}
_PER_MILLISECOND: Final = {"s": SECONDS, "ms": 0, "us": 1_000, "ns": 1_000_000}
_PLANNED: Final = frozenset(
    (
        *("request_id", "timestamp", "model", "responded_model", "prompt", "response", "user_id"),
        *("session_id", "trace_id", "span_id", "latency_ms", "time_to_first_token_ms"),
        *("input_tokens", "output_tokens", "cost_usd", "finish_reason", "error", "metadata"),
    )
)
_SUCCESSES: Final = (
    "",
    *(form for text in sorted(SUCCESS) for form in (text, text.upper(), text.title())),
    *map(str, (*range(100, 104), *range(200, 209), 226, 304)),
)
"""Statuses that are no error, as they are written."""
_UNUSUAL: Final = re.compile(r'["\\]')


class NotPlanned(Exception):
    """A mapping has something that no plan can describe."""


def usual_messages(config: MappingConfig) -> Plan | None:
    """Return the plan of a mapping; None if there is none."""
    fields = {name for name in Inference.__struct_fields__ if getattr(config, name) is not None}
    bodies = config.bodies.request or config.bodies.response
    if config.records is not None or bodies or not fields <= _PLANNED:
        return None
    try:
        return _Compiler(config).plan
    except NotPlanned:
        return None


class _Compiler:
    """Makes the plan of a mapping. Raises NotPlanned if there is none."""

    def __init__(self, config: MappingConfig) -> None:
        self.plan = Plan()
        self._taken: set[tuple[str, ...]] = set()
        for condition in config.where:
            self._add_condition(condition)
        for name in ("request_id", "model"):
            self.plan.identifier(name, *self._texts(getattr(config, name), filled=name == "model"))
        self._add_texts(config)
        self._add_time(config.timestamp)
        self._add_call(config)
        self._add_numbers(config)
        self._add_metadata(config.metadata)

    def _at(self, path: str | None, usual: Kind, **rules: Any) -> Place:
        """Return the place at a path through objects, which is on no path of another."""
        if path is None:
            raise NotPlanned
        given = parse_path(path).steps
        steps = tuple(step for step in given if isinstance(step, str))
        if len(steps) < len(given) or not steps or any(map(_is_unusual, steps)):
            raise NotPlanned
        for other in self._taken:
            shared = min(len(other), len(steps))
            if other[:shared] == steps[:shared]:
                raise NotPlanned
        self._taken.add(steps)
        if sum(map(len, self._taken)) >= MAX_PLACES:
            raise NotPlanned
        for length in range(1, len(steps)):
            self.plan.at(*steps[:length], usual=NOTHING | Kind.OBJECT)
        return self.plan.at(*steps, usual=usual, **rules)

    def _texts(self, sources: Sequence[Any] | None, *, filled: bool = False) -> list[Place]:
        """Return the places of alternatives. filled: whether they must not be empty texts."""
        if not sources:
            raise NotPlanned
        rules = {"none_of": [""]} if filled else {}
        return [self._at(each.path, TEXT, **rules) for each in sources]

    def _add_condition(self, condition: Condition) -> None:
        wanted = condition.one_of if condition.equals is None else (condition.equals,)
        texts = [each if isinstance(each, str) else str(each) for each in wanted or ()]
        if not all(type(each) in (str, int) for each in wanted or (None,)):
            raise NotPlanned
        if any(map(_is_unusual, texts)):
            raise NotPlanned
        self._at(condition.path, Kind.TEXT | Kind.NUMBER, one_of=texts)

    def _add_texts(self, config: MappingConfig) -> None:
        if config.responded_model is not None:
            places = self._texts(config.responded_model, filled=True)
            self.plan.text("responded_model", *places)
        for name in ("user_id", "session_id", "trace_id", "span_id"):
            if (sources := getattr(config, name)) is not None:
                self.plan.text(name, *self._texts(sources))

    def _add_time(self, sources: Sequence[TimeSource] | None) -> None:
        source: TimeSource = _only(sources)
        if source.time_format is not None or source.unit not in _PER_SECOND:
            raise NotPlanned
        place = self._at(source.path, Kind.NUMBER | Kind.TEXT)
        self.plan.time("timestamp", place, _PER_SECOND[source.unit])

    def _add_call(self, config: MappingConfig) -> None:
        if config.prompt is not None:
            usual = TEXT | Kind.LIST
            self.plan.prompt("prompt", self._at(_only(config.prompt).path, usual))
        if config.response is not None:
            self.plan.answer("response", self._at(_only(config.response).path, TEXT))
        if config.finish_reason is not None:
            place = self._at(_only(config.finish_reason).path, TEXT)
            self.plan.finish_reason("finish_reason", place)
        for source in config.error or ():
            self._at(source.path, NOTHING | SCALAR, one_of=_SUCCESSES)

    def _add_numbers(self, config: MappingConfig) -> None:
        for name in ("input_tokens", "output_tokens", "cost_usd"):
            sources: Iterable[NumberSource] | None = getattr(config, name)
            if sources is not None:
                self.plan.amount(name, *(self._at(each.path, NUMBER) for each in sources))
        for name in ("latency_ms", "time_to_first_token_ms"):
            if (durations := getattr(config, name)) is not None:
                self._add_duration(name, _only(durations))

    def _add_duration(self, name: str, source: DurationSource) -> None:
        if source.start is not None:
            if source.unit not in (None, "s") or source.time_format is not None:
                raise NotPlanned
            start, end = self._at(source.start, NUMBER), self._at(source.end, NUMBER)
            self.plan.elapsed(name, start, end)
            return
        unit = _PER_MILLISECOND.get(source.unit or "ms")
        if unit is None:
            raise NotPlanned
        self.plan.amount(name, self._at(source.path, NUMBER), unit=unit)

    def _add_metadata(self, metadata: Any) -> None:
        if metadata is None:
            return
        if isinstance(metadata, str):
            self.plan.metadata("metadata", [self._at(metadata, NOTHING | Kind.OBJECT)], {})
            return
        if len(metadata) > MAX_OF_FIELD or any(map(_is_unusual, metadata)):
            raise NotPlanned
        values = {
            name: self._at(_only(sources).path, TEXT | Kind.TRUE)
            for name, sources in metadata.items()
        }
        self.plan.metadata("metadata", [], values)


def _only(sources: Sequence[Any] | None) -> Any:
    """Return the only one of several alternatives."""
    if sources is None or len(sources) != 1:
        raise NotPlanned
    return sources[0]


def _is_unusual(text: str) -> bool:
    """Return whether JSON may write a text in another way than it is."""
    return _UNUSUAL.search(text) is not None or not text.isprintable()

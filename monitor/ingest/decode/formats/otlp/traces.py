"""What the spans of one message say about each other: nested calls, and retrieved documents."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from monitor.ingest.decode.formats.otlp.contents import MAX_DOCUMENTS, documents_in
from monitor.ingest.decode.formats.otlp.kinds import INFERENCE, OTHER, RETRIEVAL, WRAPPER
from monitor.ingest.decode.formats.otlp.reading.entries import Span
from monitor.ingest.decode.message import NativeRecord

_SEE_THROUGH: Final = frozenset({INFERENCE, WRAPPER, OTHER})
"""Kinds of spans between a call and the span around it. A call within a tool, which is within a
call, is a call of its own, and so is the outer one."""


def outer_calls(spans: Sequence[Span], kinds: Sequence[str]) -> set[int]:
    """Return the indices of the inferences that contain another one.

    Frameworks and the libraries that they call often record the same call; the inner span is the
    one of the request. kinds: of the spans.
    """
    if kinds.count(INFERENCE) < 2:
        return set()
    ids = {span.span_id for span in spans}
    if ids.isdisjoint({span.parent_id for span in spans}):  # the usual case, and fast
        return set()
    places = {(span.trace_id, span.span_id): index for index, span in enumerate(spans)}
    outer: set[int] = set()
    climbed: set[int] = set()
    for index, kind in enumerate(kinds):
        if kind != INFERENCE:
            continue
        parent = places.get((spans[index].trace_id, spans[index].parent_id))
        while parent is not None and parent not in climbed and kinds[parent] in _SEE_THROUGH:
            climbed.add(parent)
            if kinds[parent] == INFERENCE:
                outer.add(parent)
            parent = places.get((spans[parent].trace_id, spans[parent].parent_id))
    return outer


class Retrievals:
    """The documents of the retrieval spans of a message. any: whether there are any."""

    def __init__(self, spans: Sequence[Span], kinds: Sequence[str]) -> None:
        self._by_trace: Mapping[str, list[tuple[int, list[str]]]] = {}
        if RETRIEVAL in kinds:
            found = defaultdict(list)
            for span, kind in zip(spans, kinds, strict=True):
                attributes = span.attributes
                if kind != RETRIEVAL or isinstance(attributes, NativeRecord):
                    continue
                if documents := documents_in(attributes):
                    found[span.trace_id].append((span.start, documents))
            self._by_trace = dict(found)
        self.any = bool(self._by_trace)

    def before(self, span: Span) -> list[str] | None:
        """Return the documents that were retrieved in the trace before a span; None if none."""
        found: list[str] = []
        for start, documents in sorted(self._by_trace.get(span.trace_id, ())):
            if start <= span.start:
                found += documents
        return found[:MAX_DOCUMENTS] or None

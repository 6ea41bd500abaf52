"""Values that are nested as deeply as a decoder allows are read like any others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from monitor.ingest.decode.bodies.calls import body_of
from monitor.ingest.decode.bodies.content import answer_of, chat
from monitor.ingest.decode.bodies.requests import request_of
from monitor.ingest.decode.bodies.responses import response_of
from monitor.ingest.decode.bodies.streams import is_events, joined

DEPTH = 5_000


def joined_events(body: Any) -> object:
    """The body of events, or of one event."""
    return joined(body if isinstance(body, list) else [body])


READERS: tuple[Callable[[Any], object], ...] = (
    *(answer_of, body_of, chat, is_events, joined_events, request_of, response_of),
)
each_reader = pytest.mark.parametrize("read", READERS, ids=lambda each: each.__name__)
BODIES: dict[str, Callable[[Any], Any]] = {
    "response": lambda deep: {"object": "response", "output": [{"type": deep, "content": deep}]},
    "completion": lambda deep: {
        "choices": [{"finish_reason": deep, "message": {"content": deep, "tool_calls": deep}}]
    },
    "message": lambda deep: {"type": "message", "stop_reason": deep, "content": [{"type": deep}]},
    "request": lambda deep: {"model": deep, "messages": [{"role": deep, "content": deep}]},
    "events": lambda deep: [{"type": deep, "response": {}}, {"choices": deep}],
    "converse": lambda deep: {"output": {"message": {"content": [{"text": deep}]}}},
    "error": lambda deep: {"error": {"code": deep, "type": deep}},
}


@each_reader
@pytest.mark.parametrize("kind", ["list", "object"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_deep_values_raise_nothing(
    read: Callable[[Any], object], kind: str, body: Callable[[Any], Any]
) -> None:
    """No value is converted to text or searched without a limit."""
    deep: Any = "x"
    for _ in range(DEPTH):
        deep = [deep] if kind == "list" else {"content": deep}
    read(body(deep))

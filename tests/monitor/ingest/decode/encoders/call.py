"""A call of a model as all log formats describe it, and the record that each of them must give.

A module of this package writes calls in one format. It has `encode` and `FIELDS`, or `VARIANTS` if
the format has several layouts; and `FORMAT` if its name is not that of the format.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from hypothesis import strategies as st

from monitor.ingest.decode.message import LogMessage
from monitor.records import ChatMessage, WholeRecord

ERRORS: Final = {
    "BadRequestError": 400,
    "RateLimitError": 429,
    "InternalServerError": 500,
    "ServiceUnavailableError": 503,
}
"""Class of a failure -> HTTP status."""

TOKENS_AND_TEXTS: Final = ("response", "finish_reason", "cost_usd", "input_tokens", "output_tokens")
"""What a failed call does not have."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a model.

    start: epoch seconds, in whole milliseconds. response: None if the model only calls tools, or if
    the call failed. time_to_first_token_ms: of a stream that did not fail, else None.
    input_tokens: including cached_tokens. finish_reason: in the vocabulary of records; None if the
    call failed. error: a class in ERRORS.
    """

    request_id: str
    start: float
    model: str
    prompt: tuple[ChatMessage, ...]
    response: str | None
    tool_calls: bool
    latency_ms: int
    time_to_first_token_ms: int | None
    stream: bool
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_usd: float
    finish_reason: str | None
    error: str | None
    user_id: str | None
    session_id: str | None

    @property
    def end(self) -> float:
        """Epoch seconds at which the call ended."""
        return self.start + self.latency_ms / 1000

    @property
    def responded_model(self) -> str:
        """The name of the model in the response."""
        return f"{self.model}-2026-01-31"

    @property
    def status(self) -> int:
        """HTTP status of the response."""
        return 200 if self.error is None else ERRORS[self.error]

    @property
    def messages(self) -> list[dict[str, str]]:
        """The prompt as chat messages in JSON."""
        return [{"role": each.role, "content": each.content} for each in self.prompt]

    def record(self) -> dict[str, Any]:
        """Return the fields of the record of this call, of a format that carries all of them."""
        fields: dict[str, Any] = {
            "request_id": self.request_id,
            "timestamp": self.start,
            "model": self.model,
            "prompt": list(self.prompt),
            "response": self.response,
            "latency_ms": self.latency_ms,
            "time_to_first_token_ms": self.time_to_first_token_ms,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": self.cost_usd,
            "finish_reason": self.finish_reason,
            "error": self.error,
            "user_id": self.user_id,
            "session_id": self.session_id,
        }
        return fields | (dict.fromkeys(TOKENS_AND_TEXTS) if self.error else {})


Encode = Callable[[Call], list[LogMessage]]


@dataclass(frozen=True, slots=True)
class Encoder:
    """Writes calls in one layout of a format.

    format: its name in the configuration. name: the format with the layout, for test ids.
    encode: returns the messages of a call. fields: of records, which the layout carries.
    time_resolution: seconds, by which a time may be off.
    """

    format: str
    name: str
    encode: Encode
    fields: frozenset[str]
    time_resolution: float = 1e-3


@dataclass(frozen=True, slots=True)
class Variant:
    """One layout of a format: see `Encoder`."""

    encode: Encode
    fields: frozenset[str]
    time_resolution: float = 1e-3


def encoders() -> list[Encoder]:
    """Return the encoders of all modules of this package."""
    found = []
    package = __name__.rpartition(".")[0]
    for info in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        module = importlib.import_module(info.name)
        if info.ispkg or not (hasattr(module, "encode") or hasattr(module, "VARIANTS")):
            continue
        name = info.name.rpartition(".")[2]
        kind = getattr(module, "FORMAT", name)
        variants: dict[str, Variant] = getattr(module, "VARIANTS", {})
        if hasattr(module, "encode"):
            resolution = getattr(module, "TIME_RESOLUTION", 1e-3)
            plain = Variant(module.encode, frozenset(module.FIELDS), resolution)
            variants = {"": plain, **variants}
        for layout, variant in variants.items():
            full = f"{name}-{layout}" if layout else name
            found.append(
                Encoder(kind, full, variant.encode, variant.fields, variant.time_resolution)
            )
    return found


# --- calls ------------------------------------------------------------------------------------

_texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).filter(
    lambda text: "redacted" not in text.lower() and text.strip() == text
)
_ids = st.text("abcdef0123456789-", min_size=8, max_size=36).filter(
    lambda text: not text.startswith("-")
)
_roles = st.sampled_from(("user", "assistant"))


@st.composite
def prompts(draw: st.DrawFn) -> tuple[ChatMessage, ...]:
    """Chat messages, the first of which may be instructions of the system."""
    system = draw(st.none() | _texts.map(lambda text: ChatMessage("system", text)))
    others = draw(st.lists(st.builds(ChatMessage, _roles, _texts), max_size=2))
    last = ChatMessage("user", draw(_texts))
    return (*([system] if system else []), *others, last)


@st.composite
def calls(draw: st.DrawFn) -> Call:
    """Calls that end in all ways, streamed or not."""
    ending = draw(
        st.sampled_from(("stop", "length", "content_filter", "refusal", "tool_calls", "error"))
    )
    failed, tools = ending == "error", ending == "tool_calls"
    stream = draw(st.booleans())
    latency = draw(st.integers(1, 600_000))
    tokens = draw(st.integers(1, 200_000))
    text = draw(st.just("") | _texts) if ending in ("stop", "length") else draw(_texts)
    return Call(
        request_id=draw(_ids),
        start=draw(st.integers(1_500_000_000_000, 1_900_000_000_000)) / 1000,
        model=draw(st.sampled_from(("gpt-4o", "claude-sonnet-5-5", "llama-3.1-8b", "team/chat"))),
        prompt=draw(prompts()),
        response=None if failed or tools else text,
        tool_calls=tools,
        latency_ms=latency,
        time_to_first_token_ms=draw(st.integers(1, latency)) if stream and not failed else None,
        stream=stream,
        input_tokens=tokens,
        cached_tokens=draw(st.just(0) | st.integers(0, tokens)),
        output_tokens=draw(st.integers(1, 100_000)),
        cost_usd=draw(st.integers(1, 10**7)) / 1e6,
        finish_reason=None if failed else ending,
        error=draw(st.sampled_from(sorted(ERRORS))) if failed else None,
        user_id=draw(st.none() | _ids),
        session_id=draw(st.none() | _ids),
    )


def difference(call: Call, record: WholeRecord, encoder: Encoder) -> dict[str, tuple[Any, Any]]:
    """Return the fields in which a record differs from its call: expected and found values."""
    differences = {}
    for name, value in call.record().items():
        expected = value if name in encoder.fields else None
        found = getattr(record, name)
        if not _is_same(name, expected, found, call, encoder):
            differences[name] = (expected, found)
    return differences


def _is_same(name: str, expected: Any, found: Any, call: Call, encoder: Encoder) -> bool:
    if expected is None or found is None:
        return expected is found
    if name == "error":  # some formats have the class, others only the status
        return found in (call.error, str(call.status))
    if name == "timestamp":
        return abs(float(found - expected)) <= encoder.time_resolution
    if isinstance(expected, int | float):
        return abs(float(found - expected)) <= 1e-9 * expected + (0.01 if name[-3:] == "_ms" else 0)
    return bool(found == expected)


PLAIN_CALL: Final = Call(
    request_id="5d1c6f3e-0b7a-4f0e-9a55-0f6d5a3c9b10",
    start=1_790_000_000.125,
    model="gpt-4o",
    prompt=(ChatMessage("system", "Be brief."), ChatMessage("user", "Grüße – what is 2 + 2?")),
    response="4 😀",
    tool_calls=False,
    latency_ms=1875,
    time_to_first_token_ms=None,
    stream=False,
    input_tokens=1200,
    cached_tokens=1024,
    output_tokens=17,
    cost_usd=0.000123,
    finish_reason="stop",
    error=None,
    user_id="user-7",
    session_id="session-3",
)
"""A call for tests that need one whose messages are always the same."""

"""The interface of judge clients: one call, its answer, its usage, and why there is no score.

Everything that asks a judge (rubrics, RAGAS, generation) builds a `Call` and awaits a
`JudgeClient`. Clients of providers, the budget and the test doubles implement it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class UnscoredReason(StrEnum):
    """Why a sample has no score: in evaluations, reports and `judge_unscored_total`.

    Unscored is a result of its own: never zero, never in a mean.
    """

    REFUSAL = "refusal"
    """The judge declined to answer."""
    TIMEOUT = "timeout"
    """The judge gave no whole answer before the deadline."""
    TRUNCATED = "truncated"
    """The answer of the judge was cut at its maximum length."""
    INVALID_OUTPUT = "invalid_output"
    """The answer of the judge does not match the schema."""
    EMPTY_RESPONSE = "empty_response"
    """There is no response to judge."""
    EMPTY_CONTEXTS = "empty_contexts"
    """The contexts are absent or blank, and the metric needs them."""
    NO_REFERENCE = "no_reference"
    """There is no reference, and the rubric needs one."""
    NOT_APPLICABLE = "not_applicable"
    """The sample has nothing that the metric measures, such as a statement."""
    TOO_LONG = "too_long"
    """The sample is longer than the judge accepts."""
    NO_BUDGET = "no_budget"
    """The budget does not cover the call."""
    UNAVAILABLE = "unavailable"
    """The judge did not respond, rejected the request or the key."""
    INJECTION_SUSPECTED = "injection_suspected"
    """The judged text appears to address the judge."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a judge.

    model: the model that judges.
    instructions: the same for all samples of a rubric, so that the provider can cache it.
    data: what is judged, inside its delimiters.
    schema: JSON schema of the answer.
    max_tokens: maximum length of the answer.
    """

    model: str
    instructions: str
    data: str
    schema: Mapping[str, Any]
    max_tokens: int = 2048


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or several requests, as the provider charges them. Absent counts are zero.

    input_tokens: without those that were written to the cache or read from it.
    requests: number of requests with this usage, retries included.
    unmetered: of these, requests that the provider may have charged without reporting their usage,
    such as those that were cut. The budget counts them at their worst-case price.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    cache_read_tokens: int = 0
    requests: int = 1
    unmetered: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_write_5m_tokens + other.cache_write_5m_tokens,
            self.cache_write_1h_tokens + other.cache_write_1h_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.requests + other.requests,
            self.unmetered + other.unmetered,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a judge: one whole text, which matches the schema or not.

    model: the model that answered, as the provider names it.
    """

    text: str
    usage: Usage
    model: str


class CallFailed(Exception):
    """A call has no answer.

    detail: what happened, without any part of the judged text or the key.
    usage: what the provider charged for it, all requests included.
    fatal: further calls will fail as well until the configuration or the account is changed.
    """

    def __init__(
        self,
        reason: UnscoredReason,
        detail: str,
        usage: Usage | None = None,
        *,
        fatal: bool = False,
    ) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.usage = usage or Usage(requests=0)
        self.fatal = fatal


class JudgeClient(Protocol):
    """Asks judges. One per process, closed at the end."""

    async def ask(self, call: Call) -> Answer:
        """Return the answer. Raises CallFailed; takes no longer than the client's deadline."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


@dataclass(frozen=True, slots=True)
class Unscored:
    """The result of a judge that gave no score."""

    reason: UnscoredReason
    detail: str = ""
    usage: Usage = field(default_factory=lambda: Usage(requests=0))

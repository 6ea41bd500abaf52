"""Endpoints to compare: OpenAI-compatible chat completions, with the time of each answer."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from judges.calls import Answer, Call, CallFailed, Usage
from judges.client.chat_completions import usage_of
from judges.client.failures import TransientFailure
from judges.client.http import JsonEndpoint, decode_object, model_name
from judges.client.settings import ClientSettings, secret, url_problem
from monitor.errors import UserError

KEY_PREFIX: Final = "PLUMBLINE_ENDPOINT_KEY_"
"""Environment variable of the key of an endpoint, followed by its name in upper case."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
_PATH: Final = "/chat/completions"
_OPENAI: Final = "api.openai.com"
"""Its reasoning models reject `max_tokens`; others may ignore `max_completion_tokens`."""

ChatMessages = Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint. system: text of a system message before each prompt; None without one."""

    name: str
    url: str
    model: str
    system: str | None = None

    @property
    def key_variable(self) -> str:
        """Environment variable with its key."""
        return KEY_PREFIX + re.sub(r"[^A-Z0-9]", "_", self.name.upper())


@dataclass(frozen=True, slots=True)
class CallLimits:
    """Limits of the calls of all endpoints. temperature: None is that of the endpoint."""

    max_tokens: int
    temperature: float | None
    timeout_seconds: float
    retries: int
    concurrency: int


@dataclass(frozen=True, slots=True)
class Question(Call):
    """A prompt. The fields of a judge's call are empty."""

    messages: ChatMessages = ()


@dataclass(frozen=True, slots=True)
class TimedAnswer(Answer):
    """An answer with its times, without those of failed requests and pauses before it.

    first_token_ms: None if the endpoint does not stream.
    """

    latency_ms: float = 0.0
    first_token_ms: float | None = None
    finish_reason: str = ""


def parse_endpoint(text: str) -> Endpoint:
    """Return the endpoint of NAME=URL#MODEL. Raises ValueError."""
    name, equals, rest = text.partition("=")
    url, hash_sign, model = rest.partition("#")
    if not (equals and hash_sign and model):
        raise ValueError("must be NAME=URL#MODEL, such as a=http://127.0.0.1:8000/v1#llama-3.1-8b")
    if not _NAME.fullmatch(name):
        raise ValueError("a name has up to 40 letters, digits, '_', '.' and '-'")
    if problem := url_problem(url):
        raise ValueError(f"the URL {problem}")
    if not (model.isprintable() and len(model) <= 200):
        raise ValueError("a model has 1 to 200 printable characters")
    return Endpoint(name, url, model)


def check_endpoints(endpoints: Sequence[Endpoint]) -> None:
    """Raise UserError if there are fewer than two, or two have the same name or key variable."""
    if len(endpoints) < 2:
        raise UserError("give --endpoint at least twice: the first one is the control")
    variables = [each.key_variable for each in endpoints]
    twice = next((name for name in variables if variables.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"two endpoints have the same name, or names that {twice} stands for")


def settings_of(
    endpoint: Endpoint, limits: CallLimits, environment: Mapping[str, str]
) -> ClientSettings:
    """Return the settings of an endpoint's client, with the key of the environment."""
    return ClientSettings(
        base_url=endpoint.url,
        key=secret(environment.get(endpoint.key_variable)),
        concurrency=limits.concurrency,
        timeout_seconds=limits.timeout_seconds,
        retries=limits.retries,
    )


class EndpointClient:
    """Sends each question as one streamed chat completion. Implements JudgeClient."""

    def __init__(self, settings: ClientSettings, temperature: float | None) -> None:
        self._endpoint = JsonEndpoint(settings, {"accept": "text/event-stream, application/json"})
        limit = "max_completion_tokens" if _OPENAI in settings.base_url else "max_tokens"
        self._limit_key = limit
        self._temperature = temperature

    async def ask(self, call: Call) -> TimedAnswer:
        """Return the answer to one request. Raises CallFailed."""
        assert isinstance(call, Question)
        body: dict[str, Any] = {
            "model": call.model,
            "messages": call.messages,
            self._limit_key: call.max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self._temperature is not None:
            body["temperature"] = self._temperature
        started = time.perf_counter()
        reading = _Reading()
        async with aclosing(self._endpoint.stream(_PATH, body)) as events:
            async for data in events:
                reading.add(decode_object(data), _milliseconds(started))
        return reading.answer(_milliseconds(started))

    async def close(self) -> None:
        """Close all connections."""
        await self._endpoint.close()


class _Reading:
    """The parts of an answer that have arrived."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._first: float | None = None
        self._finish_reason = ""
        self._model = ""
        self._usage: object = None

    def add(self, event: Mapping[str, Any], milliseconds: float) -> None:
        """Add an event, or a whole completion. Raises CallFailed if it is something else."""
        usage = event.get("usage")
        self._usage = self._usage if usage is None else usage
        self._model = model_name(event.get("model")) or self._model
        choices = event.get("choices")
        if "error" in event or not isinstance(choices, list) or len(choices) > 1:
            raise TransientFailure("the response is not a completion", Usage(unmetered=1))
        for choice in choices:
            self._add_choice(choice, milliseconds)

    def _add_choice(self, choice: Any, milliseconds: float) -> None:
        if not isinstance(choice, dict):
            raise TransientFailure("the response has no message", Usage(unmetered=1))
        part = choice.get("delta")
        streamed = isinstance(part, dict)
        part = part if streamed else choice.get("message")
        if not isinstance(part, dict):
            raise TransientFailure("the response has no message", Usage(unmetered=1))
        refusal = part.get("refusal")
        text = refusal if isinstance(refusal, str) and refusal else part.get("content")
        if isinstance(text, str) and text:
            self._texts.append(text)
            if streamed and self._first is None:
                self._first = milliseconds
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and self._finish_reason != "refusal":
            self._finish_reason = reason
        if isinstance(refusal, str) and refusal:
            self._finish_reason = "refusal"

    def answer(self, milliseconds: float) -> TimedAnswer:
        """Return the answer. Raises CallFailed if no event ended it."""
        if not self._finish_reason:
            raise TransientFailure("the answer has no finish_reason", Usage(unmetered=1))
        return TimedAnswer(
            "".join(self._texts),
            usage_of(self._usage),
            self._model,
            milliseconds,
            self._first,
            self._finish_reason,
        )


def _milliseconds(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)


def error_text(failure: CallFailed) -> str:
    """Return the `error` of a record whose call failed."""
    return f"{failure.reason}: {failure.detail}"[:100]

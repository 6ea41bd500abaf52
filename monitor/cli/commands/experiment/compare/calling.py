"""Call endpoints on a file of prompts, and write the answers as records."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final

from judges.budget.prices import NANODOLLARS, Prices
from judges.calls import CallFailed
from judges.client.retrying import RetryingClient
from monitor.cli.commands.experiment.compare.endpoints import (
    CallLimits,
    Endpoint,
    EndpointClient,
    Question,
    TimedAnswer,
    error_text,
    settings_of,
)
from monitor.cli.commands.judge.offline import progress
from monitor.errors import UserError
from monitor.experiments.compare.answers import Answers
from monitor.records import ChatMessage

DOWN: Final = 10
"""Failures in a row after which an endpoint is down, and the command ends."""


@dataclass
class _Calls:
    """The calls of one endpoint.

    failures: since its last answer. last: what failed last.
    """

    endpoint: Endpoint
    client: RetryingClient
    file: IO[str]
    answered: int = 0
    failures: int = 0
    last: str = ""


def call_endpoints(
    endpoints: Sequence[Endpoint],
    prompts: Answers,
    limits: CallLimits,
    prices: Prices,
    folder: Path,
    seed: int,
) -> list[Path]:
    """Write a file of records for each endpoint, named after it, and return the paths.

    At most `limits.concurrency` prompts are sent at a time. The endpoints get each prompt one after
    another, in an order that follows from the seed, so that none has the quieter hours.
    Raises UserError if a file exists, or an endpoint does not answer.
    """
    questions = [each for each in prompts.answers if each.prompt]
    if not questions:
        raise UserError(f"{prompts.source}: has no prompts")
    paths = [folder / f"{each.name}.jsonl" for each in endpoints]
    present = next((path for path in paths if path.exists()), None)
    if present is not None:
        raise UserError(f"{present}: exists; remove it, compare it, or name another folder")
    with ExitStack() as stack:
        calls = [
            _Calls(
                endpoint,
                _client(endpoint, limits),
                stack.enter_context(path.open("w", encoding="utf-8")),
            )
            for endpoint, path in zip(endpoints, paths, strict=True)
        ]
        with progress(len(questions) * len(calls), "calling") as advance:
            _run(_Run(calls, limits, prices, random.Random(seed), advance), prompts)
    for each in calls:
        if not each.answered:
            raise UserError(_down(each))
    return paths


def _client(endpoint: Endpoint, limits: CallLimits) -> RetryingClient:
    settings = settings_of(endpoint, limits, os.environ)
    client = EndpointClient(settings, limits.temperature)
    return RetryingClient(client, settings, random.Random())


@dataclass
class _Run:
    """What all workers share. order: of the endpoints."""

    calls: list[_Calls]
    limits: CallLimits
    prices: Prices
    order: random.Random
    advance: Callable[[], None]


def _run(run: _Run, prompts: Answers) -> None:
    try:
        asyncio.run(_call_all(run, prompts))
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


async def _call_all(run: _Run, prompts: Answers) -> None:
    """Send all prompts."""
    # drawn here, so that the order does not depend on how long calls take
    work = iter([(each, run.order.sample(run.calls, len(run.calls))) for each in _prompts(prompts)])

    async def worker() -> None:
        for (request_id, prompt), calls in work:
            for each in calls:
                await _call(run, each, request_id, prompt)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(run.limits.concurrency):
                group.create_task(worker())
    finally:
        for each in run.calls:
            await each.client.close()


def _prompts(prompts: Answers) -> Iterator[tuple[str, str | list[ChatMessage]]]:
    """Yield request id and prompt; a prompt without an id has that of its line."""
    for each in prompts.answers:
        prompt = each.record.prompt
        if each.prompt and prompt is not None:
            yield each.request_id or f"line-{each.line}", prompt


async def _call(run: _Run, calls: _Calls, request_id: str, prompt: str | list[ChatMessage]) -> None:
    """Call an endpoint, and write the record. Raises UserError if the endpoint is down."""
    record: dict[str, Any] = {
        "request_id": request_id,
        "timestamp": time.time(),
        "model": calls.endpoint.model,
        "prompt": prompt if isinstance(prompt, str) else _messages(prompt),
    }
    messages = _messages(prompt)
    if calls.endpoint.system is not None:
        messages = [{"role": "system", "content": calls.endpoint.system}, *messages]
    question = Question(calls.endpoint.model, "", "", {}, run.limits.max_tokens, messages)
    try:
        answer = await calls.client.ask(question)
    except CallFailed as failure:
        record["error"] = calls.last = error_text(failure)
        calls.failures += 1
        _write(calls, record)
        if failure.fatal or calls.failures >= DOWN:
            raise UserError(_down(calls)) from None
    else:
        assert isinstance(answer, TimedAnswer)
        calls.failures = 0
        calls.answered += 1
        _write(calls, record | _fields(question, answer, run.prices))
    run.advance()


def _messages(prompt: str | list[ChatMessage]) -> list[dict[str, str]]:
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    return [{"role": each.role, "content": each.content} for each in prompt]


def _fields(question: Question, answer: TimedAnswer, prices: Prices) -> dict[str, Any]:
    """Return the fields of a record that an answer gives. A number that is unknown is absent."""
    fields: dict[str, Any] = {
        "response": answer.text,
        "latency_ms": answer.latency_ms,
        "finish_reason": answer.finish_reason,
    }
    if answer.first_token_ms is not None:
        fields["time_to_first_token_ms"] = answer.first_token_ms
    usage = answer.usage
    # the usage of failed requests before it is part of it, and none of the answer
    if usage.requests == 1 and not usage.unmetered:
        fields["input_tokens"] = usage.input_tokens + usage.cache_read_tokens
        fields["output_tokens"] = usage.output_tokens
        if prices.has(question.model):
            fields["cost_usd"] = prices.cost(question, usage) / NANODOLLARS
    return fields


def _write(calls: _Calls, record: dict[str, Any]) -> None:
    calls.file.write(json.dumps(record) + "\n")
    calls.file.flush()


def _down(calls: _Calls) -> str:
    endpoint = calls.endpoint
    return (
        f"endpoint {endpoint.name}: does not answer ({calls.last}); check its URL, its model and"
        f" {endpoint.key_variable}, and see --timeout and --retries"
    )


def with_systems(endpoints: Sequence[Endpoint], systems: dict[str, str]) -> list[Endpoint]:
    """Return the endpoints with their system messages. Raises UserError for an unknown name."""
    unknown = systems.keys() - {each.name for each in endpoints}
    if unknown:
        raise UserError(f"--system: there is no endpoint {sorted(unknown)[0]!r}")
    return [replace(each, system=systems.get(each.name)) for each in endpoints]

"""Models behind an endpoint, with lm-eval's requests and our own way of sending them.

lm-eval repeats a request three times for any status, ignores Retry-After, and scores null content
as a wrong answer. Here a rejected key ends the run at once, a busy endpoint is waited for, and an
answer that cannot be used is marked (`replay.runner.process.answers`).
"""

from __future__ import annotations

import asyncio
import copy
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import aiohttp
import msgspec
from lm_eval.models.openai_completions import LocalChatCompletion, LocalCompletionsAPI
from lm_eval.utils import check_remote_tokenizer_support

from replay.results import RunError
from replay.runner.endpoint import retry_after, status_error
from replay.runner.plan import ModelSpec
from replay.runner.process.answers import marked

_BUSY_ATTEMPTS: Final = 10
"""Attempts of a request that is answered with 429: more than for errors."""
_REQUEST_FAULTS: Final = {400, 413, 422}
"""Statuses that concern one request, such as a prompt that is too long, and not the endpoint."""


class Sender:
    """Sends requests to the endpoint, `concurrency` at a time.

    answered: called after each answer.
    """

    def __init__(self, spec: ModelSpec, key: str, answered: Callable[[], None]) -> None:
        self._spec = spec
        self._answered = answered
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    async def send_all(self, payloads: Sequence[dict[str, Any]]) -> list[Any]:
        """Return the decoded answers in the order of the requests, or a text why there is none.

        Raises RunError if the endpoint fails, rejects the key, or stays busy or silent.
        """
        limit = asyncio.Semaphore(self._spec.concurrency)
        timeout = aiohttp.ClientTimeout(total=self._spec.request_timeout_s)
        connector = aiohttp.TCPConnector(limit=self._spec.concurrency)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, headers=self._headers, trust_env=True
        ) as session:
            return await asyncio.gather(*(self._send(session, limit, p) for p in payloads))

    async def _send(
        self, session: aiohttp.ClientSession, limit: asyncio.Semaphore, payload: dict[str, Any]
    ) -> Any:
        async with limit:
            failures = 0
            for attempt in range(_BUSY_ATTEMPTS):
                answer, error, pause = await self._attempt(session, payload, 2.0**attempt / 2)
                if error is None:
                    self._answered()
                    return answer
                failures += error.reason != "rate_limited"
                if pause is None or failures > self._spec.retries or attempt + 1 == _BUSY_ATTEMPTS:
                    raise error
                await asyncio.sleep(pause)
        raise AssertionError("the loop returns or raises")

    async def _attempt(
        self, session: aiohttp.ClientSession, payload: dict[str, Any], pause: float
    ) -> tuple[Any, RunError | None, float | None]:
        """Send once. Return the answer, or the error and the pause before another attempt."""
        where = self._spec.public_url
        try:
            # a redirect would send the prompts elsewhere, and the items would be answered by it
            async with session.post(
                self._spec.url, json=payload, allow_redirects=False
            ) as response:
                status = response.status
                if status in _REQUEST_FAULTS:
                    return f"http_{status}", None, None
                if status != 200:
                    wait = retry_after(response.headers.get("Retry-After"), pause)
                    again = status == 429 or status >= 500
                    return None, status_error(self._spec, status), wait if again else None
                body = await response.read()
        except TimeoutError:
            detail = f"{where} did not answer within {self._spec.request_timeout_s:g} s"
            return None, RunError("deadline", detail), pause
        except (aiohttp.ClientError, OSError) as error:
            detail = f"{where} cannot be reached: {type(error).__name__}"
            return None, RunError("endpoint_unavailable", detail), pause
        try:
            return msgspec.json.decode(body), None, None
        except msgspec.MsgspecError:
            return "invalid", None, None


class _Endpoint:
    """Replaces how lm-eval's models for endpoints send requests and read answers."""

    sender: Sender

    async def get_batched_requests(
        self,
        requests: list[Any],
        cache_keys: list[Any],
        *,
        generate: bool = True,
        ctxlens: list[int] | None = None,
        gen_kwargs: dict[str, Any] | None = None,
        **_: Any,
    ) -> list[list[Any]]:
        """Send the requests, one item each. Return a list of one answer for each."""
        model: Any = self
        payloads = [
            _payload(
                model._create_payload(
                    model.create_message([request]),
                    generate=generate,
                    gen_kwargs=copy.deepcopy(gen_kwargs),
                    seed=model._seed,
                )
            )
            for request in requests
        ]
        answers = await self.sender.send_all(payloads)
        if generate:
            texts = [_text(answer) for answer in answers]
            self._cache("generate_until", cache_keys, texts)
            return [[text] for text in texts]
        lengths = ctxlens or [0] * len(answers)
        pairs = [_likelihood(model, answer, n) for answer, n in zip(answers, lengths, strict=True)]
        self._cache("loglikelihood", cache_keys, pairs)
        return [[pair] for pair in pairs]

    def _cache(self, method: str, keys: Sequence[Any], answers: Sequence[Any]) -> None:
        """Hand the answers to lm-eval's cache, if there is one."""
        model: Any = self
        for key, answer in zip(keys, answers, strict=True):
            if key is not None:
                model.cache_hook.add_partial(method, key, answer)


def _payload(payload: dict[str, Any]) -> dict[str, Any]:
    """Leave an empty list of stop sequences out: some endpoints reject it."""
    stop = [text for text in payload.pop("stop", None) or () if text]
    return payload | ({"stop": stop} if stop else {})


def _text(answer: Any) -> str:
    """Return the text of an answer to a chat or completion request, or a mark."""
    if isinstance(answer, str):
        return marked(answer)
    try:
        choice = answer["choices"][0]
        content = choice["message"]["content"] if "message" in choice else choice["text"]
    except (KeyError, IndexError, TypeError):
        return marked("invalid")
    if content is None:
        return marked("null")
    return content if isinstance(content, str) else marked("invalid")


def _likelihood(model: Any, answer: Any, length: int) -> tuple[float, bool]:
    """Return the log probability of a continuation and whether it is the greedy one, or NaN.

    length: number of tokens before the continuation.
    """
    try:
        found: tuple[float, bool] = model.parse_logprobs(outputs=answer, ctxlens=[length])[0]
    except (KeyError, IndexError, TypeError, ValueError, AssertionError, AttributeError):
        return math.nan, False
    return found


class Completions(_Endpoint, LocalCompletionsAPI):  # type: ignore[misc] # lm-eval has no types
    """An endpoint for completions."""


class ChatCompletions(_Endpoint, LocalChatCompletion):  # type: ignore[misc] # lm-eval has no types
    """An endpoint for chat completions."""


def connect(spec: ModelSpec, key: str, generates: bool, answered: Callable[[], None]) -> Any:
    """Return lm-eval's model for an endpoint.

    generates: all tasks let the model write; otherwise a tokenizer is needed.
    """
    options: dict[str, Any] = {
        "model": spec.name,
        "base_url": spec.url,
        "num_concurrent": max(2, spec.concurrency),  # 1 would be lm-eval's other way of sending
        "batch_size": 1,
        "max_retries": 1,
        **spec.options,
    }
    model: Any
    if spec.kind == "local-chat-completions":
        model = ChatCompletions(**options)
    else:
        model = Completions(**options, **_tokenizer(spec, generates))
    model.sender = Sender(spec, key, answered)
    return model


def _tokenizer(spec: ModelSpec, generates: bool) -> dict[str, Any]:
    """Return the options of the tokenizer of an endpoint for completions."""
    if spec.tokenizer:
        return {"tokenizer_backend": "huggingface", "tokenizer": spec.tokenizer}
    if generates:
        return {"tokenizer_backend": None}
    if check_remote_tokenizer_support(spec.url):
        return {"tokenizer_backend": "remote"}
    raise RunError(
        "endpoint_unavailable",
        f"{spec.public_url} has no /tokenize, which tasks with log probabilities need: set "
        "tokenizer to a directory with the model's tokenizer, or use tasks that let it write",
    )

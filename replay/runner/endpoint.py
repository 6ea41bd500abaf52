"""Check an endpoint before a run: does it answer, accept the key, and speak the protocol?"""

from __future__ import annotations

import http.client
import math
import os
import time
import urllib.error
import urllib.request
from typing import Final

import msgspec

from monitor.errors import UserError
from replay.results import RunError
from replay.runner.plan import ModelSpec

MAX_WAIT_S: Final = 30.0
"""Longest pause that a Retry-After header can cause."""
_MAX_BYTES: Final = 1 << 20
_TEMPORARY: Final = {408, 425}
"""Statuses below 500, besides 429, that another attempt may not have."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Makes a redirect an error of its status, because it would send the key elsewhere."""

    def redirect_request(self, *_: object) -> None:
        """Return no request."""


_OPENER: Final = urllib.request.build_opener(_NoRedirect)


def api_key(spec: ModelSpec) -> str:
    """Return the endpoint's key from the environment; empty if it needs none."""
    if not spec.api_key_env:
        return ""
    key = os.environ.get(spec.api_key_env, "")
    if not key:
        raise UserError(f"model {spec.name}: environment variable {spec.api_key_env} is not set")
    return key


def check_endpoint(spec: ModelSpec) -> None:
    """Send one short request. Raise RunError if no run could succeed.

    Temporary failures are repeated `spec.retries` times. An empty answer is not an error here,
    because a reasoning model may need more tokens; empty answers are counted during the run.
    """
    for attempt in range(spec.retries + 1):
        error, pause = _attempt(spec, 2.0**attempt / 2)
        if error is None:
            return
        if pause is None or attempt == spec.retries:
            raise error
        time.sleep(min(pause, MAX_WAIT_S))


def _attempt(spec: ModelSpec, pause: float) -> tuple[RunError | None, float | None]:
    """Send the request once. Return the error, and the pause before another attempt, if any."""
    try:
        with _OPENER.open(_request(spec), timeout=spec.request_timeout_s) as response:
            body = response.read(_MAX_BYTES)
    except urllib.error.HTTPError as error:
        with error:
            wait = retry_after(error.headers.get("Retry-After"), pause)
        retry = error.code == 429 or error.code >= 500
        return status_error(spec, error.code), wait if retry else None
    except TimeoutError:
        return _timeout(spec), None
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            return _timeout(spec), None
        detail = f"{spec.public_url} cannot be reached: {reason or type(error).__name__}"
        return RunError("endpoint_unavailable", detail), pause
    if not _is_answer(spec, body):
        detail = f"{spec.public_url} answers 200, but not as the OpenAI protocol says"
        return RunError("invalid_responses", detail), None
    return None, None


def _request(spec: ModelSpec) -> urllib.request.Request:
    """Return the shortest useful request of the protocol."""
    prompt = "Reply with OK."
    body: dict[str, object] = {"model": spec.name, "max_tokens": 8, "temperature": 0}
    if spec.kind == "local-chat-completions":
        body["messages"] = [{"role": "user", "content": prompt}]
    else:
        body["prompt"] = prompt
    headers = {"Content-Type": "application/json"}
    if key := api_key(spec):
        headers["Authorization"] = f"Bearer {key}"
    return urllib.request.Request(spec.url, msgspec.json.encode(body), headers)


def _timeout(spec: ModelSpec) -> RunError:
    detail = f"{spec.public_url} did not answer within {spec.request_timeout_s:g} s"
    return RunError("deadline", detail)


def status_error(spec: ModelSpec, status: int) -> RunError:
    """Return the error for an HTTP status."""
    where = f"{spec.public_url} answers with status {status}"
    if status in {401, 403}:
        source = spec.api_key_env or "api_key_env, which is not set"
        return RunError("unauthorized", f"{where}: check the key in {source}")
    if status == 429:
        return RunError("rate_limited", f"{where}: lower concurrency, or run later")
    if status < 500 and status not in _TEMPORARY:
        return RunError("request_rejected", f"{where}: check base_url and the model's name")
    return RunError("endpoint_unavailable", where)


def retry_after(header: str | None, otherwise: float) -> float:
    """Return the seconds of a Retry-After header, at most `MAX_WAIT_S`."""
    try:
        seconds = float(header) if header else otherwise
    except ValueError:  # a date: rare, and clocks differ
        seconds = otherwise
    return min(max(seconds if math.isfinite(seconds) else otherwise, 0.0), MAX_WAIT_S)


class _Message(msgspec.Struct):
    content: str | None = None


class _ChatChoice(msgspec.Struct):
    message: _Message


class _Chat(msgspec.Struct):
    choices: list[_ChatChoice]


class _TextChoice(msgspec.Struct):
    text: str | None


class _Text(msgspec.Struct):
    choices: list[_TextChoice]


def _is_answer(spec: ModelSpec, body: bytes) -> bool:
    """Whether the body is an answer of the protocol with at least one choice."""
    try:
        if spec.kind == "local-chat-completions":
            return bool(msgspec.json.decode(body, type=_Chat).choices)
        return bool(msgspec.json.decode(body, type=_Text).choices)
    except msgspec.MsgspecError:
        return False

"""The check of an endpoint before a run."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from monitor.errors import UserError
from replay.results import ErrorReason, RunError
from replay.runner.endpoint import MAX_WAIT_S, api_key, check_endpoint, retry_after
from replay.runner.plan import ModelKind, ModelSpec
from replay.runner.process.endpoint import Sender
from tests.replay import openai_server as faults
from tests.replay.openai_server import Fault, OpenAIServer


def spec(url: str, kind: ModelKind = "local-chat-completions", **more: Any) -> ModelSpec:
    """Return a model behind an endpoint."""
    options: dict[str, Any] = {"request_timeout_s": 0.3, "retries": 1} | more
    return ModelSpec(kind=kind, name="toy", base_url=url, **options)


@pytest.mark.parametrize("kind", ["local-chat-completions", "local-completions"])
def test_a_good_endpoint_passes(kind: ModelKind, monkeypatch: pytest.MonkeyPatch) -> None:
    """One short request with the key from the environment, to the address of the protocol."""
    monkeypatch.setenv("TOY_KEY", "sk-1")
    with OpenAIServer(key="sk-1") as server:
        check_endpoint(spec(server.url + "/", kind, api_key_env="TOY_KEY"))
        (request,) = server.received
    assert request.path == ("/v1" + ("/chat" if "chat" in kind else "") + "/completions")
    assert request.body["max_tokens"] <= 16


CASES: list[tuple[Fault, ErrorReason, int]] = [
    (faults.UNAUTHORIZED, "unauthorized", 1),
    (Fault(403), "unauthorized", 1),
    (faults.BUSY, "rate_limited", 2),
    (faults.BROKEN, "endpoint_unavailable", 2),
    (faults.DEAD, "endpoint_unavailable", 2),
    (Fault(404), "request_rejected", 1),
    (Fault(400), "request_rejected", 1),
    (Fault(408), "endpoint_unavailable", 1),
    (faults.HANG, "deadline", 1),
    (faults.NO_JSON, "invalid_responses", 1),
    (faults.WRONG_JSON, "invalid_responses", 1),
    (Fault(body=b'{"choices": []}'), "invalid_responses", 1),
    (Fault(body=b"\xff\xfe"), "invalid_responses", 1),
]


@pytest.mark.parametrize(("fault", "reason", "requests"), CASES)
def test_a_fault_has_a_name(fault: Fault, reason: ErrorReason, requests: int) -> None:
    """Faults that may pass are repeated, others are not; each has its reason."""
    with OpenAIServer(disturb=lambda _n, _p: fault) as server:
        with pytest.raises(RunError) as caught:
            check_endpoint(spec(server.url))
        assert len(server.received) == requests
    assert caught.value.reason == reason


def test_no_server_is_an_unavailable_endpoint() -> None:
    """A refused connection is named, and so is a host without an address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}/v1", "http://nowhere.invalid/v1"):
        with pytest.raises(RunError, match="cannot be reached") as caught:
            check_endpoint(spec(url, retries=0))
        assert caught.value.reason == "endpoint_unavailable"


def test_null_content_is_no_error_yet() -> None:
    """A reasoning model may need more tokens than the check allows."""
    with OpenAIServer(disturb=lambda _n, _p: faults.NULL) as server:
        check_endpoint(spec(server.url))


def test_an_endpoint_that_recovers_passes() -> None:
    """One error and one busy answer are survived."""
    answers = {0: faults.BROKEN, 1: faults.BUSY}
    with OpenAIServer(disturb=lambda number, _: answers.get(number)) as server:
        check_endpoint(spec(server.url, retries=2))
        assert len(server.received) == 3


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("2", 2), (None, 7), ("Wed, 21 Oct 2026 07:28:00 GMT", 7), ("-5", 0), ("1e9", MAX_WAIT_S)],
)
def test_pauses_are_bounded(header: str | None, seconds: float) -> None:
    """A server cannot stop a run by a long pause."""
    assert retry_after(header, 7.0) == seconds
    assert 0 <= retry_after("nan", 7.0) <= MAX_WAIT_S


def test_an_absent_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the variable; without a variable there is no key."""
    monkeypatch.delenv("TOY_KEY", raising=False)
    with pytest.raises(UserError, match="TOY_KEY is not set"):
        api_key(spec("http://127.0.0.1", api_key_env="TOY_KEY"))
    assert api_key(spec("http://127.0.0.1")) == ""


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_sends_the_key_nowhere(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the check nor the requests of a run follow it."""
    monkeypatch.setenv("TOY_KEY", "sk-1")
    with OpenAIServer() as other:
        address = {"Location": f"{other.url}/chat/completions"}
        with OpenAIServer(disturb=lambda _n, _p: Fault(status, headers=address)) as server:
            model = spec(server.url, api_key_env="TOY_KEY", retries=0)
            with pytest.raises(RunError, match=str(status)):
                check_endpoint(model)
            payload = {"model": "toy", "messages": [{"role": "user", "content": "hi"}]}
            with pytest.raises(RunError, match=str(status)):
                asyncio.run(Sender(model, "sk-1", lambda: None).send_all([payload]))
            assert len(server.received) == 2
        assert other.requests == 0

"""Tests of `plumbline experiment compare --endpoint`, against servers of chat completions."""

from __future__ import annotations

import json
import shlex
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.judges.replies import Reply, completion, hang, html, raw, reset, streamed
from tests.judges.replies import error as failed
from tests.judges.server import KEY, ModelServer, Received
from tests.monitor.cli.command_line import ROOT, one_line_error, read_json, run
from tests.monitor.experiments.compare.files import write

COMPARE = ("experiment", "compare")
PROMPTS = 24


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    """Two models: `long` answers at length, `short` does not."""
    for name in ("A", "B"):
        monkeypatch.setenv(f"PLUMBLINE_ENDPOINT_KEY_{name}", KEY)
    with ModelServer(respond) as running:
        yield running


def respond(request: Received) -> Reply:
    """Answer by the name of the model."""
    return streamed("many words of an answer" if request.body["model"] == "long" else "a word")


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """A file of prompts: texts, and chat messages with a request id."""
    lines: list[dict[str, Any]] = [{"prompt": f"question {i}"} for i in range(PROMPTS - 1)]
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi."}]
    return write(tmp_path / "prompts.jsonl", [*lines, {"prompt": messages, "request_id": "chat"}])


def words(prompts: Path, server: ModelServer, *further: object) -> tuple[object, ...]:
    """Return the command for two models of one server."""
    a, b = f"a={server.url}/v1#short", f"b={server.url}/v1#long"
    return (
        *(*COMPARE, "--prompts", prompts, "--endpoint", a, "--endpoint", b),
        *("--retries", 0, *further),
    )


def saved(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return the records of an endpoint."""
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def test_endpoints_are_called_and_compared(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, prompts: Path, server: ModelServer
) -> None:
    """Each gets all prompts; the answers are records, with times and tokens, and can be compared
    again as files."""
    folder = tmp_path / "answers"
    command = words(prompts, server, "--save", folder, "--max-tokens", 50, "--temperature", 0)
    report = read_json(capsys, *command, "--json")
    assert server.problems == []
    sent = Counter(request.body["model"] for request in server.received)
    assert sent == {"short": PROMPTS, "long": PROMPTS}
    body = server.received[0].body
    assert (body["max_tokens"], body["temperature"], body["stream"]) == (50, 0.0, True)
    metrics = report["variants"]["b"]["metrics"]
    assert metrics["response_chars"]["verdict"] == "better"
    assert metrics["response_chars"]["pairs"] == PROMPTS
    assert metrics["error"]["mean"] == 0
    assert {"latency_ms", "time_to_first_token_ms", "output_tokens"} <= metrics.keys()
    records = saved(folder, "a")
    assert {record["response"] for record in records} == {"a word"}
    assert {record["finish_reason"] for record in records} == {"stop"}
    assert {(r["input_tokens"], r["output_tokens"]) for r in records} == {(40, 30)}
    chat = next(record for record in records if record["request_id"] == "chat")
    assert chat["prompt"][0] == {"role": "system", "content": "Be brief."}
    assert all(0 < r["time_to_first_token_ms"] <= r["latency_ms"] for r in records)
    again = read_json(capsys, *COMPARE, folder / "a.jsonl", folder / "b.jsonl", "--json")
    assert again["variants"] == report["variants"]
    assert again["matched_by"] == "request_id"
    assert "exists; remove it" in one_line_error(capsys, *command)


def test_the_order_of_the_endpoints_follows_from_the_seed(
    prompts: Path, server: ModelServer
) -> None:
    """Neither is always the first, and the same seed gives the same order."""

    def order(seed: int) -> list[str]:
        server.received.clear()
        assert run(*words(prompts, server, "--seed", seed, "--concurrency", 1)) == 0
        return [request.body["model"] for request in server.received]

    first = order(1)
    firsts = Counter(first[::2])
    assert min(firsts["short"], firsts["long"]) > 4
    assert order(1) == first
    assert order(2) != first


def test_the_first_token_is_before_the_last(
    tmp_path: Path, prompts: Path, server: ModelServer
) -> None:
    """The answer arrives a byte at a time; both times are measured from the request."""
    prompts.write_text(prompts.read_text().splitlines()[0])
    server.respond = lambda _: streamed("one two three", seconds=0.0005, fault="drip")
    assert run(*words(prompts, server, "--save", tmp_path)) == 0
    (record,) = saved(tmp_path, "a")
    assert record["time_to_first_token_ms"] < 0.8 * record["latency_ms"]
    assert record["latency_ms"] > 300


def test_an_endpoint_without_streaming_has_no_first_token(
    tmp_path: Path, prompts: Path, server: ModelServer
) -> None:
    """One object instead of a stream is an answer as well."""
    server.respond = lambda _: completion("whole", finish_reason="length")
    assert run(*words(prompts, server, "--save", tmp_path)) == 0
    record = saved(tmp_path, "b")[0]
    assert (record["response"], record["finish_reason"]) == ("whole", "length")
    assert "time_to_first_token_ms" not in record


def test_a_refusal_is_an_answer(tmp_path: Path, prompts: Path, server: ModelServer) -> None:
    """Its text is the response, and its reason that of a refusal."""
    delta = [{"index": 0, "delta": {"refusal": "No."}, "finish_reason": "stop"}]
    event = json.dumps({"choices": delta})
    body = f"data: {event}\n\ndata: [DONE]\n\n".encode()
    server.respond = lambda _: Reply(200, body, {"content-type": "text/event-stream"})
    assert run(*words(prompts, server, "--save", tmp_path)) == 0
    record = saved(tmp_path, "a")[0]
    assert (record["response"], record["finish_reason"]) == ("No.", "refusal")
    assert "output_tokens" not in record  # the endpoint does not state them


@pytest.mark.parametrize(
    ("reply", "detail"),
    [
        (failed(500), "HTTP 500"),
        (failed(400), "HTTP 400"),
        (failed(429), "HTTP 429"),
        (reset(), "connection failed"),
        (html(), "not JSON"),
        (raw({"error": {"message": "private"}}), "not a completion"),
        (streamed(fault="cut"), "connection failed"),
        (streamed(done=False), "ended early"),
        (streamed(finish_reason=None), "no finish_reason"),
        (Reply(200, b"data: {\n\n", {"content-type": "text/event-stream"}), "not JSON"),
        (raw({"choices": [3]}), "no message"),
    ],
)
def test_calls_that_fail_are_records_of_errors(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    prompts: Path,
    server: ModelServer,
    reply: Reply,
    detail: str,
) -> None:
    """Every third call of one endpoint fails: its pairs are unscored, and the error rate rises."""
    calls = Counter[str]()

    def answer(request: Received) -> Reply:
        calls[request.body["model"]] += 1
        failing = request.body["model"] == "long" and calls["long"] % 3 == 0
        return reply if failing else respond(request)

    server.respond = answer
    report = read_json(capsys, *words(prompts, server, "--save", tmp_path), "--json")
    errors = [record["error"] for record in saved(tmp_path, "b") if "error" in record]
    assert len(errors) == PROMPTS // 3
    assert all(detail in error for error in errors)
    assert "private" not in json.dumps(errors)
    metrics = report["variants"]["b"]["metrics"]
    assert metrics["error"]["mean"] == pytest.approx(1 / 3)
    assert metrics["error"]["verdict"] == "worse"
    assert metrics["latency_ms"]["unscored"] == {"error": PROMPTS // 3}


def test_failures_that_pass_are_repeated(
    tmp_path: Path, prompts: Path, server: ModelServer
) -> None:
    """The latency is that of the request which was answered, without the pause before it."""
    refused = Counter[str]()

    def answer(request: Received) -> Reply:
        text = str(request.body["messages"])
        refused[request.body["model"] + text] += 1
        busy = "question 3'" in text and refused[request.body["model"] + text] == 1
        return failed(429, retry_after="0.5") if busy else respond(request)

    server.respond = answer
    assert run(*words(prompts, server, "--save", tmp_path, "--retries", 2)) == 0
    assert len(server.received) == 2 * PROMPTS + 2
    record = next(r for r in saved(tmp_path, "a") if r["prompt"] == "question 3")
    assert record["response"] == "a word"
    assert record["latency_ms"] < 240
    assert "output_tokens" not in record  # the usage of the refused request is not known apart


@pytest.mark.parametrize(
    ("reply", "detail"),
    [(hang(), "no answer within"), (failed(401), "HTTP 401"), (failed(404), "HTTP 404")],
)
def test_an_endpoint_that_does_not_respond_ends_the_command(
    capsys: pytest.CaptureFixture[str],
    prompts: Path,
    server: ModelServer,
    reply: Reply,
    detail: str,
) -> None:
    """After ten failures in a row, or at once if no later call can succeed."""
    server.respond = lambda r: reply if r.body["model"] == "long" else respond(r)
    error = one_line_error(capsys, *words(prompts, server, "--timeout", 0.05))
    assert error.startswith("endpoint b: does not answer (")
    assert detail in error
    assert "PLUMBLINE_ENDPOINT_KEY_B" in error
    assert len(server.received) < 2 * PROMPTS


def test_a_port_without_a_server_ends_the_command(
    capsys: pytest.CaptureFixture[str], prompts: Path, server: ModelServer
) -> None:
    """The error says that there is no connection, also for fewer than ten prompts."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    prompts.write_text("".join(line + "\n" for line in prompts.read_text().splitlines()[:3]))
    command = list(words(prompts, server))
    command[command.index(f"b={server.url}/v1#long")] = f"b=http://127.0.0.1:{port}/v1#m"
    assert "endpoint b: does not answer (unavailable: no connection" in one_line_error(
        capsys, *command
    )


def test_an_endpoint_that_dies_keeps_what_it_has_answered(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, prompts: Path, server: ModelServer
) -> None:
    """The saved answers until then can be compared."""
    answered = Counter[str]()

    def answer(request: Received) -> Reply:
        model = request.body["model"]
        answered[model] += 1
        return reset() if model == "long" and answered[model] > 8 else respond(request)

    server.respond = answer
    error = one_line_error(capsys, *words(prompts, server, "--save", tmp_path))
    assert "endpoint b: does not answer" in error
    assert sum("response" in record for record in saved(tmp_path, "b")) == 8
    report = read_json(capsys, *COMPARE, tmp_path / "a.jsonl", tmp_path / "b.jsonl", "--json")
    assert report["variants"]["b"]["metrics"]["response_chars"]["pairs"] == 8


def test_concurrency_is_bounded(prompts: Path, server: ModelServer) -> None:
    """As many prompts at a time as allowed, one call of each."""
    server.respond = lambda _: streamed(seconds=0.02)
    assert run(*words(prompts, server, "--concurrency", 3)) == 0
    assert server.most_at_once == 3


def test_two_prompts_of_one_model_are_compared(
    tmp_path: Path, prompts: Path, server: ModelServer
) -> None:
    """A system message of one endpoint is sent before each prompt, and is not in its records."""
    system = tmp_path / "system.txt"
    system.write_text("Answer at length.")
    assert run(*words(prompts, server, "--system", f"b={system}", "--save", tmp_path)) == 0
    for request in server.received:
        roles = [message["role"] for message in request.body["messages"]]
        chat = request.body["messages"][-1]["content"] == "Hi."
        assert roles.count("system") == chat + (request.body["model"] == "long")
    assert {json.dumps(r["prompt"]) for r in saved(tmp_path, "a")} == {
        json.dumps(r["prompt"]) for r in saved(tmp_path, "b")
    }


def test_each_key_goes_to_its_own_endpoint(
    monkeypatch: pytest.MonkeyPatch, prompts: Path, server: ModelServer
) -> None:
    """Without a variable no key is sent."""
    server.key = None
    monkeypatch.setenv("PLUMBLINE_ENDPOINT_KEY_A", "key-of-a")
    monkeypatch.delenv("PLUMBLINE_ENDPOINT_KEY_B")
    assert run(*words(prompts, server)) == 0
    keys = {r.body["model"]: r.headers.get("authorization") for r in server.received}
    assert keys == {"short": "Bearer key-of-a", "long": None}


def test_a_configured_price_gives_costs(tmp_path: Path, prompts: Path, server: ModelServer) -> None:
    """The price of the model in judges.prices."""
    path = tmp_path / "c.yaml"
    path.write_text("judges: {prices: {long: {input: 1.0, output: 5.0}}}")
    assert run(*words(prompts, server, "--save", tmp_path, "-c", path)) == 0
    assert saved(tmp_path, "b")[0]["cost_usd"] == pytest.approx((40 + 5 * 30) / 1e6)
    assert "cost_usd" not in saved(tmp_path, "a")[0]


@pytest.mark.parametrize(
    ("words_", "error"),
    [
        (["--endpoint", "a=http://127.0.0.1:1/v1"], "must be NAME=URL#MODEL"),
        (["--endpoint", "a b=http://127.0.0.1:1/v1#m"], "a name has up to 40 letters"),
        (["--endpoint", "a=http://example.com/v1#m"], "must begin with https://"),
        (["--endpoint", "a=http://127.0.0.1:1/v1#m"], "give --endpoint at least twice"),
        (["--endpoint", "a=http://127.0.0.1:1/v1#m"] * 2, "two endpoints have the same name"),
        (
            [
                *("--endpoint", "a=http://127.0.0.1:1/v1#m"),
                *("--endpoint", "b=http://127.0.0.1:1/v1#m", "--system", "c=x"),
            ],
            "x: No such file",
        ),
    ],
)
def test_endpoints_that_are_not_valid(
    capsys: pytest.CaptureFixture[str], prompts: Path, words_: list[str], error: str
) -> None:
    """One line, and exit status 2."""
    assert error in one_line_error(capsys, *COMPARE, "--prompts", prompts, *words_)


def test_the_command_of_the_guide_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, prompts: Path, server: ModelServer
) -> None:
    """The command in docs/compare.md, with the server in place of its URL."""
    text = (ROOT / "docs" / "compare.md").read_text().split("## Endpoints")[1]
    command = text.split("```text\n")[1].split("```")[0].replace("\\\n", " ")
    assert "PLUMBLINE_ENDPOINT_KEY_NEW" in text
    for name in ("OLD", "NEW"):
        monkeypatch.setenv(f"PLUMBLINE_ENDPOINT_KEY_{name}", KEY)
    monkeypatch.chdir(tmp_path)
    assert prompts.parent == tmp_path
    program, *words_ = shlex.split(command.replace("https://llm.example.com", server.url))
    assert program == "plumbline"
    assert run(*words_) == 0
    assert {path.name for path in (tmp_path / "answers").iterdir()} == {"old.jsonl", "new.jsonl"}

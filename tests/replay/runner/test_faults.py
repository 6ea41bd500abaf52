"""Faults of an endpoint during a run: a named error or failed items, never a score of 0."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from replay.results import ErrorReason, RunError
from tests.replay import openai_server as faults
from tests.replay.openai_server import Fault, OpenAIServer, prefer
from tests.replay.runner.in_process import Messages, evaluate_here, keep_caches
from tests.replay.runner.toy import add, plan, write_sums

CASES: list[tuple[str, Fault, ErrorReason]] = [
    ("rejected key", faults.UNAUTHORIZED, "unauthorized"),
    ("busy", faults.BUSY, "rate_limited"),
    ("internal error", faults.BROKEN, "endpoint_unavailable"),
    ("closed connection", faults.DEAD, "endpoint_unavailable"),
    ("unknown path", Fault(404), "request_rejected"),
    ("hang", faults.HANG, "deadline"),
    ("no JSON", faults.NO_JSON, "invalid_responses"),
    ("wrong JSON", faults.WRONG_JSON, "invalid_responses"),
    ("null content", faults.NULL, "invalid_responses"),
    ("no choices", Fault(body=b'{"choices": []}'), "invalid_responses"),
    ("prompt too long", faults.TOO_LONG, "invalid_responses"),
]


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep caches in the folder of the test."""
    keep_caches(tmp_path, monkeypatch)


@pytest.mark.parametrize("kind", ["local-chat-completions", "local-completions"])
@pytest.mark.parametrize(("name", "fault", "reason"), CASES, ids=[case[0] for case in CASES])
def test_a_fault_has_a_name(
    tmp_path: Path, name: str, fault: Fault, reason: ErrorReason, kind: str
) -> None:
    """Each fault of an endpoint is an error with its reason, and no item gets a score."""
    write_sums(tmp_path / "tasks", items=3)
    messages = Messages()
    with OpenAIServer(answer=add, disturb=lambda _n, _p: fault) as server:
        model = {"request_timeout_s": 0.2, "retries": 0, "kind": kind}
        with pytest.raises(RunError) as caught:
            evaluate_here(plan(tmp_path, server.url, model=model), messages)
        requests = len(server.received)
    assert caught.value.reason == reason, (name, caught.value)
    assert not [score for score in messages.scores if score.metrics]
    if reason == "unauthorized":
        assert requests <= 4  # one each of those that were sent at once, and no repetition


def test_errors_are_repeated_and_pauses_honoured(tmp_path: Path) -> None:
    """Two errors and a busy answer in a row are survived; Retry-After is waited for."""
    write_sums(tmp_path / "tasks", items=2)
    answers = [faults.BROKEN, faults.DEAD, Fault(429, headers={"Retry-After": "0.7"})]
    times: list[float] = []

    def disturb(number: int, _prompt: str) -> Fault | None:
        times.append(time.monotonic())
        return answers[number] if number < 3 else None

    with OpenAIServer(answer=add, disturb=disturb) as server:
        model = {"concurrency": 1, "retries": 3}
        found = evaluate_here(plan(tmp_path, server.url, model=model))
    assert [score.metrics for score in found.scores] == [{"exact_match": 1.0}] * 2
    assert times[3] - times[2] >= 0.69


def test_a_busy_endpoint_is_waited_for(tmp_path: Path) -> None:
    """An endpoint that answers one request in three with 429 does not fail the run."""
    write_sums(tmp_path / "tasks", items=30)
    with OpenAIServer(
        answer=add, disturb=lambda n, _: faults.BUSY if n % 3 == 2 else None
    ) as server:
        found = evaluate_here(plan(tmp_path, server.url, model={"concurrency": 8}))
        assert server.most_at_once <= 8
    assert sum(score.metrics["exact_match"] for score in found.scores) == 30


def test_single_unusable_answers_are_failed_items(tmp_path: Path) -> None:
    """Below the limit they are marked with their reason and have no score."""
    write_sums(tmp_path / "tasks", items=6)
    bad = {
        "What is 1 + 1?": faults.NULL,
        "What is 2 + 2?": faults.WRONG_JSON,
        "What is 3 + 3?": faults.TOO_LONG,
    }

    def answer(prompt: str) -> str:
        return " \n" if prompt == "What is 4 + 4?" else add(prompt)

    with OpenAIServer(answer=answer, disturb=lambda _, prompt: bad.get(prompt)) as server:
        found = evaluate_here(plan(tmp_path, server.url, max_failed=0.7))
    failed = {score.doc_id: score.failed for score in found.scores if score.failed}
    assert failed == {1: "null", 2: "invalid", 3: "http_400", 4: "empty"}
    assert [score.metrics for score in found.scores if score.failed] == [{}] * 4
    assert [score.metrics for score in found.scores if not score.failed] == [
        {"exact_match": 1.0},
        {"exact_match": 1.0},
    ]


def test_a_run_ends_when_too_many_answers_are_unusable(tmp_path: Path) -> None:
    """After 20 items already, not at the end only."""
    write_sums(tmp_path / "tasks", items=60)
    messages = Messages()
    with OpenAIServer(answer=lambda _: "") as server:
        with pytest.raises(RunError, match="20 of 20 answers cannot be used: 20 empty"):
            evaluate_here(plan(tmp_path, server.url, chunk_size=10), messages)
        assert len(server.received) == 20
    assert len(messages.chunks) == 2


CHOICE = {
    "task": "cities",
    "output_type": "multiple_choice",
    "doc_to_text": "{{question}}",
    "doc_to_target": 1,
    "doc_to_choice": ["no", "yes"],
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
}


def test_choices_by_log_probability(tmp_path: Path) -> None:
    """Completions with echo and /tokenize score a choice; an unusable answer is a failed item."""
    folder = write_sums(tmp_path / "tasks", items=6, **CHOICE)
    likelihood = prefer(lambda text: "yes" if "+ 3" not in text else "no")

    def disturb(_number: int, prompt: str) -> Fault | None:
        return faults.WRONG_JSON if "What is 1 + 1?" in prompt else None

    with OpenAIServer(likelihood=likelihood, disturb=disturb) as server:
        model = {"kind": "local-completions"}
        order = plan(tmp_path, server.url, folder, tasks=("cities",), model=model, max_failed=0.5)
        found = evaluate_here(order)
        paths = {request.path for request in server.received}
    assert [score.metrics.get("acc", math.nan) for score in found.scores] == [
        pytest.approx(value, nan_ok=True) for value in (1.0, math.nan, 1.0, 0.0, 1.0, 1.0)
    ]
    answers = [score.response.strip() for score in found.scores]
    assert answers == ["yes", "", "yes", "no", "yes", "yes"]
    assert found.scores[1].failed == "invalid"
    assert paths == {"/v1/completions"}


def test_log_probabilities_need_a_tokenizer(tmp_path: Path) -> None:
    """Without /tokenize the error says what to set; a chat endpoint cannot at all."""
    folder = write_sums(tmp_path / "tasks", items=3, **CHOICE)
    with OpenAIServer(tokenize=False) as server:
        model = {"kind": "local-completions"}
        order = plan(tmp_path, server.url, folder, tasks=("cities",), model=model)
        with pytest.raises(RunError, match="no /tokenize"):
            evaluate_here(order)
        with pytest.raises(RunError, match="whose answer is a letter") as caught:
            evaluate_here(plan(tmp_path, server.url, folder, tasks=("cities",)))
    assert caught.value.reason == "broken_task"

"""Tests of whole runs: the real process, lm-eval's real API, a real HTTP server."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from monitor.errors import UserError
from replay.results import ErrorReason, RunError
from replay.runner.chunk import Chunk, finished_items
from replay.runner.supervise import LOG, run
from tests.replay import openai_server as server_faults
from tests.replay.openai_server import Fault, OpenAIServer
from tests.replay.runner.toy import Collector, add, plan, write_sums

KEY = "sk-run-0123456789"


def test_a_run_hands_over_every_item_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks have all items once, with scores; the key is in no file; concurrency is recorded."""
    write_sums(tmp_path / "tasks")
    monkeypatch.setenv("TOY_KEY", KEY)
    wrong = {"What is 3 + 3?", "What is 8 + 3?"}
    answer = lambda prompt: "no" if prompt in wrong else add(prompt)  # noqa: E731
    with OpenAIServer(answer=answer, key=KEY) as server:
        chunks = Collector()
        done = plan(tmp_path, server.url, model={"api_key_env": "TOY_KEY"})
        environment = run(done, {}, chunks)
    assert [chunk.done for chunk in chunks.chunks] == [5, 10, 12]
    assert {chunk.planned for chunk in chunks.chunks} == {12}
    assert sorted(score.doc_id for score in chunks.scores) == list(range(12))
    assert {s.doc_id for s in chunks.scores if s.metrics == {"exact_match": 0.0}} == {3, 8}
    assert sum(s.metrics["exact_match"] for s in chunks.scores) == 10
    assert all(score.response for score in chunks.scores)
    assert environment.concurrency == 4
    assert environment.items == {"sums": 12}
    assert {*environment.versions} >= {"python", "lm-eval"}
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_chunks_and_concurrency_do_not_change_scores(tmp_path: Path) -> None:
    """Hashes and scores are those of a run in one chunk, with few-shot examples as well."""
    write_sums(tmp_path / "tasks", fewshot_split="test", num_fewshot=2)
    found = []
    with OpenAIServer(answer=add) as server:
        for number, (size, concurrency) in enumerate([(3, 1), (100, 8)]):
            chunks = Collector()
            order = plan(
                tmp_path / str(number),
                server.url,
                tmp_path / "tasks",
                chunk_size=size,
                model={"concurrency": concurrency},
            )
            run(order, {}, chunks)
            found.append(sorted(chunks.scores, key=lambda score: score.doc_id))
    assert found[0] == found[1]
    assert len({score.prompt_hash for score in found[0]}) == 12


FAULTS: list[tuple[Fault, ErrorReason]] = [
    (server_faults.UNAUTHORIZED, "unauthorized"),
    (server_faults.BUSY, "rate_limited"),
    (server_faults.BROKEN, "endpoint_unavailable"),
    (server_faults.DEAD, "endpoint_unavailable"),
    (server_faults.HANG, "deadline"),
    (server_faults.NO_JSON, "invalid_responses"),
    (server_faults.WRONG_JSON, "invalid_responses"),
    (server_faults.NULL, "invalid_responses"),
    (server_faults.TOO_LONG, "invalid_responses"),
]


@pytest.mark.parametrize(("fault", "reason"), FAULTS, ids=lambda value: str(value)[:40])
def test_a_fault_during_a_run_has_a_name(tmp_path: Path, fault: Fault, reason: ErrorReason) -> None:
    """Every fault of the endpoint after the check is an error, and never a score of 0."""
    write_sums(tmp_path / "tasks", items=3)
    chunks = Collector()
    with OpenAIServer(answer=add, disturb=lambda number, _: fault if number else None) as server:
        order = plan(tmp_path, server.url, model={"request_timeout_s": 0.5, "retries": 0})
        with pytest.raises(RunError) as caught:
            run(order, {}, chunks)
    assert caught.value.reason == reason, caught.value
    assert not [score for score in chunks.scores if score.metrics]


def test_a_busy_endpoint_is_waited_for(tmp_path: Path) -> None:
    """An endpoint that answers one request in three with 429 does not fail the run."""
    write_sums(tmp_path / "tasks", items=9)
    chunks = Collector()
    busy = server_faults.BUSY
    with OpenAIServer(answer=add, disturb=lambda n, _: busy if n % 3 == 2 else None) as server:
        run(plan(tmp_path, server.url), {}, chunks)
    assert sum(score.metrics["exact_match"] for score in chunks.scores) == 9


def test_single_unusable_answers_are_failed_items(tmp_path: Path) -> None:
    """Below the limit they are marked with their reason and have no score."""
    write_sums(tmp_path / "tasks", items=6)
    faults = {
        "What is 1 + 1?": server_faults.NULL,
        "What is 2 + 2?": server_faults.WRONG_JSON,
        "What is 3 + 3?": server_faults.TOO_LONG,
    }
    answer = lambda prompt: " " if prompt == "What is 4 + 4?" else add(prompt)  # noqa: E731
    with OpenAIServer(answer=answer, disturb=lambda _, prompt: faults.get(prompt)) as server:
        chunks = Collector()
        run(plan(tmp_path, server.url, max_failed=0.7), {}, chunks)
    failed = {score.doc_id: score.failed for score in chunks.scores if score.failed}
    assert failed == {1: "null", 2: "invalid", 3: "http_400", 4: "empty"}
    assert all(not score.metrics for score in chunks.scores if score.failed)


def test_a_run_stops_early(tmp_path: Path) -> None:
    """A callback that returns False ends the run without an error and without a process."""
    write_sums(tmp_path / "tasks")
    with OpenAIServer(answer=add) as server:
        chunks = Collector(lambda _: False)
        assert run(plan(tmp_path, server.url), {}, chunks).items == {"sums": 12}
        assert run(plan(tmp_path, server.url), {}, chunks, lambda: False).items == {}
    assert len(chunks.chunks) == 1


@pytest.mark.parametrize("kill_after", [0, 1, 2])
def test_a_killed_run_resumes(tmp_path: Path, kill_after: int) -> None:
    """After kill -9 at any chunk no finished item is repeated, and none is missing."""
    write_sums(tmp_path / "tasks")
    chunks = Collector()
    asked: list[str] = []

    def disturb(_number: int, prompt: str) -> None:
        asked.append(prompt)
        if len(chunks.chunks) == kill_after and not killed and "+" in prompt:
            killed.append(True)
            os.kill(child_of(os.getpid()), signal.SIGKILL)

    killed: list[bool] = []
    with OpenAIServer(answer=add, disturb=disturb) as server:
        order = plan(tmp_path, server.url)
        with pytest.raises(RunError) as caught:
            run(order, {}, chunks)
        assert caught.value.reason == "killed"
        assert len(chunks.chunks) == kill_after
        finished = finished_items(task for chunk in chunks.chunks for task in chunk.tasks)
        asked.clear()
        run(order, finished, chunks)
    assert sorted(score.doc_id for score in chunks.scores) == list(range(12))
    assert len([prompt for prompt in asked if "+" in prompt]) == 12 - 5 * kill_after
    assert chunks.chunks[-1].done == chunks.chunks[-1].planned == 12


def child_of(parent: int) -> int:
    """Return the id of the process of a run."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
            command = (status.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == parent and b"replay.runner.process" in command:
            return int(status.parent.name)
    raise AssertionError("no run is active")


def test_the_deadline_holds_while_the_model_is_silent(tmp_path: Path) -> None:
    """A run ends at its deadline although a request may take longer."""
    write_sums(tmp_path / "tasks", items=2)
    hang = server_faults.HANG
    with OpenAIServer(answer=add, disturb=lambda n, _: hang if n else None) as server:
        with pytest.raises(RunError, match="took longer") as caught:
            run(plan(tmp_path, server.url, deadline_s=4.0), {}, Collector())
        assert caught.value.reason == "deadline"
    with OpenAIServer(answer=add, disturb=lambda n, _: hang if n else None) as server:
        with pytest.raises(RunError, match="has not answered for 3 s") as caught:
            run(plan(tmp_path, server.url, silence_s=3.0), {}, Collector())
        assert caught.value.reason == "deadline"


def test_an_error_of_the_callback_ends_the_process(tmp_path: Path) -> None:
    """If a chunk cannot be stored, its error is raised and the process is gone."""
    write_sums(tmp_path / "tasks")

    def fail(_: Chunk) -> bool:
        raise ValueError("the store is away")

    with OpenAIServer(answer=add) as server, pytest.raises(ValueError, match="the store is away"):
        run(plan(tmp_path, server.url), {}, fail)
    with pytest.raises(AssertionError, match="no run is active"):
        child_of(os.getpid())


def test_the_process_ends_with_its_parent(tmp_path: Path) -> None:
    """A supervisor that is killed leaves no process behind."""
    import subprocess
    import sys
    import time

    write_sums(tmp_path / "tasks")
    with OpenAIServer(answer=add, delay=0.2) as server:
        order = plan(tmp_path, server.url, chunk_size=1, model={"concurrency": 1})
        path = tmp_path / "plan.json"
        import msgspec

        path.write_bytes(msgspec.json.encode(order))
        code = (
            "import msgspec, sys; from replay.runner.supervise import run; "
            "from replay.runner.plan import RunPlan; "
            "run(msgspec.json.decode(open(sys.argv[1]).read(), type=RunPlan), {}, lambda c: True)"
        )
        parent = subprocess.Popen([sys.executable, "-c", code, str(path)])
        while len(server.received) < 3:
            assert parent.poll() is None
            time.sleep(0.02)
        child = child_of(parent.pid)
        parent.kill()
        parent.wait()
        until = time.monotonic() + 5
        while Path(f"/proc/{child}").exists() and time.monotonic() < until:
            time.sleep(0.02)
        assert not Path(f"/proc/{child}").exists()


def test_a_full_disk_has_a_name(tmp_path: Path) -> None:
    """A write of the process that fails because a disk is full ends in disk_full."""
    folder = write_sums(tmp_path / "tasks")
    (folder / "utils.py").write_text(
        "def docs(dataset):\n    with open('/dev/full', 'w') as file:\n"
        "        file.write('x')\n    return dataset\n"
    )
    add_function(folder, "process_docs", "utils.docs")
    assert reason(tmp_path) == "disk_full"


def test_memory_that_runs_out_has_a_name(tmp_path: Path) -> None:
    """An allocation that fails ends in out_of_memory."""
    folder = write_sums(tmp_path / "tasks")
    (folder / "utils.py").write_text("def docs(dataset):\n    return bytearray(1 << 60)\n")
    add_function(folder, "process_docs", "utils.docs")
    assert reason(tmp_path) == "out_of_memory"


def test_a_process_that_dies_by_itself_has_a_name(tmp_path: Path) -> None:
    """An exit without a message is an error that names the log."""
    folder = write_sums(tmp_path / "tasks")
    (folder / "utils.py").write_text("import os\n\ndef docs(dataset):\n    os._exit(3)\n")
    add_function(folder, "process_docs", "utils.docs")
    with OpenAIServer(answer=add) as server, pytest.raises(RunError, match=f"status 3.*{LOG}"):
        run(plan(tmp_path, server.url), {}, Collector())


def add_function(folder: Path, key: str, function: str) -> None:
    """Add a function to the configuration of the sums."""
    with (folder / "sums.yaml").open("a") as file:
        file.write(f"{key}: !function {function}\n")


def reason(tmp_path: Path, **changes: Any) -> str:
    """Return the reason of a run that fails."""
    with OpenAIServer(answer=add) as server, pytest.raises(RunError) as caught:
        run(plan(tmp_path, server.url, **changes), {}, Collector())
    assert KEY not in json.dumps(caught.value.detail)
    return caught.value.reason


def test_plans_that_cannot_run_are_errors_of_the_user(tmp_path: Path) -> None:
    """Credentials in an address, code without a sandbox, and an absent key are named."""
    write_sums(tmp_path / "tasks")
    url = "http://127.0.0.1:9/v1"
    bad = [
        plan(tmp_path, "http://user:secret@127.0.0.1/v1"),
        plan(tmp_path, url, tasks=("code",)),
        plan(tmp_path, url, tasks=("humaneval",), allow_code=True),
        plan(tmp_path, url, tasks=()),
        plan(tmp_path, url, chunk_size=0),
        plan(tmp_path, url, model={"api_key_env": "ABSENT_KEY"}),
        plan(tmp_path, "", model={"kind": "local-completions"}),
    ]
    for order in bad:
        with pytest.raises(UserError) as caught:
            run(order, {}, Collector())
        assert "secret" not in str(caught.value)

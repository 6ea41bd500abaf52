"""Tests of whole runs: the real process, lm-eval's real API, a real HTTP server."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest

from monitor.errors import UserError
from replay.results import RunError
from replay.runner.chunk import Chunk, finished_items
from replay.runner.supervise import LOG, run
from tests.integration.harness import until
from tests.long_form import long_only
from tests.processes import child_of
from tests.replay import openai_server as server_faults
from tests.replay.openai_server import OpenAIServer
from tests.replay.runner.toy import Collector, add, plan, write_sums

KEY = "sk-run-0123456789"


def test_a_run_hands_over_every_item_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks have all items once, with scores; the key is in no file; concurrency is recorded."""
    write_sums(tmp_path / "tasks")
    monkeypatch.setenv("TOY_KEY", KEY)
    wrong = {"What is 3 + 3?", "What is 8 + 3?"}

    def answer(prompt: str) -> str:
        return "no" if prompt in wrong else add(prompt)

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


def test_paths_are_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process has another one: relative folders of tasks, logs and caches work all the same."""
    write_sums(tmp_path / "tasks")
    monkeypatch.chdir(tmp_path)
    with OpenAIServer(answer=add) as server:
        chunks = Collector()
        run(plan(Path(), server.url, limit=5), {}, chunks)
    assert len(chunks.scores) == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "run", "tasks"]


def test_a_run_stops_early(tmp_path: Path) -> None:
    """A callback that returns False ends the run without an error and without a process."""
    write_sums(tmp_path / "tasks")
    with OpenAIServer(answer=add) as server:
        chunks = Collector(lambda _: False)
        assert run(plan(tmp_path, server.url), {}, chunks).items == {"sums": 12}
        assert run(plan(tmp_path, server.url), {}, chunks, lambda: False).items == {}
    assert len(chunks.chunks) == 1


class Killer:
    """Kills the process of a run with SIGKILL at chosen moments.

    moments: numbers of finished chunks of four items and of requests after them, at which to kill
        once. A request is answered when the finished chunks have arrived.
    """

    def __init__(self, chunks: Collector, moments: list[tuple[int, int]]) -> None:
        self.asked: list[str] = []
        self.reasons: list[str] = []
        self._chunks = chunks
        self._moments = moments
        self._chunk: dict[str, int] = {}
        self._seen = (0, 0)
        self._lock = threading.Lock()

    def __call__(self, _number: int, prompt: str) -> None:
        """Look at a request."""
        if "+" not in prompt:
            return  # the check of the endpoint
        with self._lock:
            self.asked.append(prompt)
            chunk = self._chunk.setdefault(prompt, len(self._chunk) // 4)
            until(lambda: len(self._chunks.chunks) >= chunk, "the finished chunks")
            last, request = self._seen
            self._seen = (chunk, request + 1 if chunk == last else 1)
            if self._moments and self._seen >= self._moments[0]:
                self._moments.pop(0)
                os.kill(child_of(os.getpid(), "replay.runner.process"), signal.SIGKILL)


def run_until_done(tmp_path: Path, moments: list[tuple[int, int]]) -> tuple[Collector, Killer]:
    """Run with kills, and resume with what was finished, until there is nothing to do."""
    chunks = Collector()
    killer = Killer(chunks, list(moments))
    with OpenAIServer(answer=add, disturb=killer) as server:
        order = plan(tmp_path, server.url, chunk_size=4, model={"concurrency": 2})
        for _ in range(len(moments) + 1):
            done = finished_items(task for chunk in chunks.chunks for task in chunk.tasks)
            try:
                run(order, done, chunks)
                break
            except RunError as error:
                killer.reasons.append(error.reason)
    return chunks, killer


def check_complete(chunks: Collector, killer: Killer, kills: int) -> None:
    """Every item has one score; only the items of interrupted chunks were asked for again."""
    assert sorted(score.doc_id for score in chunks.scores) == list(range(12))
    assert {score.metrics["exact_match"] for score in chunks.scores} == {1.0}
    assert [chunk.done for chunk in chunks.chunks] == [4, 8, 12]
    assert killer.reasons == ["killed"] * kills
    assert 12 < len(killer.asked) <= 12 + 4 * kills


def test_a_killed_run_resumes(tmp_path: Path) -> None:
    """After kill -9 in its first and in a later chunk no item is scored twice or is missing."""
    write_sums(tmp_path / "tasks")
    check_complete(*run_until_done(tmp_path, [(0, 2), (2, 1)]), kills=2)


@long_only
@pytest.mark.parametrize("seed", range(8))
def test_a_run_that_is_killed_anywhere_resumes(tmp_path: Path, seed: int) -> None:
    """The same for kills at random requests of every chunk."""
    write_sums(tmp_path / "tasks")
    draw = random.Random(seed)
    moments = [(chunk, draw.randint(1, 4)) for chunk in range(3)]
    check_complete(*run_until_done(tmp_path, moments), kills=3)


def test_the_deadline_holds_while_the_model_is_silent(tmp_path: Path) -> None:
    """A run ends at its deadline although a request may take longer."""
    write_sums(tmp_path / "tasks", items=2)
    hang = server_faults.HANG
    with OpenAIServer(answer=add, disturb=lambda n, _: hang if n else None) as server:
        with pytest.raises(RunError, match="took longer") as caught:
            run(plan(tmp_path, server.url, deadline_s=4.0), {}, Collector())
        assert caught.value.reason == "deadline"


@long_only
def test_silence_has_a_limit(tmp_path: Path) -> None:
    """A process that makes no progress is ended before the deadline."""
    write_sums(tmp_path / "tasks", items=2)
    hang = server_faults.HANG
    with OpenAIServer(answer=add, disturb=lambda n, _: hang if n else None) as server:
        with pytest.raises(RunError, match="has not answered for 3 s") as caught:
            run(plan(tmp_path, server.url, silence_s=3.0), {}, Collector())
        assert caught.value.reason == "deadline"


def test_a_run_that_cannot_start_has_a_reason(tmp_path: Path) -> None:
    """A folder that cannot be made and a sandbox that is absent are errors of the run."""
    (tmp_path / "file").write_text("")
    with OpenAIServer() as server:
        with pytest.raises(RunError, match="file/run"):
            run(plan(tmp_path, server.url, log_dir=str(tmp_path / "file/run")), {}, Collector())
        with pytest.raises(RunError, match="no-sandbox"):
            run(plan(tmp_path, server.url, sandbox=("no-sandbox",)), {}, Collector())


def test_a_full_disk_of_the_log_hides_no_reason(tmp_path: Path) -> None:
    """The reason of an error is known although nothing can be written to the log."""
    folder = write_sums(tmp_path / "tasks")
    (folder / "sums.jsonl").unlink()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOG).symlink_to("/dev/full")
    with OpenAIServer() as server, pytest.raises(RunError, match=r"sums\.jsonl") as caught:
        run(plan(tmp_path, server.url), {}, Collector())
    assert caught.value.reason == "broken_task"


@long_only
def test_an_error_of_the_callback_ends_the_process(tmp_path: Path) -> None:
    """If a chunk cannot be stored, its error is raised and the process is gone."""
    write_sums(tmp_path / "tasks")

    def fail(_: Chunk) -> bool:
        raise ConnectionError("the store is away")

    with OpenAIServer(answer=add) as server, pytest.raises(ConnectionError, match="the store"):
        run(plan(tmp_path, server.url), {}, fail)
    with pytest.raises(AssertionError, match="has no child"):
        child_of(os.getpid(), "replay.runner.process")


def test_the_process_ends_with_its_parent(tmp_path: Path) -> None:
    """A supervisor that is killed leaves no process behind."""
    write_sums(tmp_path / "tasks")
    with OpenAIServer(answer=add, delay=0.2) as server:
        order = plan(tmp_path, server.url, chunk_size=1, model={"concurrency": 1})
        path = tmp_path / "plan.json"
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
        child = child_of(parent.pid, "replay.runner.process")
        parent.kill()
        parent.wait()
        until = time.monotonic() + 5
        while Path(f"/proc/{child}").exists() and time.monotonic() < until:
            time.sleep(0.02)
        assert not Path(f"/proc/{child}").exists()


def test_a_process_that_dies_by_itself_has_a_name(tmp_path: Path) -> None:
    """An exit without a message is an error that names the log; the sandbox has started it."""
    folder = write_sums(tmp_path / "tasks")
    (folder / "utils.py").write_text("import os\n\ndef docs(dataset):\n    os._exit(3)\n")
    add_function(folder, "process_docs", "utils.docs")
    marker = tmp_path / "sandboxed"
    sandbox = ("/bin/sh", "-c", 'touch "$0"; exec "$@"', str(marker))
    with OpenAIServer(answer=add) as server, pytest.raises(RunError, match=f"status 3.*{LOG}"):
        run(plan(tmp_path, server.url, sandbox=sandbox), {}, Collector())
    assert marker.exists()


def add_function(folder: Path, key: str, function: str) -> None:
    """Add a function to the configuration of the sums."""
    with (folder / "sums.yaml").open("a") as file:
        file.write(f"{key}: !function {function}\n")


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

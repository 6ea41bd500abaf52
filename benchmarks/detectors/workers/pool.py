"""Worker processes, one for each thread and environment, and the journal of their answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.detectors.contestants import PROJECT_ENVIRONMENT
from benchmarks.detectors.plan import Task

ROOT = Path(__file__).resolve().parents[3]
PEER_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}

Answer = dict[str, Any]


class BenchmarkError(Exception):
    """The benchmark cannot continue; the message contains the reason."""


class Worker:
    """A process that runs tasks in one environment."""

    def __init__(self, python: str) -> None:
        self.process = subprocess.Popen(
            [python, "-m", "benchmarks.detectors.workers.worker"],
            cwd=ROOT,
            env=os.environ | ONE_THREAD | {"DO_NOT_TRACK": "1"},  # evidently sends usage statistics
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def call(self, task: Task) -> Answer:
        """Return the answer to a task.

        Raises BenchmarkError if the task fails or the process has ended.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(task) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        answer: Answer = json.loads(line) if line else {"error": "the worker ended"}
        if "error" in answer:
            raise BenchmarkError(f"{json.dumps(task)}: {answer['error']}")
        return answer

    def stop(self) -> None:
        """Stop the process; a task in progress is aborted."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # the process has ended already
            self.process.stdin.close()
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Workers:
    """The workers of every thread, one for each environment, started at their first task."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._all: list[Worker] = []

    def call(self, environment: str, task: Task) -> Answer:
        """Return the answer of this thread's worker."""
        workers: dict[str, Worker] = self._local.__dict__.setdefault("by_environment", {})
        if environment not in workers:
            own = environment == PROJECT_ENVIRONMENT
            workers[environment] = Worker(sys.executable if own else str(PEER_PYTHON))
            self._all.append(workers[environment])
        return workers[environment].call(task)

    def stop(self) -> None:
        """Stop all workers."""
        for worker in self._all:
            worker.stop()


class Journal:
    """Answers by task, kept in a file, so that an interrupted run can continue."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self._answers = dict(_entries(lines))

    def get(self, key: str) -> Answer | None:
        """Return the answer to a task, None if it has not been run."""
        return self._answers.get(key)

    def put(self, key: str, answer: Answer) -> None:
        """Store an answer."""
        with self._lock:
            self._answers[key] = answer
            with self.path.open("a", encoding="utf-8") as out:
                out.write(json.dumps({"key": key, "answer": answer}) + "\n")


def _entries(lines: Iterable[str]) -> Iterator[tuple[str, Answer]]:
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:  # an incomplete line of a run that was killed
            continue
        yield entry["key"], entry["answer"]

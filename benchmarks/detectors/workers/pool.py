"""Worker processes, one for each thread and environment, and the journal of what they answered."""

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

from benchmarks.detectors.peers import OURS
from benchmarks.detectors.plan import Task

ROOT = Path(__file__).resolve().parents[2]
THEIR_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}

Answer = dict[str, Any]


class BenchmarkError(Exception):
    """The benchmark cannot go on; its text says why."""


class Worker:
    """A process that does tasks in one environment."""

    def __init__(self, python: str) -> None:
        self.process = subprocess.Popen(
            [python, "-m", "benchmarks.detectors.worker"],
            cwd=ROOT,
            env=os.environ | ONE_THREAD | {"DO_NOT_TRACK": "1"},  # evidently would call home
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, task: Task) -> Answer:
        """The answer to a task.

        Raises BenchmarkError when the task fails or the process has ended.
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

    def end(self) -> None:
        """Let it go; one that is at work is stopped."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended by itself
            self.process.stdin.close()
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Workers:
    """The workers of every thread, one for each environment, started when first asked."""

    def __init__(self) -> None:
        self._mine = threading.local()
        self._all: list[Worker] = []

    def ask(self, environment: str, task: Task) -> Answer:
        """The answer of this thread's worker."""
        mine: dict[str, Worker] = self._mine.__dict__.setdefault("by_environment", {})
        if environment not in mine:
            mine[environment] = Worker(sys.executable if environment == OURS else str(THEIR_PYTHON))
            self._all.append(mine[environment])
        return mine[environment].ask(task)

    def end(self) -> None:
        """End all of them."""
        for worker in self._all:
            worker.end()


class Journal:
    """Answers by task, kept on disk: a run that was interrupted goes on where it was."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self._known = dict(_entries(lines))

    def get(self, key: str) -> Answer | None:
        """The answer to a task that was done before."""
        return self._known.get(key)

    def put(self, key: str, answer: Answer) -> None:
        """Keep an answer."""
        with self._lock:
            self._known[key] = answer
            with self.path.open("a", encoding="utf-8") as out:
                out.write(json.dumps({"key": key, "answer": answer}) + "\n")


def _entries(lines: Iterable[str]) -> Iterator[tuple[str, Answer]]:
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:  # half a line, of a run that was killed
            continue
        yield entry["key"], entry["answer"]

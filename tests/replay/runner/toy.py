"""Toy tasks and plans for tests of the runner."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import yaml

from replay.results import ItemScore
from replay.runner.chunk import Chunk
from replay.runner.plan import ModelSpec, RunPlan

SUMS: Final[dict[str, Any]] = {
    "task": "sums",
    "dataset_path": "json",
    "test_split": "test",
    "output_type": "generate_until",
    "doc_to_text": "{{question}}",
    "doc_to_target": "{{answer}}",
    "generation_kwargs": {"until": ["\n"], "do_sample": False, "max_gen_toks": 16},
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    "metadata": {"version": 1},
}


def write_sums(folder: Path, items: int = 12, **changes: Any) -> Path:
    """Write a task of additions, such as "What is 3 + 4?", with changes to its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    config = SUMS | changes
    data = folder / f"{config['task']}.jsonl"
    docs = [{"question": f"What is {n} + {n % 5}?", "answer": str(n + n % 5)} for n in range(items)]
    data.write_text("".join(json.dumps(doc) + "\n" for doc in docs))
    config = {"dataset_kwargs": {"data_files": {"test": str(data)}}} | config
    (folder / f"{config['task']}.yaml").write_text(yaml.safe_dump(config))
    return folder


def add(prompt: str) -> str:
    """Answer a question of `write_sums`."""
    words = prompt.rstrip("?").split()
    return str(int(words[-3]) + int(words[-1])) if "+" in words else "OK"


def plan(tmp: Path, url: str, folder: Path | None = None, **changes: Any) -> RunPlan:
    """Return a plan for the sums at an endpoint. `model` changes the model."""
    model: dict[str, Any] = {
        "kind": "local-chat-completions",
        "name": "toy",
        "base_url": url,
        "concurrency": 4,
        "request_timeout_s": 10.0,
        "retries": 1,
    } | changes.pop("model", {})
    content: dict[str, Any] = {
        "model": ModelSpec(**model),
        "tasks": ("sums",),
        "cache_dir": str(tmp / "cache"),
        "log_dir": str(tmp / "run"),
        "include_paths": (str(folder or tmp / "tasks"),),
        "chunk_size": 5,
        "deadline_s": 60.0,
        "threads": 1,
    } | changes
    return RunPlan(**content)


class Collector:
    """Keeps chunks. more: whether to go on after a chunk."""

    def __init__(self, more: Callable[[Chunk], bool] = lambda _: True) -> None:
        self.chunks: list[Chunk] = []
        self._more = more

    def __call__(self, chunk: Chunk) -> bool:
        """Keep a chunk."""
        self.chunks.append(chunk)
        return self._more(chunk)

    @property
    def scores(self) -> list[ItemScore]:
        """All scores, in the order of their arrival."""
        return [s for chunk in self.chunks for task in chunk.tasks for s in task.scores]

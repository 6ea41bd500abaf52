"""Run what the process of a run does, in the process of the test: lm-eval is imported once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import datasets.config
import pytest

from replay.results import ItemScore
from replay.runner.chunk import Chunk, Message, RunEnvironment
from replay.runner.plan import RunPlan
from replay.runner.process.chunks import evaluate
from replay.runner.supervise import Order


class Messages:
    """Keeps the messages of a run."""

    def __init__(self) -> None:
        self.all: list[Message] = []

    @property
    def chunks(self) -> list[Chunk]:
        """The chunks."""
        return [message for message in self.all if isinstance(message, Chunk)]

    @property
    def scores(self) -> list[ItemScore]:
        """All scores, by their position."""
        found = (s for chunk in self.chunks for task in chunk.tasks for s in task.scores)
        return sorted(found, key=lambda score: score.doc_id)

    @property
    def environment(self) -> RunEnvironment:
        """The environment."""
        return next(message for message in self.all if isinstance(message, RunEnvironment))


def evaluate_here(
    plan: RunPlan, messages: Messages | None = None, done: Mapping[str, Sequence[int]] | None = None
) -> Messages:
    """Evaluate a plan. `messages` has the messages before an error as well."""
    messages = Messages() if messages is None else messages
    evaluate(
        Order(plan, {task: list(ids) for task, ids in (done or {}).items()}), messages.all.append
    )
    return messages


def keep_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the library `datasets` write into the folder of the test."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")

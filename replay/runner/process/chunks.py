"""Evaluate the items of a plan in chunks, with one model."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import lm_eval
import numpy as np
from lm_eval.api.model import CachingLM
from lm_eval.evaluator import evaluate as evaluate_tasks

from replay.results import ItemScore, RunError, TaskScores
from replay.runner.chunk import Chunk, Finished, Message, Progress
from replay.runner.plan import RunPlan
from replay.runner.process.digest import task_digest
from replay.runner.process.machine import describe
from replay.runner.process.model import build_model
from replay.runner.process.scores import choose_metric, item_score
from replay.runner.process.tasks import Leaf, LoadedTask, load
from replay.runner.reasons import is_out_of_memory
from replay.runner.supervise import Order

Item = tuple[str, int]
"""Task and position of an item."""
_PROGRESS_S: Final = 1.0
_FEWEST: Final = 20
"""Items before a run ends because of unusable answers."""


def evaluate(order: Order, send: Callable[[Message], None]) -> None:
    """Evaluate all items that are not done and send their scores, chunk by chunk."""
    plan = order.plan
    tasks = load(plan)
    wanted = {task.name: draw(task, plan) for task in tasks}
    chat = plan.model.applies_chat_template
    digests = {task.name: task_digest(task, chat, lm_eval.__version__) for task in tasks}
    generates = all(
        leaf.task.OUTPUT_TYPE == "generate_until" for task in tasks for leaf in task.leaves
    )
    model = build_model(plan.model, generates, _Ticker(send))
    environment = describe(plan, model, digests, {name: len(w) for name, w in wanted.items()})
    send(environment)
    evaluator = Evaluator(plan, tasks, model, digests)
    if plan.cache:
        evaluator.use_cache(cache_path(plan, environment.weights, digests))
    done = {(task, position) for task, ids in order.done.items() for position in ids}
    everything = shuffled(wanted, plan.seed)
    left = [item for item in everything if item not in done]
    counts = _Counts(plan, len(everything), len(everything) - len(left))
    for number, start in enumerate(range(0, len(left), plan.chunk_size), 1):
        scores = evaluator.evaluate(left[start : start + plan.chunk_size])
        counts.add(scores)
        send(Chunk(number=number, done=counts.done, planned=counts.planned, tasks=scores))
        counts.check()
    counts.check(last=True)
    send(Finished(evaluator.batch_size))


def draw(task: LoadedTask, plan: RunPlan) -> list[int]:
    """Return the positions of the items that a plan wants: all, or a draw by its seed."""
    positions = list(task.positions)
    random.Random(f"{plan.seed} {task.name}").shuffle(positions)
    return positions[: plan.limit]


def shuffled(wanted: Mapping[str, Sequence[int]], seed: int) -> list[Item]:
    """Return the items of all tasks in an order that depends on the seed only.

    Each chunk of it is then a random subset, with items of each task in proportion.
    """
    items = [(task, position) for task in sorted(wanted) for position in wanted[task]]
    random.Random(seed).shuffle(items)
    return items


def cache_path(plan: RunPlan, weights: str, digests: Mapping[str, str]) -> str:
    """Return the path of lm-eval's cache of answers, which it does not key by the model.

    Answers of an endpoint are kept in the folder of the run: another run of the same name may
    talk to another model. Weights are known by their hash.
    """
    import hashlib  # noqa: PLC0415 - only here

    spec = plan.model
    parts = (spec.kind, spec.name, weights, spec.revision, spec.dtype, spec.options, digests)
    key = hashlib.sha256(repr((parts, plan.few_shot, spec.max_new_tokens)).encode())
    folder = Path(plan.cache_dir if weights else plan.log_dir) / "answers"
    return str(folder.absolute() / f"{key.hexdigest()[:24]}.db")


class Evaluator:
    """Evaluates chunks of items with one model. Its batches shrink when memory runs out."""

    def __init__(
        self, plan: RunPlan, tasks: Iterable[LoadedTask], model: Any, digests: Mapping[str, str]
    ) -> None:
        self._plan = plan
        self._tasks = {task.name: task for task in tasks}
        self._model = model
        self._lm = model
        self._digests = digests
        self.batch_size = plan.model.batch_size

    def use_cache(self, path: str) -> None:
        """Keep answers in a file, and use those that are there."""
        self._lm = CachingLM(self._model, path)

    def evaluate(self, items: Sequence[Item]) -> tuple[TaskScores, ...]:
        """Return the scores of the items by task."""
        leaves: dict[str, tuple[LoadedTask, Leaf, list[int]]] = {}
        for name, position in items:
            task = self._tasks[name]
            leaf = next(leaf for leaf in reversed(task.leaves) if leaf.offset <= position)
            leaves.setdefault(leaf.name, (task, leaf, []))[2].append(position - leaf.offset)
        samples = self._samples(
            {leaf.name: leaf.task for _, leaf, _ in leaves.values()},
            # lm-eval goes through the items in ascending order and numbers them by this list
            {name: sorted(positions) for name, (_, _, positions) in leaves.items()},
        )
        scores: dict[str, list[ItemScore]] = {}
        chosen: dict[str, tuple[str, bool]] = {}
        for name, (task, leaf, _) in leaves.items():
            metric, found = self._scores(task, leaf, samples[name])
            scores.setdefault(task.name, []).extend(found)
            better = leaf.task.higher_is_better().get(metric, True)
            chosen[task.name] = metric, better is not False
        return tuple(self._increment(name, found, *chosen[name]) for name, found in scores.items())

    def _scores(
        self, task: LoadedTask, leaf: Leaf, samples: Sequence[Mapping[str, Any]]
    ) -> tuple[str, list[ItemScore]]:
        """Return the metric of a task and the scores of its items."""
        filters = list(dict.fromkeys(sample["filter"] for sample in samples))
        wanted = self._plan.metrics.get(task.name, "")
        metric, kept = choose_metric(leaf.task, filters, wanted)
        if kept not in filters or (metric not in leaf.task.higher_is_better()):
            detail = f"task {task.name} has no metric {metric},{kept}"
            raise RunError("broken_task", detail)
        part = leaf.name if len(task.leaves) > 1 else ""
        return metric, [
            item_score(sample, leaf.offset + sample["doc_id"], part)
            for sample in samples
            if sample["filter"] == kept
        ]

    def _increment(
        self, name: str, scores: Sequence[ItemScore], metric: str, higher: bool
    ) -> TaskScores:
        values = [score.metrics[metric] for score in scores if metric in score.metrics]
        return TaskScores(
            task=name,
            metric=metric,
            binary=all(value in (0.0, 1.0) for value in values),
            scores=tuple(scores),
            higher_is_better=higher,
            task_digest=self._digests[name],
        )

    def _samples(
        self, tasks: dict[str, Any], positions: dict[str, list[int]]
    ) -> dict[str, list[dict[str, Any]]]:
        """Return lm-eval's samples. The batch is halved as long as memory runs out."""
        while True:
            try:
                return self._evaluate(tasks, positions)
            except Exception as error:
                if not is_out_of_memory(error) or self.batch_size <= 1 or self._fixed_batch:
                    raise
                self.batch_size //= 2
            self._shrink()

    @property
    def _fixed_batch(self) -> bool:
        return not hasattr(self._model, "batch_size_per_gpu")

    def _shrink(self) -> None:
        """Give memory back and use the smaller batch."""
        self._model.batch_size_per_gpu = self.batch_size
        import torch  # noqa: PLC0415 - loaded already: only models of torch have batches

        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _evaluate(
        self, tasks: dict[str, Any], positions: dict[str, list[int]]
    ) -> dict[str, list[dict[str, Any]]]:
        random.seed(self._plan.seed)
        np.random.seed(self._plan.seed % 2**32)
        results = evaluate_tasks(
            lm=self._lm,
            task_dict={"tasks": tasks, "groups": {}, "group_map": {}},
            samples=positions,
            bootstrap_iters=0,
            apply_chat_template=self._plan.model.applies_chat_template,
            fewshot_as_multiturn=self._plan.model.applies_chat_template,
            confirm_run_unsafe_code=self._plan.allow_code,
        )
        samples: dict[str, list[dict[str, Any]]] = results["samples"]
        return samples


class _Counts:
    """Counts items, and unusable answers among those of this process."""

    def __init__(self, plan: RunPlan, planned: int, done: int) -> None:
        self._limit = plan.max_failed
        self.planned = planned
        self.done = done
        self._answers = 0
        self._failed: dict[str, int] = {}

    def add(self, tasks: Iterable[TaskScores]) -> None:
        """Add the scores of a chunk."""
        for task in tasks:
            self.done += len(task.scores)
            self._answers += len(task.scores)
            for score in task.scores:
                if score.failed:
                    self._failed[score.failed] = self._failed.get(score.failed, 0) + 1

    def check(self, last: bool = False) -> None:
        """Raise RunError if too many answers cannot be used: that says nothing about the model."""
        failed = sum(self._failed.values())
        if (last or self._answers >= _FEWEST) and failed > self._limit * self._answers:
            reasons = ", ".join(f"{n} {why}" for why, n in sorted(self._failed.items()))
            detail = f"{failed} of {self._answers} answers cannot be used: {reasons}"
            raise RunError("invalid_responses", detail)


class _Ticker:
    """Sends progress after answers, at most once a second."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send = send
        self._answered = 0
        self._next = 0.0

    def __call__(self) -> None:
        self._answered += 1
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _PROGRESS_S
            self._send(Progress(self._answered))

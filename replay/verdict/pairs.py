"""Pairs of scores: the candidate's and the baseline's score of the same item."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replay.results import ItemScore, RunError, TaskScores

Floats = NDArray[np.float64]
_Key = tuple[int, str, str]


@dataclass(frozen=True, slots=True)
class Pairs:
    """The n pairs of one task with two usable scores, in the order of the candidate's answers.

    baseline, candidate: shape (n,). drops: shape (n,), how much worse the candidate is.
    items: the candidate's and the baseline's answer of each pair.
    clusters: number of the cluster of each pair, shape (n,), counted from 0 without gaps.
    complete: shape (clusters,), whether all items of the cluster are answered.
    answered: answers of the candidate, with the unusable ones.
    bounded: whether all scores are from 0 to 1.
    """

    task: TaskScores
    baseline: Floats
    candidate: Floats
    drops: Floats
    items: tuple[tuple[ItemScore, ItemScore], ...]
    clusters: NDArray[np.int64]
    complete: NDArray[np.bool_]
    answered: int
    failed: int
    baseline_failed: int
    bounded: bool

    @property
    def clustered(self) -> bool:
        """Whether some pairs depend on each other."""
        return len(self.complete) < len(self.drops)

    def units(self, only_complete: bool = False) -> Floats:
        """Return the mean drop of each cluster, which is that of the pair without clusters."""
        count = len(self.complete)
        sizes = np.bincount(self.clusters, minlength=count)
        means: Floats = np.bincount(self.clusters, self.drops, count) / np.maximum(sizes, 1)
        return means[self.complete] if only_complete else means

    def part(self, chosen: NDArray[np.int64]) -> Pairs:
        """Return the pairs with the given positions."""
        numbers, clusters = np.unique(self.clusters[chosen], return_inverse=True)
        return Pairs(
            self.task,
            self.baseline[chosen],
            self.candidate[chosen],
            self.drops[chosen],
            tuple(self.items[index] for index in chosen),
            clusters.astype(np.int64),
            self.complete[numbers],
            len(chosen),
            0,
            0,
            self.bounded,
        )


def merge(scores: Sequence[TaskScores]) -> dict[str, TaskScores]:
    """Return one object for each task from those of several chunks, in order of appearance.

    Of several answers to one item the first one counts, such as after a chunk was repeated.
    Raises RunError if the chunks of a task differ in its metric or its digest.
    """
    found: dict[str, dict[_Key, ItemScore]] = {}
    first: dict[str, TaskScores] = {}
    for part in scores:
        known = first.setdefault(part.task, part)
        _check_task(part, known, "an earlier chunk")
        items = found.setdefault(part.task, {})
        for each in part.scores:
            items.setdefault(_key(each), each)
    return {
        name: TaskScores(
            task=name,
            metric=task.metric,
            binary=task.binary,
            scores=tuple(found[name].values()),
            higher_is_better=task.higher_is_better,
            task_digest=task.task_digest,
        )
        for name, task in first.items()
    }


def pair_all(candidate: Sequence[TaskScores], baseline: Sequence[TaskScores]) -> list[Pairs]:
    """Return the pairs of each task of the candidate.

    Raises RunError: `no_items` without a task, `no_baseline` for a task that the baseline lacks,
    and those of `pair`.
    """
    known = merge(baseline)
    tasks = merge(candidate)
    if not tasks:
        raise RunError("no_items", "the run has no task")
    missing = [name for name in tasks if name not in known]
    if missing:
        raise RunError("no_baseline", f"the baseline has no task {missing[0]!r}")
    return [pair(task, known[name]) for name, task in tasks.items()]


def pair(candidate: TaskScores, baseline: TaskScores) -> Pairs:
    """Return the pairs of a task; unusable answers are counted and left out.

    Raises RunError: `mismatched_items` if task, prompt or target differ from the baseline's or an
    item is not in the baseline; `broken_task` if a binary score is neither 0 nor 1.
    """
    _check_task(candidate, baseline, "the baseline")
    before = {_key(each): each for each in baseline.scores}
    items, failed, baseline_failed = [], 0, 0
    for now in candidate.scores:
        then = _counterpart(now, before, candidate.task)
        both = usable(now, candidate.metric), usable(then, candidate.metric)
        failed += not both[0]
        baseline_failed += not both[1]
        if all(both):
            items.append((now, then))
    values = [[each.metrics[candidate.metric] for each in both] for both in items]
    scores = np.array(values, np.float64).reshape(-1, 2)
    if candidate.binary and not np.isin(scores, (0.0, 1.0)).all():
        raise RunError("broken_task", f"{candidate.task}: a binary score is neither 0 nor 1")
    now_scores, then_scores = scores[:, 0], scores[:, 1]
    sign = 1.0 if candidate.higher_is_better else -1.0
    clusters, complete = _clusters(items, candidate, baseline)
    return Pairs(
        candidate,
        then_scores,
        now_scores,
        sign * (then_scores - now_scores),
        tuple(items),
        clusters,
        complete,
        len(candidate.scores),
        failed,
        baseline_failed,
        bool(((scores >= 0) & (scores <= 1)).all()),
    )


def check_failed(pairs: Pairs, share: float, of: int) -> None:
    """Raise RunError `invalid_responses` if more than a share of `of` answers are unusable."""
    for count, whose in ((pairs.failed, "candidate"), (pairs.baseline_failed, "baseline")):
        if count > share * of:
            reasons = f" ({_reasons(pairs.task)})" if whose == "candidate" else ""
            raise RunError(
                "invalid_responses",
                f"{pairs.task.task}: {count} of {of} answers of the {whose} are unusable{reasons},"
                f" more than {share:.0%}",
            )


def _reasons(task: TaskScores) -> str:
    """Return why answers are unusable, most frequent reasons first."""
    counts = Counter(
        each.failed or "no score" for each in task.scores if not usable(each, task.metric)
    )
    return ", ".join(f"{count} {reason}" for reason, count in counts.most_common(5))


def usable(score: ItemScore, metric: str) -> bool:
    """Return whether an answer has a score: a finite one, and no reason why it failed."""
    return not score.failed and math.isfinite(score.metrics.get(metric, math.nan))


def _key(score: ItemScore) -> _Key:
    return score.doc_id, score.item, score.filter


def _check_task(task: TaskScores, other: TaskScores, whose: str) -> None:
    """Raise RunError if a task was scored in another way."""
    names = ["metric", "binary", "higher_is_better"]
    if task.task_digest and other.task_digest:
        names.append("task_digest")
    for name in names:
        if getattr(task, name) != getattr(other, name):
            raise RunError("mismatched_items", f"{task.task}: {name} differs from that of {whose}")


def _counterpart(now: ItemScore, before: Mapping[_Key, ItemScore], task: str) -> ItemScore:
    """Return the baseline's answer to the same prompt with the same target."""
    then = before.get(_key(now))
    if then is None:
        raise RunError(
            "mismatched_items", f"{task}: item {now.item!r} ({now.doc_id}) is not in the baseline"
        )
    for name in ("prompt_hash", "target_hash"):
        if getattr(now, name) != getattr(then, name):
            raise RunError(
                "mismatched_items",
                f"{task}: {name} of item {now.item!r} ({now.doc_id}) differs from the baseline's",
            )
    return then


def _clusters(
    items: Sequence[tuple[ItemScore, ItemScore]], candidate: TaskScores, baseline: TaskScores
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the cluster of each pair, and which clusters are answered completely."""
    sizes = Counter(each.cluster for each in baseline.scores)
    answered = Counter(each.cluster for each in candidate.scores)
    numbers: dict[str | int, int] = {}
    complete: list[bool] = []
    found = np.empty(len(items), np.int64)
    for index, (_, then) in enumerate(items):
        label = then.cluster or index
        if label not in numbers:
            numbers[label] = len(numbers)
            complete.append(not then.cluster or answered[then.cluster] >= sizes[then.cluster])
        found[index] = numbers[label]
    return found, np.array(complete, np.bool_)

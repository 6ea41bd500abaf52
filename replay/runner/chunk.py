"""What a run hands over: chunks of scores, its environment, and the messages between processes."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from replay.results import ErrorReason, ItemScore, TaskScores


class Chunk(msgspec.Struct, frozen=True, kw_only=True, tag="chunk"):
    """The scores of one chunk of items: an increment, by task.

    number: from 1 in this process. done, planned: items of the run so far, those of earlier
    processes included, and in all.
    """

    number: int
    done: int
    planned: int
    tasks: tuple[TaskScores, ...]


class RunEnvironment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="started"):
    """What a score depends on besides the model and the tasks. A difference explains a change.

    versions: of Python, lm-eval and, where they are used, torch, transformers and vLLM.
    hardware: platform, CPU and GPUs. weights: hash of local weights, else empty.
    endpoint: address without credentials. chat_template: hash of the template that was applied.
    task_digests, items: digest and number of planned items by task.
    """

    versions: dict[str, str]
    hardware: dict[str, str]
    model: str
    kind: str
    weights: str = ""
    endpoint: str = ""
    chat_template: str = ""
    device: str = ""
    dtype: str = ""
    batch_size: int = 0
    concurrency: int = 0
    few_shot: int | None = None
    seed: int = 0
    task_digests: dict[str, str] = {}
    items: dict[str, int] = {}


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """The process has made progress. answered: responses of the model so far."""

    answered: int


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """All chunks have been sent. batch_size: as it was at the end."""

    batch_size: int


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The process ends with an error."""

    reason: ErrorReason
    detail: str


Message = Chunk | RunEnvironment | Progress | Finished | Failed


def merge(increments: Iterable[TaskScores]) -> tuple[TaskScores, ...]:
    """Join the increments of each task, in the order of their first appearance.

    Scores are binary if they are in every increment.
    """
    merged: dict[str, list[TaskScores]] = {}
    for increment in increments:
        merged.setdefault(increment.task, []).append(increment)
    return tuple(
        msgspec.structs.replace(
            parts[0],
            binary=all(part.binary for part in parts),
            scores=tuple(score for part in parts for score in part.scores),
        )
        for parts in merged.values()
    )


def finished_items(tasks: Iterable[TaskScores]) -> dict[str, set[int]]:
    """Return the positions of the scored items by task, as `done` of `run`."""
    done: dict[str, set[int]] = {}
    for task in tasks:
        done.setdefault(task.task, set()).update(score.doc_id for score in task.scores)
    return done


def failed_share(scores: Iterable[ItemScore]) -> float:
    """Return the share of items without a usable answer, 0 if there are none."""
    failed = [bool(score.failed) for score in scores]
    return sum(failed) / len(failed) if failed else 0.0

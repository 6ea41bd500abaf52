"""Results of a run: the scores of items by task, and how a run ends."""

from __future__ import annotations

from typing import Final, Literal, get_args

import msgspec

Verdict = Literal["regressed", "not_regressed", "inconclusive", "cancelled", "error"]
"""How a run ends. An error has a reason and is never a statement about the model."""
VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)

ErrorReason = Literal[
    "endpoint_unavailable",
    "request_rejected",
    "unauthorized",
    "rate_limited",
    "deadline",
    "invalid_responses",
    "missing_task",
    "broken_task",
    "disk_full",
    "out_of_memory",
    "gpu_absent",
    "no_items",
    "no_baseline",
    "mismatched_items",
    "budget",
    "judge_unavailable",
    "killed",
    "failed",
]
"""Why a run has no verdict. `request_rejected`: the endpoint does not know the path or the model.
`invalid_responses`: too many empty or unreadable answers.
`mismatched_items`: prompts, targets or the judge differ from the baseline's. `budget`: GPU-hours or
money for judges are used up. `judge_unavailable`: the judge does not answer. `failed`: the rest."""


class RunError(Exception):
    """A run cannot be completed. reason: as in events and metrics; detail: for a person."""

    def __init__(self, reason: ErrorReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class ItemScore(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The scores of one answer.

    item: id of an item of ours, or lm-eval's doc_hash in a task of lm-eval.
    doc_id: position of the item in its task. filter: lm-eval's filter of the answer.
    prompt_hash, target_hash: as lm-eval computes them; scores are paired only if they are equal.
    metrics: scores by metric, higher is better unless the task says otherwise.
    failed: why there is no usable answer, such as "empty"; its scores are then not used.
    response: text of the answer. prompt: text of the prompt, for people. Both are cut if they are
    long. slices, cluster: as in the item.
    """

    item: str
    doc_id: int
    prompt_hash: str
    target_hash: str
    filter: str = "none"
    metrics: dict[str, float] = {}
    failed: str = ""
    response: str = ""
    prompt: str = ""
    slices: dict[str, str] = {}
    cluster: str = ""


class TaskScores(msgspec.Struct, frozen=True, kw_only=True):
    """The scores of one task of a run.

    metric: the one of `ItemScore.metrics` that the verdict uses. binary: whether it is 0 or 1.
    higher_is_better: False if a smaller value is better, such as perplexity.
    task_digest: hash of the task as it ran: items, prompt template, metric and filter.
    """

    task: str
    metric: str
    binary: bool
    scores: tuple[ItemScore, ...]
    higher_is_better: bool = True
    task_digest: str = ""

"""Turn the samples of lm-eval into scores of items."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from replay.results import ItemScore
from replay.runner.process.answers import failure

MAX_RESPONSE_CHARS: Final = 20_000
_PREFERRED: Final = ("exact_match", "acc_norm", "prompt_level_strict_acc", "acc")


def choose_metric(task: Any, filters: Sequence[str], wanted: str = "") -> tuple[str, str]:
    """Return the metric that decides, and the filter of its answers.

    wanted: metric or "metric,filter". Otherwise the first that the task has of exact_match,
    acc_norm, prompt_level_strict_acc and acc, else the task's first; the task's first filter.
    """
    metric, _, chosen = wanted.partition(",")
    names = list(task.higher_is_better())
    if not metric:
        metric = next((name for name in _PREFERRED if name in names), names[0] if names else "")
    return metric, chosen or filters[0]


def item_score(sample: Mapping[str, Any], position: int, leaf: str = "") -> ItemScore:
    """Return the score of one sample.

    position: of the item in its task. leaf: task of a group, which becomes a slice.
    """
    doc = sample["doc"] if isinstance(sample["doc"], Mapping) else {}
    failed, response = _response(sample)
    return ItemScore(
        item=str(doc.get("item_id") or sample["doc_hash"]),
        doc_id=position,
        prompt_hash=sample["prompt_hash"],
        target_hash=sample["target_hash"],
        filter=sample["filter"],
        metrics={} if failed else _metrics(sample),
        failed=failed,
        response=response[:MAX_RESPONSE_CHARS],
        prompt=_prompt(sample)[:MAX_RESPONSE_CHARS],
        slices=_slices(doc) | ({"subtask": leaf} if leaf else {}),
        cluster=str(doc.get("cluster") or ""),
    )


def _metrics(sample: Mapping[str, Any]) -> dict[str, float]:
    """Return the finite numbers among the metrics. A score that is still to come is NaN."""
    values = {name: sample[name] for name in sample["metrics"]}
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, bool | int | float) and math.isfinite(value)
    }


def _response(sample: Mapping[str, Any]) -> tuple[str, str]:
    """Return why there is no usable answer, if so, and the text of the answer.

    The answer to a choice by log probabilities is the text of the most likely choice.
    """
    responses = [parts[0] for parts in sample["resps"]]
    if all(isinstance(response, str) for response in responses):
        failed = next((why for response in responses if (why := failure(response))), "")
        return failed, "" if failed else str(responses[0])
    likelihoods = [r[0] if isinstance(r, tuple | list) else r for r in responses]
    if not all(math.isfinite(value) for value in likelihoods):
        return "invalid", ""
    best = max(range(len(likelihoods)), key=likelihoods.__getitem__)
    arguments = sample["arguments"][best]
    return "", str(arguments[1]) if len(arguments) > 1 else ""


def _prompt(sample: Mapping[str, Any]) -> str:
    """Return the text of the prompt; of several chat messages, each with its role."""
    argument = sample["arguments"][0][0]
    if isinstance(argument, str):
        return argument
    try:  # chat messages, or a tuple with their JSON
        messages = json.loads(argument[0]) if isinstance(argument[0], str) else argument
        if len(messages) == 1:
            return str(messages[0]["content"])
        return "\n\n".join(f"{each['role']}: {each['content']}" for each in messages)
    except (LookupError, TypeError, ValueError):
        return ""


def _slices(doc: Mapping[str, Any]) -> dict[str, str]:
    """Return the slices of an item of ours, which are JSON text in its document."""
    text = doc.get("slices")
    if not isinstance(text, str) or not text.startswith("{"):
        return {}
    try:
        return {str(name): str(value) for name, value in json.loads(text).items()}
    except ValueError:
        return {}

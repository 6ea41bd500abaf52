"""The quality of the traffic, estimated from the labels of a queue in the order of xi."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from monitor.statistics.agreement import Floats, Undefined
from monitor.statistics.review.queue import QueueEstimate, QueueItems, queue_mean
from monitor.web.review.model import HIGHEST, Item, Queue
from monitor.web.views.agreement.report import Quality

MOST_MODELS: Final = 50
_LABELLED: Final = ("finished", "contested", "settled")
"""A contested item counts with the mean of its ratings: if it were open, the first one would end
the sample, and if it were skipped, the sample would lack the items that are hard to judge."""
NO_ITEMS: Final = Undefined("no item represents the traffic and has a score of the judge")


def qualities(queue: Queue, items: Sequence[Item]) -> list[Quality]:
    """Return the quality over all models, and of each of the MOST_MODELS models with most items.

    Items without pi, such as gold and chosen ones, do not count.
    """
    drawn = [each for each in items if each.pi is not None and each.gold is None]
    by_model: dict[str, list[Item]] = {}
    for each in drawn:
        by_model.setdefault(each.model, []).append(each)
    largest = sorted(by_model, key=lambda model: (-len(by_model[model]), model))[:MOST_MODELS]
    parts = [("", drawn), *((model, by_model[model]) for model in sorted(largest))]
    return [_quality(queue, model, part) for model, part in parts]


def _quality(queue: Queue, model: str, items: Sequence[Item]) -> Quality:
    judged = [each for each in items if _judge(each) is not None]
    human = np.array([_label(each) for each in judged], dtype=float)
    judge = np.array([_judge(each) for each in judged], dtype=float)
    mark = queue.rubric.pass_mark
    passed = np.where(np.isnan(human), np.nan, human >= mark)
    return Quality(
        model=model,
        items=len(items),
        unjudged=len(items) - len(judged),
        mean=_mean(judged, human, judge, float(HIGHEST)),
        pass_rate=_mean(judged, passed, (judge >= mark).astype(float), 1.0),
    )


def _mean(
    items: Sequence[Item], human: Floats, judge: Floats, highest: float
) -> QueueEstimate | Undefined:
    if not items:
        return NO_ITEMS
    columns = QueueItems(
        xi=np.array([each.xi for each in items]),
        pi=np.array([each.pi for each in items], dtype=float),
        finished=np.array([each.state != "open" for each in items]),
        human=human,
        judge=judge,
    )
    return queue_mean(columns, bounds=(0.0, highest))


def _label(item: Item) -> float:
    """Return the overall score of the annotators; NaN for an item without a label."""
    if item.state not in _LABELLED or item.label is None:
        return float("nan")
    return float(item.label["overall"])


def _judge(item: Item) -> float | None:
    score = None if item.judge is None else item.judge.get("score")
    return float(score) if isinstance(score, int | float) else None

"""What is behind the mean: scores by slice, and the items that changed most."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from math import isfinite
from typing import Final

import numpy as np

from replay.results import ItemScore
from replay.verdict.criteria import Criteria
from replay.verdict.decision import Flip, SliceScores
from replay.verdict.pairs import Pairs

MAX_LOSSES: Final = 50
"""Items that became worse, of a task."""
MAX_GAINS: Final = 20
"""Items that became better, of a task."""
MAX_TEXT: Final = 2_000
"""Characters of a response."""
MAX_NAME: Final = 100
"""Characters of the name and of the value of a slice."""
MAX_SLICES: Final = 60
"""Slices of a task, the largest ones."""

Interval = Callable[[Pairs, float], tuple[float, float]]


def flips(pairs: Pairs) -> tuple[Flip, ...]:
    """Return items whose score changed: the largest losses first, then the largest gains."""
    order = sorted(
        range(len(pairs.drops)),
        key=lambda index: (-abs(pairs.drops[index]), pairs.items[index][0].doc_id),
    )
    lost = [index for index in order if pairs.drops[index] > 0][:MAX_LOSSES]
    gained = [index for index in order if pairs.drops[index] < 0][:MAX_GAINS]
    return tuple(
        Flip(
            item=now.item,
            doc_id=now.doc_id,
            baseline=float(pairs.baseline[index]),
            candidate=float(pairs.candidate[index]),
            loss=float(pairs.drops[index]),
            baseline_response=then.response[:MAX_TEXT],
            candidate_response=now.response[:MAX_TEXT],
            slices=_slices(now, then),
        )
        for index in lost + gained
        for now, then in [pairs.items[index]]
    )


def slices(
    pairs: Pairs, criteria: Criteria, interval: Interval
) -> tuple[tuple[SliceScores, ...], int]:
    """Return the scores by slice, and how many slices were left out.

    Ordered by dimension, then by size. The intervals are not corrected for the number of slices:
    they describe, and decide nothing.
    """
    members: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, (now, then) in enumerate(pairs.items):
        for dimension, value in _slices(now, then).items():
            members[dimension, value].append(index)
    largest = sorted(members, key=lambda name: (-len(members[name]), name))[:MAX_SLICES]
    largest.sort(key=lambda name: (name[0], -len(members[name]), name[1]))
    found = [
        _scores(pairs.part(np.array(members[name], np.int64)), name, criteria, interval)
        for name in largest
    ]
    return tuple(found), len(members) - len(found)


def _slices(now: ItemScore, then: ItemScore) -> dict[str, str]:
    """Return the slices of an item: a run of an older version may have recorded fewer."""
    both = {**then.slices, **now.slices}
    return {name[:MAX_NAME]: value[:MAX_NAME] for name, value in both.items()}


def _scores(
    part: Pairs, name: tuple[str, str], criteria: Criteria, interval: Interval
) -> SliceScores:
    """Return the scores of one slice."""
    sign = -1.0 if part.task.higher_is_better else 1.0
    ends = sorted(sign * end for end in interval(part, criteria.alpha))
    lower, upper = (end if isfinite(end) else None for end in ends)
    n = len(part.drops)
    return SliceScores(
        dimension=name[0],
        value=name[1],
        n=n,
        baseline_mean=float(part.baseline.mean()),
        candidate_mean=float(part.candidate.mean()),
        difference=float((part.candidate - part.baseline).mean()),
        lower=lower,
        upper=upper,
        few=n < criteria.min_items,
    )

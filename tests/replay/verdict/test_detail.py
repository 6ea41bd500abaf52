"""Slices and flips: the right items, in order, and bounded."""

from __future__ import annotations

import numpy as np
import pytest

from replay.verdict import tango
from replay.verdict.decide import decide
from replay.verdict.detail import MAX_GAINS, MAX_LOSSES, MAX_SLICES, MAX_TEXT
from tests.replay.verdict.scores import binary, scores


def test_slices_have_their_own_scores() -> None:
    """Each value of each dimension has its items and the interval of its own pairs."""
    language = ["de", "en", "en", "en"] * 50
    topic = ["tax"] * 200
    slices = [{"language": a, "topic": b} for a, b in zip(language, topic, strict=True)]
    before = np.ones(200)
    after = np.where(np.arange(200) % 20 == 0, 0, 1)
    found = decide([scores(after, slices=slices)], [scores(before, slices=slices)]).tasks[0].slices
    assert [(s.dimension, s.value, s.n) for s in found] == [
        ("language", "en", 150),
        ("language", "de", 50),
        ("topic", "tax", 200),
    ]
    german = found[1]
    lower, upper = tango.interval(10, 0, 50, 0.05)
    assert (german.lower, german.upper) == pytest.approx((-upper, -lower))
    assert (german.baseline_mean, german.candidate_mean) == (1, 0.8)
    assert found[0].difference == 0


def test_small_slices_say_so() -> None:
    """A slice below the minimum is marked; one item has no interval if graded."""
    slices = [{"topic": "rare" if index == 0 else "usual"} for index in range(40)]
    options = {"binary": False, "slices": slices}
    found = decide([scores(np.ones(40), **options)], [scores(np.ones(40), **options)])
    usual, rare = found.tasks[0].slices
    assert (usual.few, rare.few) == (False, True)
    assert (rare.lower, rare.upper) == (None, None)


def test_slices_are_bounded() -> None:
    """The largest slices are kept, and the others counted."""
    slices = [{"user": f"u{index % 100}"} for index in range(300)]
    task = decide([scores(np.ones(300), slices=slices)], [scores(np.ones(300), slices=slices)])
    assert len(task.tasks[0].slices) == MAX_SLICES
    assert task.tasks[0].slices_left_out == 100 - MAX_SLICES


def test_the_largest_losses_come_first() -> None:
    """Flips are ordered by loss, then come the gains; items that did not change are none."""
    before = np.array([0.9, 0.9, 0.5, 0.2, 0.3] + [0.5] * 30)
    after = np.array([0.8, 0.1, 0.5, 0.9, 0.4] + [0.5] * 30)
    task = decide([scores(after, binary=False)], [scores(before, binary=False)]).tasks[0]
    assert [flip.item for flip in task.flips] == ["item 1", "item 0", "item 3", "item 4"]
    assert [flip.loss for flip in task.flips] == pytest.approx([0.8, 0.1, -0.7, -0.1])
    assert (task.lost, task.gained, task.flips_left_out) == (2, 2, 0)
    assert task.flips[0].candidate_response == "answer 1"


def test_flips_are_bounded() -> None:
    """The numbers of losses and gains and the length of a response are bounded."""
    candidate, baseline = binary(400, 100, 60)
    task = decide([candidate], [baseline]).tasks[0]
    assert len([flip for flip in task.flips if flip.loss > 0]) == MAX_LOSSES
    assert len([flip for flip in task.flips if flip.loss < 0]) == MAX_GAINS
    assert task.flips_left_out == 160 - MAX_LOSSES - MAX_GAINS
    assert len(task.flips[0].candidate_response) <= MAX_TEXT

"""Pairing: only equal items are compared, and unusable answers are no scores."""

from __future__ import annotations

import numpy as np
import pytest

from replay.results import RunError
from replay.verdict.pairs import check_failed, merge, pair, pair_all
from tests.replay.verdict.scores import first, scores


def test_pairs_are_matched_by_item() -> None:
    """The order of the answers does not matter, and items that are not answered are no pairs."""
    baseline = scores([1, 0, 1, 1])
    shuffled = scores([0, 0, 1, 1])
    backwards = type(shuffled)(
        task="qa", metric="exact_match", binary=True, scores=shuffled.scores[:0:-1]
    )
    found = pair(backwards, baseline)
    assert [now.item for now, _ in found.items] == ["item 3", "item 2", "item 1"]
    assert found.drops.tolist() == [0, 0, 0]
    assert pair(first(shuffled, 1), baseline).drops.tolist() == [1]
    assert found.answered == 3


def test_lower_may_be_better() -> None:
    """The drop is how much worse the candidate is, in either direction of the metric."""
    options = {"metric": "perplexity", "binary": False, "higher_is_better": False}
    found = pair(scores([9, 4], **options), scores([8, 5], **options))
    assert found.drops.tolist() == [1, -1]
    assert not found.bounded


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"prompts": "other"}, "prompt_hash"),
        ({"metric": "f1"}, "metric"),
        ({"higher_is_better": False}, "higher_is_better"),
        ({"binary": False}, "binary"),
        ({"task_digest": "b"}, "task_digest"),
    ],
)
def test_other_items_are_not_compared(change: dict[str, object], word: str) -> None:
    """A difference in prompt, metric, direction or task is an error, never a regression."""
    baseline = scores([1, 1, 0], task_digest="a")
    with pytest.raises(RunError) as caught:
        pair(scores([0, 0, 0], **({"task_digest": "a"} | change)), baseline)
    assert caught.value.reason == "mismatched_items"
    assert word in caught.value.detail


def test_an_item_without_baseline_is_an_error() -> None:
    """An item that the baseline lacks is another item set."""
    with pytest.raises(RunError, match=r"item 2.*not in the baseline") as caught:
        pair(scores([1, 1, 1]), scores([1, 1]))
    assert caught.value.reason == "mismatched_items"


def test_a_task_without_baseline_is_an_error() -> None:
    """A task needs a baseline; a run needs a task."""
    with pytest.raises(RunError, match="no_baseline"):
        pair_all([scores([1], task="new")], [scores([1])])
    with pytest.raises(RunError, match="no_items"):
        pair_all([], [scores([1])])


def test_a_binary_score_is_0_or_1() -> None:
    """A half is a task that is declared wrongly."""
    with pytest.raises(RunError, match="broken_task"):
        pair(scores([0.5]), scores([1]))


def test_unusable_answers_are_counted_and_left_out() -> None:
    """A failed answer of either side, and a score that is not a number, is no pair."""
    candidate = scores([1, 1, float("nan"), 0, 1], failed={0})
    baseline = scores([1, 1, 1, 1, 1], failed={4})
    found = pair(candidate, baseline)
    assert found.drops.tolist() == [0, 1]
    assert (found.failed, found.baseline_failed, found.answered) == (2, 1, 5)


def test_too_many_unusable_answers_are_an_error() -> None:
    """More than the share is an error, of the candidate and of the baseline."""
    right = scores(np.ones(40))
    check_failed(pair(scores(np.ones(40), failed={0, 1}), right), 0.05, 40)
    for failed, whose in (
        (scores(np.ones(40), failed={0, 1, 2}), "candidate"),
        (right, "baseline"),
    ):
        other = right if whose == "candidate" else scores(np.ones(40), failed={0, 1, 2})
        with pytest.raises(RunError, match=f"3 of 40 answers of the {whose}") as caught:
            check_failed(pair(failed, other), 0.05, 40)
        assert caught.value.reason == "invalid_responses"


def test_chunks_are_merged() -> None:
    """Chunks of a task are one task; an answer that was repeated counts once, the first one."""
    whole = scores([1, 0, 1, 1])
    again = scores([1, 1, 1, 1])
    found = merge([first(whole, 3), again])["qa"]
    assert [each.metrics["exact_match"] for each in found.scores] == [1, 0, 1, 1]
    with pytest.raises(RunError, match="mismatched_items"):
        merge([whole, scores([1], metric="f1")])


def test_clusters_are_units() -> None:
    """A unit is the mean of a cluster; one that is not answered wholly is not complete."""
    clusters = ["a", "a", "b", "b", ""]
    baseline = scores([1, 1, 1, 1, 1], clusters=clusters)
    candidate = scores([0, 1, 0, 0, 1], clusters=clusters)
    found = pair(candidate, baseline)
    assert found.clustered
    assert found.units().tolist() == [0.5, 1, 0]
    part = pair(first(candidate, 3), baseline)
    assert part.units().tolist() == [0.5, 1]
    assert part.units(only_complete=True).tolist() == [0.5]
    single = scores([1, 0], clusters=["a", "b"])
    assert not pair(single, single).clustered

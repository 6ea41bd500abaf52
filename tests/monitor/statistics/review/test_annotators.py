"""Statistics of annotators: by loops over the tasks, and undefined where there is nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.statistics.agreement import Estimate, Undefined
from monitor.statistics.panel import effective_votes
from monitor.statistics.review.annotators import (
    NO_GOLD,
    NO_OTHERS,
    NO_POSITIONS,
    NO_TASKS,
    Speed,
    Work,
    annotator_statistics,
    votes_of,
)

NAN = float("nan")
Task = tuple[int, int, float]


def work(tasks: list[Task], **columns: list[float]) -> Work:
    """Return tasks as columns: item, annotator, value; other columns are unknown by default."""
    items, annotators, values = zip(*tasks, strict=True) if tasks else ((), (), ())
    others = {
        name: np.array(columns.get(name, [NAN] * len(tasks)), dtype=float)
        for name in ("seconds", "gold", "first_shown")
    }
    return Work(
        items=np.array(items, dtype=np.int64),
        annotators=np.array(annotators, dtype=np.int64),
        values=np.array(values, dtype=float),
        **others,
    )


tasks = st.dictionaries(
    st.tuples(st.integers(0, 4), st.integers(0, 2)),
    st.sampled_from([0.0, 1.0, 2.0, 4.0, NAN]),
    max_size=15,
)


@settings(deadline=None, max_examples=80)
@given(tasks, st.sampled_from([0.0, 1.0]))
def test_statistics_by_loops(given_tasks: dict[tuple[int, int], float], tolerance: float) -> None:
    """Counts, agreement with others and with gold are those of each task by itself."""
    rows = [(item, who, value) for (item, who), value in given_tasks.items()]
    gold = [float(item % 3) if item < 3 else NAN for item, _, _ in rows]
    found = annotator_statistics(work(rows, gold=gold), 3, tolerance=tolerance)
    for each in found:
        own = [row for row in rows if row[1] == each.annotator]
        done = [row for row in own if not np.isnan(row[2])]
        assert (each.done, each.skipped) == (len(done), len(own) - len(done))
        expected, offsets = [], []
        for item, who, value in done:
            others = [v for i, w, v in rows if i == item and w != who and not np.isnan(v)]
            if others:
                expected.append(np.mean([abs(v - value) <= tolerance for v in others]))
                offsets.append(value - np.mean(others))
        if expected:
            assert isinstance(each.with_others, Estimate)
            assert each.with_others.value == pytest.approx(np.mean(expected))
        else:
            assert each.with_others == NO_OTHERS
        if len(offsets) >= 5:
            assert isinstance(each.offset, Estimate)
            assert each.offset.value == pytest.approx(np.mean(offsets))
        right = [abs(v - i % 3) <= tolerance for i, _, v in done if i < 3]
        if right:
            assert isinstance(each.with_gold, Estimate)
            assert each.with_gold.value == pytest.approx(np.mean(right))
        else:
            assert each.with_gold == NO_GOLD


def test_speed_is_of_finished_tasks_with_a_time() -> None:
    """Speed counts active seconds of ratings; skipped tasks and unknown times do not count."""
    seconds = [10.0, 20.0, 30.0, 40.0, 500.0, NAN, 1.0]
    rows: list[Task] = [(i, 0, 1.0) for i in range(6)] + [(6, 0, NAN)]
    (found,) = annotator_statistics(work(rows, seconds=seconds), 1)
    assert found.speed == Speed(30.0, 14.0, pytest.approx(316.0), 5)  # type: ignore[arg-type]  # approx
    (few,) = annotator_statistics(work(rows[:4], seconds=seconds[:4]), 1)
    assert isinstance(few.speed, Undefined)


def test_position_bias_and_leniency() -> None:
    """A preference for the answer shown first, and ratings above those of others, are found."""
    rng = np.random.default_rng(2)
    rows: list[Task] = [
        (i, who, float(rng.integers(0, 4) + (who == 1))) for i in range(300) for who in (0, 1, 2)
    ]
    shown = [float(rng.random() < (0.7 if who == 1 else 0.5)) for _, who, _ in rows]
    fair, biased, _ = annotator_statistics(work(rows, first_shown=shown), 3)
    for each, first, offset in ((fair, 0.5, -0.5), (biased, 0.7, 1.0)):
        assert isinstance(each.first_shown, Estimate)
        assert isinstance(each.offset, Estimate)
        assert each.first_shown.value == pytest.approx(first, abs=0.08)
        assert each.offset.value == pytest.approx(offset, abs=0.3)
    assert isinstance(biased.first_shown, Estimate)
    assert biased.first_shown.lower is not None
    assert biased.first_shown.lower > 0.5


def test_an_annotator_without_tasks() -> None:
    """Nothing done has a reason for each statistic, and no zero."""
    (found,) = annotator_statistics(work([]), 1)
    assert found.done == found.skipped == 0
    assert found.skip_rate == NO_TASKS
    assert found.with_gold == NO_GOLD
    assert found.first_shown == NO_POSITIONS
    assert isinstance(found.offset, Undefined)


def test_effective_votes_of_gold_items() -> None:
    """Annotators who share their errors are fewer votes than they are people."""
    rng = np.random.default_rng(3)
    gold = rng.integers(0, 6, 200)
    shared = rng.normal(size=200)
    rows: list[Task] = []
    right = []
    for item in range(200):
        for who in rng.permutation(5)[:3]:
            error = 0.8 * shared[item] + 0.6 * rng.normal()
            rows.append((item, int(who), float(gold[item] + error)))
            right.append(float(gold[item]))
    found = votes_of(work(rows, gold=right), 5)
    assert found == pytest.approx(3 / (1 + 2 * 0.64), rel=0.15)
    assert votes_of(work(rows), 5) == NO_GOLD


def test_votes_of_incomplete_cases_are_those_of_complete_ones() -> None:
    """Missing errors leave out a pair's case, not the case of all judges."""
    rng = np.random.default_rng(4)
    errors = rng.normal(size=(5_000, 1)) + rng.normal(size=(5_000, 4))
    complete = effective_votes(errors)
    errors[np.arange(5_000), rng.integers(0, 4, 5_000)] = NAN
    assert effective_votes(errors) == pytest.approx(complete, rel=0.05)
    assert effective_votes(errors, votes=2) == pytest.approx(2 / 1.5, rel=0.05)


def test_columns_of_different_lengths_are_errors() -> None:
    """All columns have a value for each task."""
    complete = work([(0, 0, 1.0)])
    with pytest.raises(ValueError, match="lengths"):
        replace(complete, seconds=np.empty(0))

"""Tests of the names of categories that the reference lacks, and of those that are gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given

from detectors.categorical_stream import UNSEEN
from monitor.detect.checkpoint import watch_state
from monitor.detect.explain.new_categories import MAX_NAMES, MAX_REPORTED
from monitor.detect.watch import Watch
from monitor.events.codec import decode_event, encode_event
from monitor.events.types import DriftEvent
from monitor.events.wording.drift import sentence
from monitor.ingest.chunks.columns import Columns
from tests.monitor import synthetic
from tests.monitor.synthetic import SLOW_PROPERTY, STRIDE, WARMUP, WINDOW

LATER = 2 * WINDOW
FEATURE = "finish_reason"


def columns(later: list[str | None], first: list[str | None] | None = None) -> Columns:
    """Return a warm-up with two categories, then these."""
    before = first or ["stop", "length"] * (WARMUP // 2)
    stream = synthetic.stream(len(before) + len(later), seed=1)
    return synthetic.with_categories(stream, FEATURE, [*before, *later])


def restarted(watch: Watch) -> Watch:
    """Return a new watch with the state of another one."""
    new = synthetic.watcher()
    saved = {item.name: item.encode() for item in watch_state.items(watch)}
    watch_state.restore(new, saved, None)
    return new


def run(stream: Columns, marks: Iterable[int], *, restarts: bool = False) -> list[DriftEvent]:
    """Return the events of a stream in these pieces, with a restart after each one if wanted."""
    watch, events = synthetic.watcher(), list[DriftEvent]()
    for piece in synthetic.cut(stream, marks):
        events += watch.feed(piece)
        watch = restarted(watch) if restarts else watch
    return events


def last_event(later: list[str | None], first: list[str | None] | None = None) -> DriftEvent:
    """Return the last event about the categories."""
    events = synthetic.watcher().feed(columns(later, first))
    return [event for event in events if event.feature == FEATURE][-1]


def mixed(*shares: tuple[str, float], seed: int = 3) -> list[str | None]:
    """Return categories drawn with these shares; the rest is "stop"."""
    rng = np.random.default_rng(seed)
    names = [name for name, _ in shares]
    parts = [share for _, share in shares]
    drawn = rng.choice(["stop", *names], LATER, p=[1 - sum(parts), *parts])
    return [str(name) for name in drawn]


@pytest.mark.parametrize(
    "shares",
    [
        (("tool", 0.3),),
        (("a", 0.05), ("b", 0.2), ("c", 0.1), ("d", 0.02)),
        (("other", 0.2), ("rare", 0.1), ("missing", 0.05)),
    ],
)
def test_new_categories_are_named_with_their_shares(shares: tuple[tuple[str, float], ...]) -> None:
    """The most frequent unknown categories of the measured records, largest share first."""
    later = mixed(*shares)
    event = last_event(later)
    measured = later[: event.record - WARMUP][-synthetic.measured_records(event) :]
    counts = Counter(name for name in measured if name != "stop")
    expected = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))[:MAX_REPORTED]
    found = event.explanation.new_categories
    assert list(found) == [name for name, _ in expected]
    shares_found = [count / len(measured) for _, count in expected]
    assert list(found.values()) == pytest.approx(shares_found)
    assert event.current.shares is not None
    assert sum(found.values()) <= event.current.shares[UNSEEN] + 1e-9
    assert f"(new: {expected[0][0]} " in sentence(event)
    assert decode_event(encode_event(event)) == event


def test_a_category_that_is_gone_is_named() -> None:
    """A known category without records is a bin that shrank to zero, and no new one is named."""
    event = last_event(["stop"] * LATER)
    gone = next(shift for shift in event.explanation.bins if shift.bin == "length")
    assert gone.before == pytest.approx(0.5)
    assert gone.after < 0.5
    assert event.explanation.new_categories == {}
    assert "length 50.0% -> " in sentence(event)


@pytest.mark.parametrize("gone", ["other", "missing", UNSEEN])
def test_a_category_that_is_gone_is_told_apart_from_a_catch_all(gone: str) -> None:
    """It has its own name, whatever it is."""
    event = last_event(["stop"] * LATER, [gone, "stop"] * (WARMUP // 2))
    names = {shift.bin for shift in event.explanation.bins if shift.after < shift.before}
    assert names == {gone if gone == "other" else f"{gone} (named)"}


def test_unknown_categories_that_are_expected_are_not_named() -> None:
    """A drift of known categories names no new one where their share is that of the reference."""
    rng = np.random.default_rng(8)
    tail = [f"tenant-{i}" for i in range(10_000)]
    first = [tail[i] if rng.random() < 0.1 else "stop" for i in rng.integers(10_000, size=WARMUP)]
    later = [
        tail[i] if rng.random() < 0.1 else str(rng.choice(["stop", "length"]))
        for i in rng.integers(10_000, size=LATER)
    ]
    first[::50] = ["length"] * len(first[::50])
    assert last_event([*later], [*first]).explanation.new_categories == {}


def test_names_are_bounded() -> None:
    """Thousands of new categories: a few names a stride are kept, and three are reported."""
    later = [f"id-{i}" if i % 4 else "often" for i in range(LATER)]
    watch = synthetic.watcher()
    events = watch.feed(columns([*later]))
    saved = watch.main.explainer.new_categories.snapshot()[FEATURE]
    assert len(saved) <= WINDOW // STRIDE
    assert max(map(len, saved.values())) <= MAX_NAMES
    new = [e for e in events if e.feature == FEATURE][-1].explanation.new_categories
    assert len(new) == MAX_REPORTED
    assert next(iter(new)) == "often"
    assert new["often"] == pytest.approx(0.25, abs=0.06)


@SLOW_PROPERTY
@given(synthetic.cuttings(WARMUP + LATER))
def test_names_do_not_depend_on_chunk_borders(marks: list[int]) -> None:
    """The events of a stream are the same however it is cut."""
    stream = columns([*mixed(("a", 0.05), ("b", 0.2)), *mixed(("c", 0.5), seed=4)][:LATER])
    assert run(stream, marks) == run(stream, [])


def test_names_survive_a_restart() -> None:
    """A restart after every piece, within strides too, changes no event."""
    stream = columns([*mixed(("a", 0.05), ("b", 0.2)), *mixed(("c", 0.5), seed=4)][:LATER])
    pieces = range(WARMUP, WARMUP + LATER, STRIDE + 7)
    events = run(stream, pieces, restarts=True)
    assert any(event.explanation.new_categories for event in events)
    assert events == run(stream, [])


def test_text_of_a_category_is_printable_in_messages() -> None:
    """Control characters and long names of a log do no harm."""
    event = last_event(mixed(("\x1b[31m" + "x" * 90, 0.4)))
    text = sentence(event)
    assert text.isprintable()
    assert "(new: \N{REPLACEMENT CHARACTER}[31mxxx" in text
    assert "x" * 40 not in text

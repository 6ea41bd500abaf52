"""The explainer: independence of chunks, arbitrary streams, and restored state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.arrays import Floats
from monitor.detect.checkpoint import watch_state
from monitor.detect.watch import Watch
from monitor.events.codec import encode_event
from monitor.events.types import DriftEvent
from monitor.events.wording.drift import sentence
from monitor.ingest.sampling.examples import Examples
from tests.monitor import synthetic
from tests.monitor.detect.explain.explained_runs import QUIET, events_of, with_ids
from tests.monitor.synthetic import WARMUP, WINDOW

DRIFTED = with_ids(
    synthetic.joined(
        synthetic.stream(QUIET, seed=1),
        synthetic.stream(300, seed=2, factor=3.0, stops=0.5),
        synthetic.stream(700, seed=3),
    )
)
EVENTS = events_of(DRIFTED)


@synthetic.SLOW_PROPERTY
@given(synthetic.cuttings(len(DRIFTED)))
def test_explanations_do_not_depend_on_chunks(marks: list[int]) -> None:
    """Any chunking gives the same explanations and the same bytes in the checkpoint."""
    assert sum(len(event.explanation.examples) for event in EVENTS) > 5
    watch, whole = synthetic.watcher(), synthetic.watcher()
    whole.feed(DRIFTED)
    events = [event for chunk in synthetic.cut(DRIFTED, marks) for event in watch.feed(chunk)]
    assert events == EVENTS
    assert watch.main.explainer.snapshot() == whole.main.explainer.snapshot()
    assert whole.main.explainer.snapshot().examples


numbers = st.floats(-1e15, 1e15) | st.sampled_from([0.0, 1.0, 1e15, -1e15, 5e-324])
few_values = st.lists(st.none() | numbers, min_size=1).map(lambda v: np.array(v, np.float64))
# a category may be named "nan": the test looks for numbers that are not
categories = st.text(max_size=5).filter(lambda text: "nan" not in text)
texts = st.lists(st.none() | categories, min_size=1, max_size=4)


@settings(synthetic.SLOW_PROPERTY, max_examples=60)
@given(st.data())
def test_any_stream_can_be_explained(data: st.DataObject) -> None:
    """Every event has a one-line sentence and can be decoded, whatever the records contain."""
    columns = with_ids(synthetic.stream(WARMUP + 3 * WINDOW, seed=7))
    parts = (slice(0, WARMUP), slice(WARMUP, WARMUP + WINDOW), slice(WARMUP + WINDOW, None))
    for row, name in enumerate((*columns.numeric, *columns.binary)):
        changed = columns.values[row].copy()
        for part in parts:
            changed[part] = _reshaped(changed[part], data, binary=name == "error")
        columns = synthetic.with_values(columns, name, changed)
    early, late = data.draw(texts), data.draw(texts)
    reasons = [(early if i < WARMUP else late) for i in range(len(columns))]
    columns = synthetic.with_categories(
        columns, "finish_reason", [each[i % len(each)] for i, each in enumerate(reasons)]
    )
    for event in events_of(columns):
        text = sentence(event)
        assert text.isprintable()
        assert "nan" not in text
        assert msgspec.json.decode(encode_event(event), type=DriftEvent) == event


def _reshaped(row: Floats, data: st.DataObject, *, binary: bool) -> Floats:
    """Return values unchanged, scaled, missing, constant, or drawn from a few numbers."""
    if data.draw(st.booleans()):
        return row
    few = np.resize(data.draw(few_values | st.just(np.array([np.nan]))), len(row))
    if binary:
        return np.where(np.isnan(few), np.nan, few > 0)
    return few if data.draw(st.booleans()) else row * data.draw(st.floats(-50, 50))


def test_chunks_without_ids_have_no_examples() -> None:
    """Without request ids, an event lacks examples and is otherwise unchanged."""
    bare = replace(DRIFTED, examples=Examples(np.zeros(0, np.int32), ()))
    for event, full in zip(events_of(bare), EVENTS, strict=True):
        expected = msgspec.structs.replace(full.explanation, examples=())
        assert event.explanation == expected


@pytest.mark.parametrize("stop", [WARMUP - 10, QUIET + 57, QUIET + 143, QUIET + 291])
def test_restored_watch_explains_as_before(stop: int) -> None:
    """A watch restored at any point, also with an open alarm, has the same explanations."""
    watch = synthetic.watcher()
    before = watch.feed(DRIFTED.take(slice(0, stop)))
    restored = _restored(watch)
    assert before + restored.feed(DRIFTED.take(slice(stop, None))) == EVENTS


def test_state_without_explainer_is_restored() -> None:
    """A checkpoint without explainer state costs examples, times and updates, but no alarm."""

    def remove_explainer(head: bytes) -> bytes:
        values = msgspec.msgpack.decode(head)
        del values["windows"]["memory"]
        values["windows"].pop("incidents", None)
        values["windows"]["alarms"] = [alarm[:5] for alarm in values["windows"]["alarms"]]
        return msgspec.msgpack.encode(values)

    stop = QUIET + 57
    watch = synthetic.watcher()
    before = watch.feed(DRIFTED.take(slice(0, stop)))
    assert watch.alarms
    restored = _restored(watch, remove_explainer)
    events = before + restored.feed(DRIFTED.take(slice(stop, None)))
    expected = [event.id for event in EVENTS if event.change != "updated"]
    assert [event.id for event in events if event.change != "updated"] == expected
    sinces = [event.explanation.since for event in events[len(before) :]]
    assert all(since is None or since.time is None or since.record > stop for since in sinces)


def _restored(watch: Watch, change: Callable[[bytes], bytes] = lambda head: head) -> Watch:
    """Return a new watch with the state of another one."""
    saved = {item.name: item.encode() for item in watch_state.items(watch)}
    restored = synthetic.watcher()
    watch_state.restore(restored, saved | {"head": change(saved["head"])}, None)
    return restored

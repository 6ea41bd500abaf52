"""What an event explains: against changes that were made, where the truth is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.base import Floats, Kind
from detectors.baseline import Baseline
from detectors.e_detector import EDetector
from detectors.streams import categorical_stream, numeric_stream
from detectors.window import Window
from monitor import events, watch_state
from monitor.columns import Columns
from monitor.config import AlarmsConfig, Config
from monitor.events import DriftEvent
from monitor.examples import Examples
from monitor.explainer import HISTORY
from monitor.explanation import bins_of, by_bin, change_point, moved, unit_of
from monitor.watch import Watch
from tests.monitor import made
from tests.monitor.made import STRIDE, WARMUP, WINDOW

QUIET = WARMUP + 15 * STRIDE


def with_ids(columns: Columns, every: int = 3) -> Columns:
    """The same records, every third (or so) with a request id that is its number."""
    places = np.arange(2, len(columns), every, dtype=np.int32)
    ids = tuple(f"req-{number}" for number in columns.positions[places])
    return replace(columns, examples=Examples(places, ids))


def drifting(*, seed: int = 2, quiet: int = QUIET, n: int = 400, **change: float) -> Columns:
    """Quiet traffic, and after `quiet` records a change, with ids."""
    before = made.stream(quiet, seed=1)
    return with_ids(made.joined(before, made.stream(n, seed=seed, **change)))  # type: ignore[arg-type]  # floats only


def watched(columns: Columns, *detectors: str, marks: Sequence[int] = ()) -> list[DriftEvent]:
    """The events of a stream with these detectors, or the default ones."""
    configured: Config = made.config()
    if detectors:
        configured = configured.model_copy(update={"detectors": detectors})
    watch = made.watcher(configured)
    return [event for chunk in made.cut(columns, marks) for event in watch.feed(chunk)]


def opened(happened: Sequence[DriftEvent], feature: str = "latency_ms") -> DriftEvent:
    """The event that opened a feature's alarm."""
    return next(e for e in happened if e.feature == feature and e.change == "opened")


# --- since when -------------------------------------------------------------------------------


@pytest.mark.parametrize("true", [0, 1, 4, 8, 9])
def test_change_point_is_where_the_shares_change(true: int) -> None:
    """Of ten strides it is the one from which on the bins are filled otherwise."""
    rng = np.random.default_rng(true)
    before, after = np.array([0.4, 0.3, 0.2, 0.1, 0.0]), np.array([0.2, 0.2, 0.2, 0.3, 0.1])
    counts = np.stack([rng.multinomial(100, after if k >= true else before) for k in range(10)])
    assert abs(change_point(counts.astype(float), before * 50_000) - true) <= 1


def test_change_point_of_empty_strides_is_one() -> None:
    """Strides or a reference without any records are no error."""
    assert change_point(np.zeros((10, 4)), np.zeros(4)) == 0


@pytest.mark.parametrize("detectors", [(), ("psi", "ks", "zscore"), ("e_detector",)])
@pytest.mark.parametrize("quiet", [QUIET, QUIET + 7])
def test_event_says_since_when(detectors: tuple[str, ...], quiet: int) -> None:
    """To a stride or two, by the e-detector's account and by the window's strides alike."""
    since = opened(watched(drifting(factor=2.5, quiet=quiet), *detectors)).explanation.since
    assert since is not None
    assert abs(since.record - 1 - quiet) <= 2 * STRIDE
    assert since.time == made.START + (since.record - 2) / made.RATE


def test_slow_change_is_dated_before_the_window() -> None:
    """What the e-detector has been gathering for longer than a window began before it."""
    columns = drifting(factor=1.15, quiet=WARMUP + 600, n=6000)
    configured = made.config(alarms=AlarmsConfig(min_psi=1e-9))
    watch = made.watcher(configured.model_copy(update={"detectors": ("e_detector",)}))
    [first, *_] = [e for e in watch.feed(columns) if e.feature == "latency_ms"]
    since = first.explanation.since
    assert since is not None
    assert first.record - since.record > WINDOW
    assert abs(since.record - WARMUP - 600) < 2 * WINDOW
    assert first.explanation.bet is not None
    assert first.explanation.bet.startswith("mean +")


def test_time_too_long_ago_is_not_made_up() -> None:
    """Of a change before all that is remembered the record is known, and no time."""
    watch = made.watcher()
    watch.feed(drifting(factor=1.0, n=(HISTORY + 60) * STRIDE))
    assert len(watch.explainer.times) == watch.explainer.times.maxlen
    assert watch.explainer._time(watch.window.strides - HISTORY) is not None
    assert watch.explainer._time(watch.window.strides - 2 * HISTORY) is None


def test_alarm_keeps_its_beginning() -> None:
    """Whatever an alarm comes to, its events say the same since; its end says nothing else."""
    changing = made.joined(
        made.stream(QUIET, seed=1),
        made.stream(600, seed=2, factor=1.22),
        made.stream(600, seed=3, factor=4.0),
        made.stream(800, seed=4),
    )
    happened = [e for e in watched(with_ids(changing)) if e.feature == "latency_ms"]
    assert [e.change for e in happened] == ["opened", "escalated", "resolved"]
    assert len({e.explanation.since for e in happened}) == 1
    last = happened[-1].explanation
    assert (last.bins, last.examples, last.together, last.effect) == ((), (), {}, None)


# --- bins, effect, company --------------------------------------------------------------------


def test_bins_are_the_records_own() -> None:
    """The shares told are those of all records measured, counted by hand from the values."""
    columns = drifting(factor=3.0)
    event = opened(watched(columns))
    window = columns.values[0, event.record - made.measured(event) : event.record]
    reference = columns.values[0, :WARMUP]
    assert event.explanation.bins
    for move in event.explanation.bins:
        for values, share in ((reference, move.before), (window, move.after)):
            assert share == pytest.approx(
                _share(values, move.bin, float(np.nanmax(reference))), abs=2 / made.measured(event)
            )
    grew = [move.after > move.before for move in event.explanation.bins]
    assert grew == sorted(grew, reverse=True)
    assert event.explanation.bins[0].after > 1.3 * event.explanation.bins[0].before


def _share(values: Floats, name: str, top: float) -> float:
    """The share of values in a bin of this name; the outermost bin includes its upper mark."""
    if name.startswith("above"):
        return float((values > top).mean())
    # the names are rounded, so that a value at a mark may be taken for its neighbour's
    low, high = (float(part) for part in name.split(" to "))
    return float(((values >= low * (1 - 1e-5)) & (values < high * (1 - 1e-5))).mean())


def test_new_category_is_the_bin_that_grew() -> None:
    """A category that the reference never had is the one to be told, with examples of it."""
    columns = drifting()
    reasons: list[str | None] = ["stop"] * len(columns)
    for i in range(QUIET, len(columns), 4):
        reasons[i] = "tool_calls"
    event = opened(
        watched(made.with_categories(columns, "finish_reason", reasons)), "finish_reason"
    )
    first = event.explanation.bins[0]
    assert (first.bin, first.before) == ("other", 0.0)
    assert first.after == pytest.approx(0.25, abs=0.25)
    assert event.explanation.effect is not None
    assert event.explanation.effect.of in {"other", "stop"}
    assert event.explanation.examples
    for request_id in event.explanation.examples:
        assert reasons[int(request_id[4:]) - 1] == "tool_calls"


def test_missing_values_are_the_bin_that_grew() -> None:
    """A feature that vanishes is explained by that alone."""
    columns = drifting()
    latency = columns.values[0].copy()
    latency[QUIET:] = np.nan
    event = opened(watched(made.with_values(columns, "latency_ms", latency)))
    told = event.explanation
    assert told.bins[0].bin == "missing"
    assert told.effect is not None
    assert told.effect.of == "missing"
    assert all(int(request_id[4:]) > QUIET for request_id in told.examples)


def test_error_rate_is_a_share() -> None:
    """A binary feature's effect is its rate on both sides."""
    columns = drifting()
    errors = columns.values[2].copy()
    errors[QUIET:] = np.random.default_rng(3).random(len(errors) - QUIET) < 0.6
    event = opened(watched(made.with_values(columns, "error", errors)), "error")
    effect = event.explanation.effect
    assert effect is not None
    assert (effect.of, effect.unit) == ("share", "")
    assert effect.before == pytest.approx(errors[:WARMUP].mean())
    after = errors[event.record - made.measured(event) : event.record]
    assert effect.after == pytest.approx(after.mean())
    for request_id in event.explanation.examples:
        assert errors[int(request_id[4:]) - 1] == 1.0


def test_effect_is_in_the_features_unit() -> None:
    """Of a latency it is the median in milliseconds."""
    event = opened(watched(drifting(factor=3.0)))
    effect = event.explanation.effect
    assert effect is not None
    assert (effect.of, effect.unit) == ("median", "ms")
    assert (effect.before, effect.after) == (event.reference.p50, event.current.p50)


@pytest.mark.parametrize(
    ("feature", "unit"),
    [
        ("latency_ms", "ms"),
        ("tokens_per_second", "per second"),
        ("cost_usd", "USD"),
        ("output_tokens", "tokens"),
        ("prompt_chars", "characters"),
        ("metadata.queue_ms", "ms"),
        ("score.taste", ""),
    ],
)
def test_units_are_read_from_names(feature: str, unit: str) -> None:
    """The name of a feature ends with its unit, or has none."""
    assert unit_of(feature) == unit


def test_features_that_move_together_are_named() -> None:
    """Both sides of a double drift name each other with their PSI; what stayed is not named."""
    happened = watched(drifting(factor=3.0, stops=0.3))
    named = {e.feature: e.explanation.together for e in happened if e.severity == "critical"}
    assert named.keys() == {"latency_ms", "finish_reason"}
    assert list(named["latency_ms"]) == ["finish_reason"]
    assert list(named["finish_reason"]) == ["latency_ms"]
    assert min(psi for psis in named.values() for psi in psis.values()) >= 0.1
    [alone, *_] = [e for e in watched(drifting(factor=3.0)) if e.severity == "critical"]
    assert alone.explanation.together == {}


def test_bins_that_hardly_moved_are_left_out() -> None:
    """Only what makes up a part of the PSI is told; at least one bin that grew always is."""
    before = np.array([100.0, 100.0, 100.0, 100.0, 100.0, 100.0])
    grew, shrank = moved(before, np.array([60.0, 101.0, 99.0, 102.0, 98.0, 140.0]))
    assert (grew.tolist(), shrank.tolist()) == ([5], [0])
    wide = np.full(50, 100.0)
    after = np.append(np.full(49, 101.9), 6.9)
    grew, shrank = moved(wide, after)
    assert len(grew) == 1
    assert shrank.tolist() == [49]


# --- examples ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("every", "most"), [(3, 5), (17, 3)])
def test_examples_are_records_that_moved(every: int, most: int) -> None:
    """Ids are of records in the window, since the change, in bins that grew, newest first."""
    columns = with_ids(drifting(factor=3.0), every)
    happened = [e for e in watched(columns) if e.change != "resolved"]
    assert 0 < max(len(event.explanation.examples) for event in happened) <= most
    for event in happened:
        told = event.explanation
        numbers = [int(request_id[4:]) for request_id in told.examples]
        assert numbers == sorted(numbers, reverse=True)
        assert told.since is not None
        assert all(max(told.since.record, event.record - WINDOW + 1) <= n for n in numbers)
        assert all(n <= event.record for n in numbers)
        grown = [move.bin for move in told.bins if move.after > move.before]
        for n in numbers:
            value = columns.values[0, n - 1]
            assert any(_holds(bin_name, value) for bin_name in grown), (n, value, grown)


def _holds(name: str, value: float) -> bool:
    if name.startswith("above"):
        return value > float(name.split()[1]) * (1 - 1e-5)
    low, high = (float(part) for part in name.split(" to "))
    return low * (1 - 1e-5) <= value <= high * (1 + 1e-5)


def test_bins_of_examples_are_those_of_the_window() -> None:
    """A record is in the same bin whether it is counted or looked at; absent is missing."""
    columns = made.stream(500, seed=3)
    values = columns.values[0]
    numeric = numeric_stream("latency_ms", Kind.NUMERIC, values, WINDOW)
    found = np.bincount(bins_of(numeric, columns), minlength=len(numeric.bin_counts()))
    assert found.tolist() == numeric.bin_counts().tolist()
    assert by_bin(numeric.cell_counts(), numeric).tolist() == numeric.bin_counts().tolist()
    category = columns.categories[0]
    stream = categorical_stream(
        category.name, category.vocabulary, category.codes.astype(np.intp), WINDOW
    )
    found = np.bincount(bins_of(stream, columns), minlength=stream.bins)
    assert found.tolist() == stream.bin_counts().tolist()
    bare = replace(columns, numeric=(), binary=(), values=columns.values[:0], categories=())
    assert set(bins_of(numeric, bare).tolist()) == {len(numeric.bin_counts()) - 1}
    assert set(bins_of(stream, bare).tolist()) == {stream.bins - 1}


# --- whatever comes ---------------------------------------------------------------------------

DRIFTED = with_ids(
    made.joined(
        made.stream(QUIET, seed=1),
        made.stream(300, seed=2, factor=3.0, stops=0.5),
        made.stream(700, seed=3),
    )
)
EXPECTED = watched(DRIFTED)


@made.SLOW_PROPERTY
@given(made.cuttings(len(DRIFTED)))
def test_explanations_do_not_depend_on_chunks(marks: list[int]) -> None:
    """However the stream is cut, events say the same, and a checkpoint has the same bytes."""
    assert sum(len(event.explanation.examples) for event in EXPECTED) > 5
    watch, whole = made.watcher(), made.watcher()
    whole.feed(DRIFTED)
    found = [event for chunk in made.cut(DRIFTED, marks) for event in watch.feed(chunk)]
    assert found == EXPECTED
    assert watch.explainer.snapshot() == whole.explainer.snapshot()
    assert whole.explainer.snapshot().examples


numbers = st.floats(-1e15, 1e15) | st.sampled_from([0.0, 1.0, 1e15, -1e15, 5e-324])
drawn = st.lists(st.none() | numbers, min_size=1).map(lambda v: np.array(v, np.float64))
texts = st.lists(st.none() | st.text(max_size=5), min_size=1, max_size=4)


@settings(made.SLOW_PROPERTY, max_examples=60)
@given(st.data())
def test_any_stream_can_be_explained(data: st.DataObject) -> None:
    """Whatever reference and window hold, an event is made, told in one line, and read back."""
    columns = with_ids(made.stream(WARMUP + 3 * WINDOW, seed=7))
    parts = (slice(0, WARMUP), slice(WARMUP, WARMUP + WINDOW), slice(WARMUP + WINDOW, None))
    for row, name in enumerate((*columns.numeric, *columns.binary)):
        changed = columns.values[row].copy()
        for part in parts:
            changed[part] = _reshaped(changed[part], data, binary=name == "error")
        columns = made.with_values(columns, name, changed)
    early, late = data.draw(texts), data.draw(texts)
    reasons = [(early if i < WARMUP else late) for i in range(len(columns))]
    columns = made.with_categories(
        columns, "finish_reason", [each[i % len(each)] for i, each in enumerate(reasons)]
    )
    for event in watched(columns):
        text = events.sentence(event)
        assert text.isprintable()
        assert "nan" not in text
        assert msgspec.json.decode(events.encode(event), type=DriftEvent) == event


def _reshaped(row: Floats, data: st.DataObject, *, binary: bool) -> Floats:
    """A part of a feature as it was, or made constant, missing, spread, or of a few values."""
    if data.draw(st.booleans()):
        return row
    few = np.resize(data.draw(drawn | st.just(np.array([np.nan]))), len(row))
    if binary:
        return np.where(np.isnan(few), np.nan, few > 0)
    return few if data.draw(st.booleans()) else row * data.draw(st.floats(-50, 50))


def test_watch_without_examples_explains_the_rest() -> None:
    """Chunks that carry no ids cost an event its examples and nothing else."""
    bare = replace(DRIFTED, examples=Examples(np.zeros(0, np.int32), ()))
    for event, full in zip(watched(bare), EXPECTED, strict=True):
        told = msgspec.structs.replace(full.explanation, examples=())
        assert event.explanation == told


@pytest.mark.parametrize("stop", [WARMUP - 10, QUIET + 57, QUIET + 143, QUIET + 291])
def test_explanations_survive_a_restart(stop: int) -> None:
    """A watch that is restored anywhere, an open alarm included, explains as if undisturbed."""
    watch = made.watcher()
    before = watch.feed(DRIFTED.take(slice(0, stop)))
    again = _restored(watch)
    assert before + again.feed(DRIFTED.take(slice(stop, None))) == EXPECTED


def test_checkpoint_of_an_older_program_is_read() -> None:
    """State without anything to explain with costs examples and times, and no verdict."""

    def older(head: bytes) -> bytes:
        values = msgspec.msgpack.decode(head)
        del values["windows"]["memory"]
        values["windows"]["alarms"] = [alarm[:5] for alarm in values["windows"]["alarms"]]
        return msgspec.msgpack.encode(values)

    stop = QUIET + 57
    watch = made.watcher()
    before = watch.feed(DRIFTED.take(slice(0, stop)))
    assert watch.alarms
    again = _restored(watch, older)
    happened = before + again.feed(DRIFTED.take(slice(stop, None)))
    assert [event.id for event in happened] == [event.id for event in EXPECTED]
    sinces = [event.explanation.since for event in happened[len(before) :]]
    assert all(since is None or since.time is None or since.record > stop for since in sinces)


def _restored(watch: Watch, change: Callable[[bytes], bytes] = lambda head: head) -> Watch:
    """A new watch brought into the state of another one."""
    saved = {item.name: item.encode() for item in watch_state.items(watch)}
    again = made.watcher()
    watch_state.restore(again, saved | {"head": change(saved["head"])}, None)
    return again


def test_lead_is_the_bet_that_fits() -> None:
    """Of bets that all hold what they may, the one that has needed least time for it speaks."""
    rng = np.random.default_rng(5)
    values = rng.normal(size=20_000)
    baseline = Baseline(20_000, (numeric_stream("x", Kind.NUMERIC, values, 1000),), ())
    window = Window(baseline, 1000, 100)
    detector = EDetector(baseline, window, 1e-6)
    no_categories = np.zeros((0, 2000), np.uint8)
    detector.update(window.extend(rng.normal(size=(1, 2000)), no_categories))
    windows = window.extend(rng.normal(1.0, size=(1, 2000)), no_categories)
    assert detector.update(windows)[-1, 0]
    lead = detector.lead(windows.at(len(windows) - 1), 0)
    assert lead.bet == "mean +1 sd"
    assert abs(lead.since - 20) <= 1

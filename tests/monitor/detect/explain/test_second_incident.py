"""The date and size of an incident that follows an older one, or a small lasting drift."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from detectors.arrays import Floats, Ints
from detectors.kinds import Kind
from detectors.numeric_stream import build_numeric_stream
from monitor.config.schema import Config
from monitor.config.sections.detection import WarmupReference, WindowsConfig
from monitor.detect.alarms.newest_level import newest_level
from monitor.events.types import DriftEvent, pages
from monitor.ingest.chunks.columns import Columns
from tests.monitor import synthetic
from tests.monitor.detect.explain.explained_runs import with_ids

REFERENCE, OLD, INCIDENT, END = 20_000, 21_000, 33_000, 34_000
CONFIG = Config(
    windows=WindowsConfig(records=1000, stride=100), reference=WarmupReference(records=REFERENCE)
)
Change = Callable[[Columns, int, int], Columns]
"""Function of records, the start of the small drift and the start of the incident."""


def events_of(columns: Columns, feature: str, config: Config = CONFIG) -> list[DriftEvent]:
    """Return the events of one feature, whose records arrive in chunks of 1,700."""
    watch = synthetic.watcher(config)
    chunks = synthetic.cut(with_ids(columns), range(0, len(columns), 1700))
    return [e for chunk in chunks for e in watch.feed(chunk) if e.feature == feature]


def slower(columns: Columns, old: int, incident: int) -> Columns:
    """Return records with a latency x 1.1 and then x 1.54."""
    latency = columns.row("latency_ms").copy()
    latency[old:] *= 1.1
    latency[incident:] *= 1.4
    return synthetic.with_values(columns, "latency_ms", latency)


def faster(columns: Columns, old: int, incident: int) -> Columns:
    """Return records with a latency x 0.92 and then x 0.55."""
    latency = columns.row("latency_ms").copy()
    latency[old:] *= 0.92
    latency[incident:] *= 0.6
    return synthetic.with_values(columns, "latency_ms", latency)


def up_then_down(columns: Columns, old: int, incident: int) -> Columns:
    """Return records with a latency x 1.1 and then x 0.6."""
    latency = columns.row("latency_ms").copy()
    latency[old:] *= 1.1
    latency[incident:] *= 0.55
    return synthetic.with_values(columns, "latency_ms", latency)


def more_errors(columns: Columns, old: int, incident: int) -> Columns:
    """Return records of which 5 %, then 8 %, then 35 % have an error."""
    chance = np.random.default_rng(5).random(len(columns))
    errors = (chance < 0.05).astype(float)
    errors[old:] = chance[old:] < 0.08
    errors[incident:] = chance[incident:] < 0.35
    return synthetic.with_values(columns, "error", errors)


def other_reasons(columns: Columns, old: int, incident: int) -> Columns:
    """Return records of which 2 %, then 3 %, then 30 % end with "length"."""
    chance = np.random.default_rng(6).random(len(columns))
    share = np.full(len(columns), 0.02)
    share[old:], share[incident:] = 0.03, 0.3
    reasons = np.where(chance < share, "length", "stop").tolist()
    return synthetic.with_categories(columns, "finish_reason", reasons)


@pytest.mark.parametrize(
    ("change", "feature"),
    [
        (slower, "latency_ms"),
        (faster, "latency_ms"),
        (up_then_down, "latency_ms"),
        (more_errors, "error"),
        (other_reasons, "finish_reason"),
    ],
)
def test_incident_after_a_small_drift_is_dated_and_measured_by_itself(
    change: Change, feature: str
) -> None:
    """A small drift that lasts changes neither the date nor the size nor the delay of a page."""
    quiet = synthetic.stream(END, seed=3)
    events = events_of(change(quiet, OLD, INCIDENT), feature)
    first = next(event for event in events if pages(event.severity))
    control, *_ = events_of(change(quiet, INCIDENT, INCIDENT), feature)
    for event in (first, control):
        since = event.explanation.since
        assert since is not None
        assert abs(since.record - 1 - INCIDENT) <= 100
        assert event.severity == "critical"
        assert all(int(each.removeprefix("req-")) > INCIDENT for each in event.explanation.examples)
    assert first.record <= control.record + 100


@pytest.mark.parametrize(("window", "stride"), [(500, 50), (1000, 100), (200, 20)])
@pytest.mark.parametrize("factor", [1.4, 1.6, 0.6])
def test_second_incident_is_not_dated_by_the_first(window: int, stride: int, factor: float) -> None:
    """After an incident is resolved, the next one has its own date, size and examples."""
    columns = synthetic.stream(22_000, seed=int(100 * factor))
    latency = columns.row("latency_ms").copy()
    latency[8_000:12_000] *= factor
    latency[20_000:] *= factor
    windows = WindowsConfig(records=window, stride=stride)
    config = replace_windows(windows)
    events = events_of(synthetic.with_values(columns, "latency_ms", latency), "latency_ms", config)
    opened = [event for event in events if event.change == "opened"]
    assert len(opened) == 2
    for event, begin in zip(opened, (8_000, 20_000), strict=True):
        since = event.explanation.since
        assert since is not None
        assert abs(since.record - 1 - begin) <= max(100, 2 * stride)
        assert event.record - begin <= 400
        assert event.current.n <= event.record - begin + 2 * stride
        ids = [int(each.removeprefix("req-")) for each in event.explanation.examples]
        assert all(number > begin for number in ids)


def replace_windows(windows: WindowsConfig) -> Config:
    """Return a configuration with these windows and a warm-up of 5,000 records."""
    reference = WarmupReference(records=5000)
    return CONFIG.model_copy(update={"windows": windows, "reference": reference})


@pytest.mark.parametrize("delay", [5.0, 60.0, 600.0])
def test_no_event_is_dated_after_itself(delay: float) -> None:
    """Records arrive out of order by some minutes; `since` is never after the event's time."""
    for seed in range(4):
        columns = synthetic.stream(5_000, seed=seed)
        latency = columns.row("latency_ms").copy()
        latency[3_000:3_400] *= 1.3
        latency[3_400:4_000] *= 4.0
        columns = synthetic.with_values(columns, "latency_ms", latency)
        late = np.random.default_rng(seed).exponential(delay, len(columns))
        events = events_of(
            replace(columns, times=columns.times - late), "latency_ms", synthetic.config()
        )
        assert {event.change for event in events} >= {"opened", "resolved"}
        for event in events:
            since = event.explanation.since
            assert since is not None
            assert since.time is not None
            assert since.time <= event.time
            assert since.record <= event.record


def test_records_of_one_level_have_no_step() -> None:
    """A window that has drifted as a whole has a step no more often than the level says."""
    rng = np.random.default_rng(1)
    stream = build_numeric_stream("x", Kind.NUMERIC, rng.normal(size=20_000), 1000)
    found = 0
    for _ in range(1000):
        values = rng.normal(0.3, 1.2, (10, 100))
        found += (
            newest_level(stream, cells_of(stream.cell_of, values), level=0.2, least=1) is not None
        )
    assert found <= 200 + 3 * np.sqrt(200)


@pytest.mark.parametrize("at", [2, 5, 9])
def test_step_is_where_the_level_changes(at: int) -> None:
    """A step between two levels is found at its stride, one towards the reference is not."""
    rng = np.random.default_rng(at)
    stream = build_numeric_stream("x", Kind.NUMERIC, rng.normal(size=20_000), 1000)
    values = rng.normal(0.2, 1.0, (10, 100))
    values[at:] += 1.0
    cells = cells_of(stream.cell_of, values)
    assert newest_level(stream, cells, level=1e-6, least=1) == at
    assert newest_level(stream, cells[::-1], level=1e-6, least=1) is None


def cells_of(cell_of: Callable[[Floats], Ints], values: Floats) -> Floats:
    """Return counts by stride and cell of values, shape (K, n)."""
    cells = [cell_of(row) for row in values]
    width = 1 + max(int(row.max()) for row in cells) + 2
    return np.array([np.bincount(row, minlength=width) for row in cells], np.float64)

"""The state of watches depends on the records and their order, not on chunks or restarts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config.schema import Config
from monitor.config.sections.detection import FeaturesConfig, WarmupReference, WindowsConfig
from monitor.detect.checkpoint import partition_state
from monitor.detect.checkpoint.partition_state import Partition
from monitor.detect.monitor import DriftMonitor
from monitor.detect.watch import Watch
from monitor.events.types import DriftEvent
from monitor.ingest.chunks.chunk import decode_chunk, encode_chunk
from monitor.ingest.chunks.columns import CategoryColumn, Columns
from monitor.ingest.sampling.examples import Examples
from tests.monitor.detect.checkpoint.heads import differences

RECORDS, WARMUP = 3_600, 1_000
CONFIG = Config(
    windows=WindowsConfig(records=100, stride=20),
    reference=WarmupReference(records=WARMUP),
    features=FeaturesConfig(metadata={"route": "categorical"}),
    segments=("metadata.route",),
)
SHARES = {"score.often": 0.5, "score.rare": 0.15}
"""Shares of the records that have a sparse score."""
SEEDS = 3


@cache
def traffic(seed: int) -> Columns:
    """Return records with sparse scores that drift early, an incident within the drift, examples
    and new categories.
    """
    rng, at = np.random.default_rng(seed), np.arange(RECORDS)
    start = WARMUP + 40 * (seed % 3)
    drift, incident = (at >= start) & (at < 2_400), (at >= 1_900) & (at < 2_200)
    latency = rng.lognormal(6, 0.3, RECORDS) * np.where(drift, 1.15, 1) * np.where(incident, 4, 1)
    scores = [
        np.where(rng.random(RECORDS) < share, rng.normal(0.8 - 0.4 * drift, 0.1), np.nan)
        for share in SHARES.values()
    ]
    errors = rng.random(RECORDS) < np.where(incident, 0.3, 0.02)
    routes = rng.choice(3, RECORDS, p=(0.05, 0.6, 0.35)) - 1
    reasons = np.where(incident & (rng.random(RECORDS) < 0.3), rng.integers(2, 15, RECORDS), 0)
    places = np.flatnonzero(rng.random(RECORDS) < 0.06).astype(np.int32)
    return Columns(
        "m",
        at + 1,
        1.7e9 + at / 50,
        ("latency_ms", *SHARES),
        ("error",),
        np.stack((latency, *scores, errors.astype(float))),
        (
            CategoryColumn("finish_reason", tuple(f"r{i}" for i in range(15)), reasons),
            CategoryColumn("metadata.route", ("web", "api"), routes),
        ),
        Examples(places, tuple(f"request-{place}" for place in places)),
    )


def chunk(columns: Columns, first: int, last: int) -> Columns:
    """Return some of the records as detect reads them, without features that none of them has."""
    part = columns.take(slice(first, last))
    kept = np.flatnonzero((~np.isnan(part.values)).any(axis=1))
    return decode_chunk(
        encode_chunk(
            replace(
                part,
                numeric=tuple(part.numeric[row] for row in kept if row < len(part.numeric)),
                values=part.values[kept],
                categories=tuple(each for each in part.categories if (each.codes >= 0).any()),
            )
        )
    )


def restarted(partition: Partition, topic: dict[bytes, bytes]) -> Partition:
    """Write a checkpoint to a compacted topic; return what a new process restores from it."""
    for key, value in partition.messages():
        topic.pop(key, None)
        if value is not None:
            topic[key] = value
    again = partition_state.restore(topic, CONFIG, {})
    assert again is not None
    return again


Result = tuple[dict[tuple[str, str], Watch], list[DriftEvent]]


def result(partition: Partition, events: list[DriftEvent]) -> Result:
    """Return the watches, and the events in an order that does not depend on chunks."""
    return partition.monitor.log.watches, sorted(events, key=lambda event: (event.record, event.id))


@cache
def undisturbed(seed: int) -> Result:
    """Return the result of one process that gets all records at once."""
    partition = Partition(DriftMonitor(CONFIG, {}), 0)
    events = partition.monitor.process(traffic(seed))
    return result(partition, events)


def disturbed(seed: int, restarts: Mapping[int, bool]) -> Result:
    """Return the result with chunks that end at these records, and restarts after some of them."""
    partition, topic = Partition(DriftMonitor(CONFIG, {}), 0), dict[bytes, bytes]()
    events, done = list[DriftEvent](), 0
    for end in sorted({*restarts, RECORDS}):
        events += partition.monitor.process(chunk(traffic(seed), done, end))
        if restarts.get(end):
            partition = restarted(partition, topic)
        done = end
    return result(partition, events)


def check(seed: int, restarts: Mapping[int, bool]) -> None:
    """Check that state and events are those of the undisturbed run."""
    expected, expected_events = undisturbed(seed)
    watches, events = disturbed(seed, restarts)
    assert watches.keys() == expected.keys()
    for key, watch in watches.items():
        found = differences(watch, expected[key])
        assert not found, "\n".join((f"{key}:", *found))
    assert events == expected_events


def test_the_traffic_reaches_the_states_that_matter() -> None:
    """Alarms of models, segments and sparse features open, escalate and resolve, some within the
    first window of a sparse feature.
    """
    events = [event for seed in range(SEEDS) for event in undisturbed(seed)[1]]
    assert {event.change for event in events} == {"opened", "escalated", "updated", "resolved"}
    assert {event.segment for event in events} >= {"", "metadata.route=web"}
    assert {event.feature for event in events} >= {"latency_ms", "error", *SHARES}
    # its window has 50 values of every second record
    assert any(e.feature == "score.often" and e.record < WARMUP + 100 for e in events)
    watches = undisturbed(0)[0].values()
    assert {track.group.feature for watch in watches for track in watch.tracks} == {"", *SHARES}


@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, SEEDS - 1),
    st.dictionaries(
        st.integers(1, RECORDS - 1) | st.integers(WARMUP, WARMUP + 200), st.booleans(), max_size=12
    ),
)
def test_chunks_and_restarts_leave_no_trace(seed: int, restarts: dict[int, bool]) -> None:
    """State and events are the same, to the bit, with any chunks and restarts between them."""
    check(seed, restarts)


@pytest.mark.parametrize("records", [1, 19, 20, 41, 130])
def test_a_restart_soon_after_a_warm_up_leaves_no_trace(records: int) -> None:
    """A restart before the first stride of a sparse feature changes neither state nor events."""
    for seed in range(SEEDS):
        check(seed, {WARMUP + records: True})


def test_a_difference_is_named() -> None:
    """The comparison of two watches names the fields that differ, and both values."""
    (one, _), (other, _) = undisturbed(0), undisturbed(1)
    found = differences(one["m", ""], other["m", ""])
    assert any(each.startswith("head.sparse['score.rare'].memory.numbers is b") for each in found)
    assert not differences(one["m", ""], one["m", ""])

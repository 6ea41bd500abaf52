"""A rare category that multiplies is material by its own rate, and its event names it."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from detectors.arrays import Floats
from detectors.baseline import Baseline
from detectors.categorical_stream import build_categorical_stream
from monitor.config.schema import Config
from monitor.config.sections.detection import WarmupReference
from monitor.detect.alarms.materiality import Materiality, RateLimits
from monitor.detect.reference.profile import Profile
from monitor.detect.watch import Watch
from monitor.events.types import DriftEvent
from monitor.events.wording.drift import sentence
from monitor.ingest.chunks.columns import CategoryColumn, Columns
from tests.monitor import synthetic
from tests.monitor.detect.alarms.alarm_runs import categorical_run, evaluator, summary

REFERENCE = 15_000
LIMITS = RateLimits(factor=2.0, change=0.005, min_psi=0.1)


def many(rare: int, share: float, to: float) -> tuple[Floats, Floats]:
    """Return shares of a frequent category and rare ones of `share` each; the last then `to`."""
    before = np.array([1 - rare * share] + [share] * rare)
    after = before.copy()
    after[-1], after[0] = to, before[0] - (to - share)
    return before, after


def events_of(
    before: Floats, after: Floats, records: int, seed: int, quiet: int = 5_000
) -> tuple[Watch, list[DriftEvent]]:
    """Return a watch and its events after the shares of the categories of a feature changed."""
    rng = np.random.default_rng(seed)
    sizes = ((before, REFERENCE + quiet), (after, records))
    codes = np.concatenate([rng.choice(len(before), n, p=p) for p, n in sizes])
    columns = synthetic.stream(len(codes), seed=seed)
    column = CategoryColumn("why", tuple(f"c{i:03d}" for i in range(len(before))), codes)
    config = Config(reference=WarmupReference(records=REFERENCE))
    watch = synthetic.watcher(config)
    only = Columns(
        columns.model,
        columns.positions,
        columns.times,
        (),
        (),
        np.zeros((0, len(codes))),
        (column,),
        columns.examples,
    )
    return watch, watch.feed(only)


def test_one_rare_category_is_a_warning() -> None:
    """0.8 % -> 3.2 % beside two others of 0.8 % pages, and stays one alarm while it lasts."""
    before, after = many(3, 0.008, 0.032)
    for seed in range(3):
        found = summary(categorical_run(before, after, 20_000, seed))
        assert [each for each in found if each[0] != "updated"] == [("opened", "warning")]


@pytest.mark.parametrize(
    ("rare", "share", "to"), [(3, 0.008, 0.032), (30, 0.003, 0.05), (500, 0.0006, 0.05)]
)
def test_the_event_names_the_category(rare: int, share: float, to: float) -> None:
    """The page names the category that moved with its own shares."""
    before, after = many(rare, share, to)
    for seed in range(2):
        _, events = events_of(before, after, 4_000, seed)
        first, name = events[0], f"c{rare:03d}"
        assert first.change == "opened"
        assert first.severity != "info"
        assert first.current.shares is not None
        assert first.reference.shares is not None
        assert first.current.shares[name] == pytest.approx(to, rel=0.7)
        assert first.reference.shares[name] == pytest.approx(share, rel=0.7)
        assert name in sentence(first)
        assert name in {shift.bin for shift in first.explanation.bins}


def test_an_alarm_resolves_when_the_category_is_rare_again() -> None:
    """Its end is found though the share of all rare categories hardly moves."""
    before, after = many(30, 0.003, 0.05)
    rng = np.random.default_rng(4)
    sizes = ((before, 20_000), (after, 4_000), (before, 6_000))
    codes = np.concatenate([rng.choice(31, n, p=p) for p, n in sizes])
    names = tuple(f"c{i:03d}" for i in range(31))
    stream = build_categorical_stream("why", names, rng.choice(31, 20_000, p=before), 1000)
    cells = stream.cells_by_code(names)[codes].astype(np.uint8)
    alarms = evaluator(Baseline(20_000, (), (stream,)))
    found = [
        (each.change, each.record)
        for start in range(0, len(cells), 5_000)
        for each in alarms.evaluate(np.zeros((0, 5_000)), cells[None, start : start + 5_000], start)
        if each.change != "updated"
    ]
    assert [change for change, _ in found] == ["opened", "resolved"]
    assert 24_000 < found[1][1] <= 27_500


def test_stationary_rare_categories_are_not_material() -> None:
    """By chance some of sixty rare categories have twice their share; none of them is material."""
    before, _ = many(60, 0.004, 0.05)
    rng = np.random.default_rng(5)
    names, material = tuple(f"c{i:03d}" for i in range(61)), 0
    for _ in range(20):
        stream = build_categorical_stream("k", names, rng.choice(61, 20_000, p=before), 1000)
        measured = Materiality(Baseline(20_000, (), (stream,)), LIMITS)
        table = stream.cells_by_code(names)
        for records in (300, 1000, 5000):
            cells = table[rng.choice(61, records, p=before)]
            counts = np.bincount(cells, minlength=measured.width).astype(float)
            material += measured.is_rate_material(0, counts)
    assert material == 0


def test_a_profile_without_rare_cells_is_that_of_earlier_versions() -> None:
    """Rare categories that share a cell add no field, so that ids stay; others are kept."""
    shares, _ = many(30, 0.003, 0.05)
    watch, _ = events_of(shares, shares, 100, 1)
    assert watch.profile is not None
    data = msgspec.msgpack.decode(watch.profile.encode())
    kept = Profile.decode(watch.profile.encode())
    (own,) = kept.baseline.categorical
    assert len(data[8][0]) == 8
    assert own.divisions == 30
    assert kept.id == watch.profile.id
    few, _ = events_of(np.array([0.6, 0.4]), np.array([0.6, 0.4]), 100, 1)
    assert few.profile is not None
    assert len(msgspec.msgpack.decode(few.profile.encode())[8][0]) == 7
    del data[8][0][7]
    shared = Profile.decode(msgspec.msgpack.encode(data)).baseline.categorical[0]
    assert shared.divisions == 1
    assert shared.bins == own.cells


@pytest.mark.parametrize(("rare", "share", "to"), [(30, 0.003, 0.05), (500, 0.0006, 0.05)])
def test_the_change_of_a_rare_category_is_dated(rare: int, share: float, to: float) -> None:
    """It is dated by its own step in the window, and its size is that of the records since then."""
    before, after = many(rare, share, to)
    found = []
    for seed in range(4):
        _, events = events_of(before, after, 2_000, seed)
        assert events[0].explanation.since is not None
        found.append(events[0].explanation.since.record - REFERENCE - 5_001)
    assert max(found) <= 100
    assert sum(late >= -300 for late in found) >= 3

"""The division of a reference into streams of all records and values of sparse streams."""

from __future__ import annotations

import numpy as np
import pytest

from detectors import registry
from monitor.config.schema import Config
from monitor.config.sections.detection import WindowsConfig
from monitor.detect.alarms import budget
from monitor.detect.reference import builder
from monitor.detect.reference.groups import MIN_REFERENCE_VALUES, divide
from monitor.detect.reference.profile import Profile
from monitor.ingest.chunks.columns import Columns
from tests.monitor import synthetic

RECORDS = 20_000


def traffic(**shares: float) -> Columns:
    """Return traffic with a score for each name, which a share of the records has."""
    columns = synthetic.stream(RECORDS)
    rng = np.random.default_rng(1)
    for name, share in shares.items():
        values = np.where(rng.random(RECORDS) < share, rng.normal(size=RECORDS), np.nan)
        columns = synthetic.with_feature(columns, f"score.{name}", values)
    return columns


def profile_of(columns: Columns) -> Profile:
    """Return the reference of the records."""
    return builder.build([columns], segment="", window=1000, categories=100)


def test_a_reference_without_sparse_streams_is_not_divided() -> None:
    """Its streams, windows and budget are those of the configuration."""
    profile = profile_of(traffic(dense=0.9))
    (group,) = divide(profile.baseline, WindowsConfig())
    assert group.baseline is profile.baseline
    assert group.config(Config()) == Config()


def test_sparse_streams_have_groups_and_flags() -> None:
    """Values of sparse streams have groups of their own; too few of them have only a flag."""
    profile = profile_of(traffic(dense=0.9, half=0.5, rare=0.02, hardly=0.001))
    main, *sparse = divide(profile.baseline, WindowsConfig())
    names = {stream.name for stream in main.baseline.streams}
    flags = {f"missing.score.{name}" for name in ("half", "rare", "hardly")}
    assert {name for name in names if "score" in name} == {"score.dense"} | flags
    assert [group.feature for group in sparse] == ["score.half", "score.rare"]
    assert main.too_few == ("score.hardly",)
    for group in sparse:
        assert group.baseline.records == group.baseline.streams[0].count >= MIN_REFERENCE_VALUES
        assert group.share == pytest.approx(group.baseline.records / RECORDS)


@pytest.mark.parametrize(
    ("values", "window", "stride"),
    [(100, 50, 5), (150, 50, 5), (1_234, 120, 12), (9_999, 990, 99), (10_000, 1000, 100)],
)
def test_windows_of_values_fit_the_reference(values: int, window: int, stride: int) -> None:
    """The reference has two windows at least, ten from 500 values on; windows have strides."""
    columns = synthetic.stream(50_000)
    row = np.full(50_000, np.nan)
    row[:: 50_000 // values][:values] = 1.0
    row[np.flatnonzero(~np.isnan(row))[values:]] = np.nan
    profile = profile_of(synthetic.with_feature(columns, "score.x", row))
    group = divide(profile.baseline, WindowsConfig())[1]
    assert (group.windows.records, group.windows.stride) == (window, stride)


def test_groups_share_the_false_page_budget() -> None:
    """Over a day, the evaluations of all groups at their levels have the configured budget."""
    settings = Config()
    profile = profile_of(traffic(half=0.5, third=0.3, rare=0.01))
    groups = divide(profile.baseline, settings.windows)
    levels = budget.group_levels(settings, groups, 10.0)
    pages = 0.0
    for group, own in zip(groups, levels, strict=True):
        evaluations = 86_400 * 10.0 * group.share / group.windows.stride
        streams = registry.count_streams(settings.detectors, group.baseline)
        pages += evaluations * sum(
            level * streams[name] for name, level in own.items() if name != "adwin"
        )
    assert pages == pytest.approx(budget.false_pages_per_day(settings))


def test_a_flag_says_where_the_feature_is_missing() -> None:
    """Records of all groups are selected from a chunk, also where it lacks the feature."""
    columns = traffic(half=0.5)
    main, sparse = divide(profile_of(columns).baseline, WindowsConfig())
    chunk = columns.take(slice(0, 500))
    missing = np.isnan(chunk.row("score.half"))
    selected, _ = main.select(chunk)
    assert np.array_equal(selected.row("missing.score.half"), missing)
    assert "score.half" not in selected.numeric
    values, chosen = sparse.select(chunk)
    assert np.arange(500)[chosen].tolist() == np.flatnonzero(~missing).tolist()
    assert np.array_equal(values.row("score.half"), chunk.row("score.half")[~missing])
    without = synthetic.as_ingested(
        synthetic.with_values(chunk, "score.half", np.full(500, np.nan))
    )
    assert main.select(without)[0].row("missing.score.half").all()
    assert len(sparse.select(without)[0]) == 0

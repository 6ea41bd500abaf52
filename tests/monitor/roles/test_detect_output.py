"""What detect counts and logs about the chunks that it has evaluated."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from monitor.detect.monitor import DriftMonitor
from monitor.ingest.chunks.columns import Columns
from monitor.ingest.fields.limits import OTHER
from monitor.records import Source
from monitor.roles.detect_output import report
from monitor.telemetry.counters.metrics import Metrics
from tests.monitor import judged, synthetic


def reported(
    monitor: DriftMonitor, metrics: Metrics, *chunks: Columns
) -> list[tuple[str, dict[str, Any]]]:
    """Evaluate chunks one by one; return the log lines about them."""
    with capture_logs() as logged:
        for chunk in chunks:
            monitor.process(chunk)
            report(metrics, monitor, chunk)
    return [(line.pop("event"), line) for line in map(dict, logged)]


def judged_chunks(*sizes: int) -> list[Columns]:
    """Return consecutive chunks of judged samples."""
    firsts = [sum(sizes[:index]) for index in range(len(sizes))]
    parts = zip(sizes, firsts, strict=True)
    return [judged.samples(n, seed=first, first=first) for n, first in parts]


def test_the_progress_of_a_judged_warm_up_is_logged() -> None:
    """It can take days: a line at its first sample, one for each quarter, and one at its end."""
    chunks = judged_chunks(10, *[240] * 9)
    logged = reported(DriftMonitor(judged.config(), {}), Metrics(), *chunks)
    source = {"model": "m", "source": "judge", "log_level": "info"}
    progress = [
        ("warming up", source | {"records": records, "needed": 2_000})
        for records in (10, 730, 1_210, 1_690)
    ]
    ended = "warm-up ended, watching", source | {"reference_records": 2_000}
    assert logged == [*progress, ended]


def test_the_log_has_a_line_at_the_end_of_its_warm_up_only() -> None:
    """Lines about the records name no source."""
    monitor = DriftMonitor(synthetic.config(), {})
    chunks = synthetic.cut(synthetic.stream(2_100), range(0, 2_100, 300))
    assert reported(monitor, Metrics(), *chunks) == [
        (
            "warm-up ended, watching",
            {"model": "m", "reference_records": 2_000, "log_level": "info"},
        )
    ]


def test_a_warm_up_without_scores_begins_again() -> None:
    """A judge that was down has left nothing to compare with: a warning and another warm-up."""
    unscored = judged.samples(2_100)
    unscored = replace(unscored, values=np.full_like(unscored.values, np.nan))
    logged = reported(DriftMonitor(judged.config(), {}), Metrics(), unscored)
    source = {"model": "m", "source": "judge"}
    assert logged == [
        (
            "warm-up begins again",
            source
            | {
                "reason": "too few of the samples of the warm-up have a score",
                "log_level": "warning",
            },
        ),
        ("warming up", source | {"records": 100, "needed": 2_000, "log_level": "info"}),
    ]


def test_samples_of_another_epoch_are_counted_apart() -> None:
    """A window of them is skipped and counted; then a warning and another warm-up."""
    monitor, metrics = DriftMonitor(judged.config(), {}), Metrics()
    first, second = judged.samples(2_000), judged.samples(230, first=2_000)
    reported(monitor, metrics, replace(first, epoch="one"))
    logged = reported(monitor, metrics, replace(second, epoch="two"))
    assert [event for event, _ in logged] == ["warm-up begins again", "warming up"]
    assert logged[0][1]["reason"].startswith("the judge or a rubric has changed")
    assert metrics.samples_watched == {("m", "judge"): 2_030}
    assert metrics.samples_skipped == {("m", "judge"): 200}


@pytest.mark.parametrize("source", Source)
def test_records_are_counted_once_by_source(source: Source) -> None:
    """Counters of the log do not contain judged samples; models beyond the limit are "other"."""
    config = judged.config()
    limits = config.limits.model_copy(update={"models": 1})
    monitor, metrics = DriftMonitor(config.model_copy(update={"limits": limits}), {}), Metrics()
    chunks = [judged.samples(n, model=model, source=source) for n, model in [(3, "a"), (4, "b")]]
    reported(monitor, metrics, *chunks)
    if source is Source.LOG:
        assert (metrics.watched, metrics.samples_watched) == ({"a": 3, OTHER: 4}, {})
    else:
        expected = {("a", source): 3, (OTHER, source): 4}
        assert (metrics.watched, metrics.samples_watched) == ({}, expected)

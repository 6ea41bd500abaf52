"""The log of the soak has the specified content, and its result detects growing memory."""

from __future__ import annotations

import json
import math
from pathlib import Path

import msgspec
import pytest

from benchmarks.soak import log, report
from benchmarks.soak.__main__ import main
from benchmarks.soak.report import Sample, slope_and_growth
from monitor.ingest.decode.native import decoder as native
from monitor.ingest.decode.native.kinds import Needed
from monitor.records import RejectedRecord
from tests.long_form import long_only


@pytest.mark.usefixtures("real_kafka")
@pytest.mark.timeout(900)
@long_only
def test_a_tiny_run_counts_every_record(tmp_path: Path) -> None:
    """A run on a real broker counts every record; it is too short to judge memory."""
    out = tmp_path / "results" / "soak.json"
    main(["--records", "20000", "--ahead", "5000", "--out", str(out)])
    result = json.loads(out.read_text())
    assert result["exact"]
    assert result["watched"] == 20_000 - log.malformed_count(20_000)
    assert result["ahead"] == 5000
    assert result["peak_rss_mb"] > 0
    assert result["samples"][-1][1] == 20_000


def test_the_log_has_small_records_new_names_and_malformed_messages() -> None:
    """A record has about 250 bytes, and one message in a thousand is rejected."""
    decode = native.NativeDecoder(Needed(watched=("route",)))
    rejected, models, size = 0, set(), 0
    for message in log.messages(20_000):
        size += len(message)
        try:
            models.add(decode(message).model)
        except RejectedRecord:
            rejected += 1
    assert rejected == log.malformed_count(20_000) == 20
    assert 220 < size / 20_000 < 300
    assert len(models) == log.MODELS + 10  # ten names that occur once
    first = msgspec.json.decode(next(log.messages(1)))
    assert first["scores"].keys() == {"quality"}


def test_growth_is_measured_after_memory_has_settled() -> None:
    """Growth after the first 20 % of the records is found; growth before it is ignored."""

    def samples(mb_per_million: float) -> list[Sample]:
        settled = [Sample(n, n * 100_000, 300 + mb_per_million * n / 10, 0) for n in range(20, 101)]
        return [Sample(0, 0, 140, 0), *settled]

    slope, growth = slope_and_growth(samples(0), 10_000_000)
    assert (round(slope, 6), growth) == (0, 0)
    slope, growth = slope_and_growth(samples(6), 10_000_000)
    assert slope == pytest.approx(6)
    assert growth > report.MAX_GROWTH
    assert all(map(math.isnan, slope_and_growth([Sample(0, 0, 140, 0)], 1)))

"""The restart benchmark runs, and its chunks have the shape that ingest writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.restart import traffic
from benchmarks.restart.__main__ import main
from monitor.ingest.chunks.chunk import decode_chunk
from monitor.ingest.features import BINARY, NUMERIC
from tests.long_form import long_only


@pytest.mark.usefixtures("real_kafka")
@pytest.mark.timeout(900)
@long_only
def test_a_tiny_run_measures_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run with three models on a real broker measures restarts, checkpoints and memory."""
    out = tmp_path / "results" / "restart.json"
    small = ["--models", "3", "--restarts", "1", "--pairs", "1", "--records", "60000"]
    assert main([*small, "--out", str(out)]) == 0
    result = json.loads(out.read_text())
    assert result["features"] == 12
    measured = result["restart"]
    assert 0 < measured["restoring_s"] < measured["ready_s"]
    assert measured["state_bytes"] > 0
    assert measured["state_topic_bytes"] > 0  # which is compressed
    assert result["checkpoints"]["with_per_s"] > 0
    assert result["checkpoints"]["without_per_s"] > 0
    sizes = result["memory"]["bytes_per_model_feature"]
    # a window holds at least the values of eleven features, eight bytes each
    assert sizes["window"] > 1000 * 8 * 11 / 12
    assert all(size > 0 for size in sizes.values())
    assert "restart: start to ready" in capsys.readouterr().out


def test_chunks_contain_every_default_feature() -> None:
    """Every model gets its records once and in order, in chunks of the size that ingest writes."""
    chunks = [decode_chunk(c) for _, c in traffic.chunks(traffic.sample(), 3, 1000)]
    assert {chunk.model for chunk in chunks} == {"model-000", "model-001", "model-002"}
    for chunk in chunks:
        assert chunk.numeric == tuple(sorted(NUMERIC))
        assert chunk.binary == BINARY
    positions = [p for chunk in chunks if chunk.model == "model-001" for p in chunk.positions]
    assert positions == list(range(traffic.BEFORE + 1, traffic.BEFORE + 1001))


def test_the_warm_up_contains_every_record_once() -> None:
    """Each model gets the first BEFORE records in order."""
    chunks = [decode_chunk(c) for _, c in traffic.warm_up_chunks(traffic.sample(), 2)]
    positions = [p for chunk in chunks if chunk.model == "model-001" for p in chunk.positions]
    assert positions == list(range(1, traffic.BEFORE + 1))

"""The restart benchmark runs to its end; the soak's log and verdict are what they say they are."""

import json
import math
from pathlib import Path

import msgspec
import pytest

from benchmarks import restart, soak
from benchmarks.soak import Sample
from monitor import columns
from monitor.decode import native
from monitor.features import BINARY, NUMERIC
from monitor.records import RefusedError
from tests.integration.kafka_jars import KafkaUnavailable, kafka_classpath


@pytest.fixture
def _real_kafka() -> None:
    try:
        kafka_classpath()
    except KafkaUnavailable as reason:
        pytest.skip(str(reason))


@pytest.mark.usefixtures("_real_kafka")
@pytest.mark.timeout(280)
def test_a_tiny_run_measures_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Restarts, checkpoints and memory, on a real broker, with three models."""
    out = tmp_path / "results" / "restart.json"
    small = ["--models", "3", "--restarts", "1", "--pairs", "1", "--records", "60000"]
    assert restart.main([*small, "--out", str(out)]) == 0
    result = json.loads(out.read_text())
    assert result["features"] == 12
    measured = result["restart"]
    assert 0 < measured["restoring_s"] < measured["ready_s"]
    assert measured["state_bytes"] > 0
    assert measured["state_topic_bytes"] > 0  # which is compressed
    assert result["checkpoints"]["with_per_s"] > 0
    assert result["checkpoints"]["without_per_s"] > 0
    sizes = result["memory"]["bytes_per_model_feature"]
    # the values of a window alone: those of eleven features, eight bytes each
    assert sizes["window"] > 1000 * 8 * 11 / 12
    assert all(size > 0 for size in sizes.values())
    assert "restart: start to ready" in capsys.readouterr().out


def test_chunks_hold_every_default_feature() -> None:
    """Every model gets its records once, in order, in chunks of the sizes that ingest makes."""
    chunks = [columns.decode(c) for _, c in restart.stretch(restart.sample(), 3, 1000)]
    assert {chunk.model for chunk in chunks} == {"model-000", "model-001", "model-002"}
    for chunk in chunks:
        assert chunk.numeric == tuple(sorted(NUMERIC))
        assert chunk.binary == BINARY
    positions = [p for chunk in chunks if chunk.model == "model-001" for p in chunk.positions]
    assert positions == list(range(restart.BEFORE + 1, restart.BEFORE + 1001))


def test_the_log_of_the_soak() -> None:
    """About 250 bytes a record; what is malformed is counted before it is sent."""
    decode = native.NativeDecoder(metadata=True)
    refused, models, size = 0, set(), 0
    for message in soak.messages(20_000):
        size += len(message)
        try:
            models.add(decode(message).model)
        except RefusedError:
            refused += 1
    assert refused == soak.malformed(20_000) == 20
    assert 220 < size / 20_000 < 300
    assert len(models) == soak.MODELS + 10  # ten that came only once
    plain = msgspec.json.decode(next(soak.messages(1)))
    assert plain["scores"].keys() == {"quality"}


def test_the_verdict_of_the_soak() -> None:
    """Growth is found where it is, and what comes before memory settles is passed over."""

    def samples(mb_per_million: float) -> list[Sample]:
        settled = [Sample(n, n * 100_000, 300 + mb_per_million * n / 10, 0) for n in range(20, 101)]
        return [Sample(0, 0, 140, 0), *settled]

    slope, growth = soak.slope_and_growth(samples(0), 10_000_000)
    assert (round(slope, 6), growth) == (0, 0)
    slope, growth = soak.slope_and_growth(samples(6), 10_000_000)
    assert slope == pytest.approx(6)
    assert growth > soak.MOST_GROWTH
    assert all(map(math.isnan, soak.slope_and_growth([Sample(0, 0, 140, 0)], 1)))

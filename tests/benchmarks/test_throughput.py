"""The throughput benchmark runs to its end and writes what it promises; how fast is not asked."""

import json
from pathlib import Path

import msgspec
import pytest

from benchmarks import records, throughput
from tests.integration.kafka_jars import KafkaUnavailable, kafka_classpath

COMMITTED = Path(throughput.__file__).parent / "results" / "throughput.json"
PROMISED = {
    "consume_per_s": int,
    "json_loads_per_s": int,
    "orjson_per_s": int,
    "daemon_per_s": int,
    "by_models": dict,
    "stages_us": dict,
    "rss_mb": float,
}


@pytest.fixture
def _real_kafka() -> None:
    try:
        kafka_classpath()
    except KafkaUnavailable as reason:
        pytest.skip(str(reason))


def holds_what_is_promised(path: Path) -> bool:
    """Whether a result has every key, of its type, and no measurement that is not positive."""
    result = json.loads(path.read_text())
    assert {key: type(result[key]) for key in PROMISED} == PROMISED
    assert set(result["by_models"]) == {"1", "20", "200"}
    numbers = [result[key] for key, kind in PROMISED.items() if kind is not dict]
    numbers += [*result["by_models"].values(), *result["stages_us"].values()]
    return all(number > 0 for number in numbers)


@pytest.mark.usefixtures("_real_kafka")
@pytest.mark.timeout(280)
def test_a_tiny_run_measures_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Loops, daemon, stages and models, on a real broker and with made traffic."""
    out = tmp_path / "results" / "throughput.json"
    arguments = ["--records", "3000", "--rounds", "1", "--make-records", "none", "--out", str(out)]
    assert throughput.main(arguments) == 0
    assert holds_what_is_promised(out)
    assert "invented" in json.loads(out.read_text())["source"]
    shown = capsys.readouterr().out
    assert "plumbline, ingest and detect" in shown
    assert "invented" in shown


def test_the_committed_result_is_whole() -> None:
    """What the repository shows comes from real records, a full run and detectors at work."""
    assert holds_what_is_promised(COMMITTED)
    result = json.loads(COMMITTED.read_text())
    assert result["records"] >= 300_000
    assert result["evaluated_share"] >= 0.96
    assert result["source"].startswith("make_records.py")


def test_made_records_are_as_large_as_real_ones(tmp_path: Path) -> None:
    """About 2.6 KB a record, all of one model."""
    path = tmp_path / "records.jsonl"
    records.write(path, 1000, None)
    lines = list(records.read(path, 1000))
    assert len(lines) == 1000
    assert abs(sum(map(len, lines)) / 1000 / records.RECORD_BYTES - 1) < 0.1
    assert {msgspec.json.decode(line)["model"] for line in lines} == {records.model_name(0)}


def test_models_take_turns(tmp_path: Path) -> None:
    """Every model gets as many records, and nothing but the name changes."""
    path = tmp_path / "records.jsonl"
    records.write(path, 100, None)
    lines = list(records.read(path, 100))
    spread = [msgspec.json.decode(line) for line in records.spread(iter(lines), 20)]
    names = [record.pop("model") for record in spread]
    assert {names.count(name) for name in names} == {5}
    assert len(set(names)) == 20
    plain = [msgspec.json.decode(line) for line in lines]
    assert spread == [{k: v for k, v in record.items() if k != "model"} for record in plain]

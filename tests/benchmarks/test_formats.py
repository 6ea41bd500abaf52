"""The benchmark of formats compares like with like, and its messages take the fast path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.formats.__main__ import stage, summary
from benchmarks.formats.otlp import in_json, in_protobuf
from benchmarks.formats.traffic import TRAFFIC, messages
from benchmarks.throughput import records
from benchmarks.throughput.consumers import upb
from monitor.ingest.decode.formats import FORMATS
from monitor.ingest.decode.formats.otlp.otlp import OTLP
from monitor.ingest.decode.formats.otlp.reading.wire import WIRE_BUILT
from monitor.ingest.decode.message import BatchFormat, LogMessage, NativeRecord


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of records as the benchmark writes them without the tool."""
    found = tmp_path_factory.mktemp("records") / "records.jsonl"
    records.write(found, 200, None)
    return found


def test_spans_of_instrumentations_take_the_fast_path(path: Path) -> None:
    """Spans as instrumentations write them become native records in both encodings."""
    lines = [json.loads(line) for line in records.read(path, 200)]
    spans = [each for each in lines if not each.get("error")][:100]
    assert len(upb(in_protobuf(spans))) == 100
    for payload in (in_protobuf(spans), in_json(spans)):
        found = list(OTLP.decode(LogMessage(payload)))
        assert len(found) == 100
        assert all(isinstance(each, NativeRecord) for each in found) == WIRE_BUILT


def test_payloads_of_litellm_take_the_fast_path(path: Path) -> None:
    """All but failures become native records by the plan."""
    litellm = FORMATS["litellm"]
    assert isinstance(litellm, BatchFormat)
    if litellm.reader is None:
        pytest.skip("the extension is not built")
    found = litellm.reader.read(list(messages(TRAFFIC["litellm"], records.read(path, 200))))
    failed = sum(bool(json.loads(line).get("error")) for line in records.read(path, 200))
    written = sum(
        found_in is not None and isinstance(found_in[0], NativeRecord) for found_in in found
    )
    assert written == 200 - failed


@pytest.mark.parametrize("name", TRAFFIC)
def test_all_formats_are_measured(name: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each format has times of both contenders, and a ratio for each round."""
    monkeypatch.setattr("benchmarks.formats.__main__.STAGE_RECORDS", 200)
    traffic = TRAFFIC[name]
    result = stage(traffic, path)
    assert result[traffic.base] > 0
    assert result["daemon"] > 0
    assert len(result["daemon_ratio_by_round"]) == 15


def test_a_ratio_is_that_of_its_round() -> None:
    """A slow round slows both sides down, and does not change the ratio."""
    result = summary({"a": [1.0, 10.0, 1.0], "b": [0.5, 5.0, 0.5]}, "a")
    assert (result["a"], result["b"], result["b_ratio"]) == (1.0, 0.5, 2.0)

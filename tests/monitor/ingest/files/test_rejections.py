"""Rejected records of files are counted, and the first of each reason is described."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monitor.config.schema import Config
from monitor.ingest.files import FirstRejection, Rejection, reader
from monitor.ingest.files.rejections import EXPECTED, text
from monitor.ingest.files.splitting import framing
from tests.monitor.ingest.decode.encoders.otlp import ENCODINGS, span

GOOD = {"request_id": "r", "timestamp": 1, "model": "m"}


def rejections(path: Path, content: str | bytes) -> list[Rejection]:
    """Return the rejections of a file."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    log = reader(Config())
    for _ in log.batches([path], lambda _: None):
        pass
    return log.rejections.by_reason()


def test_first_of_each_reason_has_line_model_and_field(tmp_path: Path) -> None:
    """The most frequent reason is first; each names its first line, and the model and field."""
    records = [GOOD, GOOD | {"latency_ms": "9"}, {"request_id": "r"}, GOOD | {"latency_ms": "8"}]
    path = tmp_path / "log"
    wrong, missing = rejections(path, "\n\n".join(map(json.dumps, records)))
    assert (wrong.reason, wrong.count) == ("wrong_type", 2)
    assert wrong.first is not None
    assert (wrong.first.file, wrong.first.line) == (str(path), 3)
    assert wrong.first.detail.startswith("model m: ")
    assert "latency_ms" in wrong.first.detail
    assert missing.first is not None
    assert missing.first.line == 5
    assert "timestamp" in missing.first.detail


@pytest.mark.parametrize("indent", [None, 2])
def test_records_of_an_array_are_numbered(tmp_path: Path, indent: int | None) -> None:
    """In an array the detail has the number of the record, because lines do not tell records."""
    records = [GOOD] * 6 + [GOOD | {"timestamp": -1}] * 2
    [bad] = rejections(tmp_path / "log", json.dumps(records, indent=indent))
    assert bad.first is not None
    assert (bad.count, bad.first.line) == (2, 1 if indent is None else 2 + 6 * 5)
    assert bad.first.detail.startswith("record 7: model m: ")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("request_id,timestamp,model\nr1,1,chat\n", "CSV"),
        ('"id","text"\n1,"a"\n', "CSV"),
        ("\ufeffrequest_id,model\nr1,chat\n", "CSV"),
        ("request_id;timestamp;model\r\nr1;1;chat\r\n", "CSV"),
        ("request_id\ttimestamp\tmodel\n", "TSV"),
        (b"PAR1\x15\x04\x15\n\xff\xfe", "Parquet"),
        (b"PK\x03\x04\n\x00\xff", "zip"),
        (b"BZh91AY\n\xff", "bzip2"),
        ("<html>\n</html>", "XML"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path: Path, content: str | bytes, kind: str) -> None:
    """The detail says what the file looks like and what is expected."""
    found = rejections(tmp_path / "log.jsonl", content)
    details = [each.first.detail for each in found if each.first and each.first.line == 1]
    assert len(details) == 1
    assert kind in details[0]
    assert EXPECTED in details[0]


@pytest.mark.parametrize("content", ['{"cut', "level=info msg=started", "2026-01-01 started", "x"])
def test_other_text_is_not_called_a_table(tmp_path: Path, content: str) -> None:
    """Text without separators gets the expectation only."""
    [found] = rejections(tmp_path / "log", content + "\n")
    assert found.first is not None
    assert "looks like" not in found.first.detail
    assert EXPECTED in found.first.detail


def test_text_of_a_rejection() -> None:
    """The text has count, reason, place and detail; without a place only the first two."""
    first = FirstRejection("a.jsonl", 11_501, "no bytes")
    assert text(Rejection("empty", 1500, first)) == (
        "1,500 empty, first in a.jsonl line 11,501: no bytes"
    )
    assert text(Rejection("empty", 3)) == "3 empty"


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
def test_a_span_without_a_model_is_not_told_to_be_json(tmp_path: Path, encode: Any) -> None:
    """The detail of OTLP in either encoding is the missing field alone."""
    message = encode(span({"gen_ai.operation.name": "chat"}))
    [bad] = rejections(tmp_path / "log", message.value)
    assert bad.first is not None
    assert bad.first.detail.removeprefix("record 1: ") == "no name of a model"


@pytest.mark.parametrize("stray", ["7", '"text"', "null", "7, 8"])
def test_an_element_of_an_array_does_not_show_what_the_file_is(tmp_path: Path, stray: str) -> None:
    """A value in an array that is no object does not make the file a table."""
    good = json.dumps(GOOD)
    [bad] = rejections(tmp_path / "log", f"[{good}, {stray}, {good}]")
    assert bad.first is not None
    assert bad.first.detail.startswith("record 2")
    assert "looks like" not in bad.first.detail


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("before", [{}, {"count": 2, "tags": ["a"], "pages": [{"page": 1}]}])
def test_an_object_around_the_records_is_named(
    tmp_path: Path, indent: int | None, before: dict[str, Any]
) -> None:
    """The detail names the array in which the records are, and how to extract them."""
    [bad] = rejections(tmp_path / "log", json.dumps(before | {"data": [GOOD] * 2}, indent=indent))
    assert bad.first is not None
    assert "the records are in its array `data`" in bad.first.detail
    assert "jq -c '.data[]' FILE" in bad.first.detail


def test_an_object_around_too_many_records_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The array is named as well if the object is cut because it is too large."""
    monkeypatch.setattr(framing, "MAX_VALUE_BYTES", 1000)
    monkeypatch.setattr(framing, "BATCH_BYTES", 300)
    found = rejections(tmp_path / "log", json.dumps({"data": [GOOD] * 200}, indent=1))
    assert any(each.first and "array `data`" in each.first.detail for each in found)


def test_messages_of_a_record_are_not_records(tmp_path: Path) -> None:
    """An array of other objects in an invalid record is not named."""
    record = {"model": "m", "prompt": [{"role": "user", "content": "x"}]}
    [bad] = rejections(tmp_path / "log", json.dumps(record))
    assert bad.first is not None
    assert "array" not in bad.first.detail

"""Commands that read files decode messages that refer to a schema in a registry."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.monitor.cli.command_line import one_line_error, read_json, run
from tests.monitor.kafka.readers.registry.messages import Serializers, record
from tests.schema_registry import SchemaRegistry

RECORDS = 5
each_kind = pytest.mark.parametrize("kind", ["avro", "json", "protobuf"])


@pytest.fixture
def registry() -> Iterator[SchemaRegistry]:
    """A registry that is configured in the working directory."""
    with SchemaRegistry() as running:
        Path("plumbline.yaml").write_text(f"kafka: {{schema_registry: {{url: '{running.url}'}}}}\n")
        yield running


def envelopes(url: str, kind: str, *, headers: bool = False) -> Path:
    """A file of messages of a serializer, in envelopes."""
    serializers = Serializers(url, headers=headers)
    lines = []
    for number in range(RECORDS):
        value, names = getattr(serializers, kind)("logs", number)
        lines.append({"key": "k", "headers": encoded(names), "value": as_base64(value)})
    path = Path("messages.jsonl")
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return path


def as_base64(value: bytes) -> dict[str, str]:
    """Bytes as an envelope has them."""
    return {"base64": base64.b64encode(value).decode()}


def encoded(headers: dict[str, bytes]) -> dict[str, Any]:
    """Headers as an envelope has them."""
    return {name: as_base64(value) for name, value in headers.items()}


@each_kind
@pytest.mark.parametrize("headers", [False, True], ids=["framed", "in a header"])
def test_decode_opens_messages_with_schemas(
    registry: SchemaRegistry, capsys: pytest.CaptureFixture[str], kind: str, headers: bool
) -> None:
    """`decode --envelope` prints the records, whether the schema is before the value or beside."""
    path = envelopes(registry.url, kind, headers=headers)
    assert run("decode", "--envelope", path) == 0
    captured = capsys.readouterr()
    found = [json.loads(line) for line in captured.out.splitlines()]
    assert [each["request_id"] for each in found] == [f"r{n}" for n in range(RECORDS)]
    assert [each["input_tokens"] for each in found] == [2**40 + n for n in range(RECORDS)]
    assert {each["response"] for each in found} == {record(0)["response"]}
    counts = json.loads(captured.err.splitlines()[-1])
    assert counts == {"records": RECORDS, "skipped": {}, "rejected": {}}


@each_kind
def test_backtest_opens_messages_with_schemas(
    registry: SchemaRegistry, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    """`backtest --envelope` reads the same records."""
    report = read_json(capsys, "backtest", "--envelope", "--json", envelopes(registry.url, kind))
    assert (report["records"], report["rejections"]) == (RECORDS, [])


def test_a_sample_with_schemas_is_checked(
    registry: SchemaRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    """`config check --sample` decodes with the registry of the configuration."""
    path = envelopes(registry.url, "avro")
    assert run("config", "check", "--sample", path, "--envelope", "--json") == 0
    assert json.loads(capsys.readouterr().out)["sample"]["records"] == RECORDS


def test_one_framed_message_in_a_file_is_decoded(
    registry: SchemaRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file with one binary message needs no envelope."""
    value, _ = Serializers(registry.url).avro("logs", 3)
    Path("one.bin").write_bytes(value)
    assert run("decode", "one.bin") == 0
    assert json.loads(capsys.readouterr().out)["request_id"] == "r3"


def test_a_reference_is_built_from_messages_with_schemas(registry: SchemaRegistry) -> None:
    """`reference build` decodes them."""
    config = Path("plumbline.yaml")
    config.write_text(config.read_text() + "windows: {records: 100, stride: 10}\n")
    serializers = Serializers(registry.url)
    paths = [Path(f"{number}.bin") for number in range(100)]
    for number, path in enumerate(paths):
        path.write_bytes(serializers.avro("logs", number)[0])
    assert run("reference", "build", "--name", "base", *paths) == 0


def test_messages_with_schemas_are_rejected_by_name_without_a_registry(
    registry: SchemaRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rejection says which setting is missing."""
    path = envelopes(registry.url, "avro")
    Path("plumbline.yaml").write_text("format: auto\n")
    assert run("decode", "--envelope", path) == 0
    *places, counts = capsys.readouterr().err.splitlines()
    assert json.loads(counts)["rejected"] == {"unknown_schema": RECORDS}
    assert "kafka.schema_registry is not configured" in places[0]
    assert run("backtest", "--envelope", "--report", "report.json", path) == 2
    assert "nothing was read" in capsys.readouterr().err
    assert "kafka.schema_registry is not configured" in Path("report.json").read_text()


@pytest.mark.parametrize("command", ["decode", "backtest"])
def test_a_registry_that_does_not_answer_is_an_error(
    registry: SchemaRegistry, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """No message is rejected because its schema cannot be read now."""
    path = envelopes(registry.url, "avro")
    registry.available = False
    line = one_line_error(capsys, command, "--envelope", path)
    assert "kafka.schema_registry: no answer" in line


def test_the_registry_is_not_needed_for_other_messages(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Neither the extra nor an answer is needed before the first message with a schema."""
    Path("plumbline.yaml").write_text(
        "kafka: {schema_registry: {url: 'http://127.0.0.1:9', user: u}}\n"
    )
    Path("log").write_text('{"request_id": "r", "timestamp": 1, "model": "m"}\n')
    assert run("decode", "log") == 0
    assert json.loads(capsys.readouterr().out)["request_id"] == "r"

"""Tests of `plumbline judge calibrate`; with a broker: tests/integration/test_calibrate.py."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from judges.trust.calibration.labels import Label
from monitor.config.sections.kafka.section import KafkaConfig
from monitor.events.evaluations import HUMAN, Evaluation
from monitor.roles import evaluation_publisher
from tests.judges.trust.calibration.evaluations import evaluation, simulated
from tests.monitor.cli.command_line import error, one_line_error, read_json, run


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> list[Evaluation]:
    """The evaluations topic: what is read from it, and what is published to it."""
    content: list[Evaluation] = []

    def read(config: KafkaConfig) -> Iterator[tuple[Evaluation, float]]:
        for number, each in enumerate(list(content)):
            yield each, float(number)

    def publish(config: KafkaConfig, labels: Sequence[Evaluation]) -> None:
        content.extend(labels)

    monkeypatch.setattr(evaluation_publisher, "written_evaluations", read)
    monkeypatch.setattr(evaluation_publisher, "publish", publish)
    return content


def write(path: Path, labels: Sequence[Label]) -> Path:
    """Write a file of labels."""
    path.write_bytes(b"\n".join(map(msgspec.json.encode, labels)))
    return path


def test_labels_are_compared_and_published(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, topic: list[Evaluation]
) -> None:
    """Agreement, bias by group, corrected mean and pass rate; publishing writes the labels."""
    evaluations, labels = simulated(1, 120)
    topic += [
        msgspec.structs.replace(each, dimensions={"a": each.score or 0, "b": 5 - (each.score or 0)})
        for each in evaluations
    ]
    labels = [
        msgspec.structs.replace(each, metadata={"topic": "law" if n % 2 else "art"})
        for n, each in enumerate(labels)
    ]
    file, report = write(tmp_path / "labels.jsonl", labels), tmp_path / "report.json"
    found = read_json(capsys, "judge", "calibrate", file, "--json", "--report", report)
    assert json.loads(report.read_text()) == found
    [calibration] = found["calibrations"]
    assert calibration["cases"] == 120
    assert 0.3 < calibration["bias"]["value"] < 0.7
    assert {each["value"] for each in calibration["groups"]} == {"law", "art"}
    rubric = found["rubrics"]["tone"]
    assert rubric["version"] == "1"
    [quality] = rubric["qualities"]
    assert quality["mean"]["lower"] < 2 < quality["mean"]["upper"]
    assert rubric["dimension_comparison"]["correlations"][0]["value"] == pytest.approx(-1)
    assert rubric["published"] is None
    assert not [each for each in topic if each.evaluator == HUMAN]

    assert run("judge", "calibrate", file, "--publish") == 0
    text = capsys.readouterr().out
    assert "published 120 labels of version 1" in text
    assert "corrected mean of m: " in text
    assert "a, b: -1.00" in text
    assert len([each for each in topic if each.evaluator == HUMAN]) == 120


def test_verdicts_in_the_file_need_no_broker(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A file with the scores of the judge is compared alone; `--publish` needs the topic."""
    labels = [
        Label(f"r{n}", "tone", score=n % 6, judge_score=min(n % 6 + 1, 5), judge_passed=n % 6 > 2)
        for n in range(60)
    ]
    file = write(tmp_path / "labels.jsonl", labels)
    found = read_json(capsys, "judge", "calibrate", file, "--json")
    [calibration] = found["calibrations"]
    assert calibration["bias"]["value"] == pytest.approx(5 / 6)
    # the pass mark of the shipped rubric turns scores of people into verdicts
    assert calibration["confusion"]["both_passed"] == 30
    config = tmp_path / "c.yaml"
    config.write_text("kafka: {bootstrap_servers: '127.0.0.1:1'}")
    text = one_line_error(capsys, "judge", "calibrate", file, "--publish", "-c", config)
    assert "127.0.0.1:1" in text


def test_errors_name_the_reason(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, topic: list[Evaluation]
) -> None:
    """No judged response, another version only, an unknown rubric, no score, a wrong line."""
    file = write(tmp_path / "labels.jsonl", [Label("r1", "tone", score=3.0)])
    assert "was not judged" in one_line_error(capsys, "judge", "calibrate", file)
    topic += [evaluation(1, 3.0), evaluation(2, 3.0, version="2")]
    assert "another version" in one_line_error(capsys, "judge", "calibrate", file)
    text = one_line_error(capsys, "judge", "calibrate", file, "--rubric", "safety")
    assert "there are 'tone'" in text
    passed = write(tmp_path / "passed.jsonl", [Label("r2", "tone", passed=True)])
    text = one_line_error(capsys, "judge", "calibrate", passed, "--publish")
    assert "no label of a whole response has a score" in text
    file.write_text('{"request_id": "r1"}\n{"request_id": "r1", "rubric": "t", "judge_score": 1}')
    assert "labels.jsonl:2: score or passed" in error(capsys, "judge", "calibrate", file)


def test_nothing_is_published_if_a_rubric_has_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, topic: list[Evaluation]
) -> None:
    """An error of one rubric is found before labels of another one are written."""
    topic.append(evaluation(1, 3.0))
    labels = [Label("r1", "tone", score=3.0), Label("r1", "zeal", score=3.0)]
    file = write(tmp_path / "labels.jsonl", labels)
    one_line_error(capsys, "judge", "calibrate", file, "--publish")
    assert len(topic) == 1

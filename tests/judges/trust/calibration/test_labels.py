"""Files of human labels."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from judges.trust.calibration.labels import MAX_ERRORS, Label, read_labels
from monitor.errors import UserError

GOOD = '{"request_id": "r1", "rubric": "quality", "score": 4}'


def write(folder: Path, *lines: str) -> Path:
    """Write a file of labels."""
    path = folder / "labels.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_reads_all_fields(tmp_path: Path) -> None:
    """Each line is a label; blank lines are skipped."""
    full = (
        '{"request_id": "r2", "rubric": "quality", "dimension": "tone", "score": 2.5, "passed":'
        ' false, "inclusion": 0.05, "rater": "ann", "metadata": {"topic": "law"}}'
    )
    assert read_labels(write(tmp_path, GOOD, "", full)) == [
        Label("r1", "quality", score=4),
        Label("r2", "quality", "tone", 2.5, False, 0.05, "ann", {"topic": "law"}),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "Expected `object`"),
        ('{"rubric": "q", "score": 1}', "missing required field `request_id`"),
        ('{"request_id": "", "rubric": "q", "score": 1}', "length >= 1"),
        ('{"request_id": "r", "rubric": "q"}', "score or passed is required"),
        (
            '{"request_id": "r", "rubric": "q", "score": "good"}',
            "Expected `float | null`, got `str`",
        ),
        ('{"request_id": "r", "rubric": "q", "passed": 1}', "Expected `bool | null`"),
        ('{"request_id": "r", "rubric": "q", "score": 1, "inclusion": 0}', "above 0"),
        ('{"request_id": "r", "rubric": "q", "score": 1, "scores": 2}', "unknown field `scores`"),
        ('{"request_id": "r", "rubric": "q", "score": 1e999}', "out of range|finite"),
        ('{"request_id": "r", "rubric": "q", "score": 90}', "score must be from 0 to 5, the scale"),
        ('{"request_id": "r", "rubric": "q", "score": -0.1}', "score must be from 0 to 5"),
        ('{"request_id": "r", "rubric": "ragas.x", "score": 4}', "score must be from 0 to 1"),
        ('{"request_id": "r", "rubric": "check.x", "score": 1.5}', "score must be from 0 to 1"),
        (
            '{"request_id": "r", "rubric": "q", "dimension": "d", "score": 6}',
            "score must be from 0 to 5",
        ),
        (
            '{"request_id": "r", "rubric": "q", "score": 4, "judge_score": 50}',
            "judge_score must be from 0 to 5",
        ),
        (GOOD, "repeats line 1"),
    ],
)
def test_errors_name_file_line_and_reason(tmp_path: Path, line: str, message: str) -> None:
    """A wrong line is an error that names its place and what is wrong with it."""
    path = write(tmp_path, GOOD, line)
    with pytest.raises(UserError, match=message) as error:
        read_labels(path)
    assert str(error.value).startswith(f"{path}:2: ")


@pytest.mark.parametrize(("rubric", "scores"), [("q", (0, 2.5, 5)), ("ragas.x", (0, 0.5, 1))])
def test_the_ends_of_a_scale_are_on_it(
    tmp_path: Path, rubric: str, scores: tuple[float, ...]
) -> None:
    """Scores from the lowest to the highest are read."""
    lines = [
        f'{{"request_id": "r{n}", "rubric": "{rubric}", "score": {score}}}'
        for n, score in enumerate(scores)
    ]
    assert [each.score for each in read_labels(write(tmp_path, *lines))] == list(scores)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), 90.0])
def test_no_label_is_out_of_range(score: float) -> None:
    """A label that does not come from a file is checked as well."""
    with pytest.raises(ValueError, match="0 to 5"):
        Label("r", "q", score=score)


def test_all_errors_at_once_up_to_a_limit(tmp_path: Path) -> None:
    """Errors are listed together, and the rest is counted."""
    with pytest.raises(UserError, match="and 5 more") as error:
        read_labels(write(tmp_path, *["x"] * (MAX_ERRORS + 5)))
    assert str(error.value).count("\n") == MAX_ERRORS


def test_missing_and_empty_files(tmp_path: Path) -> None:
    """A file that is absent or has no labels is an error."""
    with pytest.raises(UserError, match="no such file"):
        read_labels(tmp_path / "none.jsonl")
    with pytest.raises(UserError, match="no labels"):
        read_labels(write(tmp_path, ""))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=60))
def test_any_bytes_are_labels_or_an_error(tmp_path: Path, data: bytes) -> None:
    """No bytes raise anything but UserError."""
    path = tmp_path / "labels.jsonl"
    path.write_bytes(data)
    with pytest.raises(UserError):
        read_labels(path)

"""Files of answers are read as records, with or without their required fields."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config.schema import Config
from monitor.errors import UserError
from monitor.experiments.compare import answers
from monitor.experiments.compare.answers import prompt_hash, read_answers
from monitor.records import ChatMessage
from tests.monitor.experiments.compare.files import read


def test_prompt_and_response_are_enough(tmp_path: Path) -> None:
    """The other fields of a record are optional, and become features where they are."""
    found = read(
        tmp_path / "a.jsonl",
        [
            {"prompt": "Say it.", "response": "It."},
            {"prompt": "More.", "response": "I cannot help with that.", "latency_ms": 250.0},
            {"request_id": "r", "timestamp": 1.7e9, "model": "m", "prompt": "x", "feedback": 1},
        ],
    )
    assert [answer.request_id for answer in found.answers] == ["", "", "r"]
    assert [answer.line for answer in found.answers] == [1, 2, 3]
    assert [answer.record.model for answer in found.answers] == ["a", "a", "m"]
    assert np.isnan(found.values["latency_ms"]).tolist() == [True, False, True]
    assert found.values["response_chars"][:2].tolist() == [3, 24]
    assert found.values["refusal"][:2].tolist() == [0, 1]
    assert found.values["feedback"][2] == 1


def test_an_answer_that_failed_has_only_its_error(tmp_path: Path) -> None:
    """The latency of an error must not make an endpoint look fast."""
    failed: dict[str, Any] = {"prompt": "p", "latency_ms": 2.0, "error": "timeout"}
    lines = [failed, {"prompt": "q"}]
    found = read(tmp_path / "a.jsonl", lines)
    assert found.values["error"].tolist() == [1, 0]
    assert np.isnan(found.values["latency_ms"]).all()


def test_what_is_no_answer_is_counted(tmp_path: Path) -> None:
    """Lines that are not valid are counted by reason; a file without any answer is an error."""
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"prompt": 3}\nnothing\n\n{"prompt": "p", "response": "r"}\n'))
    found = read_answers(path, "a", Config())
    counts = {str(each.reason): each.count for each in found.rejections.by_reason()}
    assert counts == {"wrong_type": 1, "not_json": 1}
    assert found.answers[0].line == 4
    path.write_bytes(b"nothing")
    with pytest.raises(UserError, match="has no answers"):
        read_answers(path, "a", Config())


def test_the_number_of_answers_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is too large is an error, not an exhausted memory."""
    monkeypatch.setattr(answers, "MAX_ANSWERS", 3)
    with pytest.raises(UserError, match="more than 3 answers"):
        read(tmp_path / "a.jsonl", [{"prompt": str(i)} for i in range(4)])


def test_equal_prompts_have_equal_hashes() -> None:
    """A text is one message of the user; white space at the ends does not count."""
    text = prompt_hash("Say it.")
    assert text == prompt_hash(" Say it.\n") == prompt_hash([ChatMessage("user", "Say it.")])
    assert text != prompt_hash([ChatMessage("system", "Say it.")])
    assert prompt_hash(None) == prompt_hash("  ") == prompt_hash([]) == b""


VALUES = st.sampled_from(
    [None, True, 3, -0.5, "", "text", [], [{"role": "user", "content": "x"}], {"a": 1.0}, [3]]
)
OBJECTS = st.dictionaries(
    st.sampled_from(["prompt", "response", "request_id", "model", "scores", "feedback"]), VALUES
)


@settings(max_examples=40)
@given(st.lists(st.binary(max_size=20) | OBJECTS.map(lambda v: json.dumps(v).encode()), max_size=6))
def test_any_bytes_are_answers_or_rejected(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    """Every line is counted once, and nothing else is raised."""
    path = tmp_path_factory.mktemp("any") / "a.jsonl"
    path.write_bytes(b'{"prompt": "p"}\n' + b"\n".join(lines))
    found = read_answers(path, "a", Config())
    assert len(found.answers) >= 1
    assert {len(row) for row in found.values.values()} == {len(found.answers)}

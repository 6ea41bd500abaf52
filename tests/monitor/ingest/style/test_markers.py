"""Markers: what the counts of a text say, by name."""

from __future__ import annotations

import math

import numpy as np
import pytest

from monitor.ingest.style import markers
from monitor.ingest.style.counts import counts
from monitor.ingest.style.markers import BINARY, NUMERIC


def features(prompt: str, answer: str) -> dict[str, float]:
    """Return the features of one record."""
    values = markers.values(counts([prompt]), counts([answer]))
    return dict(zip((*NUMERIC, *BINARY), values[:, 0].tolist(), strict=True))


@pytest.mark.parametrize(
    ("answer", "name", "expected"),
    [
        ("**a** b", "bold", 1.0),
        ("2 ** 3", "bold", 0.0),
        ("use `x`", "inline_code", 1.0),
        ("```\nx\n```", "inline_code", 0.0),
        ("One two. Three four.", "sentence_words", 2.0),
        ("Is it so?", "ends_with_question", 1.0),
        ("Unfortunately not", "unfortunately", 1.0),
        ("Sure! Here it is", "opens_sure", 1.0),
        ("Be sure", "opens_sure", 0.0),
        ("这是一个中文回答", "non_english", 1.0),
        ("It is the end of the story of you and me", "non_english", 0.0),
        ("123", "word_letters", math.nan),
    ],
)
def test_markers_of_answers(answer: str, name: str, expected: float) -> None:
    """A marker says whether something occurs in an answer, or how much of it."""
    assert features("x", answer)[f"style.{name}"] == pytest.approx(expected, nan_ok=True)


def test_a_record_without_a_prompt_has_no_markers_of_one() -> None:
    """Without a prompt its markers are missing, and those of the answer are not."""
    found = features("", "An answer.")
    assert all(math.isnan(value) == name.startswith("prompt.") for name, value in found.items())


def test_names_are_sorted_and_distinct() -> None:
    """Names are sorted within each kind, as in chunks, and no two are the same."""
    assert list(NUMERIC) == sorted(NUMERIC)
    assert list(BINARY) == sorted(BINARY)
    assert len({*NUMERIC, *BINARY}) == len(NUMERIC) + len(BINARY)


def test_records_do_not_influence_each_other() -> None:
    """The features of a record do not depend on the others of its batch."""
    texts = ["One.", "", "# Two\n- three", "4"]
    together = markers.values(counts(texts), counts(texts))
    alone = [markers.values(counts([text]), counts([text]))[:, 0] for text in texts]
    np.testing.assert_array_equal(together, np.stack(alone, axis=1))

"""Normalization of hostile text takes linear time and changes no ordinary text."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.hostile.flags import text_flags
from judges.hostile.folding import MOST_MARKS, folded
from judges.rubrics.prompt import is_blank

SLOW = {
    "two classes": "a" + "\u0315" * 20_000 + "\u0300" * 20_000,
    "alternating": "a" + "\u0315\u0300" * 20_000,
    "decomposed to marks": "a" + "\u0f73" * 30_000,
    "compatible with marks": "a" + "\uff9e\u0315" * 20_000,
}
"""Texts of 100 kB that `unicodedata.normalize` takes many seconds for."""


@pytest.mark.parametrize("text", SLOW.values(), ids=SLOW)
def test_combining_characters_take_linear_time(text: str) -> None:
    """The time of a text that was made to be slow is that of any text of its length."""
    started = time.process_time()
    assert len(folded(text)) <= 2 * MOST_MARKS + 1
    text_flags(text)
    is_blank(text)
    assert time.process_time() - started < 3


def test_long_expansions_are_bounded() -> None:
    """A character that stands for eighteen does not make the searched text longer."""
    started = time.process_time()
    text_flags("\ufdfa" * 100_000)
    assert time.process_time() - started < 15


@given(st.text(max_size=60))
def test_ordinary_text_is_nfkc(text: str) -> None:
    """Text without long runs of marks is in NFKC; text with them is as stable."""
    if max(map(len, _runs(text)), default=0) <= MOST_MARKS:
        assert folded(text) == unicodedata.normalize("NFKC", text)


def test_letters_with_many_marks_are_composed() -> None:
    """Marks of Vietnamese and of vowelled Hebrew stay."""
    text = unicodedata.normalize("NFD", "Đánh giá thật tốt ế שָׁלוֹם")
    assert folded(text) == unicodedata.normalize("NFKC", text)


def _runs(text: str) -> list[str]:
    marks = "".join(
        "x" if unicodedata.combining(unicodedata.normalize("NFKD", each)[0]) else " "
        for each in text
    )
    return marks.split()

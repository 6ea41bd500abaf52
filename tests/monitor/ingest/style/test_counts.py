"""Counts of texts: the C extension and Python agree, and each column counts what it says.

PLUMBLINE_FUZZ_EXAMPLES=100000 makes the fuzz tests thorough. `make sanitize` runs them with checks
of every access to memory.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.ingest.style import counts
from monitor.ingest.style.counts import COLUMNS, FIXED, INDEX
from monitor.ingest.style.words import GROUPS, OPENINGS
from tests.extensions import require_extension
from tests.monitor.ingest.decode.payloads import fuzz

PIECES = (
    *("**", "*", "...", ".", "!", "?", ":", "::", "://", "](", "[", ";", ",", "(", '"', "`", "```"),
    *("\n", "\n\n", " ", "\t", "\r\n", "# ", "- ", "* ", "12. ", "3) ", "7", "|", "=", "\\", "{"),
    *("it's", "'", "\u2019", "don\u2019t", "\u2014", "\u201c", "\u2026", "\U0001f600", "\u2b50"),
    *(
        "\u2022",
        "é",
        "ÉCOLE",
        "мир",
        "日本",
        "\u03b1\u03b2",
        "\xd7",
        "\xf7",
        "\ufffd",
        "\x00",
        "\x7f",
    ),
    *("unfortunately", "extraordinarily", "let me", "feel", "free", "as an AI", "I'm sorry"),
    *(text for group in (*GROUPS.values(), *OPENINGS.values()) for text in group),
)
TEXTS = st.one_of(
    st.text(max_size=80),
    st.lists(st.sampled_from(PIECES), max_size=40).map(" ".join),
    st.lists(st.sampled_from(PIECES), max_size=40).map("".join),
)


def count(text: str) -> dict[str, int]:
    """Return the counts of a text that are not 0."""
    (row,) = counts.counts([text]).tolist()
    return {name: value for name, value in zip(COLUMNS, row, strict=True) if value}


@fuzz
@given(st.lists(TEXTS, max_size=5))
def test_both_scanners_agree(texts: list[str]) -> None:
    """The C extension and Python give the same counts of any texts."""
    require_extension("_style.c", built=counts.SCANNER_BUILT)
    encoded = [text.encode("utf-8", "replace") for text in texts]
    assert counts.scan_native(encoded).tolist() == counts.scan_python(encoded).tolist()


@fuzz
@given(st.lists(st.binary(max_size=60), max_size=4))
def test_any_bytes_are_scanned(texts: list[bytes]) -> None:
    """Bytes that are no UTF-8 are scanned too, and no count is negative."""
    require_extension("_style.c", built=counts.SCANNER_BUILT)
    found = counts.scan_native(texts)
    assert found.shape == (len(texts), len(COLUMNS))
    assert (found >= 0).all()


@fuzz
@given(
    st.lists(st.tuples(st.integers(0, len(counts._TABLE) - 1), st.integers(0, 255)), max_size=200),
    st.integers(0, len(counts._TABLE)),
    TEXTS,
)
def test_a_damaged_table_is_harmless(changes: list[tuple[int, int]], stop: int, text: str) -> None:
    """Any table is refused, or its columns are those of the result."""
    require_extension("_style.c", built=counts.SCANNER_BUILT)
    from monitor.ingest.style import _style  # only if it is built

    table = bytearray(counts._TABLE)
    for place, value in changes:
        table[place] = value
    for each in (table, table[:stop], table[: 8 + 64 * (stop % 5)]):
        try:
            found = _style.scan([text.encode("utf-8", "replace")], bytes(each), counts._GROUPS)
        except ValueError:
            continue
        assert len(found) == 4 * len(COLUMNS)


@pytest.mark.parametrize("table", [b"", b"x" * 8, bytes(8 + 64), bytes(8 + 3 * 64), b"\xff" * 136])
def test_a_table_is_checked(table: bytes) -> None:
    """Bytes that are no table of words are refused."""
    require_extension("_style.c", built=counts.SCANNER_BUILT)
    from monitor.ingest.style import _style  # only if it is built

    with pytest.raises(ValueError, match="not a table"):
        _style.scan([b"text"], table, 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("**Bold** and **more**", {"bold": 4}),
        ("# Title\n\n- one\n- two\n1. three\n12) four\n* five", {"headings": 1, "bullets": 3}),
        ("1. a\n12) b\n3.c\n4", {"numbered": 2}),
        ("```py\nx = 1\n```", {"fences": 2, "ticks": 6, "equals": 1}),
        ("|a|b|\n|-|-|", {"tables": 2}),
        ("see [x](http://a.b) or https://c", {"links": 3}),
        ("One. Two! Three? 3.5 four", {"sentences": 4}),
        ("Steps:\nFirst: one", {"colons": 2, "colon_lines": 1}),
        ("one\ntwo\n\nthree\n\n\nfour", {"lines": 4, "paragraphs": 3}),
        ("it's don\u2019t 'quoted'", {"contractions": 2, "words": 3}),
        ("a b c a b c a", {"repeated": 2}),
        ("caf\xe9 мир 日本 αβ", {"accented": 1, "cyrillic": 3, "cjk": 2, "other_script": 2}),
        ("well... so\u2026 \U0001f600 \u2014", {"ellipses": 2, "emoji": 1, "dashes": 1}),
        ("Unfortunately, I can't", {"unfortunately": 1, "cannot": 1, "i": 1}),
        ("please let me know", {"please": 1, "let_me_know": 1}),
        ("let me let me know", {"let_me_know": 1}),
        ("As an AI language model", {"opens_as_ai": 1, "ai_model": 2}),
        ("Well, as an AI", {"opens_as_ai": 0, "ai_model": 1}),
        ("Here are some", {"opens_here": 1, "some": 1}),
        ("some are here", {"opens_here": 0}),
        ("  'Yes'", {"first": ord("'"), "last": ord("'"), "opens_yes_no": 1}),
        ("unfortunatel", {"unfortunately": 0}),
    ],
)
def test_counts(text: str, expected: dict[str, int]) -> None:
    """Marks, layout, words, phrases and openings are counted."""
    found = count(text)
    assert {name: found.get(name, 0) for name in expected} == expected


def test_every_word_is_in_its_group() -> None:
    """Each word and phrase counts in its group, and each opening in its own."""
    for group, texts in GROUPS.items():
        for text in texts:
            assert count(text).get(group, 0) >= 1, text
    for group, texts in OPENINGS.items():
        for text in texts:
            assert count(f"{text} x y z").get(group, 0) >= 1, text
            assert not count(f"x {text}").get(group, 0), text


def test_names_of_columns_are_distinct() -> None:
    """No two columns have the same name."""
    assert len(INDEX) == len(COLUMNS) == len(FIXED) + len(GROUPS) + len(OPENINGS)

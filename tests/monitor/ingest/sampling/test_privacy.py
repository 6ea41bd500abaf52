"""Redaction of whole samples, and hashes of users."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.ingest.sampling.codec import encode_sample
from monitor.ingest.sampling.cut import fit
from monitor.ingest.sampling.privacy import READ_TIMES, Redact, redact_sample, user_hash
from monitor.records import ChatMessage, Inclusion, Sample
from monitor.redaction.redactor import redact as shipped

SECRET = "secret-" + "0123456789" * 5


def redact(text: str) -> tuple[str, dict[str, int]]:
    """Replace each SECRET."""
    result, found = re.subn(SECRET, "[secret]", text)
    return result, {"secret": found} if found else {}


def sample(**fields: object) -> Sample:
    """Return a uniform sample with these fields."""
    given = {"request_id": "r", "timestamp": 1.0, "model": "m", "inclusion": Inclusion(True, 0.1)}
    return Sample(**(given | fields))  # type: ignore[arg-type]  # fields of any type


def redacted(whole: Sample, function: Redact, max_bytes: int) -> Sample:
    """Redact a sample and return it."""
    redact_sample(whole, function, max_bytes)
    return whole


def test_every_text_is_redacted_and_counted() -> None:
    """Prompt, response, contexts, reference, error, session and metadata are redacted."""
    text = f"my {SECRET}."
    whole = sample(
        prompt=[ChatMessage("user", text), ChatMessage("system", "plain")],
        response=text,
        contexts=[text, text],
        reference=text,
        error=text,
        session_id=text,
        metadata={"a": text, "b": 1.0},
    )
    clean = redacted(whole, redact, 10_000)
    assert SECRET not in encode_sample(clean).decode()
    assert clean.redacted == {"secret": 8}
    assert clean.prompt == [ChatMessage("user", "my [secret]."), ChatMessage("system", "plain")]
    assert clean.metadata == {"a": "my [secret].", "b": 1.0}
    assert clean.cut == ()


def test_every_label_is_redacted_and_counted() -> None:
    """Roles, keys of metadata, experiments and their variants, names of scores, finish reason."""
    whole = sample(
        prompt=[ChatMessage(SECRET, "plain")],
        metadata={SECRET: 1.0},
        experiments={SECRET: "a", "b": SECRET},
        scores={SECRET: 1.0, "plain": 0.5},
        finish_reason=SECRET,
    )
    clean = redacted(whole, redact, 10_000)
    assert SECRET not in encode_sample(clean).decode()
    assert clean.redacted == {"secret": 6}
    assert clean.scores == {"[secret]": 1.0, "plain": 0.5}


@pytest.mark.parametrize("value", [4111111111111111.0, 1.5, 123.0, -1.0, 1e300, float("inf")])
def test_numbers_of_metadata(value: float) -> None:
    """A card number may be a number; all others stay numbers."""
    card = shipped("4111111111111111").text
    clean = redacted(sample(metadata={"paid_with": value}), shipped, 10_000)
    assert clean.metadata == {"paid_with": card if value > 1e15 and value < 1e16 else value}


def test_a_prompt_that_is_one_text() -> None:
    """A prompt may be one text."""
    assert redacted(sample(prompt=SECRET), redact, 10_000).prompt == "[secret]"


@given(st.integers(0, 60), st.integers(1, 3))
def test_no_part_of_a_secret_remains_where_a_text_is_cut(offset: int, texts: int) -> None:
    """A text is read up to a limit; a secret across the limit, which no rule recognizes, is
    dropped together with the end of the text, also if redaction shortened the text before it.
    """
    max_bytes = 2_000
    edge = READ_TIMES * max_bytes // texts + 16_384
    for before in ("x" * (edge - offset), (SECRET * edge)[: edge - offset]):
        whole = sample(prompt=[ChatMessage("user", before + SECRET + "y" * 9_000)] * texts)
        clean = redacted(whole, redact, max_bytes)
        assert "secret-" not in encode_sample(clean).decode()
        assert clean.cut == ("prompt",)
        fit(clean, max_bytes)
        assert clean.cut == ("prompt",)


def test_work_for_a_huge_record_is_bounded() -> None:
    """At most the limit and the tail of each text are given to redaction."""
    read: Counter[str] = Counter()

    def count(text: str) -> tuple[str, dict[str, int]]:
        read["chars"] += len(text)
        return text, {}

    redacted(sample(response="x" * 4_000_000, prompt="y" * 4_000_000), count, 2_000)
    assert read["chars"] < 50_000


@pytest.mark.parametrize("key", [None, "k" * 16, "k" * 100])
def test_user_hash(key: str | None) -> None:
    """A hash is the same for the same user and key, differs otherwise, and hides the id."""
    hashed = user_hash("alice@example.com", key)
    assert re.fullmatch("[0-9a-f]{32}", hashed)
    assert hashed == user_hash("alice@example.com", key)
    others = {user_hash("bob@example.com", key), user_hash("alice@example.com", "another key")}
    assert hashed not in others


def test_clean_samples_are_not_searched_text_by_text() -> None:
    """All texts and the texts of metadata are asked for at once; unclean ones are redacted."""
    asked: list[Sequence[str]] = []

    def clean(texts: Sequence[str]) -> bool:
        asked.append(texts)
        return not any(SECRET in text for text in texts)

    def never(text: str) -> tuple[str, dict[str, int]]:
        raise AssertionError(text)

    plain = sample(prompt="a", response="b", contexts=["c"], metadata={"k": "d", "n": 1.0})
    redact_sample(plain, never, 10_000, clean)
    assert asked == [["a", "c", "b", "k", "d", "n"]]
    assert (plain.redacted, plain.cut) == ({}, ())
    for field in ({"response": SECRET}, {"metadata": {"k": SECRET}}, {"session_id": SECRET}):
        unclean = sample(**field)
        redact_sample(unclean, redact, 10_000, clean)
        assert unclean.redacted == {"secret": 1}

"""Cutting samples to a size."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from monitor.ingest.sampling.codec import encode_sample
from monitor.ingest.sampling.cut import MARKER, MAX_PARTS, TooLargeError, fair_limit, fit, texts
from monitor.records import ChatMessage, Inclusion, Sample
from tests.monitor.ingest.sampling.any_samples import SAMPLES


def sample(**fields: object) -> Sample:
    """Return a uniform sample with these fields."""
    given = {"request_id": "r", "timestamp": 1.0, "model": "m", "inclusion": Inclusion(True, 0.1)}
    return Sample(**(given | fields))  # type: ignore[arg-type]  # fields of any type


def cut_to(whole: Sample, max_bytes: int) -> Sample:
    """Return a copy of a sample that is cut."""
    changed = copy.deepcopy(whole)
    assert fit(changed, max_bytes) == encode_sample(changed)
    return changed


@given(SAMPLES, st.integers(1_000, 20_000))
def test_a_sample_fits_and_names_what_was_cut(whole: Sample, max_bytes: int) -> None:
    """A sample that fits is unchanged. Otherwise exactly the fields in `cut` differ: texts begin as
    before and end with the marker, labels are removed.
    """
    size = len(encode_sample(whole))
    if size <= max_bytes:
        assert cut_to(whole, max_bytes) == whole
        return
    try:
        cut = cut_to(whole, max_bytes)
    except TooLargeError:  # names alone are larger
        return
    assert len(encode_sample(cut)) <= max_bytes
    before, after = asdict(whole), asdict(cut)
    assert {name for name in after if before[name] != after[name]} - {"cut"} == set(cut.cut)
    for (field, text), (_, shorter) in zip(texts(whole), texts(cut), strict=True):
        if text != shorter:
            assert field in cut.cut
            assert not shorter or (
                shorter.endswith(MARKER) and text.startswith(shorter.removesuffix(MARKER))
            )


@given(SAMPLES)
def test_texts_are_used_up_to_the_limit(whole: Sample) -> None:
    """Cutting wastes little: a cut sample of long texts has nearly the size that is allowed."""
    whole = replace(
        whole, response='é"' * 30_000, prompt=None, contexts=None, reference=None, metadata=None,
        session_id=None, error=None,
    )  # fmt: skip
    cut = cut_to(whole, 20_000)
    assert 19_000 < len(encode_sample(cut)) <= 20_000


def test_a_long_prompt_leaves_the_answer_whole() -> None:
    """Only texts that are longer than their share are cut."""
    long = sample(
        prompt=[ChatMessage("user", "p" * 1_000_000)],
        response="the answer " * 100,
        contexts=["c" * 500_000, "short"],
    )
    cut = cut_to(long, 10_000)
    assert cut.response == long.response
    assert cut.contexts is not None
    assert cut.contexts[1] == "short"
    assert cut.cut == ("contexts", "prompt")


def test_labels_are_removed_before_texts() -> None:
    """Metadata without bound does not displace the texts."""
    cut = cut_to(sample(metadata={str(i): "x" for i in range(50_000)}, response="r" * 900), 4_000)
    assert (cut.metadata, cut.response, cut.cut) == (None, "r" * 900, ("metadata",))


def test_many_small_parts_are_removed() -> None:
    """The newest messages and the first contexts are kept."""
    prompt = [ChatMessage("user", str(i)) for i in range(20_000)]
    cut = cut_to(sample(prompt=prompt, contexts=["c"] * 50_000), 100_000)
    assert cut.prompt == prompt[-MAX_PARTS:]
    assert cut.cut == ("contexts", "prompt")


def test_a_sample_that_cannot_fit() -> None:
    """A request id is a key, which is never cut: such a sample cannot be written."""
    with pytest.raises(TooLargeError):
        fit(sample(request_id="x" * 5_000), 4_000)


@given(st.lists(st.integers(0, 1_000), max_size=30), st.integers(-100, 20_000))
def test_fair_limit_is_the_largest(sizes: list[int], total: int) -> None:
    """Sizes cut to the limit fit, and with a larger limit they would not."""
    limit = fair_limit(sizes, total)
    assert limit >= 0
    used = sum(min(size, limit) for size in sizes)
    assert used <= max(0, total)
    if sum(sizes) > max(0, total):
        assert sum(min(size, limit + 1) for size in sizes) > total
    else:
        assert limit == max(sizes, default=0)

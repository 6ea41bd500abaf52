"""Agreement of error spans: characters by sets, and presence by kind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.statistics.agreement import Estimate, Undefined
from monitor.statistics.review.ratings import rating_agreement
from monitor.statistics.review.spans import (
    MOST_KINDS,
    NO_SPANS,
    Marks,
    Span,
    overlap,
    span_agreement,
)


def rng(seed: int = 1) -> np.random.Generator:
    """Return a generator."""
    return np.random.default_rng(seed)


spans = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 12), st.sampled_from("ab")).map(
        lambda each: Span(each[0], each[0] + each[1], each[2])
    ),
    max_size=6,
)


def characters(marked: list[Span], *, kind: bool = True) -> set[tuple[int, str]]:
    """Return the marked characters, with their kind."""
    return {(i, s.kind if kind else "") for s in marked for i in range(s.start, s.end)}


@given(spans, spans)
def test_overlap_is_that_of_sets(first: list[Span], second: list[Span]) -> None:
    """Common characters and sizes are those of sets; spans may overlap each other."""
    a, b = characters(first), characters(second)
    assert overlap(first, second) == (len(a & b), len(a) + len(b))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.dictionaries(st.integers(0, 2), spans, max_size=3), min_size=1, max_size=6))
def test_f1_is_that_of_sets(items: list[Marks]) -> None:
    """F1 sums over all pairs of annotators and items, with and without the kind."""
    found = span_agreement(items, 3, rng(), resamples=2)
    for result, kind in ((found.f1, True), (found.f1_any_kind, False)):
        common = size = 0
        for marks in items:
            for a in marks:
                for b in marks:
                    if a < b:
                        one, other = (characters(list(marks[who]), kind=kind) for who in (a, b))
                        common += len(one & other)
                        size += len(one) + len(other)
        if size:
            assert isinstance(result, Estimate)
            assert result.value == pytest.approx(2 * common / size)
        else:
            assert result == NO_SPANS


def marked(items: int, seed: int = 1) -> list[Marks]:
    """Return spans of two annotators: errors of kind a are found by both, of kind b by chance."""
    generator = rng(seed)
    found: list[Marks] = []
    for _ in range(items):
        shared = [Span(0, 10, "a")] if generator.random() < 0.5 else []
        found.append(
            {
                who: shared + ([Span(20, 25, "b")] if generator.random() < 0.3 else [])
                for who in (0, 1)
            }
        )
    return found


def test_presence_by_kind() -> None:
    """Each kind has the agreement of "any error of this kind", as of binary ratings."""
    items = marked(200)
    found = span_agreement(items, 2, rng())
    assert list(found.kinds) == ["a", "b"]
    assert isinstance(found.kinds["a"].alpha, Estimate)
    assert isinstance(found.kinds["b"].alpha, Estimate)
    assert found.kinds["a"].alpha.value == 1
    assert abs(found.kinds["b"].alpha.value) < 0.2
    matrix = np.array([[any(s.kind == "b" for s in m[who]) for who in (0, 1)] for m in items])
    plain = rating_agreement(matrix.astype(float), "nominal", rng(), resamples=2)
    assert plain.alpha is not None
    assert isinstance(plain.alpha, Estimate)
    assert found.kinds["b"].alpha.value == pytest.approx(plain.alpha.value)


def test_pairs_have_intervals() -> None:
    """Each pair with enough common items has its F1, with an interval over items."""
    items = [*marked(40), {2: [Span(0, 1, "a")]}, {1: [Span(0, 1, "a")], 2: []}]
    found = span_agreement(items, 3, rng())
    assert found.items == 41
    (pair,) = found.pairs
    assert (pair.first, pair.second, pair.items) == (0, 1, 40)
    assert isinstance(pair.f1, Estimate)
    assert pair.f1.lower is not None
    assert pair.f1.upper is not None
    assert pair.f1.lower < pair.f1.value < pair.f1.upper


def test_no_errors_at_all() -> None:
    """Annotators who mark nothing agree, but no coefficient shows it."""
    items: list[Marks] = [{0: [], 1: []} for _ in range(30)]
    found = span_agreement(items, 2, rng())
    assert found.f1 == NO_SPANS
    assert found.kinds == {}
    assert isinstance(found.present.alpha, Undefined)
    assert isinstance(found.present.exact, Estimate)
    assert found.present.exact.value == 1


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([{0: [Span(3, 3, "a")]}], "empty"),
        ([{0: [Span(-1, 3, "a")]}], "empty"),
        ([{2: []}], "annotator 2"),
        ([{0: [Span(0, 1, str(i)) for i in range(MOST_KINDS + 1)]}], "kinds of errors"),
    ],
)
def test_wrong_spans(items: list[Marks], message: str) -> None:
    """Empty spans, unknown annotators and too many kinds are errors of the caller."""
    with pytest.raises(ValueError, match=message):
        span_agreement(items, 2, rng())

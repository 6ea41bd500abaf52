"""Columns of any shape for property tests, and their comparison."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from monitor.ingest.chunks.columns import CategoryColumn, Columns
from monitor.ingest.sampling.examples import Examples
from monitor.records import Source

names = st.text(max_size=8)
finite = st.floats(allow_infinity=False)


@st.composite
def any_columns(draw: st.DrawFn) -> Columns:
    """Return columns of any shape, including those without records or features."""
    n = draw(st.integers(0, 6))
    features = draw(st.lists(names, unique=True, max_size=5))
    cut = draw(st.integers(0, len(features)))
    times = st.floats(0, 4e9)
    categories = []
    for name in draw(st.lists(names, unique=True, max_size=2)):
        vocabulary = tuple(draw(st.lists(names, unique=True, max_size=3)))
        codes = draw(hnp.arrays(np.int32, n, elements=st.integers(-1, len(vocabulary) - 1)))
        categories.append(CategoryColumn(name, vocabulary, codes))
    indices = sorted(draw(st.sets(st.integers(0, n - 1)))) if n else []
    ids = [draw(st.text("ab\u00e9-", min_size=1, max_size=5)) for _ in indices]
    source = draw(st.sampled_from(Source))
    return Columns(
        draw(names),
        draw(hnp.arrays(np.int64, n)),
        draw(hnp.arrays(np.float64, n, elements=times)),
        tuple(features[:cut]),
        tuple(features[cut:]),
        draw(hnp.arrays(np.float64, (len(features), n), elements=finite)),
        tuple(categories),
        Examples(np.array(indices, np.int32), tuple(ids)),
        source,
        "" if source is Source.LOG else draw(names),
    )


def assert_same(one: Columns, other: Columns) -> None:
    """Assert that two columns are equal bit for bit and have the same types."""
    for field in fields(Columns):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, np.ndarray):
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            assert a.tobytes() == b.tobytes()
        elif field.name == "examples":
            assert a.indices.dtype == b.indices.dtype
            assert (a.indices.tolist(), a.ids) == (b.indices.tolist(), b.ids)
        elif field.name == "categories":
            assert [(c.name, c.vocabulary, c.codes.dtype, c.codes.tolist()) for c in a] == [
                (c.name, c.vocabulary, c.codes.dtype, c.codes.tolist()) for c in b
            ]
        else:
            assert a == b

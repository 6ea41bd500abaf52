"""The buffer of examples: the newest of a window, bounded and independent of chunks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.detect.explain.example_buffer import MAX_EXAMPLES, ExampleBuffer
from monitor.detect.reference import builder
from monitor.ingest.chunks.columns import Columns
from monitor.ingest.sampling.examples import Examples
from tests.monitor import synthetic


def with_examples(n: int, every: int) -> Columns:
    """Return synthetic records of which every `every`-th is an example; its id is its number."""
    indices = np.arange(0, n, every, dtype=np.int32)
    found = Examples(indices, tuple(f"r{i + 1}" for i in indices))
    return replace(synthetic.stream(n, seed=9), examples=found)


BASELINE = builder.build(
    [synthetic.stream(2000, seed=1)], segment="", window=200, categories=10
).baseline


def ids_within(buffer: ExampleBuffer, first: int, last: int) -> list[str]:
    """Return the ids of the examples, newest first."""
    return [each for piece in buffer.within(first, last) for each in reversed(piece.examples.ids)]


@synthetic.SLOW_PROPERTY
@given(synthetic.cuttings(1500), st.sampled_from([1, 3, 40]))
def test_buffer_does_not_depend_on_chunks(marks: list[int], every: int) -> None:
    """The buffer always has the newest examples of a window, at most MAX_EXAMPLES."""
    columns, buffer, seen = with_examples(1500, every), ExampleBuffer(), 0
    for chunk in synthetic.cut(columns, marks):
        buffer.add(chunk, np.arange(seen + 1, seen + 1 + len(chunk)))
        for record in range(seen - seen % 100 + 100, seen + len(chunk) + 1, 100):
            numbers = [n for n in range(1, record + 1) if (n - 1) % every == 0]
            kept = [f"r{n}" for n in numbers[-MAX_EXAMPLES:] if n > record - 300]
            assert ids_within(buffer, record - 299, record) == kept[::-1]
        seen += len(chunk)
        buffer.trim(seen - 299)
        assert buffer.count == sum(map(len, buffer.pieces)) <= MAX_EXAMPLES
        restored = ExampleBuffer()
        restored.restore(buffer.snapshot(BASELINE))
        assert ids_within(restored, 1, seen) == ids_within(buffer, seen - 299, seen)
        buffer = restored


def test_buffer_keeps_features_with_ids() -> None:
    """The values of an example are those of the record with its id."""
    columns, buffer = with_examples(500, 7), ExampleBuffer()
    buffer.add(columns, np.arange(1, len(columns) + 1))
    for piece in buffer.within(100, 300):
        for at, request_id in enumerate(piece.examples.ids):
            number = int(request_id[1:])
            assert piece.positions[at] == number
            expected = columns.values[:, number - 1]
            assert np.array_equal(piece.values[:, at], expected, equal_nan=True)

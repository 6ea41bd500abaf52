"""Which chunks of a feature partition belong to a range of records of a model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.records import Source
from monitor.roles.model_records import Range
from tests.monitor import judged


@pytest.mark.parametrize("source", Source)
def test_a_range_has_chunks_of_one_source(source: Source) -> None:
    """A reference of the log contains no judged samples, and the other way round."""
    chosen = Range("m", 0, 0, 10, source=source)
    chunks = [judged.samples(3, source=each) for each in Source]
    assert [chunk.source for chunk in chunks if chosen.contains(chunk)] == [source]
    assert not chosen.contains(replace(judged.samples(3, source=source), model="other"))
    assert not chosen.contains(judged.samples(0, source=source))


def test_a_range_without_a_source_is_of_the_log() -> None:
    """As commands of earlier versions mean it."""
    assert Range("m", 0, 0, 10).contains(judged.samples(3, source=Source.LOG))
    assert not Range("m", 0, 0, 10).contains(judged.samples(3))


def test_the_median_of_the_event_times_decides() -> None:
    """The period includes its start and excludes its end."""
    chunk = judged.samples(3)
    middle = float(chunk.times[1])
    assert Range("m", 0, 0, 10, middle, middle + 1, Source.JUDGE).contains(chunk)
    assert not Range("m", 0, 0, 10, middle - 1, middle, Source.JUDGE).contains(chunk)

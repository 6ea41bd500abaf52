"""Files of records: every line has its number, and what is no record is counted."""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import logfiles
from monitor.config import Config
from monitor.features import Batch
from monitor.logfiles import LogReader, metadata_of, reader


def line(latency: float = 1) -> bytes:
    """A record of which the latency tells the place."""
    fields = {"request_id": "r", "timestamp": 1, "model": "m", "latency_ms": latency}
    return json.dumps(fields).encode()


def read(*paths: Path, config: Config | None = None) -> tuple[LogReader, list[Batch]]:
    """A reader that has read the files, and its batches."""
    log = reader(config or Config())
    return log, list(log.batches(paths, lambda _: None))


def places(batches: Sequence[Batch]) -> list[tuple[int, float]]:
    """(position, latency) of every record."""
    return [
        place
        for batch in batches
        for place in zip(batch.positions.tolist(), batch.row("latency_ms").tolist(), strict=True)
    ]


def test_positions_count_through_all_files(tmp_path: Path) -> None:
    """Refused and blank lines, ends of any kind and the end of a file do not upset the count."""
    one, two = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    one.write_bytes(line(1) + b"\n\n" + line(3) + b"\r\nno record\r\n \r\n" + line(6))
    two.write_bytes(line(7) + b"\n" + line(8) + b"\n")
    log, batches = read(one, two)
    assert places(batches) == [(1, 1), (3, 3), (6, 6), (7, 7), (8, 8)]
    assert log.lines == 8
    assert log.rejections == {"not_json": 1}


def test_rejections_are_counted_by_reason(tmp_path: Path) -> None:
    """Each refused line counts under its reason; blank ones are no refusals."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"\n".join([b"{}", b"", b"[]", b"\t", b"{}", line()]))
    log, _ = read(path)
    assert log.rejections == {"missing_field": 2, "wrong_type": 1}


def test_gzip(tmp_path: Path) -> None:
    """A .gz file reads like the file in it."""
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress(line(1) + b"\n" + line(2)))
    assert places(read(path)[1]) == [(1, 1), (2, 2)]


@pytest.mark.parametrize("name", ["a.jsonl", "b.jsonl.gz"])
def test_empty_files(tmp_path: Path, name: str) -> None:
    """A file of no lines has no records and is no error."""
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"") if path.suffix == ".gz" else b"")
    log, batches = read(path)
    assert (log.lines, batches) == (0, [])


def test_standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """ "-" is the standard input; it stays open, so that naming it twice finds it at its end."""
    stdin = SimpleNamespace(buffer=io.BytesIO(line(1) + b"\n" + line(2)))
    monkeypatch.setattr(sys, "stdin", stdin)
    path = tmp_path / "log.jsonl"
    path.write_bytes(line(3))
    assert places(read(Path("-"), path, Path("-"))[1]) == [(1, 1), (2, 2), (3, 3)]
    assert not stdin.buffer.closed


def damaged(path: Path) -> None:
    """A gzip file whose compressed data are nonsense."""
    raw = bytearray(gzip.compress(b"".join(line(n) + b"\n" for n in range(5_000))))
    raw[10:60] = b"\xff" * 50  # right after the header
    path.write_bytes(raw)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("absent.jsonl", lambda path: None),
        ("absent.jsonl.gz", lambda path: None),
        ("folder", Path.mkdir),
        ("plain.gz", lambda path: path.write_bytes(line())),
        ("cut.gz", lambda path: path.write_bytes(gzip.compress(line())[:-9])),
        ("damaged.gz", damaged),
    ],
)
def test_unreadable_files(tmp_path: Path, name: str, make: object) -> None:
    """A file that is not there, or not what its name says, is an OSError that names it."""
    path = tmp_path / name
    assert callable(make)
    make(path)
    with pytest.raises(OSError, match=name) as caught:
        read(path)
    assert caught.value.filename == str(path)


def test_progress_adds_up_to_the_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes told are those of the files, in more than one step."""
    monkeypatch.setattr(logfiles, "BATCH_BYTES", 100)
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"\n".join([line(), b"", b"x"] * 10))
    told: list[int] = []
    batches = list(reader(Config()).batches([path], told.append))
    assert sum(told) == path.stat().st_size
    assert len(told) == len(batches) > 3


@given(st.lists(st.sampled_from([b"", b"x", b"{}", b"record"]), max_size=30), st.integers(1, 400))
def test_positions_are_line_numbers(kinds: list[bytes], size: int) -> None:
    """However the file is cut into batches, a position is the number of its line."""
    lines = [line(n) if kind == b"record" else kind for n, kind in enumerate(kinds, 1)]
    stdin = SimpleNamespace(buffer=io.BytesIO(b"\n".join(lines)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", stdin)
        patch.setattr(logfiles, "BATCH_BYTES", size)
        log, batches = read(Path("-"))
    assert places(batches) == [(n, n) for n, kind in enumerate(kinds, 1) if kind == b"record"]
    assert log.rejections.total() == sum(kind in {b"x", b"{}"} for kind in kinds)


def test_metadata_is_what_features_and_segments_need() -> None:
    """Keys that segments go by are categories, unless the features say otherwise."""
    config = Config.model_validate(
        {
            "segments": ["metadata.route", "finish_reason"],
            "features": {"metadata": {"size": "numeric"}},
        }
    )
    assert metadata_of(config) == {"route": "categorical", "size": "numeric"}
    assert metadata_of(Config()) == {}


def test_reader_watches_the_configured_metadata(tmp_path: Path) -> None:
    """The configured metadata and bounds reach the features."""
    path = tmp_path / "log.jsonl"
    extra = {"metadata": {"size": 4, "route": "a"}, "scores": {"s": 1, "t": 2}}
    path.write_bytes(json.dumps(json.loads(line()) | extra).encode())
    config = Config.model_validate(
        {
            "segments": ["metadata.route"],
            "features": {"metadata": {"size": "numeric"}},
            "limits": {"scores": 1},
        }
    )
    log, [batch] = read(path, config=config)
    assert batch.row("metadata.size").tolist() == [4]
    assert [c.name for c in batch.categories] == ["finish_reason", "metadata.route"]
    assert log.extractor.scores_dropped == 1

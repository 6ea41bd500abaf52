"""Files of records: positions are line numbers, and rejected lines are counted."""

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

from monitor.config.schema import Config
from monitor.ingest.features import Batch
from monitor.ingest.fields.limits import SCORES_PER_LIMIT
from monitor.ingest.files import LogReader, reader, watched_metadata
from monitor.ingest.files.splitting import framing


def line(latency: float = 1) -> bytes:
    """Return a record that is identified by its latency."""
    fields = {"request_id": "r", "timestamp": 1, "model": "m", "latency_ms": latency}
    return json.dumps(fields).encode()


def read(*paths: Path, config: Config | None = None) -> tuple[LogReader, list[Batch]]:
    """Read the files and return the reader and its batches."""
    log = reader(config or Config())
    return log, list(log.batches(paths, lambda _: None))


def locations(batches: Sequence[Batch]) -> list[tuple[int, float]]:
    """Return (position, latency) of every record."""
    return [
        location
        for batch in batches
        for location in zip(batch.positions.tolist(), batch.row("latency_ms").tolist(), strict=True)
    ]


def test_positions_continue_over_all_files(tmp_path: Path) -> None:
    """Rejected lines, blank lines, all line endings and the end of a file are counted correctly."""
    one, two = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    one.write_bytes(line(1) + b"\n\n" + line(3) + b"\r\nno record\r\n \r\n" + line(6))
    two.write_bytes(line(7) + b"\n" + line(8) + b"\n")
    log, batches = read(one, two)
    assert locations(batches) == [(1, 1), (3, 3), (6, 6), (7, 7), (8, 8)]
    assert log.lines == 8
    assert log.rejections.counts == {"not_json": 1}


def test_rejections_are_counted_by_reason(tmp_path: Path) -> None:
    """Each rejected line is counted under its reason. Blank lines are not rejected."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"\n".join([b"{}", b"", b"[]", b"\t", b"{}", line()]))
    log, _ = read(path)
    assert log.rejections.counts == {"missing_field": 2, "wrong_type": 1}


def test_gzip_file_is_decompressed(tmp_path: Path) -> None:
    """A .gz file gives the same records as the file in it."""
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress(line(1) + b"\n" + line(2)))
    assert locations(read(path)[1]) == [(1, 1), (2, 2)]


@pytest.mark.parametrize("name", ["a.jsonl", "b.jsonl.gz"])
def test_empty_file_has_no_records(tmp_path: Path, name: str) -> None:
    """A file without lines has no records and is not an error."""
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"") if path.suffix == ".gz" else b"")
    log, batches = read(path)
    assert (log.lines, batches) == (0, [])


def test_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """ "-" is standard input, which stays open: given twice, it is at its end the second time."""
    stdin = SimpleNamespace(buffer=io.BytesIO(line(1) + b"\n" + line(2)))
    monkeypatch.setattr(sys, "stdin", stdin)
    path = tmp_path / "log.jsonl"
    path.write_bytes(line(3))
    assert locations(read(Path("-"), path, Path("-"))[1]) == [(1, 1), (2, 2), (3, 3)]
    assert not stdin.buffer.closed


def damaged_gzip(path: Path) -> None:
    """Write a gzip file with invalid compressed data."""
    raw = bytearray(gzip.compress(b"".join(line(n) + b"\n" for n in range(5_000))))
    raw[10:60] = b"\xff" * 50  # right after the header
    path.write_bytes(raw)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("absent.jsonl", lambda path: None),
        ("absent.jsonl.gz", lambda path: None),
        ("folder", Path.mkdir),
        ("cut.gz", lambda path: path.write_bytes(gzip.compress(line())[:-9])),
        ("damaged.gz", damaged_gzip),
    ],
)
def test_unreadable_file_raises_os_error(tmp_path: Path, name: str, make: object) -> None:
    """A file that is missing or damaged raises OSError with its name."""
    path = tmp_path / name
    assert callable(make)
    make(path)
    with pytest.raises(OSError, match=name) as caught:
        read(path)
    assert caught.value.filename == str(path)


def test_progress_adds_up_to_the_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reported bytes add up to the size of the file, in several steps."""
    monkeypatch.setattr(framing, "BATCH_BYTES", 100)
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"\n".join([line(), b"", b"x"] * 10))
    reported: list[int] = []
    batches = list(reader(Config()).batches([path], reported.append))
    assert sum(reported) == path.stat().st_size
    assert len(reported) == len(batches) > 3


@given(st.lists(st.sampled_from([b"", b"x", b"{}", b"record"]), max_size=30), st.integers(1, 400))
def test_positions_are_line_numbers(kinds: list[bytes], size: int) -> None:
    """A position is the number of its line for all batch sizes."""
    lines = [line(n) if kind == b"record" else kind for n, kind in enumerate(kinds, 1)]
    stdin = SimpleNamespace(buffer=io.BytesIO(b"\n".join(lines)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", stdin)
        patch.setattr(framing, "BATCH_BYTES", size)
        log, batches = read(Path("-"))
    assert locations(batches) == [(n, n) for n, kind in enumerate(kinds, 1) if kind == b"record"]
    assert log.rejections.total == sum(kind in {b"x", b"{}"} for kind in kinds)


def test_metadata_has_the_keys_of_features_and_segments() -> None:
    """Keys of segments are categorical, unless features.metadata has another kind."""
    config = Config.model_validate(
        {
            "segments": ["metadata.route", "finish_reason"],
            "features": {"metadata": {"size": "numeric"}},
        }
    )
    assert watched_metadata(config) == {"route": "categorical", "size": "numeric"}
    assert watched_metadata(Config()) == {}


def test_reader_uses_the_configured_metadata_and_limits(tmp_path: Path) -> None:
    """The configured metadata and limits apply to the features."""
    path = tmp_path / "log.jsonl"
    extra = {"metadata": {"size": 4, "route": "a"}, "scores": dict.fromkeys("stuvw", 1)}
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
    assert log.extractor.scores_dropped == 5 - SCORES_PER_LIMIT

"""Loading references: profiles from files of records, and the configured reference."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import pytest

from monitor.cli.backtest import backtest
from monitor.cli.demo.traffic import traffic
from monitor.config.schema import Config
from monitor.config.sections.detection import (
    FeaturesConfig,
    FileReference,
    LimitsConfig,
    NamedReference,
    WarmupReference,
    WindowsConfig,
)
from monitor.detect.reference import loader, store
from monitor.detect.reference.profile import Profile
from monitor.detect.reference.store import UnusableReferenceError
from monitor.ingest.fields.limits import Dropped

CONFIG = Config(
    windows=WindowsConfig(records=200, stride=20), reference=WarmupReference(records=2000)
)


def write_log(path: Path, records: int = 1000) -> Path:
    """Write a file of synthetic traffic."""
    lines = traffic(records, change_at=records, seed=7, rate=50.0, start=1.7e9)
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def records_of(profiles: Iterable[Profile]) -> dict[tuple[str, str], int]:
    """Return the records by model and segment."""
    return {(p.model, p.segment): p.records for p in profiles}


def test_from_files_builds_each_model(tmp_path: Path) -> None:
    """Each model has a profile of all its records in all files."""
    paths = [write_log(tmp_path / "a.jsonl"), write_log(tmp_path / "b.jsonl", 500)]
    read: list[int] = []
    built = records_of(loader.from_files(paths, CONFIG, read.append))
    assert {model for model, _ in built} == {"chat-large", "code-small"}
    assert sum(built.values()) == 1500
    assert sum(read) == sum(path.stat().st_size for path in paths)


def test_from_files_builds_each_segment(tmp_path: Path) -> None:
    """Each segment with enough records has a profile."""
    config = CONFIG.model_copy(update={"segments": ("metadata.route",)})
    built = records_of(loader.from_files([write_log(tmp_path / "a.jsonl", 2000)], config))
    large = {s: n for (model, s), n in built.items() if model == "chat-large" and s}
    assert set(large) == {f"metadata.route={route}" for route in ("web", "mobile", "api")}
    assert sum(large.values()) == built["chat-large", ""]


def test_model_with_too_few_records_is_left_out(tmp_path: Path) -> None:
    """A model with fewer records than a window has no profile."""
    path = write_log(tmp_path / "a.jsonl", 400)  # 60 % of them of chat-large
    built = records_of(loader.from_files([path], CONFIG))
    assert set(built) == {("chat-large", "")}
    assert built["chat-large", ""] >= 200


def test_records_of_one_window_are_enough(tmp_path: Path) -> None:
    """A model needs exactly the records of a window."""
    lines = write_log(tmp_path / "a.jsonl", 1000).read_bytes().splitlines(keepends=True)
    large = [line for line in lines if b'"chat-large"' in line]
    path = tmp_path / "b.jsonl"
    path.write_bytes(b"".join(large[:200]))
    assert records_of(loader.from_files([path], CONFIG)) == {("chat-large", ""): 200}
    path.write_bytes(b"".join(large[:199]))
    with pytest.raises(UnusableReferenceError, match="no model has a window of 200 records in"):
        loader.from_files([path], CONFIG)


def truncated_gzip(path: Path) -> None:
    """Write a truncated gzip file."""
    path.write_bytes(gzip.compress(write_log(path.with_suffix(".jsonl")).read_bytes())[:-2000])


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("none.jsonl", lambda path: None, "No such file"),
        ("folder", Path.mkdir, "Is a directory"),
        ("cut.gz", truncated_gzip, "Incomplete or damaged compressed file"),
    ],
)
def test_file_that_cannot_be_read_is_named(
    tmp_path: Path, name: str, make: Callable[[Path], object], message: str
) -> None:
    """The error has the path and the reason, in one line."""
    path = tmp_path / name
    make(path)
    with pytest.raises(UnusableReferenceError) as caught:
        loader.from_files([path], CONFIG)
    text = str(caught.value)
    assert text.startswith(f"cannot read {path}: ")
    assert message in text
    assert "\n" not in text


def test_load_follows_the_configuration(tmp_path: Path) -> None:
    """References come from a file, from a promoted version, or from the warm-up."""
    path = write_log(tmp_path / "a.jsonl")
    from_file = CONFIG.model_copy(update={"reference": FileReference(source="file", path=path)})
    assert loader.load(CONFIG) == {}
    loaded = loader.load(from_file)
    assert set(loaded) == {("chat-large", ""), ("code-small", "")}
    directory = tmp_path / "references"
    store.save(directory, "chat", loader.from_files([path], CONFIG), "a.jsonl")
    named = NamedReference(source="named", name="chat", directory=directory)
    again = loader.load(CONFIG.model_copy(update={"reference": named}))
    assert {key: p.id for key, p in again.items()} == {key: p.id for key, p in loaded.items()}


# --- names that the limits cut off ------------------------------------------------------------


LIMITED = CONFIG.model_copy(update={"limits": LimitsConfig(categories=2, scores=1)})
LIMITED = LIMITED.model_copy(update={"features": FeaturesConfig(metadata={"route": "categorical"})})


def write_many_names(path: Path) -> Path:
    """Write a file of a model with five routes, r4 most frequent, and three scores, s0 first."""
    records = []
    for i in range(1000):
        route = f"r{i % 5}" if i % 3 else "r4"
        scores = {f"s{k}": i % 7 for k in range(3) if i % (k + 1) == 0}
        records.append(
            {"request_id": f"x{i}", "timestamp": 1.7e9 + i, "model": "m", "latency_ms": i % 90}
            | {"metadata": {"route": route}, "scores": scores}
        )
    path.write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
    return path


def check_dropped(dropped: Dropped) -> None:
    """Check that the names are those beyond the limits, with the rarest ones of the reference."""
    assert set(dropped.scores.first) == {"s1", "s2"}
    assert len(dropped.categories["metadata.route"].first) == 3
    assert "r4" not in dropped.categories["metadata.route"].first


@pytest.mark.parametrize("source", ["file", "named", "warmup"])
def test_dropped_names_of_any_reference_are_reported(tmp_path: Path, source: str) -> None:
    """A backtest reports what the limits cut off of its reference, wherever it comes from."""
    log = write_many_names(tmp_path / "a.jsonl")
    cut = Dropped()
    profiles = loader.from_files([log], LIMITED, dropped=cut)
    check_dropped(cut)
    store.save(tmp_path, "chat", profiles, "a.jsonl", cut)
    references = {
        "file": FileReference(source="file", path=log),
        "named": NamedReference(source="named", directory=tmp_path, name="chat"),
        "warmup": WarmupReference(records=1000),
    }
    config = LIMITED.model_copy(update={"reference": references[source]})
    if source != "warmup":
        found = Dropped()
        loader.load(config, found)
        check_dropped(found)
    report = backtest([log], config)
    assert report.dropped.scores == ["s1", "s2"]
    assert set(report.dropped.categories) == {"metadata.route"}


def test_versions_without_dropped_names_are_read(tmp_path: Path) -> None:
    """A file of an earlier version has no names, and is usable."""
    version = store.save(
        tmp_path, "chat", [*loader.from_files([write_log(tmp_path / "a")], CONFIG)], "a"
    )
    (path,) = (tmp_path / "chat").glob("*.ref")
    content = msgspec.msgpack.decode(path.read_bytes())
    del content["dropped"]
    path.write_bytes(msgspec.msgpack.encode(content))
    read = store.promoted(tmp_path, "chat").profiles
    assert [profile.id for profile in read] == [profile.id for profile in version.profiles]
    assert store.promoted(tmp_path, "chat").dropped == Dropped()

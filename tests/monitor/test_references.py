"""Named references on disk: versions, promotion, and what must not go wrong with files."""

from __future__ import annotations

import errno
import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor import reference, references
from monitor.config import Config, FileReference, NamedReference, WarmupReference, WindowsConfig
from monitor.demo.traffic import traffic
from monitor.errors import UserError
from monitor.reference import Profile
from monitor.references import UnusableReferenceError
from tests.monitor import made

CONFIG = Config(
    windows=WindowsConfig(records=200, stride=20), reference=WarmupReference(records=2000)
)


def profile(seed: int = 1, segment: str = "", model: str = "m") -> Profile:
    """A small profile; another seed is another content."""
    columns = made.stream(300, seed=seed, model=model)
    return reference.build([columns], segment=segment, window=100, categories=10)


def logged(path: Path, records: int = 1000) -> Path:
    """A file of made traffic."""
    lines = traffic(records, change_at=records, seed=7, rate=50.0, start=1.7e9)
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def files(directory: Path) -> list[str]:
    """Everything under a directory, hidden things too."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def test_first_version_is_promoted_at_once(tmp_path: Path) -> None:
    """Who has built a single reference can use it."""
    saved = references.save(tmp_path, "chat", [profile()], "logs.jsonl")
    assert (saved.name, saved.number, saved.promoted, saved.source) == (
        "chat",
        1,
        True,
        "logs.jsonl",
    )
    assert references.promoted(tmp_path, "chat").id == saved.id
    assert [p.id for p in saved.profiles] == [profile().id]


def test_later_versions_wait_for_promotion(tmp_path: Path) -> None:
    """A new version changes nothing until it is promoted."""
    first = references.save(tmp_path, "chat", [profile(1)], "a")
    second = references.save(tmp_path, "chat", [profile(2)], "b")
    assert (second.number, second.promoted) == (2, False)
    assert references.promoted(tmp_path, "chat").id == first.id
    references.promote(tmp_path, "chat", 2)
    assert references.promoted(tmp_path, "chat").id == second.id
    marks = [(v.number, v.promoted) for v in references.versions(tmp_path, "chat")]
    assert marks == [(1, False), (2, True)]
    references.promote(tmp_path, "chat", 1)
    assert references.promoted(tmp_path, "chat").id == first.id


def test_version_is_promoted_where_none_is(tmp_path: Path) -> None:
    """A crash between writing the first version and promoting it is made good by the next."""
    references.save(tmp_path, "chat", [profile(1)], "a")
    (tmp_path / "chat" / "promoted").unlink()
    with pytest.raises(UnusableReferenceError, match="no reference 'chat'"):
        references.promoted(tmp_path, "chat")
    assert references.save(tmp_path, "chat", [profile(2)], "b").promoted


def test_same_content_has_the_same_id(tmp_path: Path) -> None:
    """The id is of the profiles, not of when or from what they were built."""
    one = references.save(tmp_path, "a", [profile(1), profile(2)], "x")
    same = references.save(tmp_path, "b", [profile(1), profile(2)], "y")
    other = references.save(tmp_path, "b", [profile(1), profile(3)], "y")
    assert one.id == same.id != other.id


def test_versions_come_in_order(tmp_path: Path) -> None:
    """Names in the order of names, versions in the order of numbers, past 9999 too."""
    saved = references.save(tmp_path, "b", [profile(1)], "x")
    folder = tmp_path / "b"
    content = (folder / f"0001-{saved.id}.ref").read_bytes()
    for number in ("9999", "10000"):
        (folder / f"{number}-{saved.id}.ref").write_bytes(content)
    references.save(tmp_path, "a", [profile(1)], "x")
    (tmp_path / "stray.ref").write_text("no folder")
    (folder / "notes.ref").write_text("no version")
    found = [(v.name, v.number) for v in references.versions(tmp_path)]
    assert found == [("a", 1), ("b", 1), ("b", 9999), ("b", 10000)]
    assert references.save(tmp_path, "b", [profile(2)], "x").number == 10001
    assert references.version(tmp_path, "b", 10000).id == saved.id


def test_nothing_there_is_nothing_listed(tmp_path: Path) -> None:
    """A directory that does not exist has no versions, and nothing is made by looking."""
    assert references.versions(tmp_path / "none") == []
    assert references.versions(tmp_path, "chat") == []
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    "call",
    [
        lambda d: references.version(d, "chat", 2),
        lambda d: references.promote(d, "chat", 2),
        lambda d: references.version(d, "chat", -1),
        lambda d: references.version(d, "none", 1),
    ],
)
def test_unknown_version_is_refused(tmp_path: Path, call: Callable[[Path], object]) -> None:
    """A version that is not there is said not to be there, by name and place."""
    references.save(tmp_path, "chat", [profile()], "x")
    before = files(tmp_path)
    with pytest.raises(UnusableReferenceError, match=r"no version -?\d of reference '(chat|none)'"):
        call(tmp_path)
    assert files(tmp_path) == before


def test_unknown_name_says_how_to_build_it(tmp_path: Path) -> None:
    """The error names the command that mends it."""
    with pytest.raises(UnusableReferenceError, match="plumbline reference build --name chat"):
        references.promoted(tmp_path, "chat")


HOSTILE = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "/etc/x",
    ".hidden",
    "a\\b",
    "a b",
    "*",
    "[a-z]",
    "a\0b",
    "a\n",
    "\x1b[2J",
    "é",
    "x" * 201,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_name_is_refused(tmp_path: Path, name: str) -> None:
    """No name leads out of the directory, or hides in it; nothing is written, read or promoted."""
    directory = tmp_path / "references"
    references.save(directory, "chat", [profile()], "x")
    before = files(tmp_path)
    calls: list[Callable[[], object]] = [
        lambda: references.save(directory, name, [profile()], "x"),
        lambda: references.promote(directory, name, 1),
        lambda: references.promoted(directory, name),
        lambda: references.version(directory, name, 1),
    ]
    for call in calls:
        with pytest.raises(UserError, match="cannot name a reference") as caught:
            call()
        assert str(caught.value).isprintable()
    assert files(tmp_path) == before


@pytest.mark.parametrize("name", ["chat", "Chat-2.1_b", "-", "a..b", "0", "x" * 200])
def test_ordinary_name_is_taken(tmp_path: Path, name: str) -> None:
    """Letters, digits, dots, underscores and hyphens make a name."""
    assert references.save(tmp_path, name, [profile()], "x").name == name


def test_listing_one_name_takes_no_patterns(tmp_path: Path) -> None:
    """A name is a name: it does not match others."""
    references.save(tmp_path, "chat", [profile()], "x")
    with pytest.raises(UserError):
        references.versions(tmp_path, "ch*")


def only_file(tmp_path: Path) -> Path:
    """The file of a saved version."""
    references.save(tmp_path, "chat", [profile()], "x")
    [path] = (tmp_path / "chat").glob("*.ref")
    return path


@pytest.mark.parametrize("at", [0, 5, 40, 400, -200, -1])
def test_damaged_file_is_refused_with_its_path(tmp_path: Path, at: int) -> None:
    """A changed byte, wherever it is, is found; the error says in which file."""
    path = only_file(tmp_path)
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)
    for call in (references.promoted, references.versions):
        with pytest.raises(UnusableReferenceError) as caught:
            call(tmp_path, "chat")
        assert str(caught.value).startswith(f"cannot use {path}: ")
    with pytest.raises(UnusableReferenceError):
        references.promote(tmp_path, "chat", 1)


@pytest.mark.parametrize("content", [b"", b"\x80", b"not msgpack", b"\xa1\xff"])
def test_other_file_is_refused_with_its_path(tmp_path: Path, content: bytes) -> None:
    """So is a file of anything else."""
    path = only_file(tmp_path)
    path.write_bytes(content)
    with pytest.raises(UnusableReferenceError) as caught:
        references.promoted(tmp_path, "chat")
    assert str(caught.value).startswith(f"cannot use {path}: ")


def test_profile_of_another_version_is_refused_with_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reference that a later program built is not misread."""
    path = only_file(tmp_path)
    monkeypatch.setattr(reference, "VERSION", 3)
    with pytest.raises(UnusableReferenceError) as caught:
        references.promoted(tmp_path, "chat")
    assert str(caught.value) == f"cannot use {path}: profile of version 2; this program reads 3"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"two", b"99"])
def test_damaged_promotion_is_no_promotion(tmp_path: Path, content: bytes) -> None:
    """A `promoted` that names no version is an error, not a guess."""
    only_file(tmp_path)
    (tmp_path / "chat" / "promoted").write_bytes(content)
    with pytest.raises(UnusableReferenceError, match=r"no (reference 'chat'|version 99)"):
        references.promoted(tmp_path, "chat")


def full_disk(*_: Any) -> Any:
    """What writing to a full disk raises: an error that names no file."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_full_disk_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """An error while writing names the file; nothing of it is left, and the old version counts."""
    first = references.save(tmp_path, "chat", [profile(1)], "a")
    before = files(tmp_path)
    monkeypatch.setattr(os if call == "fsync" else Path, call, full_disk)
    with pytest.raises(OSError, match="No space left on device") as caught:
        references.save(tmp_path, "chat", [profile(2)], "b")
    assert caught.value.errno == errno.ENOSPC
    assert str(caught.value.filename).startswith(str(tmp_path / "chat" / "0002-"))
    with pytest.raises(OSError, match="No space left"):
        references.promote(tmp_path, "chat", 1)
    monkeypatch.undo()
    assert files(tmp_path) == before
    assert references.promoted(tmp_path, "chat").id == first.id


def test_no_half_file_is_ever_visible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until a file is whole and on disk, it does not have its name; then it has, at once."""
    references.save(tmp_path, "chat", [profile(1)], "a")
    seen: list[tuple[str, list[int]]] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def look(what: str) -> None:
        numbers = [version.number for version in references.versions(tmp_path, "chat")]
        seen.append((what, numbers))

    def fsync(descriptor: int) -> None:
        look("written")
        real_fsync(descriptor)

    def replace(self: Path, target: Path) -> Path:
        look("synced")
        moved = real_replace(self, target)
        look("renamed")
        return moved

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    references.save(tmp_path, "chat", [profile(2)], "b")
    assert seen == [
        ("written", [1]),
        ("synced", [1]),
        ("renamed", [1, 2]),
        ("written", [1, 2]),  # the folder
    ]


def test_version_is_never_overwritten(tmp_path: Path) -> None:
    """Saving adds files and changes none."""
    references.save(tmp_path, "chat", [profile(1)], "a")
    before = {path: path.read_bytes() for path in (tmp_path / "chat").iterdir()}
    references.save(tmp_path, "chat", [profile(2)], "b")
    assert {path: path.read_bytes() for path in before} == before


def test_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    """An error of the operating system keeps its path."""
    (tmp_path / "references").write_text("")
    with pytest.raises(OSError) as caught:  # noqa: PT011  # which one is the system's affair
        references.save(tmp_path / "references", "chat", [profile()], "x")
    assert caught.value.filename


def test_description_of_a_version(tmp_path: Path) -> None:
    """Its models once each, its records once each: those of segments are the models' own."""
    version = references.save(
        tmp_path,
        "chat",
        [profile(1), profile(1, "metadata.route=web"), profile(2, model="n")],
        "logs",
    )
    plain = references.describe(version)
    assert (plain["models"], plain["records"]) == (["m", "n"], 600)
    assert "profiles" not in plain
    assert len(references.describe(version, profiles=True)["profiles"]) == 3


# --- from files ---------------------------------------------------------------------------------


def by_model(profiles: Iterator[Profile] | list[Profile]) -> dict[tuple[str, str], int]:
    """Records by model and segment."""
    return {(p.model, p.segment): p.records for p in profiles}


def test_from_files_builds_each_model(tmp_path: Path) -> None:
    """All models of all files, each with all its records."""
    paths = [logged(tmp_path / "a.jsonl"), logged(tmp_path / "b.jsonl", 500)]
    read: list[int] = []
    built = by_model(references.from_files(paths, CONFIG, read.append))
    assert {model for model, _ in built} == {"chat-large", "code-small"}
    assert sum(built.values()) == 1500
    assert sum(read) == sum(path.stat().st_size for path in paths)


def test_from_files_builds_each_segment(tmp_path: Path) -> None:
    """With segment keys, segments with enough records have profiles of their own."""
    config = CONFIG.model_copy(update={"segments": ("metadata.route",)})
    built = by_model(references.from_files([logged(tmp_path / "a.jsonl", 2000)], config))
    large = {s: n for (model, s), n in built.items() if model == "chat-large" and s}
    assert set(large) == {f"metadata.route={route}" for route in ("web", "mobile", "api")}
    assert sum(large.values()) == built["chat-large", ""]


def test_model_with_too_few_records_is_left_out(tmp_path: Path) -> None:
    """A model that cannot fill a window once has no reference; it will warm up."""
    path = logged(tmp_path / "a.jsonl", 400)  # 0.6 of them chat-large
    built = by_model(references.from_files([path], CONFIG))
    assert set(built) == {("chat-large", "")}
    assert built["chat-large", ""] >= 200


def test_window_of_records_is_enough(tmp_path: Path) -> None:
    """The least is a window, neither more nor fewer."""
    lines = logged(tmp_path / "a.jsonl", 1000).read_bytes().splitlines(keepends=True)
    large = [line for line in lines if b'"chat-large"' in line]
    path = tmp_path / "b.jsonl"
    path.write_bytes(b"".join(large[:200]))
    assert by_model(references.from_files([path], CONFIG)) == {("chat-large", ""): 200}
    path.write_bytes(b"".join(large[:199]))
    with pytest.raises(UnusableReferenceError, match="no model has a window of 200 records in"):
        references.from_files([path], CONFIG)


def truncated_gzip(path: Path) -> None:
    """A compressed file that was cut off."""
    path.write_bytes(gzip.compress(logged(path.with_suffix(".jsonl")).read_bytes())[:-2000])


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("none.jsonl", lambda path: None, "No such file"),
        ("folder", Path.mkdir, "Is a directory"),
        ("text.gz", lambda path: path.write_text("{}"), "Not a whole gzip file"),
        ("cut.gz", truncated_gzip, "Not a whole gzip file"),
    ],
)
def test_file_that_cannot_be_read_is_named(
    tmp_path: Path, name: str, make: Callable[[Path], object], message: str
) -> None:
    """The error says which file and why, in one line."""
    path = tmp_path / name
    make(path)
    with pytest.raises(UnusableReferenceError) as caught:
        references.from_files([path], CONFIG)
    text = str(caught.value)
    assert text.startswith(f"cannot read {path}: ")
    assert message in text
    assert "\n" not in text


def test_load_takes_what_is_configured(tmp_path: Path) -> None:
    """A file, a promoted version, or nothing: then every model warms up."""
    path = logged(tmp_path / "a.jsonl")
    from_file = CONFIG.model_copy(update={"reference": FileReference(source="file", path=path)})
    assert references.load(CONFIG) == {}
    loaded = references.load(from_file)
    assert set(loaded) == {("chat-large", ""), ("code-small", "")}
    directory = tmp_path / "references"
    references.save(directory, "chat", references.from_files([path], CONFIG), "a.jsonl")
    named = NamedReference(source="named", name="chat", directory=directory)
    again = references.load(CONFIG.model_copy(update={"reference": named}))
    assert {key: p.id for key, p in again.items()} == {key: p.id for key, p in loaded.items()}

"""Named references on disk: versions, promotion, invalid names, and damaged files."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from monitor.detect.reference import builder, store
from monitor.detect.reference import profile as profile_module
from monitor.detect.reference.profile import Profile
from monitor.detect.reference.store import UnusableReferenceError
from monitor.errors import UserError
from tests.monitor import synthetic


def profile(seed: int = 1, segment: str = "", model: str = "m") -> Profile:
    """Return a small profile whose content depends on the seed."""
    columns = synthetic.stream(300, seed=seed, model=model)
    return builder.build([columns], segment=segment, window=100, categories=10)


def files(directory: Path) -> list[str]:
    """Return all paths in a directory, including hidden ones."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def test_first_version_is_promoted(tmp_path: Path) -> None:
    """The first version of a name needs no promotion."""
    saved = store.save(tmp_path, "chat", [profile()], "logs.jsonl")
    assert (saved.name, saved.number, saved.promoted, saved.source) == (
        "chat",
        1,
        True,
        "logs.jsonl",
    )
    assert store.promoted(tmp_path, "chat").id == saved.id
    assert [p.id for p in saved.profiles] == [profile().id]


def test_later_versions_wait_for_promotion(tmp_path: Path) -> None:
    """A new version is not used until it is promoted."""
    first = store.save(tmp_path, "chat", [profile(1)], "a")
    second = store.save(tmp_path, "chat", [profile(2)], "b")
    assert (second.number, second.promoted) == (2, False)
    assert store.promoted(tmp_path, "chat").id == first.id
    store.promote(tmp_path, "chat", 2)
    assert store.promoted(tmp_path, "chat").id == second.id
    marks = [(v.number, v.promoted) for v in store.versions(tmp_path, "chat")]
    assert marks == [(1, False), (2, True)]
    store.promote(tmp_path, "chat", 1)
    assert store.promoted(tmp_path, "chat").id == first.id


def test_version_is_promoted_if_no_other_is(tmp_path: Path) -> None:
    """After a crash between writing and promoting, the next version is promoted."""
    store.save(tmp_path, "chat", [profile(1)], "a")
    (tmp_path / "chat" / "promoted").unlink()
    with pytest.raises(UnusableReferenceError, match="no reference 'chat'"):
        store.promoted(tmp_path, "chat")
    assert store.save(tmp_path, "chat", [profile(2)], "b").promoted


def test_same_content_has_the_same_id(tmp_path: Path) -> None:
    """The id depends on the profiles, not on time or source."""
    one = store.save(tmp_path, "a", [profile(1), profile(2)], "x")
    same = store.save(tmp_path, "b", [profile(1), profile(2)], "y")
    other = store.save(tmp_path, "b", [profile(1), profile(3)], "y")
    assert one.id == same.id != other.id


def test_versions_are_sorted(tmp_path: Path) -> None:
    """Versions are sorted by name and number, also beyond 9999."""
    saved = store.save(tmp_path, "b", [profile(1)], "x")
    folder = tmp_path / "b"
    content = (folder / f"0001-{saved.id}.ref").read_bytes()
    for number in ("9999", "10000"):
        (folder / f"{number}-{saved.id}.ref").write_bytes(content)
    store.save(tmp_path, "a", [profile(1)], "x")
    (tmp_path / "stray.ref").write_text("no folder")
    (folder / "notes.ref").write_text("no version")
    listed = [(v.name, v.number) for v in store.versions(tmp_path)]
    assert listed == [("a", 1), ("b", 1), ("b", 9999), ("b", 10000)]
    assert store.save(tmp_path, "b", [profile(2)], "x").number == 10001
    assert store.version(tmp_path, "b", 10000).id == saved.id


def test_missing_directory_has_no_versions(tmp_path: Path) -> None:
    """Listing a missing directory or name returns nothing and creates nothing."""
    assert store.versions(tmp_path / "none") == []
    assert store.versions(tmp_path, "chat") == []
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    "call",
    [
        lambda d: store.version(d, "chat", 2),
        lambda d: store.promote(d, "chat", 2),
        lambda d: store.version(d, "chat", -1),
        lambda d: store.version(d, "none", 1),
    ],
)
def test_unknown_version_is_an_error(tmp_path: Path, call: Callable[[Path], object]) -> None:
    """The error has the number, the name and the directory."""
    store.save(tmp_path, "chat", [profile()], "x")
    before = files(tmp_path)
    with pytest.raises(UnusableReferenceError, match=r"no version -?\d of reference '(chat|none)'"):
        call(tmp_path)
    assert files(tmp_path) == before


def test_error_of_an_unknown_name_has_the_command(tmp_path: Path) -> None:
    """The error contains the command that builds the reference."""
    with pytest.raises(UnusableReferenceError, match="plumbline reference build --name chat"):
        store.promoted(tmp_path, "chat")


INVALID_NAMES = [
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


@pytest.mark.parametrize("name", INVALID_NAMES)
def test_invalid_name_is_an_error(tmp_path: Path, name: str) -> None:
    """A name cannot leave the directory or be hidden; nothing is written."""
    directory = tmp_path / "references"
    store.save(directory, "chat", [profile()], "x")
    before = files(tmp_path)
    calls: list[Callable[[], object]] = [
        lambda: store.save(directory, name, [profile()], "x"),
        lambda: store.promote(directory, name, 1),
        lambda: store.promoted(directory, name),
        lambda: store.version(directory, name, 1),
    ]
    for call in calls:
        with pytest.raises(UserError, match="cannot name a reference") as caught:
            call()
        assert str(caught.value).isprintable()
    assert files(tmp_path) == before


@pytest.mark.parametrize("name", ["chat", "Chat-2.1_b", "-", "a..b", "0", "x" * 200])
def test_valid_name_is_accepted(tmp_path: Path, name: str) -> None:
    """A name consists of letters, digits, dots, underscores and hyphens."""
    assert store.save(tmp_path, name, [profile()], "x").name == name


def test_name_is_not_a_pattern(tmp_path: Path) -> None:
    """Listing the versions of a name accepts no wildcards."""
    store.save(tmp_path, "chat", [profile()], "x")
    with pytest.raises(UserError):
        store.versions(tmp_path, "ch*")


def only_file(tmp_path: Path) -> Path:
    """Save a version and return its file."""
    store.save(tmp_path, "chat", [profile()], "x")
    [path] = (tmp_path / "chat").glob("*.ref")
    return path


@pytest.mark.parametrize("at", [0, 5, 40, 400, -200, -1])
def test_error_of_a_damaged_file_has_its_path(tmp_path: Path, at: int) -> None:
    """A changed byte at any place is an error with the path of the file."""
    path = only_file(tmp_path)
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)
    for call in (store.promoted, store.versions):
        with pytest.raises(UnusableReferenceError) as caught:
            call(tmp_path, "chat")
        assert str(caught.value).startswith(f"cannot use {path}: ")
    with pytest.raises(UnusableReferenceError):
        store.promote(tmp_path, "chat", 1)


@pytest.mark.parametrize("content", [b"", b"\x80", b"not msgpack", b"\xa1\xff"])
def test_error_of_another_file_has_its_path(tmp_path: Path, content: bytes) -> None:
    """A file with other content is an error with its path."""
    path = only_file(tmp_path)
    path.write_bytes(content)
    with pytest.raises(UnusableReferenceError) as caught:
        store.promoted(tmp_path, "chat")
    assert str(caught.value).startswith(f"cannot use {path}: ")


def test_error_of_another_profile_version_has_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profile of a later format is an error with both format versions."""
    path = only_file(tmp_path)
    monkeypatch.setattr(profile_module, "VERSION", 3)
    with pytest.raises(UnusableReferenceError) as caught:
        store.promoted(tmp_path, "chat")
    assert str(caught.value) == f"cannot use {path}: profile of version 2; this program reads 3"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"two", b"99"])
def test_damaged_promotion_is_an_error(tmp_path: Path, content: bytes) -> None:
    """A file `promoted` without the number of a version is an error."""
    only_file(tmp_path)
    (tmp_path / "chat" / "promoted").write_bytes(content)
    with pytest.raises(UnusableReferenceError, match=r"no (reference 'chat'|version 99)"):
        store.promoted(tmp_path, "chat")


def full_disk(*_: Any) -> Any:
    """Raise the error of a full disk, which has no path."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_full_disk_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """The error has the path; no partial file remains and the old version stays promoted."""
    first = store.save(tmp_path, "chat", [profile(1)], "a")
    before = files(tmp_path)
    monkeypatch.setattr(os if call == "fsync" else Path, call, full_disk)
    with pytest.raises(OSError, match="No space left on device") as caught:
        store.save(tmp_path, "chat", [profile(2)], "b")
    assert caught.value.errno == errno.ENOSPC
    assert str(caught.value.filename).startswith(str(tmp_path / "chat" / "0002-"))
    with pytest.raises(OSError, match="No space left"):
        store.promote(tmp_path, "chat", 1)
    monkeypatch.undo()
    assert files(tmp_path) == before
    assert store.promoted(tmp_path, "chat").id == first.id


def test_incomplete_file_is_never_visible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file gets its name by a rename, after its content is on disk."""
    store.save(tmp_path, "chat", [profile(1)], "a")
    steps: list[tuple[str, list[int]]] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def observe(step: str) -> None:
        numbers = [version.number for version in store.versions(tmp_path, "chat")]
        steps.append((step, numbers))

    def fsync(descriptor: int) -> None:
        observe("written")
        real_fsync(descriptor)

    def replace(self: Path, target: Path) -> Path:
        observe("synced")
        moved = real_replace(self, target)
        observe("renamed")
        return moved

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    store.save(tmp_path, "chat", [profile(2)], "b")
    assert steps == [
        ("written", [1]),
        ("synced", [1]),
        ("renamed", [1, 2]),
        ("written", [1, 2]),  # the folder
    ]


def test_saving_changes_no_earlier_version(tmp_path: Path) -> None:
    """Saving a version leaves the files of earlier versions unchanged."""
    store.save(tmp_path, "chat", [profile(1)], "a")
    before = {path: path.read_bytes() for path in (tmp_path / "chat").iterdir()}
    store.save(tmp_path, "chat", [profile(2)], "b")
    assert {path: path.read_bytes() for path in before} == before


def test_error_of_a_wrong_directory_has_its_path(tmp_path: Path) -> None:
    """An error of the operating system has its path."""
    (tmp_path / "references").write_text("")
    with pytest.raises(OSError) as caught:  # noqa: PT011  # the class depends on the system
        store.save(tmp_path / "references", "chat", [profile()], "x")
    assert caught.value.filename


def test_description_counts_models_and_records_once(tmp_path: Path) -> None:
    """The records of segments are not counted again."""
    version = store.save(
        tmp_path,
        "chat",
        [profile(1), profile(1, "metadata.route=web"), profile(2, model="n")],
        "logs",
    )
    fields = store.describe(version)
    assert (fields["models"], fields["records"]) == (["m", "n"], 600)
    assert "profiles" not in fields
    assert len(store.describe(version, profiles=True)["profiles"]) == 3


def build_at_once(directory: Path, builds: int) -> None:
    """Save versions of one name in threads that all start together."""
    barrier = threading.Barrier(builds)

    def save(seed: int) -> None:
        content = [profile(seed)]
        barrier.wait(timeout=30)
        store.save(directory, "chat", content, "logs.jsonl")

    with ThreadPoolExecutor(builds) as pool:
        for result in [pool.submit(save, seed) for seed in range(builds)]:
            result.result(timeout=60)


@pytest.mark.parametrize("builds", [2, 3, 8])
def test_builds_at_once_have_different_versions(tmp_path: Path, builds: int) -> None:
    """Each is complete and has a number of its own; nothing else remains in the folder. A number is
    skipped if a higher one was written before it: the highest is the newest.
    """
    build_at_once(tmp_path, builds)
    found = store.versions(tmp_path, "chat")
    numbers = [version.number for version in found]
    assert len(set(numbers)) == len({version.id for version in found}) == builds
    assert min(numbers) == 1
    assert store.promoted(tmp_path, "chat").number in numbers
    assert not [path for path in files(tmp_path) if "/." in path]


def test_writes_at_once_have_different_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two builds have chosen their numbers before either of them has written its file."""
    barrier, write = threading.Barrier(2), store._write_atomically

    def wait_and_write(path: Path, content: bytes) -> None:
        if path.suffix == ".ref":
            barrier.wait(timeout=30)
        write(path, content)

    monkeypatch.setattr(store, "_write_atomically", wait_and_write)
    build_at_once(tmp_path, 2)
    assert [version.number for version in store.versions(tmp_path, "chat")] == [1, 2]


def test_builds_of_different_processes_have_different_versions(tmp_path: Path) -> None:
    """Another process has reserved the number, or has written its file meanwhile."""
    store.save(tmp_path, "chat", [profile(1)], "a")
    other = tmp_path / "chat" / ".0002.reserved"
    other.touch()
    assert store.save(tmp_path, "chat", [profile(2)], "b").number == 3
    other.unlink()
    assert store.save(tmp_path, "chat", [profile(3)], "c").number == 4
    assert not store._reserve(tmp_path / "chat", 4)
    assert not store._reserve(tmp_path / "chat", 2)


def test_a_failed_write_frees_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next build gets the number."""

    def fail(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(store, "_write_atomically", fail)
        with pytest.raises(OSError, match="No space left"):
            store.save(tmp_path, "chat", [profile(1)], "a")
    assert store.save(tmp_path, "chat", [profile(1)], "a").number == 1

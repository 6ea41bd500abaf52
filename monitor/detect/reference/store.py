"""Where references come from: a file of records, or a directory of named, built, promoted ones.

A named reference is a folder of numbered versions, each a file of profiles that is never changed,
and a file `promoted` that says which one counts:

    references/chat/0001-5f0c2a9be1d04437.ref
    references/chat/0002-c77e0b54a6d2f1aa.ref
    references/chat/promoted
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from monitor import logfiles, reference, segments
from monitor.columns import Columns
from monitor.config import Config
from monitor.errors import UserError
from monitor.features import OTHER
from monitor.reference import Profile, ProfileError

_legal_name = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,200}").fullmatch
_PROMOTED = "promoted"
_SUFFIX = ".ref"


class UnusableReferenceError(UserError):
    """A reference that is not there, or cannot be used."""


class _File(msgspec.Struct, frozen=True):
    """A version's file: when it was built (epoch seconds), from what, and the profiles."""

    built: float
    source: str
    profiles: list[bytes]


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a named reference."""

    name: str
    number: int
    id: str
    promoted: bool
    built: float
    source: str
    profiles: tuple[Profile, ...]


def load(config: Config) -> dict[tuple[str, str], Profile]:
    """The configured references by model and segment; none where they come from warm-up.

    Raises UnusableReferenceError.
    """
    source = config.reference
    if source.source == "file":
        return by_stream(from_files([source.path], config))
    if source.source == "named":
        return by_stream(promoted(source.directory, source.name).profiles)
    return {}


def by_stream(profiles: Iterable[Profile]) -> dict[tuple[str, str], Profile]:
    """Profiles by model and segment."""
    return {(profile.model, profile.segment): profile for profile in profiles}


def from_files(
    paths: Sequence[Path], config: Config, progress: Callable[[int], None] = lambda _: None
) -> list[Profile]:
    """Profiles of all models and segments in files of records.

    Models with fewer records than a window are left out: they will warm up.
    Raises UnusableReferenceError where a file cannot be read or holds no model with a window.
    """
    pieces: defaultdict[tuple[str, str], list[Columns]] = defaultdict(list)
    try:
        for batch in logfiles.reader(config).batches(paths, progress):
            for columns in batch.by_model():
                for segment, part in segments.split(columns, config.segments):
                    pieces[columns.model, segment].append(part)
    except OSError as error:
        raise UnusableReferenceError(f"cannot read {error.filename}: {error.strerror}") from None
    profiles = [
        reference.build(
            parts,
            segment=segment,
            window=config.windows.records,
            categories=config.limits.categories,
        )
        for (model, segment), parts in sorted(pieces.items())
        if model != OTHER and sum(map(len, parts)) >= config.windows.records
    ]
    if not profiles:
        raise UnusableReferenceError(
            f"no model has a window of {config.windows.records} records in "
            + ", ".join(map(str, paths))
        )
    return profiles


def save(directory: Path, name: str, profiles: Sequence[Profile], source: str) -> Version:
    """Write a new version; it is promoted at once where no other one of the name is.

    Raises UnusableReferenceError for a name that cannot be one, OSError where the directory cannot
    be written.
    """
    folder = folder_of(directory, name)
    encoded = [profile.encode() for profile in profiles]
    digest = hashlib.sha256(b"".join(encoded)).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    number = max(map(_number, _files(folder)), default=0) + 1
    content = _File(built=time.time(), source=source, profiles=encoded)
    _write(folder / f"{number:04d}-{digest}{_SUFFIX}", msgspec.msgpack.encode(content))
    if _promoted_number(folder) is None:
        promote(directory, name, number)
    return version(directory, name, number)


def versions(directory: Path, name: str | None = None) -> list[Version]:
    """All versions of all names, or of one.

    Raises UnusableReferenceError for a damaged one.
    """
    folders = [folder_of(directory, name)] if name else sorted(directory.glob("*"))
    return [_read(path) for folder in folders for path in _files(folder)]


def version(directory: Path, name: str, number: int) -> Version:
    """One version of a name.

    Raises UnusableReferenceError where there is none.
    """
    return _read(_path(directory, name, number))


def describe(version: Version, *, profiles: bool = False) -> dict[str, Any]:
    """A version as plain values, with what its profiles hold on request."""
    plain: dict[str, Any] = {
        "name": version.name,
        "version": version.number,
        "id": version.id,
        "promoted": version.promoted,
        "built": version.built,
        "source": version.source,
        "models": sorted({profile.model for profile in version.profiles}),
        "records": sum(p.records for p in version.profiles if p.segment == segments.WHOLE),
    }
    if profiles:
        plain["profiles"] = [profile.describe() for profile in version.profiles]
    return plain


def promoted(directory: Path, name: str) -> Version:
    """The version of a name that counts.

    Raises UnusableReferenceError where there is none.
    """
    number = _promoted_number(folder_of(directory, name))
    if number is None:
        raise UnusableReferenceError(
            f"no reference {name!r} in {directory}: build it with "
            f"'plumbline reference build --name {name} LOGS.jsonl'"
        )
    return version(directory, name, number)


def promote(directory: Path, name: str, number: int) -> None:
    """Let this version count from the next start on.

    Raises UnusableReferenceError where there is no such version, or it is damaged.
    """
    _read(_path(directory, name, number))
    _write(folder_of(directory, name) / _PROMOTED, f"{number}\n".encode())


def folder_of(directory: Path, name: str) -> Path:
    """The folder of a name, which must not lead elsewhere.

    Raises UnusableReferenceError for a name that cannot be one.
    """
    if not _legal_name(name):
        raise UnusableReferenceError(
            f"{name!r} cannot name a reference: use letters, digits, '.', '_' and '-', "
            "at most 200, the first not a '.'"
        )
    return directory / name


def _files(folder: Path) -> list[Path]:
    """The files of a name's versions, oldest first."""
    return sorted((path for path in folder.glob(f"*{_SUFFIX}") if _number(path)), key=_number)


def _path(directory: Path, name: str, number: int) -> Path:
    for path in _files(folder_of(directory, name)):
        if _number(path) == number:
            return path
    raise UnusableReferenceError(f"no version {number} of reference {name!r} in {directory}")


def _number(path: Path) -> int:
    head = path.name.split("-", 1)[0]
    return int(head) if head.isdecimal() else 0


def _read(path: Path) -> Version:
    try:
        content = msgspec.msgpack.decode(path.read_bytes(), type=_File)
        digest = hashlib.sha256(b"".join(content.profiles)).hexdigest()[:16]
        if digest != path.stem.split("-", 1)[-1]:
            raise ProfileError("its content does not match its hash")
        profiles = tuple(Profile.decode(profile) for profile in content.profiles)
    except OSError as error:
        raise UnusableReferenceError(f"cannot use {path}: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, ProfileError) as error:
        raise UnusableReferenceError(f"cannot use {path}: {error}") from None
    return Version(
        name=path.parent.name,
        number=_number(path),
        id=digest,
        promoted=_promoted_number(path.parent) == _number(path),
        built=content.built,
        source=content.source,
        profiles=profiles,
    )


def _promoted_number(folder: Path) -> int | None:
    try:
        return int((folder / _PROMOTED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _write(path: Path, content: bytes) -> None:
    """Write so that a reader, or a crash, never meets half a file.

    Raises OSError that names the path.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        draft.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Make a renaming in a folder durable."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)

"""Named references on disk: versions and the promoted version.

A named reference is a folder of numbered versions, each an immutable file of profiles, and a file
`promoted` with the number of the version in use:

    references/chat/0001-5f0c2a9be1d04437.ref
    references/chat/0002-c77e0b54a6d2f1aa.ref
    references/chat/promoted
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from monitor.detect.reference.profile import Profile, ProfileError
from monitor.errors import UserError
from monitor.ingest.chunks.segments import WHOLE
from monitor.ingest.fields.limits import Dropped, SavedDropped

_legal_name = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,200}").fullmatch
_PROMOTED = "promoted"
_SUFFIX = ".ref"


class UnusableReferenceError(UserError):
    """A reference is missing or cannot be used."""


class _VersionFile(msgspec.Struct, frozen=True):
    """The file of a version.

    built: epoch seconds. source: the files it was built from. dropped: names that limits cut off;
    files of earlier versions have none.
    """

    built: float
    source: str
    profiles: list[bytes]
    dropped: SavedDropped = SavedDropped()


# made at import: msgspec may crash if two threads use a type for the first time at once
_decode = msgspec.msgpack.Decoder(_VersionFile).decode


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a named reference. dropped: names that limits cut off when it was built."""

    name: str
    number: int
    id: str
    promoted: bool
    built: float
    source: str
    profiles: tuple[Profile, ...]
    dropped: Dropped = field(default_factory=Dropped)


def save(
    directory: Path,
    name: str,
    profiles: Sequence[Profile],
    source: str,
    dropped: Dropped | None = None,
) -> Version:
    """Write a new version and promote it if no version of the name is promoted.

    dropped: names that limits cut off.
    Raises UnusableReferenceError for an invalid name, OSError if the directory is not writable.
    """
    folder = folder_of(directory, name)
    encoded = [profile.encode() for profile in profiles]
    digest = hashlib.sha256(b"".join(encoded)).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    content = _VersionFile(
        built=time.time(),
        source=source,
        profiles=encoded,
        dropped=(dropped or Dropped()).saved(),
    )
    with _next_number(folder) as number:
        path = folder / f"{number:04d}-{digest}{_SUFFIX}"
        _write_atomically(path, msgspec.msgpack.encode(content))
    if _promoted_number(folder) is None:
        promote(directory, name, number)
    return version(directory, name, number)


def versions(directory: Path, name: str | None = None) -> list[Version]:
    """Return all versions of all names, or of one name.

    Raises UnusableReferenceError if one is damaged.
    """
    folders = [folder_of(directory, name)] if name else sorted(directory.glob("*"))
    return [_read(path) for folder in folders for path in _files(folder)]


def version(directory: Path, name: str, number: int) -> Version:
    """Return a version of a name.

    Raises UnusableReferenceError if it does not exist or is damaged.
    """
    return _read(_path(directory, name, number))


def describe(version: Version, *, profiles: bool = False) -> dict[str, Any]:
    """Return a version as JSON-compatible values, with its profiles on request."""
    fields: dict[str, Any] = {
        "name": version.name,
        "version": version.number,
        "id": version.id,
        "promoted": version.promoted,
        "built": version.built,
        "source": version.source,
        "models": sorted({profile.model for profile in version.profiles}),
        "records": sum(p.records for p in version.profiles if p.segment == WHOLE),
    }
    if profiles:
        fields["profiles"] = [profile.describe() for profile in version.profiles]
    return fields


def promoted(directory: Path, name: str) -> Version:
    """Return the promoted version of a name.

    Raises UnusableReferenceError if there is none.
    """
    number = _promoted_number(folder_of(directory, name))
    if number is None:
        raise UnusableReferenceError(
            f"no reference {name!r} in {directory}: build it with "
            f"'plumbline reference build --name {name} LOGS.jsonl'"
        )
    return version(directory, name, number)


def promote(directory: Path, name: str, number: int) -> None:
    """Promote a version; the daemon uses it from its next start on.

    Raises UnusableReferenceError if the version does not exist or is damaged.
    """
    _read(_path(directory, name, number))
    _write_atomically(folder_of(directory, name) / _PROMOTED, f"{number}\n".encode())


def folder_of(directory: Path, name: str) -> Path:
    """Return the folder of a name. Valid names cannot leave `directory`.

    Raises UnusableReferenceError for an invalid name.
    """
    if not _legal_name(name):
        raise UnusableReferenceError(
            f"{name!r} cannot name a reference: use letters, digits, '.', '_' and '-', "
            "at most 200, and do not start with '.'"
        )
    return directory / name


@contextmanager
def _next_number(folder: Path) -> Iterator[int]:
    """Reserve the next version number until its file is written, also against other processes.

    The reservation is a file that only one process can create. A crash leaves it behind: its number
    is then skipped.
    """
    number = _newest_number(folder) + 1
    while not _reserve(folder, number):
        number += 1
    try:
        yield number
    finally:
        _reservation(folder, number).unlink(missing_ok=True)


def _reserve(folder: Path, number: int) -> bool:
    """Reserve a number; return False if it is reserved or used."""
    try:
        _reservation(folder, number).touch(exist_ok=False)
    except FileExistsError:
        return False
    # a file may have been written, and its reservation removed, since the numbers were read
    if _newest_number(folder) >= number:
        _reservation(folder, number).unlink(missing_ok=True)
        return False
    return True


def _reservation(folder: Path, number: int) -> Path:
    return folder / f".{number:04d}.reserved"


def _newest_number(folder: Path) -> int:
    """Return the highest version number in a folder, 0 if there is no version."""
    return max(map(_number, _files(folder)), default=0)


def _files(folder: Path) -> list[Path]:
    """Return the files of the versions in a folder, oldest first."""
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
        content = _decode(path.read_bytes())
        digest = hashlib.sha256(b"".join(content.profiles)).hexdigest()[:16]
        if digest != path.stem.split("-", 1)[-1]:
            raise ProfileError("its content does not match the hash in its name")
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
        dropped=content.dropped.restored(),
    )


def _promoted_number(folder: Path) -> int | None:
    try:
        return int((folder / _PROMOTED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _write_atomically(path: Path, content: bytes) -> None:
    """Write a file atomically: readers and crashes see the old content or the new.

    Raises OSError with the path.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a rename in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

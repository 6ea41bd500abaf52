"""Evaluation sets on disk, in a form that can be committed: candidates, and frozen versions.

    evalsets/support/candidates.jsonl       items; `approved` names the person, empty: not yet
    evalsets/support/rejected.txt           ids of items that a person rejected
    evalsets/support/0001/manifest.json     name, version, digest, hash of the content, hold-out
    evalsets/support/0001/items.jsonl       the approved items, one a line, ordered by id

A version never changes. It is verified whenever it is read.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from monitor.errors import UserError, os_error_reason
from replay.sets.item import Item
from replay.sets.item_set import HoldOut, ItemSet, check_name, make_set

CANDIDATES: Final = "candidates.jsonl"
REJECTED: Final = "rejected.txt"
MANIFEST: Final = "manifest.json"
ITEMS: Final = "items.jsonl"
MAX_ITEM_BYTES: Final = 4 * 1024 * 1024
_item_decoder = msgspec.json.Decoder(Item, strict=True)


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The manifest of a version.

    digest: of the set, as runs are compared by. content: SHA-256 of items.jsonl, which covers
    provenance and approvals as well. items: number of items. created: epoch seconds.
    """

    name: str
    version: int
    digest: str
    content: str
    items: int
    created: float
    hold_out: HoldOut | None = None


def read_candidates(directory: Path, name: str) -> tuple[Item, ...]:
    """Return the candidates of a set, none if there is no file. Raises UserError."""
    path = _folder(directory, name) / CANDIDATES
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {os_error_reason(error)}") from None
    return decode_items(content, str(path))


def write_candidates(directory: Path, name: str, items: Iterable[Item]) -> None:
    """Replace the candidates of a set. A crash leaves the old ones or the new ones."""
    folder = _folder(directory, name)
    folder.mkdir(parents=True, exist_ok=True)
    _write_atomically(folder / CANDIDATES, encode_items(items))


def read_rejected(directory: Path, name: str) -> frozenset[str]:
    """Return the ids of the items that a person rejected."""
    path = _folder(directory, name) / REJECTED
    try:
        return frozenset(path.read_text(encoding="utf-8").split())
    except FileNotFoundError:
        return frozenset()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None


def write_rejected(directory: Path, name: str, ids: Iterable[str]) -> None:
    """Replace the ids of the rejected items."""
    lines = "".join(f"{each}\n" for each in sorted(set(ids)))
    _write_atomically(_folder(directory, name) / REJECTED, lines.encode())


@contextmanager
def editing(directory: Path, name: str) -> Iterator[None]:
    """Hold the lock of a set, so that two commands do not replace each other's candidates.

    Raises UserError if another process holds it.
    """
    folder = _folder(directory, name)
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"{folder}: another command changes this set; repeat it") from None
        yield
    finally:
        os.close(descriptor)


def freeze(
    directory: Path,
    name: str,
    items: Sequence[Item],
    created: float,
    hold_out_share: float | None = None,
    *,
    period: int | None = None,
) -> ItemSet:
    """Write the approved items as the next version, and return it.

    created: epoch seconds. hold_out_share: of the items. period: of the hold-out; default: the
    number of the version, so that each version holds out another part.
    Raises UserError if no item is approved, or the newest version is the same.
    """
    approved = [item for item in items if item.approved]
    if not approved:
        raise UserError(
            f"{name}: none of {len(items):,} candidates is approved; a person approves them with"
            f" 'plumbline evalset approve {name} --by NAME'"
        )
    folder = _folder(directory, name)
    folder.mkdir(parents=True, exist_ok=True)
    numbers = version_numbers(directory, name)
    if numbers:
        _refuse_repetition(read_version(directory, name, numbers[-1]), approved, hold_out_share)
    number = numbers[-1] + 1 if numbers else 1
    while True:
        held = (
            None
            if hold_out_share is None
            else HoldOut(share=hold_out_share, period=number if period is None else period)
        )
        item_set = make_set(name, number, approved, created, held)
        if _write_version(folder / f"{number:04d}", item_set):
            return item_set
        number += 1


def version_numbers(directory: Path, name: str) -> list[int]:
    """Return the numbers of the versions of a set, oldest first."""
    folder = _folder(directory, name)
    return sorted(
        int(path.name) for path in folder.glob("[0-9]*") if path.name.isdecimal() and path.is_dir()
    )


def read_version(directory: Path, name: str, number: int | None = None) -> ItemSet:
    """Return a version of a set, the newest one without a number.

    Raises UserError if it does not exist, or was changed after it was frozen.
    """
    numbers = version_numbers(directory, name)
    if number is None and numbers:
        number = numbers[-1]
    if number is None or number not in numbers:
        wanted = "has no frozen version" if number is None else f"has no version {number}"
        raise UserError(f"{name}: {wanted} in {directory}")
    return read_folder(_folder(directory, name) / f"{number:04d}")


def read_folder(folder: Path) -> ItemSet:
    """Return the version in a folder. Raises UserError if it was changed after it was frozen."""
    try:
        content = (folder / ITEMS).read_bytes()
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read: {os_error_reason(error)}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise UserError(f"{folder / MANIFEST}: is not a manifest: {error}") from None
    items = decode_items(content, str(folder / ITEMS))
    found = make_set(manifest.name, manifest.version, items, manifest.created, manifest.hold_out)
    same = hashlib.sha256(content).hexdigest() == manifest.content
    if not same or found.digest != manifest.digest or len(found.items) != manifest.items:
        raise UserError(
            f"{folder}: was changed after it was frozen; restore it, or freeze a new version"
        )
    return found


def names(directory: Path) -> list[str]:
    """Return the names of the sets in a directory."""
    if not directory.is_dir():
        return []
    return sorted(
        path.name
        for path in directory.iterdir()
        if (path / CANDIDATES).is_file() or any(path.glob(f"[0-9]*/{MANIFEST}"))
    )


def encode_items(items: Iterable[Item]) -> bytes:
    """Return items as JSON lines, ordered by id."""
    ordered = sorted(items, key=lambda item: item.id)
    return b"".join(msgspec.json.encode(item, order="deterministic") + b"\n" for item in ordered)


def decode_items(content: bytes, source: str) -> tuple[Item, ...]:
    """Return the items of JSON lines. source: for errors. Raises UserError with the line."""
    found = []
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            if len(line) > MAX_ITEM_BYTES:
                raise ValueError(f"longer than {MAX_ITEM_BYTES:,} bytes")
            found.append(_item_decoder.decode(line))
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise UserError(f"{source}:{number}: is not an item: {error}") from None
    return tuple(found)


def _folder(directory: Path, name: str) -> Path:
    check_name(name)
    return directory / name


def _refuse_repetition(newest: ItemSet, approved: Sequence[Item], share: float | None) -> None:
    """Raise UserError if a new version would be the newest one again."""
    old = None if newest.hold_out is None else newest.hold_out.share
    same = {item.id for item in approved} == {item.id for item in newest.items}
    if same and share is None and old is None:
        raise UserError(
            f"{newest.name}: version {newest.version} has the same {len(newest.items):,} items"
        )


def _write_version(path: Path, item_set: ItemSet) -> bool:
    """Write the folder of a version; return False if the number was taken meanwhile."""
    content = encode_items(item_set.items)
    manifest = Manifest(
        name=item_set.name,
        version=item_set.version,
        digest=item_set.digest,
        content=hashlib.sha256(content).hexdigest(),
        items=len(item_set.items),
        created=item_set.created,
        hold_out=item_set.hold_out,
    )
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        _write(temporary / ITEMS, content)
        encoded = msgspec.json.encode(manifest, order="sorted")
        _write(temporary / MANIFEST, msgspec.json.format(encoded, indent=2) + b"\n")
        temporary.chmod(0o755)
        try:
            temporary.rename(path)  # fails if the folder exists and has files
        except OSError:
            if path.exists():
                return False
            raise
        return True
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_atomically(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _write(temporary, content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    """Write a file; it is on the disk when this returns."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())

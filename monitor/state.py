"""Checkpoints: all that detect needs to go on, and the feature offset that it belongs to.

The state of one feature partition is a set of items (for each watch its reference, its windows and
detectors, the pieces of its warm-up) and a manifest that lists them with their digests. An item is
cut into parts below the broker's message limit, and written only when it has changed. All messages
of a checkpoint, the manifest last, go into one transaction: a reader meets the whole or nothing.
This module knows the form of these messages; `roles.detect` writes and reads them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

VERSION = 2
MANIFEST = b"manifest"
PART_BYTES = 512 * 1024
"""Half of the broker's default message limit."""


class StateError(Exception):
    """A checkpoint that cannot be used; says why."""


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of a watch's state.

    token: as long as it is the same, so are the bytes; `encode` is called only when it changed.
    """

    name: str
    token: Hashable
    encode: Callable[[], bytes]


class ItemEntry(msgspec.Struct, array_like=True, frozen=True):
    """An item as the manifest lists it."""

    name: str
    parts: int
    digest: bytes


class WatchEntry(msgspec.Struct, array_like=True, frozen=True):
    """A watch as the manifest lists it."""

    model: str
    segment: str
    items: list[ItemEntry]


class Manifest(msgspec.Struct, frozen=True):
    """What a checkpoint consists of.

    offset: of the first feature chunk that is not in it. records: by model, all that were seen.
    """

    version: int
    offset: int
    records: dict[str, int]
    segments_dropped: int
    watches: list[WatchEntry]


WatchKey = tuple[str, str]
"""A model and a segment of it."""

_UNLIKE = object()
"""A token that no item has."""

ItemKey = tuple[str, str, str]
Messages = list[tuple[bytes, bytes | None]]
"""Key and value; a value of None deletes."""


@dataclass(slots=True)
class Checkpointer:
    """Turns the state of one feature partition into messages, leaving out what has not changed.

    What `messages` returned counts as written once `written` is called; if the transaction fails
    instead, the next call returns all of it again.

    useless: keys in the topic that belong to nothing any more; they are deleted.
    """

    known: dict[ItemKey, tuple[Hashable, ItemEntry]] = field(default_factory=dict)
    pending: dict[ItemKey, tuple[Hashable, ItemEntry]] = field(default_factory=dict)
    useless: set[bytes] = field(default_factory=set)

    def messages(
        self,
        watches: Mapping[WatchKey, list[Item]],
        *,
        offset: int,
        records: Mapping[str, int],
        segments_dropped: int,
    ) -> Messages:
        """The messages of a checkpoint, to be written in this order."""
        self.pending = {}
        # first: what is deleted may be written anew
        messages: Messages = [(key, None) for key in sorted(self.useless)]
        for (model, segment), items in watches.items():
            for item in items:
                messages += self._changed((model, segment, item.name), item)
        for key in self.known.keys() - self.pending.keys():
            messages += _deleted(key, range(self.known[key][1].parts))
        manifest = Manifest(
            VERSION, offset, dict(records), segments_dropped, self._entries(watches)
        )
        messages.append((MANIFEST, msgspec.msgpack.encode(manifest)))
        return messages

    def written(self) -> None:
        """What `messages` returned last is durable."""
        self.known = self.pending
        self.useless.clear()

    def adopt(self, watch: WatchEntry, items: Sequence[Item], unchanged: Container[str]) -> None:
        """A restored watch's items; those that are what was saved need not be written again."""
        saved = {entry.name: entry for entry in watch.items}
        for item in items:
            entry = saved.pop(item.name, None)
            if entry is not None:
                token = item.token if item.name in unchanged else _UNLIKE
                self.known[watch.model, watch.segment, item.name] = token, entry
        for name, entry in saved.items():  # a next checkpoint without it deletes it
            self.known[watch.model, watch.segment, name] = _UNLIKE, entry

    def _changed(self, key: ItemKey, item: Item) -> Messages:
        before = self.known.get(key)
        if before is not None and before[0] == item.token:
            self.pending[key] = before
            return []
        content = item.encode()
        parts = _parts(content)
        self.pending[key] = item.token, ItemEntry(item.name, parts, _digest(content))
        return [
            *(
                (_key(*key, i), content[i * PART_BYTES : (i + 1) * PART_BYTES])
                for i in range(parts)
            ),
            *_deleted(key, range(parts, before[1].parts if before else 0)),
        ]

    def _entries(self, watches: Mapping[WatchKey, list[Item]]) -> list[WatchEntry]:
        return [
            WatchEntry(model, segment, [self.pending[model, segment, i.name][1] for i in items])
            for (model, segment), items in watches.items()
        ]


def read_manifest(messages: Mapping[bytes, bytes]) -> Manifest | None:
    """The manifest among the newest messages by key; None where there is none.

    Raises StateError for one of an unknown version, or that is damaged.
    """
    content = messages.get(MANIFEST)
    if content is None:
        return None
    try:
        manifest = msgspec.msgpack.decode(content, type=Manifest)
    except msgspec.MsgspecError as error:
        raise StateError(f"the manifest is damaged: {error}") from None
    if manifest.version != VERSION:
        raise StateError(f"checkpoint of version {manifest.version}; this program reads {VERSION}")
    return manifest


def keys(manifest: Manifest) -> set[bytes]:
    """The keys of all messages that make up the checkpoint."""
    return {MANIFEST} | {
        _key(watch.model, watch.segment, item.name, number)
        for watch in manifest.watches
        for item in watch.items
        for number in range(item.parts)
    }


def read_items(
    manifest: Manifest, messages: Mapping[bytes, bytes]
) -> Iterator[tuple[WatchEntry, dict[str, bytes]]]:
    """Each watch with the content of its items by name.

    Raises StateError where one is missing or its digest is wrong.
    """
    for watch in manifest.watches:
        yield (
            watch,
            {item.name: _content(watch, item, messages) for item in watch.items},
        )


def _content(watch: WatchEntry, item: ItemEntry, messages: Mapping[bytes, bytes]) -> bytes:
    keys = [_key(watch.model, watch.segment, item.name, number) for number in range(item.parts)]
    try:
        content = b"".join([messages[key] for key in keys])
    except KeyError:
        raise StateError(f"a part of {item.name} of {watch.model} is missing") from None
    if _digest(content) != item.digest:
        raise StateError(f"{item.name} of {watch.model} does not match its digest")
    return content


def _parts(content: bytes) -> int:
    return -(-len(content) // PART_BYTES)


def _key(model: str, segment: str, item: str, part: int) -> bytes:
    # JSON, because a segment's name may hold any separator
    return msgspec.json.encode((model, segment, item, part))


def _deleted(key: ItemKey, parts: range) -> Messages:
    return [(_key(*key, number), None) for number in parts]


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()

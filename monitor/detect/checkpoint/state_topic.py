"""The messages of a checkpoint in the state topic.

A checkpoint holds the state of one feature partition and the offset up to which it covers the
partition. The state is a set of items: for each watch its reference, its windows and detectors, or
the pieces of its warm-up. An item is split into parts below the broker's message limit and written
only when it has changed.

The list of a watch's items, with their digests, is a message of its own, also written only when it
has changed. The manifest has the offset, and count and checksum of these lists. All messages of a
checkpoint, the manifest last, are written in one transaction, so that readers see a complete
checkpoint. The size of a checkpoint therefore follows from what has changed, and a checkpoint
without changes is a manifest of some hundred bytes. `roles.detect` produces and consumes the
messages.

In version 2 the manifest contains the lists of all watches. Version 4 is version 3 with watches of
other sources than the log, which have keys of their own; without these, version 3 is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
from msgspec import structs

from monitor.ingest.chunks.segments import WHOLE
from monitor.records import Source

LOG_VERSION = 3
"""Version of a checkpoint whose watches are all of the log."""
SOURCES_VERSION = 4
"""Version of a checkpoint with watches of other sources."""
READABLE = (2, LOG_VERSION, SOURCES_VERSION)
"""Versions that this program reads."""
MANIFEST = b"manifest"
_WATCH = b"watch "
"""Prefix of the keys of the watches' lists of items; no other key begins with it."""
PART_BYTES = 512 * 1024
"""Maximum size of a message: half of the broker's default limit."""


_DIGEST_BYTES = 16


class StateError(Exception):
    """The checkpoint cannot be used."""


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of the state of a watch.

    token: equal tokens mean equal bytes; `encode` is called only if the token has changed.
    """

    name: str
    token: Hashable
    encode: Callable[[], bytes]


class WatchKey(NamedTuple):
    """What a watch watches."""

    model: str
    segment: str
    source: Source = Source.LOG


class ItemEntry(msgspec.Struct, array_like=True, frozen=True):
    """An item in the manifest."""

    name: str
    parts: int
    digest: bytes


class WatchEntry(msgspec.Struct, array_like=True, frozen=True):
    """The items of a watch.

    records: of the model so far, in the entry of its whole traffic. source: the last field; absent
    if it is the log.
    """

    model: str
    segment: str
    items: list[ItemEntry]
    records: int = 0
    source: Source = Source.LOG

    @property
    def key(self) -> WatchKey:
        """The watch of the entry."""
        return WatchKey(self.model, self.segment, self.source)

    def encode(self) -> bytes:
        """Return the message that lists the items."""
        fields = structs.astuple(self)
        return msgspec.msgpack.encode(fields[:-1] if self.source is Source.LOG else fields)


class Manifest(msgspec.Struct, frozen=True):
    """The contents of a checkpoint.

    offset: of the first feature chunk that the checkpoint does not cover. records: by model, of the
    models of the log without a watch. watches: empty in the topic; `read_manifest` fills it.
    count, checksum: number of the watches' messages, and their digests combined by XOR.
    features: id of the feature topic that the offset belongs to; empty if it is not known.
    commands: offset of the first command that is not applied, in the same partition.

    Programs that read version 2 only must be able to decode this structure, so that they find an
    unsupported version instead of a damaged manifest.
    """

    version: int
    offset: int
    records: dict[str, int]
    segments_dropped: int
    watches: list[WatchEntry]
    count: int = 0
    checksum: bytes = b""
    commands: int = 0
    features: str = ""


class _Version(msgspec.Struct, frozen=True):
    """The field that manifests of all versions have."""

    version: int


_CHANGED = object()
"""Token that differs from every item's: the item must be written again."""

Messages = list[tuple[bytes, bytes | None]]
"""Keys and values; the value None deletes the key."""


@dataclass(frozen=True, slots=True)
class _WrittenWatch:
    """The items of a watch in the topic, with their tokens.

    digest: of the message that lists them; 0 if there is none, as in version 2.
    """

    items: dict[str, tuple[Hashable, ItemEntry]]
    digest: int = 0


@dataclass(slots=True)
class Checkpointer:
    """Builds the messages of a partition's checkpoints; unchanged items are left out.

    The caller confirms the last result of `messages` with `mark_written`. Without it, because the
    transaction failed, the next checkpoint contains the same changes again.

    written: watches in the topic. pending: those that the last result of `messages` has changed.
    stale_keys: keys in the topic that no checkpoint uses; they are deleted.
    commands: offset for the next manifest, see `Manifest`.
    """

    written: dict[WatchKey, _WrittenWatch] = field(default_factory=dict)
    pending: dict[WatchKey, _WrittenWatch] = field(default_factory=dict)
    stale_keys: set[bytes] = field(default_factory=set)
    commands: int = 0
    _checksum: int = 0
    _pending_checksum: int = 0

    def is_written(self, key: WatchKey, item: str, token: Hashable) -> bool:
        """Return whether the topic has the watch, and this item of it with this token."""
        watch = self.written.get(key)
        if watch is None or not watch.digest or item not in watch.items:
            return False
        return watch.items[item][0] == token

    def messages(
        self,
        watches: Mapping[WatchKey, Sequence[Item]],
        *,
        offset: int,
        records: Mapping[Source, Mapping[str, int]],
        segments_dropped: int,
        features: str = "",
    ) -> Messages:
        """Return the messages of a checkpoint, to be written in this order.

        watches: all items of each watch that may have changed. records: by source and model.
        features: id of the feature topic.
        """
        self.pending, self._pending_checksum = {}, self._checksum
        # deletions come first: a deleted key may be written again
        messages: Messages = [(key, None) for key in sorted(self.stale_keys)]
        for key, items in watches.items():
            of_model = records[key.source].get(key.model, 0) if key.segment == WHOLE else 0
            messages += self._watch_messages(key, items, of_model)
        keys = self.written.keys() | self.pending.keys()
        of_log = records[Source.LOG].items()
        unwatched = {model: n for model, n in of_log if WatchKey(model, WHOLE) not in keys}
        checksum = self._pending_checksum.to_bytes(_DIGEST_BYTES)
        only_log = all(key.source is Source.LOG for key in keys)
        version = LOG_VERSION if only_log else SOURCES_VERSION
        totals = version, offset, unwatched, segments_dropped
        manifest = Manifest(*totals, [], len(keys), checksum, self.commands, features)
        messages.append((MANIFEST, msgspec.msgpack.encode(manifest)))
        return messages

    def mark_written(self) -> None:
        """Record that the last result of `messages` is durable."""
        self.written |= self.pending
        self._checksum = self._pending_checksum
        self.pending = {}
        self.stale_keys.clear()

    def adopt(
        self, watch: WatchEntry, tokens: Mapping[str, Hashable], messages: Mapping[bytes, bytes]
    ) -> None:
        """Register a restored watch.

        tokens: of the saved items that need no rewriting, by name. messages: those in the topic.
        """
        key = watch.key
        items = {i.name: (tokens.get(i.name, _CHANGED), i) for i in watch.items}
        listed = messages.get(_watch_key(key))
        digest = 0 if listed is None else _watch_digest(_watch_key(key), listed)
        self.written[key] = _WrittenWatch(items, digest)
        self._checksum ^= digest

    def _watch_messages(self, key: WatchKey, items: Sequence[Item], records: int) -> Messages:
        """Return the changed items of a watch, deletions, and the list of its items."""
        before = self.written.get(key, _WrittenWatch({}))
        messages: Messages = []
        now: dict[str, tuple[Hashable, ItemEntry]] = {}
        for item in items:
            saved = before.items.get(item.name)
            if saved is not None and saved[0] == item.token:
                now[item.name] = saved
                continue
            now[item.name] = item.token, _write(key, item, messages)
        for name, (_, old) in before.items.items():
            kept = now[name][1].parts if name in now else 0
            messages += [(_key(key, name, n), None) for n in range(kept, old.parts)]
        items_now = [entry for _, entry in now.values()]
        entry = WatchEntry(key.model, key.segment, items_now, records, key.source)
        listed = _watch_key(key), entry.encode()
        digest = _watch_digest(*listed)
        if digest != before.digest:
            messages.append(listed)
        self.pending[key] = _WrittenWatch(now, digest)
        self._pending_checksum ^= before.digest ^ digest
        return messages


def _write(key: WatchKey, item: Item, messages: Messages) -> ItemEntry:
    """Append the messages of an item and return its entry."""
    content = item.encode()
    parts = -(-len(content) // PART_BYTES)
    for number in range(parts):
        part = content[number * PART_BYTES : (number + 1) * PART_BYTES]
        messages.append((_key(key, item.name, number), part))
    return ItemEntry(item.name, parts, _digest(content))


def read_manifest(messages: Mapping[bytes, bytes]) -> Manifest | None:
    """Return the manifest among the newest messages by key, if there is one, with all watches.

    Raises StateError if it is damaged, incomplete or of an unsupported version.
    """
    content = messages.get(MANIFEST)
    if content is None:
        return None
    try:
        version = msgspec.msgpack.decode(content, type=_Version).version
        if version not in READABLE:
            readable = ", ".join(map(str, READABLE))
            raise StateError(f"checkpoint of version {version}; this program reads {readable}")
        manifest = msgspec.msgpack.decode(content, type=Manifest)
        return manifest if version == 2 else _with_watches(manifest, messages)
    except msgspec.MsgspecError as error:
        raise StateError(f"the manifest is damaged: {error}") from None


def _with_watches(manifest: Manifest, messages: Mapping[bytes, bytes]) -> Manifest:
    """Return the manifest with the watches of all messages that list items."""
    listed = {key: value for key, value in messages.items() if key.startswith(_WATCH)}
    checksum = 0
    for key, value in listed.items():
        checksum ^= _watch_digest(key, value)
    complete = len(listed) == manifest.count
    if not complete or checksum.to_bytes(_DIGEST_BYTES) != manifest.checksum:
        raise StateError(
            f"the lists of items do not match the manifest: {len(listed)} of {manifest.count}"
        )
    watches = [msgspec.msgpack.decode(value, type=WatchEntry) for value in listed.values()]
    records = {w.model: w.records for w in watches if w.key == WatchKey(w.model, WHOLE)}
    return structs.replace(manifest, watches=watches, records=records | manifest.records)


def keys(manifest: Manifest) -> set[bytes]:
    """Return the keys of all messages of the checkpoint."""
    lists = {_watch_key(watch.key) for watch in manifest.watches}
    return (
        {MANIFEST}
        | lists
        | {
            _key(watch.key, item.name, number)
            for watch in manifest.watches
            for item in watch.items
            for number in range(item.parts)
        }
    )


def read_items(
    manifest: Manifest, messages: Mapping[bytes, bytes]
) -> Iterator[tuple[WatchEntry, dict[str, bytes]]]:
    """Yield each watch with the content of its items by name.

    Raises StateError if an item is missing or does not match its digest.
    """
    for watch in manifest.watches:
        yield (
            watch,
            {item.name: _content(watch, item, messages) for item in watch.items},
        )


def _content(watch: WatchEntry, item: ItemEntry, messages: Mapping[bytes, bytes]) -> bytes:
    keys = [_key(watch.key, item.name, number) for number in range(item.parts)]
    try:
        content = b"".join([messages[key] for key in keys])
    except KeyError:
        raise StateError(f"a part of {item.name} of {watch.model} is missing") from None
    if _digest(content) != item.digest:
        raise StateError(f"{item.name} of {watch.model} does not match its digest")
    return content


def _key(watch: WatchKey, item: str, part: int) -> bytes:
    # JSON: the name of a segment may contain any separator
    return msgspec.json.encode((watch.model, watch.segment, item, part, *_source(watch)))


def _watch_key(watch: WatchKey) -> bytes:
    return _WATCH + msgspec.json.encode((watch.model, watch.segment, *_source(watch)))


def _source(watch: WatchKey) -> tuple[Source, ...]:
    """Return the part of a key that names the source; nothing for the log."""
    return () if watch.source is Source.LOG else (watch.source,)


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()


def _watch_digest(key: bytes, value: bytes) -> int:
    return int.from_bytes(_digest(len(key).to_bytes(4) + key + value))

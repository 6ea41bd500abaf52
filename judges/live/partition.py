"""The samples of one partition between their reading and their commit.

Samples are evaluated concurrently and finish in any order. Offsets are committed for the
contiguous prefix of finished samples only. Results of later samples are kept in a journal, which is
written with the next commit: after a crash they are found there and not paid again.

The state is written as messages of a compacted topic:

    result/DIGEST    an evaluation of a sample whose offset is not committed yet, and this offset
    recent/BLOCK     digests of the newest request ids, 512 per block
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from monitor.events.evaluations import (
    Evaluation,
    EvaluationError,
    decode_evaluation,
    encode_evaluation,
)
from monitor.records import Sample

RESULT: Final = b"result/"
RECENT: Final = b"recent/"
BLOCK_IDS: Final = 512
BLOCKS: Final = 32
"""Blocks of recent ids: repeats of the newest 16,000 request ids are recognised."""
_DIGEST_BYTES = 8

_Block = tuple[int, list[bytes]]
_block_decoder = msgspec.msgpack.Decoder(_Block)
_result_decoder = msgspec.msgpack.Decoder(tuple[int, bytes])


def digest(*parts: str) -> bytes:
    """Return a short hash of texts."""
    content = msgspec.json.encode(parts)
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()


class RecentIds:
    """The newest request ids of a partition, as digests: a bounded set in the order of arrival.

    Ids are kept in numbered blocks; a full block never changes, so that a commit writes one or two.
    """

    def __init__(self) -> None:
        self._blocks: dict[int, list[bytes]] = {0: []}
        self._known: set[bytes] = set()
        self._changed: set[int] = set()

    def __contains__(self, request_id: str) -> bool:
        return digest(request_id) in self._known

    def add(self, request_id: str) -> None:
        """Add an id that is not contained."""
        newest = max(self._blocks)
        if len(self._blocks[newest]) == BLOCK_IDS:
            newest += 1
            self._blocks[newest] = []
            for id_digest in self._blocks.pop(newest - BLOCKS, ()):
                self._known.discard(id_digest)
        entry = digest(request_id)
        self._blocks[newest].append(entry)
        self._known.add(entry)
        self._changed.add(newest)

    def messages(self) -> dict[bytes, bytes]:
        """Return the messages of the blocks that have changed. A slot is reused by later blocks."""
        return {
            RECENT + str(number % BLOCKS).encode(): msgspec.msgpack.encode(
                (number, self._blocks[number])
            )
            for number in sorted(self._changed)
            if number in self._blocks
        }

    def mark_written(self) -> None:
        """Regard all blocks as written."""
        self._changed.clear()

    def restore(self, messages: Mapping[bytes, bytes]) -> None:
        """Add the blocks of the state topic; messages that are no blocks are ignored."""
        for key, value in messages.items():
            if key.startswith(RECENT):
                try:
                    number, ids = _block_decoder.decode(value)
                except msgspec.MsgspecError:
                    continue
                self._blocks[number] = ids
        newest = max(self._blocks)
        for number in [each for each in self._blocks if each <= newest - BLOCKS]:
            del self._blocks[number]
        self._known = {each for ids in self._blocks.values() for each in ids}


@dataclass(slots=True, eq=False)
class Pending:
    """A sample whose evaluations are not committed.

    sample: None if the message is no sample or repeats one.
    missing: names of the evaluators that have not finished.
    open: whether its id is not among the recent ones yet.
    """

    offset: int
    sample: Sample | None
    missing: set[str] = field(default_factory=set)
    evaluations: list[Evaluation] = field(default_factory=list)
    open: bool = True


@dataclass(frozen=True, slots=True)
class Commit:
    """The content of a transaction.

    finished: samples of the prefix in the order of their offsets. offset: after the last of them.
    messages: value by key of the state topic; None deletes the key.
    """

    finished: tuple[Pending, ...]
    offset: int
    messages: dict[bytes, bytes | None]
    journalled: frozenset[bytes]


class SamplePartition:
    """Pending samples of one partition, in the order of their offsets.

    versions: version of each evaluator by name; journalled results of other versions are ignored.
    offset: of the next sample to read.
    """

    def __init__(
        self,
        versions: Mapping[str, str],
        offset: int,
        messages: Mapping[bytes, bytes] | None = None,
    ) -> None:
        self.versions = dict(versions)
        self.offset = offset
        self._pending: deque[Pending] = deque()
        self._committed_offset = offset
        self._recent = RecentIds()
        self._open_ids: set[str] = set()
        self._restored: dict[bytes, Evaluation] = {}
        self._journal: dict[bytes, int] = {}  # key in the state topic -> offset of its sample
        self._unwritten: dict[bytes, bytes] = {}
        if messages:
            self._restore(messages)

    def _restore(self, messages: Mapping[bytes, bytes]) -> None:
        self._recent.restore(messages)
        for key, value in messages.items():
            if key.startswith(RESULT):
                self._journal[key] = -1  # deleted with the next commit if it cannot be read
                try:
                    self._journal[key], content = _result_decoder.decode(value)
                    self._restored[key] = decode_evaluation(content)
                except (msgspec.MsgspecError, EvaluationError):
                    continue

    @property
    def in_flight(self) -> int:
        """Number of samples that are not finished or not committed."""
        return len(self._pending)

    def add(self, offset: int, sample: Sample | None, names: Collection[str]) -> Pending:
        """Add the next sample, to be evaluated by the named evaluators.

        sample: None for a message that is no sample; it is finished at once, as is a repeated one.
        """
        self.offset = offset + 1
        pending = Pending(offset, sample)
        if sample is not None:
            if sample.request_id in self._open_ids or sample.request_id in self._recent:
                pending.sample = None
            else:
                self._open_ids.add(sample.request_id)
                pending.missing = set(names)
                self._reuse(pending, sample)
        self._pending.append(pending)
        return pending

    def _reuse(self, pending: Pending, sample: Sample) -> None:
        """Take the results that were journalled before a crash."""
        for name in list(pending.missing):
            key = self._key(sample.request_id, name)
            found = self._restored.pop(key, None)
            if found is not None:
                pending.missing.discard(name)
                pending.evaluations.append(found)
                self._journal[key] = pending.offset

    def finish(self, pending: Pending, evaluation: Evaluation) -> None:
        """Add the result of an evaluator. A second result of the same evaluator is ignored."""
        if evaluation.name not in pending.missing:
            return
        pending.missing.discard(evaluation.name)
        pending.evaluations.append(evaluation)
        key = self._key(evaluation.request_id, evaluation.name)
        content = encode_evaluation(evaluation)
        self._unwritten[key] = msgspec.msgpack.encode((pending.offset, content))
        self._journal[key] = pending.offset

    def _key(self, request_id: str, name: str) -> bytes:
        return RESULT + digest(request_id, name, self.versions.get(name, "")).hex().encode()

    def _prefix(self) -> Iterator[Pending]:
        for pending in self._pending:
            if pending.missing:
                return
            yield pending

    def commit(self, *, always: bool = False) -> Commit | None:
        """Return what a transaction has to write now; None if nothing has changed, unless `always`.

        Call `mark_committed` with it once the transaction is committed. After a failure, a later
        call returns the same and more.
        """
        finished = tuple(self._prefix())
        offset = finished[-1].offset + 1 if finished else self._committed_offset
        if not finished and not self._unwritten and not always:
            return None
        messages: dict[bytes, bytes | None] = {}
        journalled = set()
        for key, sample_offset in self._journal.items():
            if sample_offset < offset:
                messages[key] = None
            elif key in self._unwritten:
                messages[key] = self._unwritten[key]
                journalled.add(key)
        self._remember(finished)
        messages |= self._recent.messages()
        return Commit(finished, offset, messages, frozenset(journalled))

    def _remember(self, finished: Collection[Pending]) -> None:
        """Add the ids of finished samples to the recent ones, each once."""
        for pending in finished:
            if pending.sample is not None and pending.open:
                pending.open = False
                self._open_ids.discard(pending.sample.request_id)
                self._recent.add(pending.sample.request_id)

    def mark_committed(self, commit: Commit) -> None:
        """Drop what a transaction has committed."""
        for _ in commit.finished:
            self._pending.popleft()
        self._recent.mark_written()
        self._committed_offset = commit.offset
        for key, value in commit.messages.items():
            if value is None:
                self._journal.pop(key, None)
                self._unwritten.pop(key, None)
            elif key in commit.journalled:
                self._unwritten.pop(key, None)

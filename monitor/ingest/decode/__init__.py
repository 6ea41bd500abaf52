"""Decoders of log formats. Each format is a module, registered in FORMATS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from monitor.ingest.decode import native
from monitor.ingest.decode.decoded import Decoded
from monitor.records import Record, WholeRecord


class Decoder(Protocol):
    """A decoder of one format."""

    def __call__(self, payload: bytes) -> Record:
        """Return the record of a message.

        Raises RejectedRecord, and no other exception, if the bytes are not a record.
        """
        ...

    def many(self, payloads: Sequence[bytes]) -> Decoded:
        """Decode a batch of messages, with the same result as one by one, but faster.

        `decoded.one_by_one` is a simple implementation.
        """
        ...

    def whole(self, payload: bytes) -> WholeRecord:
        """Return all fields of the record of a message, with its texts.

        Raises RejectedRecord if calling the decoder would, and no other exception.
        """
        ...


class DecoderFactory(Protocol):
    """Makes the decoder of one format."""

    def __call__(
        self, metadata: bool, *, keep_beginnings: bool = False, experiments: bool = False
    ) -> Decoder:
        """Return a decoder.

        metadata: whether metadata is needed. experiments: whether the fields are needed that only
        experiments use: records are an ExperimentRecord or ExperimentRecordWithMetadata.
        keep_beginnings: whether the beginning of every response is needed, not only of those that
        may be refusals in a known language.
        """
        ...


FORMATS: dict[str, DecoderFactory] = {"native": native.NativeDecoder}
"""Format -> factory of its decoder."""


def decoder(
    name: str, *, metadata: bool, keep_beginnings: bool = False, experiments: bool = False
) -> Decoder:
    """Return the decoder of a format; "auto" is the native format, the only one so far.

    Raises KeyError for an unknown format.
    """
    factory = FORMATS["native" if name == "auto" else name]
    return factory(metadata, keep_beginnings=keep_beginnings, experiments=experiments)

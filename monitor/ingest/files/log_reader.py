"""Read files of records in batches that are decoded like messages from Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from monitor.config.schema import Config
from monitor.ingest.chunks.columns import Columns
from monitor.ingest.decode.decoded import Decoded
from monitor.ingest.decode.formats import FORMATS
from monitor.ingest.decode.formats.mapping.format import MappingFormat
from monitor.ingest.decode.framing.duplicates import DuplicateFilter
from monitor.ingest.decode.framing.framing import Framing
from monitor.ingest.decode.framing.parts import PartJoiner
from monitor.ingest.decode.framing.schemas import OpenSchema, no_registry
from monitor.ingest.decode.inference import ModelNaming
from monitor.ingest.decode.log_decoder import LogDecoder
from monitor.ingest.decode.native.decoder import NativeDecoder
from monitor.ingest.decode.native.kinds import Needed
from monitor.ingest.features import Batch, FeatureExtractor
from monitor.ingest.fields.fields import Fields
from monitor.ingest.fields.limits import SCORES_PER_LIMIT
from monitor.ingest.files.messages import read_messages
from monitor.ingest.files.rejections import Place, Rejections
from monitor.ingest.files.splitting.framing import Pieces
from monitor.ingest.files.streams import DamagedFileError
from monitor.ingest.refusals.classifier import RefusalClassifier
from monitor.ingest.style.sample import StyleBatch, StyleSampler, columns

METADATA: Final = "metadata."
MAPPING: Final = "mapping"
"""Name of the format of the user's own mapping in metrics."""


@dataclass(slots=True)
class LogReader:
    """Converts files of records to batches of features, and counts rejected records by reason.

    observe: called with the fields of each batch and their features. enveloped: whether each line
    is a message with its headers. style: samples records for the source `style`; None: it is off.

    damaged: receives the number of records read of each compressed file that is damaged; None: such
    a file is an error.

    Positions are line numbers, counted from 1 over all files. In a file that is not one message per
    line they are the numbers of the messages. Records of the same message have the same position.
    Blank lines are counted as lines, but not as rejected.
    """

    decode: LogDecoder
    extractor: FeatureExtractor
    observe: Callable[[Fields, Batch], None] | None = None
    enveloped: bool = False
    style: StyleSampler | None = None
    damaged: dict[str, int] | None = None
    rejections: Rejections = field(default_factory=Rejections)
    lines: int = 0
    records: int = 0
    _sampled: list[StyleBatch] = field(default_factory=list)

    def batches(self, paths: Sequence[Path], progress: Callable[[int], None]) -> Iterator[Batch]:
        """Yield the batches of all records.

        progress: called after each batch with the number of bytes read.
        Raises OSError if a file cannot be read.
        """
        for path in paths:
            before = self.records
            try:
                yield from self._of_file(path, progress)
            except DamagedFileError:
                if self.damaged is None:
                    raise
                self.damaged[str(path)] = self.records - before
        rest = decode_rest(self.decode, self.rejections)
        if len(rest.fields):
            yield self._batch(rest, ())

    def style_columns(self) -> Iterator[Columns]:
        """Yield the columns of the records sampled since the last call, by model."""
        sampled, self._sampled = self._sampled, []
        yield from columns(sampled)

    def _of_file(self, path: Path, progress: Callable[[int], None]) -> Iterator[Batch]:
        for pieces in read_messages(path, enveloped=self.enveloped):
            if pieces.payloads:
                decoded = decode_pieces(self.decode, pieces, path, self.rejections)
                yield self._batch(decoded, pieces.payloads)
            progress(pieces.size)

    def _batch(self, decoded: Decoded, payloads: Sequence[bytes]) -> Batch:
        positions = decoded.indices + (self.lines + 1)
        self.lines += len(payloads)
        self.records += len(decoded.fields)
        batch = self.extractor.batch(decoded.fields, positions)
        if self.observe is not None:
            self.observe(decoded.fields, batch)
        if self.style is not None:
            # calls that the end of the files completes have no message, but whole records
            own = [payloads[i] if payloads else b"" for i in decoded.indices.tolist()]
            sample = self.style.sample(batch, own, decoded.wholes)
            self._sampled += [sample] if sample is not None else []
        return batch


def reader(config: Config, open_schema: OpenSchema = no_registry) -> LogReader:
    """Return a reader with the decoder and the features that the daemon would use.

    open_schema: of the configured registry.
    """
    decoder = decoder_for(config, framing_for(config, open_schema))
    style = StyleSampler(decoder.texts) if config.style.enabled else None
    return LogReader(decoder, extractor_for(config), style=style)


def decode_pieces(
    decoder: LogDecoder, pieces: Pieces, path: Path, rejections: Rejections
) -> Decoded:
    """Decode messages of a file; add what is rejected and skipped to `rejections`."""
    decoded = decoder.many(pieces.payloads, pieces.message)
    rejected = decoded.rejected
    if pieces.invalid:
        opened = [(index, error) for index, error in rejected if index not in pieces.invalid]
        rejected = sorted([*opened, *pieces.invalid.items()], key=lambda pair: pair[0])
    for index, error in rejected:
        if not pieces.is_blank(index):
            place = Place(str(path), pieces.lines[index], pieces.number(index))
            rejections.add(error, (pieces.lines_of_text or pieces.payloads)[index], place)
    rejections.skipped.update(decoded.skipped)
    return decoded


def decode_rest(decoder: LogDecoder, rejections: Rejections) -> Decoded:
    """Decode calls whose parts are incomplete after the last file."""
    decoded = decoder.rest()
    for _, error in decoded.rejected:
        rejections.add(error, b"", Place("the end of the files", 0))
    rejections.skipped.update(decoded.skipped)
    return decoded


def framing_for(
    config: Config, open_schema: OpenSchema = no_registry, *, undoable: bool = False
) -> Framing:
    """Return how messages are handled before and after their format.

    open_schema: of the configured registry. undoable: whether messages may be read again.
    """
    decoding = config.decoding
    duplicates = None
    if decoding.duplicates != "ignore":
        duplicates = DuplicateFilter(undoable=undoable)
    parts = PartJoiner(decoding.join_seconds, undoable=undoable)
    return Framing(parts, duplicates, decoding.duplicates == "drop", open_schema)


def decoder_for(config: Config, framing: Framing | None = None) -> LogDecoder:
    """Return the decoder of the configured format. framing: by default that of files."""
    naming = ModelNaming(config.decoding.model == "responded", config.decoding.fold_pattern)
    native, framing = native_decoder_for(config), framing or framing_for(config)
    if isinstance(config.format, str):
        return LogDecoder(config.format, native, FORMATS, naming, framing)
    mapping = {MAPPING: MappingFormat(config.format)}
    return LogDecoder(MAPPING, native, mapping, naming, framing)


def native_decoder_for(config: Config) -> NativeDecoder:
    """Return the decoder of native records with the fields that the configuration needs."""
    return NativeDecoder(
        needed_fields(config), keep_beginnings=bool(config.features.refusal_patterns)
    )


def needed_fields(config: Config) -> Needed:
    """Return the fields of records that the configuration needs."""
    units = [each.unit for each in config.experiments.values()]
    return Needed(
        watched=tuple(watched_metadata(config)),
        units=tuple(unit.removeprefix(METADATA) for unit in units if unit.startswith(METADATA)),
        optional=bool(config.experiments) or config.joined,
    )


def extractor_for(config: Config) -> FeatureExtractor:
    """Return a feature extractor with the configured metadata and limits."""
    limits = config.limits
    return FeatureExtractor(
        watched_metadata(config),
        models=limits.models,
        scores=limits.scores * SCORES_PER_LIMIT,
        refusals=RefusalClassifier(config.features.refusal_patterns),
    )


def watched_metadata(config: Config) -> dict[str, str]:
    """Return the metadata keys to watch -> their kind. Keys of segments are categorical."""
    by_segment = [key.removeprefix("metadata.") for key in config.segments if "." in key]
    return dict.fromkeys(by_segment, "categorical") | dict(config.features.metadata)

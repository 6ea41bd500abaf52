"""Read files of records in batches that are decoded like messages from Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from monitor.config.schema import Config
from monitor.ingest.decode import Decoder, decoder
from monitor.ingest.features import Batch, FeatureExtractor
from monitor.ingest.files import framing
from monitor.ingest.files.framing import Pieces
from monitor.ingest.files.rejections import Place, Rejections
from monitor.ingest.files.streams import open_stream
from monitor.ingest.limits import SCORES_PER_LIMIT
from monitor.ingest.refusals.classifier import RefusalClassifier
from monitor.records import Record


@dataclass(slots=True)
class LogReader:
    """Converts files of records to batches of features, and counts rejected records by reason.

    observe: called with the records of each batch and their features.

    Positions are line numbers, counted from 1 over all files. In a file that is not one record per
    line they are the numbers of the records. Blank lines are counted as lines, but not as rejected.
    """

    decode: Decoder
    extractor: FeatureExtractor
    observe: Callable[[Sequence[Record], Batch], None] | None = None
    rejections: Rejections = field(default_factory=Rejections)
    lines: int = 0
    records: int = 0

    def batches(self, paths: Sequence[Path], progress: Callable[[int], None]) -> Iterator[Batch]:
        """Yield the batches of all records.

        progress: called after each batch with the number of bytes read.
        Raises OSError if a file cannot be read.
        """
        for path in paths:
            with open_stream(path) as stream:
                for pieces in framing.split(stream):
                    if pieces.payloads:
                        yield self._batch(pieces, path)
                    progress(pieces.size)

    def _batch(self, pieces: Pieces, path: Path) -> Batch:
        decoded = self.decode.many(pieces.payloads)
        for index, error in decoded.rejected:
            payload = pieces.payloads[index]
            if payload.strip():
                place = Place(str(path), pieces.lines[index], pieces.number(index))
                self.rejections.add(error, payload, place)
        positions = decoded.indices + (self.lines + 1)
        self.lines += len(pieces.payloads)
        self.records += len(decoded.records)
        batch = self.extractor.batch(decoded.records, positions, decoded.char_counts)
        if self.observe is not None:
            self.observe(decoded.records, batch)
        return batch


def reader(config: Config) -> LogReader:
    """Return a reader with the decoder and the features that the daemon would use."""
    return LogReader(decoder_for(config), extractor_for(config))


def decoder_for(config: Config) -> Decoder:
    """Return the decoder of the configured format."""
    return decoder(
        config.format,
        metadata=bool(watched_metadata(config)),
        keep_beginnings=bool(config.features.refusal_patterns),
        experiments=bool(config.experiments),
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

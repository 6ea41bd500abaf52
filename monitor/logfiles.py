"""Files of records, one a line: read in batches, decoded like messages from Kafka."""

from __future__ import annotations

import errno
import gzip
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from monitor.config import Config
from monitor.decode import Decode, decoder
from monitor.features import Batch, FeatureExtractor

BATCH_BYTES = 2 * 1024 * 1024
"""Of lines read at a time: few enough that the records of a batch stay in the processor's cache."""
STDIN = Path("-")


@dataclass(slots=True)
class LogReader:
    """Turns files of records into batches of features, and counts what it refuses.

    A position is a line number, counting from 1 through all the files; blank lines count, and are
    neither records nor refused.
    """

    decode: Decode
    extractor: FeatureExtractor
    rejections: Counter[str] = field(default_factory=Counter)
    lines: int = 0

    def batches(self, paths: Sequence[Path], progress: Callable[[int], None]) -> Iterator[Batch]:
        """The batches of all records; `progress` is told of the bytes read since it was last.

        Raises OSError where a file cannot be read.
        """
        for path in paths:
            with _open(path) as stream:
                while lines := _read(stream, path):
                    yield self._batch(lines)
                    progress(sum(map(len, lines)))

    def _batch(self, lines: Sequence[bytes]) -> Batch:
        decoded = self.decode.many(lines)
        self.rejections.update(
            refused.reason for index, refused in decoded.refusals if lines[index].strip()
        )
        positions = decoded.kept + (self.lines + 1)
        self.lines += len(lines)
        return self.extractor.batch(decoded.records, positions, decoded.counted)


def reader(config: Config) -> LogReader:
    """A reader as the configuration wants it: the very decoder and features of the daemon."""
    return LogReader(decode_of(config), extractor_of(config))


def decode_of(config: Config) -> Decode:
    """The decoder of the configured format."""
    return decoder(config.format, metadata=bool(metadata_of(config)))


def extractor_of(config: Config) -> FeatureExtractor:
    """The feature extractor with the configured metadata and bounds."""
    limits = config.limits
    return FeatureExtractor(
        metadata_of(config),
        models=limits.models,
        scores=limits.scores,
        categories=limits.categories,
    )


def metadata_of(config: Config) -> dict[str, str]:
    """Metadata keys to watch and their kinds; those that segments go by are categorical."""
    by_segment = [key.removeprefix("metadata.") for key in config.segments if "." in key]
    return dict.fromkeys(by_segment, "categorical") | dict(config.features.metadata)


def _open(path: Path) -> AbstractContextManager[IO[bytes]]:
    if path == STDIN:
        return nullcontext(sys.stdin.buffer)
    if path.suffix == ".gz":
        return gzip.open(path, "rb")  # type: ignore[return-value]  # a GzipFile reads like any file
    return path.open("rb")


def _read(stream: IO[bytes], path: Path) -> list[bytes]:
    """The next lines; gzip has errors of its own for a damaged file."""
    try:
        return stream.readlines(BATCH_BYTES)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise OSError(errno.EIO, "Not a whole gzip file", str(path)) from None

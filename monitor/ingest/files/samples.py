"""Read files of records as whole samples, for judges and evaluation sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from monitor.config.schema import Config
from monitor.ingest.decode.log_decoder import LogDecoder
from monitor.ingest.files.log_reader import decode_pieces, decode_rest, decoder_for
from monitor.ingest.files.messages import read_messages
from monitor.ingest.files.rejections import Rejections
from monitor.ingest.sampling.privacy import Redact, redact_sample
from monitor.records import Inclusion, Sample, WholeRecord
from monitor.redaction.custom import CustomRule
from monitor.redaction.redactor import Redactor

MAX_SAMPLE_BYTES: Final = 1024 * 1024
"""Size of a sample as in the samples topic, beyond which redaction cuts its texts."""


def read_samples(path: Path, config: Config, rejections: Rejections) -> Iterator[Sample]:
    """Yield the records of a file as samples, redacted unless that is switched off.

    rejections: receives the messages that are no records.
    Raises OSError if the file cannot be read.
    """
    redact = redactor(config)
    for record in read_whole(path, config, rejections):
        sample = as_sample(record)
        if redact is not None:
            redact_sample(sample, redact, MAX_SAMPLE_BYTES)
        yield sample


def read_whole(path: Path, config: Config, rejections: Rejections) -> Iterator[WholeRecord]:
    """Yield the records of a file with all their fields and their texts as they are.

    rejections: receives the messages that are no records.
    Raises OSError if the file cannot be read.
    """
    decoder = decoder_for(config)
    yield from whole_records([path], decoder, rejections)


def whole_records(
    paths: Sequence[Path], decoder: LogDecoder, rejections: Rejections, *, enveloped: bool = False
) -> Iterator[WholeRecord]:
    """Yield the records of files with all their fields and their texts as they are.

    rejections: receives what is rejected and skipped. enveloped: whether each line is a message
    with its headers.
    Raises OSError if a file cannot be read.
    """
    for path in paths:
        for pieces in read_messages(path, enveloped=enveloped):
            decoded = decode_pieces(decoder, pieces, path, rejections)
            for place, index in enumerate(decoded.indices.tolist()):
                whole = decoded.wholes.get(place, pieces.payloads[index])
                yield decoder.whole(whole) if isinstance(whole, bytes) else whole
    for whole in decode_rest(decoder, rejections).wholes.values():
        yield decoder.whole(whole) if isinstance(whole, bytes) else whole


def redactor(config: Config) -> Redact | None:
    """Return what replaces secrets in texts; None if redaction is switched off."""
    sampling = config.sampling
    if not sampling.redact:
        return None
    rules = [CustomRule(name, regex) for name, regex in sampling.redact_patterns.items()]
    return Redactor(rules).redact


def as_sample(record: WholeRecord) -> Sample:
    """Return the fields that judges and evaluation sets use.

    The record was not drawn: each is in the file.
    """
    return Sample(
        request_id=record.request_id,
        timestamp=record.timestamp,
        model=record.model,
        inclusion=Inclusion(uniform=True, probability=1.0),
        prompt=record.prompt,
        response=record.response,
        contexts=record.contexts,
        reference=record.reference,
        session_id=record.session_id,
        input_tokens=record.input_tokens,
        finish_reason=record.finish_reason,
        error=record.error,
        feedback=record.feedback,
        metadata=record.metadata,
    )

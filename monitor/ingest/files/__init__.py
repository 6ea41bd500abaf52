"""Read files of records: decompression, encoding, framing, decoding, counts of rejections."""

from monitor.ingest.files.log_reader import (
    LogReader,
    decoder_for,
    extractor_for,
    framing_for,
    native_decoder_for,
    needed_fields,
    reader,
    watched_metadata,
)
from monitor.ingest.files.rejections import FirstRejection, Rejection, Rejections
from monitor.ingest.files.streams import STDIN, plain_size

__all__ = [
    "STDIN",
    "FirstRejection",
    "LogReader",
    "Rejection",
    "Rejections",
    "decoder_for",
    "extractor_for",
    "framing_for",
    "native_decoder_for",
    "needed_fields",
    "plain_size",
    "reader",
    "watched_metadata",
]

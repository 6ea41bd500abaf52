"""Read files of answers: native records, or JSON objects with a prompt and a response.

A field that records require and the file does not have is filled in: the model is the name of the
file, the time is 0. All other rules are those of the native decoder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from detectors.arrays import Floats
from monitor.config.schema import Config
from monitor.errors import UserError
from monitor.ingest.decode.native.kinds import Needed, fields_of
from monitor.ingest.features import BINARY, MAX_MAGNITUDE, FeatureExtractor
from monitor.ingest.files import native_decoder_for
from monitor.ingest.files.rejections import Place, Rejections
from monitor.ingest.files.splitting import framing
from monitor.ingest.files.streams import open_stream
from monitor.ingest.refusals.classifier import RefusalClassifier
from monitor.records import ChatMessage, Record, RejectedRecord, WholeRecord

MAX_ANSWERS: Final = 100_000
"""Answers of a file: their texts are in memory."""
MAX_SCORES: Final = 50
"""Scores of a file with different names. The names of others are counted."""
_DECODE: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_DECODE_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    request_id: empty if the file has none. prompt: hash of the prompt; empty without one.
    line: where it begins in its file.
    """

    request_id: str
    prompt: bytes
    line: int
    record: WholeRecord


@dataclass
class Answers:
    """The answers of one model, or of one variant of a prompt.

    name: in the report. source: file or endpoint.
    values: by feature, shape (answers,), NaN where missing.
    scores_dropped: values of scores beyond `MAX_SCORES` names.
    """

    name: str
    source: str
    answers: list[Answer]
    values: dict[str, Floats] = field(default_factory=dict)
    rejections: Rejections = field(default_factory=Rejections)
    scores_dropped: int = 0


def read_answers(path: Path, name: str, config: Config) -> Answers:
    """Return the answers of a file.

    Raises UserError if it has none or too many, and OSError if it cannot be read.
    """
    found = Answers(name, str(path), [])
    extractor = FeatureExtractor(
        {},
        models=1,
        scores=MAX_SCORES,
        refusals=RefusalClassifier(config.features.refusal_patterns),
    )
    rows: list[dict[str, Floats]] = []
    for answers, records in _decoded(path, config, found):
        found.answers += answers
        if len(found.answers) > MAX_ANSWERS:
            raise UserError(f"{path}: has more than {MAX_ANSWERS:,} answers; compare a part of it")
        rows.append(_values(extractor, answers, records))
    if not found.answers:
        detail = next(iter(found.rejections.by_reason()), None)
        reason = f": {detail.first.detail}" if detail is not None and detail.first else ""
        raise UserError(f"{path}: has no answers{reason}")
    names = sorted({key for each in rows for key in each})
    missing = [np.full(len(next(iter(each.values()))), np.nan) for each in rows]
    for key in names:
        parts = [each.get(key, nan) for each, nan in zip(rows, missing, strict=True)]
        found.values[key] = np.concatenate(parts)
    found.scores_dropped = extractor.scores_dropped
    return found


def prompt_hash(prompt: str | Sequence[ChatMessage] | None) -> bytes:
    """Return the hash of a prompt, empty if there is none or it is blank.

    White space at both ends does not count; one chat message of the user is the same as its text.
    """
    if prompt is None:
        return b""
    if isinstance(prompt, str):
        messages = [("user", prompt.strip())]
    else:
        messages = [(each.role, each.content.strip()) for each in prompt]
    if not any(text for _, text in messages):
        return b""
    return hashlib.blake2b(msgspec.json.encode(messages), digest_size=16).digest()


def _decoded(
    path: Path, config: Config, found: Answers
) -> Iterator[tuple[list[Answer], list[Record]]]:
    """Yield the answers of a file in batches, and count what is not an answer."""
    decode = native_decoder_for(config)
    with open_stream(path) as stream:
        for pieces in framing.split(stream):
            answers, records = list[Answer](), list[Record]()
            for index, payload in enumerate(pieces.payloads):
                try:
                    full, given = _completed(payload, found.name)
                    record, whole = decode(full), decode.whole(full)
                except RejectedRecord as error:
                    if payload.strip():
                        place = Place(str(path), pieces.lines[index], pieces.number(index))
                        found.rejections.add(error, payload, place)
                    continue
                request_id = whole.request_id if given else ""
                line = pieces.lines[index]
                answers.append(Answer(request_id, prompt_hash(whole.prompt), line, whole))
                records.append(record)
            if answers:
                yield answers, records


def _completed(payload: bytes, name: str) -> tuple[bytes, bool]:
    """Return an object with the fields that records require, and whether it has a request id."""
    try:
        fields = _DECODE(payload)
    except _DECODE_ERRORS:
        return payload, True  # the decoder states what is wrong
    given = "request_id" in fields
    defaults = {"request_id": "", "timestamp": 0.0, "model": name}
    missing = {key: value for key, value in defaults.items() if key not in fields}
    return (msgspec.json.encode(fields | missing) if missing else payload), given


def _values(
    extractor: FeatureExtractor, answers: Sequence[Answer], records: Sequence[Record]
) -> dict[str, Floats]:
    """Return the features of answers. An answer that failed has no feature but its error."""
    batch = extractor.batch(fields_of(records, Needed()), range(len(records)))
    found = {name: batch.row(name).copy() for name in (*batch.numeric, *BINARY)}
    feedback = [each.record.feedback for each in answers]
    values = np.array([np.nan if each is None else each for each in feedback], np.float64)
    found["feedback"] = np.where(np.abs(values) <= MAX_MAGNITUDE, values, np.nan)
    failed = found["error"] == 1.0
    for name, row in found.items():
        if name != "error":
            row[failed] = np.nan
    return found

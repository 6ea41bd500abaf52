"""Recognize the format of a sample of messages, or propose a mapping for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

import yaml

from monitor.config.schema import Config
from monitor.errors import UserError
from monitor.ingest.decode.framing.compression import decompressed
from monitor.ingest.decode.json_decoding import lenient_decoder
from monitor.ingest.decode.message import LogMessage
from monitor.ingest.files.messages import read_messages
from monitor.ingest.files.rejections import Place
from monitor.ingest.files.sniff.finding import Finding, find, find_with
from monitor.ingest.files.sniff.proposal import REQUIRED, propose
from monitor.records import RejectedRecord

MAX_MESSAGES: Final = 1_000
"""Messages of a sample that are read."""
MAX_BYTES: Final = 64 * 1024 * 1024
"""Size of these messages together."""
_RECOGNIZED: Final = 0.5
"""Share of messages that a known format must decode."""

Messages = Sequence[tuple[LogMessage, Place]]
_decode = lenient_decoder(Any)


@dataclass(frozen=True, slots=True)
class Sniffed:
    """What was recognized.

    format: its name, or a mapping as in a configuration.
    finding: what the format gives of the sample. notes: field -> why its path was chosen.
    lacking: the fields that the mapping lacks although every record needs them; `finding` has the
    others.
    """

    format: str | Mapping[str, Any]
    finding: Finding
    notes: Mapping[str, str] = field(default_factory=dict)
    lacking: Sequence[str] = ()

    @property
    def names(self) -> list[str]:
        """Names of the formats of the records, the most frequent first."""
        formats = self.finding.formats
        return sorted(formats, key=lambda name: -formats[name])

    def yaml(self) -> str:
        """Return the format as YAML to paste, with notes as comments."""
        if isinstance(self.format, str):
            return f"format: {self.format}\n"
        lines = ["format:"]
        for name, value in self.format.items():
            dumped = yaml.safe_dump(
                value, default_flow_style=True, width=10_000, allow_unicode=True, sort_keys=False
            )
            note = f"  # {self.notes[name]}" if name in self.notes else ""
            text = dumped.removesuffix("...\n").strip()
            lines.append(f"  {name}: {text}{note}")
        return "\n".join(lines) + "\n"


def read_sample(paths: Sequence[Path], *, enveloped: bool = False) -> Messages:
    """Return the first messages of files.

    Raises OSError if a file cannot be read, UserError if there are no messages.
    """
    found: list[tuple[LogMessage, Place]] = []
    size = 0
    for path in paths:
        for pieces in read_messages(path, enveloped=enveloped):
            for index in range(len(pieces.payloads)):
                if not pieces.is_blank(index) and index not in pieces.invalid:
                    place = Place(str(path), pieces.lines[index], pieces.number(index))
                    found.append((pieces.message(index), place))
                    size += len(pieces.payloads[index])
            if len(found) >= MAX_MESSAGES or size > MAX_BYTES:
                break
    if not found:
        raise UserError(f"no messages in {', '.join(map(str, paths[:3]))}")
    return list(islice(found, MAX_MESSAGES))


def sniff(messages: Messages) -> Sniffed:
    """Return the format of messages: a known one, or a mapping with what could be guessed.

    Raises UserError if they are in no known format and no JSON.
    """
    known = find(messages, Config())
    if known.rejected_messages <= (1 - _RECOGNIZED) * len(messages) and (
        known.records or known.rejections.skipped
    ):
        return Sniffed("auto", known)
    bodies = [body for message, _ in messages if (body := _body(message)) is not None]
    if len(bodies) < _RECOGNIZED * len(messages):
        raise UserError(
            f"{len(messages) - len(bodies)} of {len(messages)} messages are in no known format and"
            " no JSON objects, so that no mapping can describe them"
        )
    proposal = propose(bodies)
    with_bodies = "bodies" in proposal.mapping
    lacking = [name for name in REQUIRED if name not in proposal.mapping and not with_bodies]
    finding = find_with(messages, proposal.mapping, lacking)
    return Sniffed(proposal.mapping, finding, proposal.notes, lacking)


def _body(message: LogMessage) -> Any:
    try:
        value = _decode(decompressed(message.value))
    except RejectedRecord:
        return None
    return value if isinstance(value, dict | list) else None

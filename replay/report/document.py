"""The report as JSON. Fields are added, and never renamed or removed, within a version."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from replay.report.sentence import sentence
from replay.report.summary import AbsoluteScore, Report, RunSummary
from replay.verdict.decision import Decision

VERSION: Final = 1


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    run: RunSummary
    decision: Decision | None
    drifted: tuple[AbsoluteScore, ...]
    prompts: dict[str, str] = {}
    sentence: str = ""
    version: Literal[1] = VERSION


_decoder = msgspec.json.Decoder(_Document)


def encode_report(report: Report) -> bytes:
    """Return the report as JSON: version, sentence, run, decision, drifted, prompts."""
    document = _Document(
        run=report.run,
        decision=report.decision,
        drifted=report.drifted,
        prompts=report.prompts,
        sentence=sentence(report.run, report.decision),
    )
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def decode_report(content: bytes) -> Report:
    """Return the report of a JSON text. Raises ValueError for all other bytes."""
    try:
        document = _decoder.decode(content)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"this is not a report of a replay: {error}") from None
    return Report(
        run=document.run,
        decision=document.decision,
        drifted=document.drifted,
        prompts=document.prompts,
    )

"""The report of a contamination check, as JSON and as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from replay.sets.contamination.check import Hit, Search
from replay.sets.item_set import ItemSet

MAX_SHOWN: Final = 20
"""Hits that the text shows; the JSON has all of them."""
_ORDER: Final = ("exact", "near", "contained", "embedding")


class ContaminationReport(msgspec.Struct, frozen=True, kw_only=True):
    """Which items of a set are in files.

    checked: items that are long enough to be looked for. documents: that were read.
    embedded: documents of these that were compared by embeddings.
    contaminated: items found exactly, nearly or contained. review: further items that are only
    similar by their embedding. kinds: items by kind of hit.
    """

    name: str
    version: int
    digest: str
    items: int
    checked: int
    files: tuple[str, ...]
    documents: int
    embedded: int
    contaminated: tuple[str, ...]
    review: tuple[str, ...]
    kinds: dict[str, int]
    hits: tuple[Hit, ...]


def report_of(item_set: ItemSet, files: Sequence[str], search: Search) -> ContaminationReport:
    """Return the report of a search for the items of a set."""
    hits = search.hits()
    certain = {hit.item for hit in hits if hit.kind != "embedding"}
    similar = {hit.item for hit in hits} - certain
    by_kind = Counter(kind for _, kind in {(hit.item, hit.kind) for hit in hits})
    return ContaminationReport(
        name=item_set.name,
        version=item_set.version,
        digest=item_set.digest,
        items=len(item_set.items),
        checked=len(search.checked_items()),
        files=tuple(files),
        documents=search.documents,
        embedded=search.embedded,
        contaminated=tuple(sorted(certain)),
        review=tuple(sorted(similar)),
        kinds={kind: by_kind[kind] for kind in _ORDER},
        hits=tuple(hits),
    )


def report_lines(report: ContaminationReport) -> list[str]:
    """Return the report as lines. Excerpts are of files: make them printable before printing."""
    lines = [
        f"contamination: {len(report.contaminated):,} of {report.checked:,} items are in"
        f" {report.documents:,} documents ({_kinds(report)})"
    ]
    short = report.items - report.checked
    if short:
        lines.append(f"  {short:,} items are too short to be looked for")
    if report.embedded:
        lines.append(
            f"  {len(report.review):,} more items are similar by embedding, for review"
            f" ({report.embedded:,} documents compared)"
        )
    for hit in report.hits[:MAX_SHOWN]:
        excerpt = " ".join(hit.excerpt.split())
        lines.append(
            f"  {hit.item} {hit.part} {hit.kind} {hit.similarity:.2f} {hit.place}: {excerpt}"
        )
    if len(report.hits) > MAX_SHOWN:
        lines.append(f"  ... and {len(report.hits) - MAX_SHOWN:,} more places; --json has them all")
    return lines


def _kinds(report: ContaminationReport) -> str:
    return ", ".join(f"{kind} {report.kinds[kind]:,}" for kind in _ORDER)

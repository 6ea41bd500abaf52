"""Print the precision and recall of the refusal classifier: `python -m benchmarks.refusals`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from monitor.ingest.refusals.classifier import RefusalClassifier

RESPONSES = Path(__file__).parent / "responses.txt"
"""Responses that the patterns were developed with."""
HELD_OUT = Path(__file__).parent / "held_out.txt"
"""Responses that were written after the patterns."""


class Labelled(NamedTuple):
    """A response with its language, and whether it declines."""

    language: str
    text: str
    declines: bool


class Row(NamedTuple):
    """The counts of one language."""

    language: str
    refusals: int
    others: int
    found: int
    wrong: int

    def cells(self) -> list[str]:
        """Return the cells of the table: language, numbers of responses, precision, recall."""
        precision = self.found / max(1, self.found + self.wrong)
        recall = self.found / max(1, self.refusals)
        counts = str(self.refusals), str(self.others)
        return [self.language, *counts, f"{precision:.2f}", f"{recall:.2f}"]


def labelled(path: Path) -> Iterator[Labelled]:
    """Yield the labelled responses of a file."""
    language = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            language = line.strip("[]")
        elif line.startswith(("+ ", "- ")):
            text = line[2:].replace(r"\n", "\n").replace(r"\u00a0", "\u00a0")
            yield Labelled(language, text, line[0] == "+")


def measure(responses: list[Labelled]) -> list[Row]:
    """Return the counts of each language, and of all together."""
    flags = RefusalClassifier().flags([each.text for each in responses])
    pairs = list(zip(responses, flags, strict=True))
    languages = list(dict.fromkeys(each.language for each in responses))
    rows = []
    for language in [*languages, "all"]:
        own = [(e.declines, flag) for e, flag in pairs if language in {e.language, "all"}]
        rows.append(
            Row(
                language,
                sum(declines for declines, _ in own),
                sum(not declines for declines, _ in own),
                own.count((True, True)),
                own.count((False, True)),
            )
        )
    return rows


def main() -> None:
    """Print the table, and with --errors the responses that are classified wrongly."""
    responses = [*labelled(RESPONSES), *labelled(HELD_OUT)]
    print("| language | refusals | others | precision | recall |\n|---|---|---|---|---|")
    for row in measure(responses):
        print("| " + " | ".join(row.cells()) + " |")
    if "--errors" in sys.argv:
        flags = RefusalClassifier().flags([each.text for each in responses])
        for each, flag in zip(responses, flags, strict=True):
            if flag != each.declines:
                print("missed" if each.declines else "wrong ", each.language, repr(each.text))


if __name__ == "__main__":
    main()

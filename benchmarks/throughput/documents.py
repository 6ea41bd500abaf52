"""Write the figures of the committed result into the documents that quote them.

    python -m benchmarks.throughput.documents

A document contains the generated text between two comments. `make bench` runs this at its end.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from benchmarks.harness.daemon import ROOT
from benchmarks.throughput.tables import costs, markdown

RESULT = ROOT / "benchmarks" / "results" / "throughput.json"
DOCUMENTS = {ROOT / "README.md": markdown, ROOT / "docs" / "scaling.md": costs}
"""Text by document, as a function of the result."""

BLOCK = re.compile(r"(<!-- throughput: generated -->\n).*?(<!-- end -->)", re.DOTALL)


def generate(text: str, figures: str) -> str:
    """Return a document with the figures of a result.

    Raises ValueError if the document has no place for them.
    """
    new, count = BLOCK.subn(lambda found: f"{found[1]}{figures}\n{found[2]}", text)
    if count != 1:
        raise ValueError("the document must contain one '<!-- throughput: generated -->' block")
    return new


def update(result: dict[str, Any]) -> None:
    """Write the figures into every document."""
    for path, figures in DOCUMENTS.items():
        text = generate(path.read_text(encoding="utf-8"), figures(result))
        path.write_text(text, encoding="utf-8")


def main() -> int:
    """Update the documents from the committed result."""
    update(json.loads(RESULT.read_text(encoding="utf-8")))
    return 0


if __name__ == "__main__":
    sys.exit(main())

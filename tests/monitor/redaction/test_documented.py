"""The page on security describes the rules as they are."""

from __future__ import annotations

import re
from pathlib import Path

from monitor.config.load import load
from monitor.redaction.custom import CustomRule
from monitor.redaction.redactor import Redactor
from monitor.redaction.rules.registry import KINDS

PAGE = Path(__file__).parents[3] / "docs" / "security.md"


def test_every_kind_is_documented() -> None:
    """The table has all kinds and no others."""
    section = PAGE.read_text().split("| kind | found |")[1].split("\n\n")[0]
    first_cells = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    documented = [kind for cell in first_cells for kind in re.findall(r"`(\w+)`", cell)]
    assert sorted(documented) == sorted(KINDS)


def test_the_example_of_own_rules_works(tmp_path: Path) -> None:
    """The documented configuration is valid, and its patterns find what they name."""
    (example,) = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    file = tmp_path / "plumbline.yaml"
    file.write_text(example)
    patterns = load(file, {}).sampling.redact_patterns
    redactor = Redactor([CustomRule(name, pattern) for name, pattern in patterns.items()])
    found = redactor.redact("EMP-4711 asked about 2024/BN/17.")
    assert found.text == "[employee] asked about [case_number]."

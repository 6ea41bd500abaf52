"""docs/judge-clients.md is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from judges.budget.caps import Purpose
from judges.calls import UnscoredReason
from judges.client.failures import TRANSIENT
from monitor.config.load import load
from monitor.config.sections.judging.budget import BudgetShares

PAGE = (Path(__file__).parents[2] / "docs" / "judge-clients.md").read_text(encoding="utf-8")


def rows(heading: str) -> dict[str, str]:
    """Return the first and the second column of the table below a heading."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section, re.MULTILINE))


def test_every_configuration_is_valid(tmp_path: Path) -> None:
    """The examples are accepted, apart from the key."""
    examples = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(examples) == 2
    for text in examples:
        file = tmp_path / "plumbline.yaml"
        file.write_text(text)
        assert load(file, {}, secrets=False).judges.enabled


def test_every_reason_is_explained() -> None:
    """The table of reasons has all reasons and no others."""
    assert set(rows("Unscored samples")) == set(UnscoredReason)


def test_every_purpose_has_its_default_share() -> None:
    """The table of purposes has all of them, with the defaults of the configuration."""
    shares = rows("Budget")
    assert set(shares) == set(Purpose)
    given = {name: float(share) for name, share in shares.items() if name != "live"}
    assert given == BudgetShares().by_purpose()


def test_the_statuses_that_are_repeated_are_listed() -> None:
    """The list of statuses is that of the client."""
    sentence = PAGE.split("statuses ")[1].split(", after")[0]
    assert {int(status) for status in re.findall(r"\d+", sentence)} == TRANSIENT

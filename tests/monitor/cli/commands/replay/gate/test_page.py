"""docs/gate.md is what the gate does."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from monitor.cli.commands.replay.gate.pytest_plugin import Plumbline
from replay.gate.criteria.model import Criteria
from replay.gate.criteria.parsing import parse
from replay.gate.outcome import EXIT_STATUS
from replay.verdict.criteria import Criteria as VerdictCriteria
from replay.verdict.decide import decide
from tests.monitor.cli.command_line import ROOT
from tests.replay.gate.scores import scores

PAGE = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    """Return the text of a section."""
    return PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def keys(model: type[BaseModel], key: str = "") -> dict[str, str]:
    """Return the keys of a section and of those in it, with their descriptions."""
    found: dict[str, str] = {}
    for name, field in model.model_fields.items():
        parts = re.findall(r"replay\.gate\.criteria\.\w+\.(\w+)", str(field.annotation))
        here = f"{key}{name}" + (".NAME" if name == "dimensions" else "")
        nested = [m for m in _models() if m.__name__ in parts]
        for each in nested:
            found |= keys(each, f"{here}.")
        if not nested:
            found[here] = field.description or ""
    return found


def _models() -> list[type[BaseModel]]:
    from replay.gate.criteria import dimension, model

    return [
        *(model.Side, model.Model, model.Tiers, model.People, model.Canary, model.Balance),
        dimension.Dimension,
    ]


def test_all_keys_are_documented() -> None:
    """The table has all keys with the descriptions of the model, and no others."""
    rows = re.findall(r"^\| `([\w.]+)` \| [^|]* \| (.*) \|$", section("All keys"), re.MULTILINE)
    expected = {k: d for k, d in keys(Criteria).items() if not k.startswith("baseline.")}
    assert dict(rows) == expected


def test_exit_statuses_are_documented() -> None:
    """The first table has all outcomes."""
    rows = re.findall(r"^\| (\d) \| (\w+) \|", PAGE, re.MULTILINE)
    assert {outcome: int(status) for status, outcome in rows} == EXIT_STATUS


def test_examples_are_valid() -> None:
    """Criteria are accepted, workflows are YAML, assertions exist."""
    for text in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        parse(yaml.safe_load(text))
    for heading, job in (("GitHub Actions", "jobs"), ("GitLab", "gate")):
        (text,) = re.findall(r"^```text\n(.*?)^```", section(heading), re.MULTILINE | re.DOTALL)
        workflow: dict[str, Any] = yaml.safe_load(text)
        assert job in workflow
        for option in re.findall(r"--(\w+)", text.split("plumbline gate")[1].split("\n\n")[0])[:5]:
            assert option in {"criteria", "until", "junit", "report", "comment", "audit"}
    for name in re.findall(r"^\| `(assert_\w+)\(", section("Tests of pytest"), re.MULTILINE):
        assert callable(getattr(Plumbline, name))


@pytest.mark.parametrize(("n", "margin"), [(50, 0.059), (500, 0.006)])
def test_what_a_tier_proves_at_best(n: int, margin: float) -> None:
    """Without a single difference, the stated margin is proven and one a little smaller is not."""
    same = (scores([1.0] * n),)
    criteria = [VerdictCriteria(margin=each) for each in (margin, margin * 0.88)]
    verdicts = [decide(same, same, each).verdict for each in criteria]
    assert verdicts == ["not_regressed", "inconclusive"]

"""Renders the chart as `helm template` does; `python -m tests.helm.render` renews golden/.

What is embedded byte for byte, dashboards and rules, is left out of the golden renders: another
test compares it, and nobody reads it twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import helm_python
import yaml

from helm.build import CHART

GOLDEN = Path(__file__).parent / "golden"
CI = sorted((CHART / "ci").glob("*-values.yaml"))
Manifest = dict[str, Any]


def values_of(path: Path) -> dict[str, Any]:
    """The values of a file."""
    values: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return values


def render(values: dict[str, Any], chart: Path = CHART) -> dict[str, str]:
    """The text of every template, by its name; raises HelmError where the values are refused."""
    with helm_python.Chart.load(chart) as loaded:
        texts = loaded.render(values, name="demo", namespace="watch")
    return {name.partition("/templates/")[2]: text for name, text in sorted(texts.items())}


def manifests(values: dict[str, Any], chart: Path = CHART) -> list[Manifest]:
    """What would be applied, in the order of the templates."""
    texts = [text for name, text in render(values, chart).items() if name != "NOTES.txt"]
    return [each for text in texts for each in yaml.safe_load_all(text) if each]


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Values with others over them, as Helm lays them over each other."""
    both = {
        key: merged(base[key], value)
        for key, value in over.items()
        if isinstance(value, dict) and isinstance(base.get(key), dict)
    }
    return {**base, **over, **both}


def of_kind(found: list[Manifest], *kinds: str) -> list[Manifest]:
    """Those of some kinds."""
    return [each for each in found if each["kind"] in kinds]


def golden(values: dict[str, Any]) -> str:
    """A render as it is kept for comparison."""
    texts = render(values)
    texts["dashboards.yaml"] = re.sub(
        r"(?m)^(  [\w.-]+\.json: ).*(\n    .*|\n$)*", r"\1(the file)", texts["dashboards.yaml"]
    )
    texts["prometheusrule.yaml"] = re.sub(
        r"(?m)^spec:\n((  .*)?\n)+", "spec: (the file)\n", texts["prometheusrule.yaml"] + "\n"
    )
    parts = [f"# {name}\n{text.strip()}\n" for name, text in texts.items() if text.strip()]
    return "\n".join(parts)


if __name__ == "__main__":
    for stale in GOLDEN.glob("*"):
        stale.unlink()
    for each in CI:
        (GOLDEN / each.name.replace("-values", "")).write_text(golden(values_of(each)))

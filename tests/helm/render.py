"""Render the chart as `helm template` does; `python -m tests.helm.render` updates golden/.

The golden renders omit embedded dashboards and rules, which another test compares byte for byte.
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
    """Return the values of a file."""
    values: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return values


def render(values: dict[str, Any], chart: Path = CHART, *, release: str = "demo") -> dict[str, str]:
    """Return the text of every template by name. Raises HelmError for wrong values."""
    with helm_python.Chart.load(chart) as loaded:
        texts = loaded.render(values, name=release, namespace="watch")
    return {name.partition("/templates/")[2]: text for name, text in sorted(texts.items())}


def manifests(
    values: dict[str, Any], chart: Path = CHART, *, release: str = "demo"
) -> list[Manifest]:
    """Return the rendered manifests, in the order of the templates."""
    rendered = render(values, chart, release=release)
    texts = [text for name, text in rendered.items() if name != "NOTES.txt"]
    return [each for text in texts for each in yaml.safe_load_all(text) if each]


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values `base` overridden by `over`, merged as Helm merges them."""
    both = {
        key: merged(base[key], value)
        for key, value in over.items()
        if isinstance(value, dict) and isinstance(base.get(key), dict)
    }
    return {**base, **over, **both}


def of_kind(found: list[Manifest], *kinds: str) -> list[Manifest]:
    """Return the manifests of these kinds."""
    return [each for each in found if each["kind"] in kinds]


def golden(values: dict[str, Any]) -> str:
    """Return a render in the format of the golden files."""
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

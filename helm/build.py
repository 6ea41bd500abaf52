"""Makes the parts of the chart that follow from other files: `python -m helm.build`.

A chart can only hold what lies within its folder, and some tools refuse links out of it. So rules
and dashboards are copied, the configuration's schema is put into the chart's, and the README is
made of the comments in values.yaml. A test holds that `outputs` says what is there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from monitor.config import schema

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "helm" / "plumbline"
COPIES = {
    "grafana/alerts/*.rules.yaml": CHART / "files" / "alerts",
    "grafana/dashboards/*.json": CHART / "files" / "dashboards",
}
LONGEST_DEFAULT = 60


@dataclass(frozen=True, slots=True)
class Value:
    """A row of the README: a dotted key, its default as shown (none for a section), its comment."""

    key: str
    default: str
    comment: str


def main() -> None:
    """Write what follows from other files, and remove copies of files that are gone."""
    wanted = outputs()
    for stale in copies_present() - set(wanted):
        stale.unlink()
    for path, content in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def outputs() -> dict[Path, bytes]:
    """Every file that is made, with the content that it should have."""
    copies = {
        folder / source.name: source.read_bytes()
        for pattern, folder in COPIES.items()
        for source in ROOT.glob(pattern)
    }
    values = (CHART / "values.yaml").read_text(encoding="utf-8")
    return {
        **copies,
        CHART / "values.schema.json": values_schema().encode(),
        CHART / "README.md": readme(values).encode(),
    }


def copies_present() -> set[Path]:
    """The copies that the chart holds now."""
    return {
        path
        for pattern, folder in COPIES.items()
        for path in folder.glob(pattern.rpartition("/")[2])
    }


def values_schema() -> str:
    """The chart's schema, in which `config` is the schema of plumbline.yaml as it is now."""
    chart = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    config = schema()
    sections = config.pop("$defs")
    for keys, section in (
        (["http", "kafka"], config),
        (["host", "port"], sections["HttpConfig"]),
        (["bootstrap_servers", "partitions"], sections["KafkaConfig"]),
    ):
        section["required"] = keys  # the templates read them; `null` removes the chart's default
    own = {name: each for name, each in chart["$defs"].items() if name[0].islower()}
    chart["$defs"] = own | sections  # the configuration's sections are named in CamelCase
    chart["properties"]["config"] = config
    return json.dumps(chart, indent=2) + "\n"


def readme(values: str) -> str:
    """README.md of the chart: README.head.md, and a table of all values."""
    head = (ROOT / "helm" / "README.head.md").read_text(encoding="utf-8")
    rows = "".join(
        f"| `{value.key}` | {value.default} | {value.comment} |\n" for value in documented(values)
    )
    return f"{head}\n| value | default | meaning |\n|---|---|---|\n{rows}"


def documented(values: str) -> list[Value]:
    """The values in the text of values.yaml, in their order, each with its comment.

    Raises ValueError where a value has no comment.
    """
    comments = dict(_comments(values))
    found = [
        Value(key, default, comments.get(key, ""))
        for key, default in _rows(yaml.safe_load(values), "", comments)
    ]
    silent = [value.key for value in found if not value.comment]
    if silent:
        raise ValueError(f"values.yaml has no comment above {', '.join(silent)}")
    return found


def _comments(values: str) -> Iterator[tuple[str, str]]:
    """Each key that has a comment right above it, dotted, with the comment."""
    path: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in values.splitlines():
        text = line.strip()
        indent = len(line) - len(line.lstrip())
        if text.startswith("#"):
            comment.append(text.lstrip("# "))
            continue
        if ":" in text and not text.startswith("-"):
            path = [(depth, name) for depth, name in path if depth < indent]
            path.append((indent, text.partition(":")[0]))
            if comment:
                yield ".".join(name for _, name in path), " ".join(comment)
        comment = []


def _rows(
    section: Mapping[str, Any], prefix: str, comments: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Key and default of what is to be listed; a section is listed itself if it has a comment."""
    for name, value in section.items():
        key = f"{prefix}{name}"
        inner = any(other.startswith(f"{key}.") for other in comments)
        if not (isinstance(value, dict) and (inner or (value and key not in comments))):
            yield key, _shown(value)
            continue
        if key in comments:
            yield key, ""
        yield from _rows(value, f"{key}.", comments)


def _shown(default: Any) -> str:
    text = json.dumps(default)
    return f"`{text}`" if len(text) <= LONGEST_DEFAULT else "see values.yaml"


if __name__ == "__main__":
    main()

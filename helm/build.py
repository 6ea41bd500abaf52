"""Generate the parts of the chart that depend on other files: `python -m helm.build`.

A chart contains only files of its own folder, and some tools do not follow symbolic links. So rules
and dashboards are copied, the schema of the configuration is inserted into the chart's schema, and
the README is generated from the comments in values.yaml. A test compares the files with `outputs`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from monitor.config.schema import schema

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "helm" / "plumbline"
COPIES = {
    "grafana/alerts/*.rules.yaml": CHART / "files" / "alerts",
    "grafana/dashboards/*.json": CHART / "files" / "dashboards",
}
MAX_DEFAULT_CHARS = 60


@dataclass(frozen=True, slots=True)
class Value:
    """A row of the README: dotted key, default as shown (empty for a section), and comment."""

    key: str
    default: str
    comment: str


def main() -> None:
    """Write the generated files, and remove copies of files that no longer exist."""
    expected = outputs()
    for stale in copies_present() - set(expected):
        stale.unlink()
    for path, content in expected.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def outputs() -> dict[Path, bytes]:
    """Return all generated files with their expected content."""
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
    """Return the copies that exist in the chart."""
    return {
        path
        for pattern, folder in COPIES.items()
        for path in folder.glob(pattern.rpartition("/")[2])
    }


def values_schema() -> str:
    """Return the chart's schema with the current schema of plumbline.yaml as `config`."""
    chart = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    config = schema()
    sections = config.pop("$defs")
    for keys, section in (
        (["http", "kafka"], config),
        (["host", "port"], sections["HttpConfig"]),
        (["bootstrap_servers", "partitions"], sections["KafkaConfig"]),
    ):
        section["required"] = keys  # read by templates; a `null` would remove the chart's default
    own = {name: each for name, each in chart["$defs"].items() if name[0].islower()}
    chart["$defs"] = own | sections  # sections of the configuration have CamelCase names
    chart["properties"]["config"] = config
    return json.dumps(chart, indent=2) + "\n"


def readme(values: str) -> str:
    """Return README.md of the chart: README.head.md and a table of all values."""
    head = (ROOT / "helm" / "README.head.md").read_text(encoding="utf-8")
    rows = "".join(
        f"| `{value.key}` | {value.default} | {value.comment} |\n" for value in documented(values)
    )
    return f"{head}\n| value | default | meaning |\n|---|---|---|\n{rows}"


def documented(values: str) -> list[Value]:
    """Return the values in the text of values.yaml in order, each with its comment.

    Raises ValueError if a value has no comment.
    """
    comments = dict(_comments(values))
    found = [
        Value(key, default, comments.get(key, ""))
        for key, default in _rows(yaml.safe_load(values), "", comments)
    ]
    undocumented = [value.key for value in found if not value.comment]
    if undocumented:
        raise ValueError(f"values.yaml: add a comment above {', '.join(undocumented)}")
    return found


def _comments(values: str) -> Iterator[tuple[str, str]]:
    """Yield each key with a comment directly above it, dotted, and the comment."""
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
    """Yield key and default of each row; a section has a row of its own if it has a comment."""
    for name, value in section.items():
        key = f"{prefix}{name}"
        inner = any(other.startswith(f"{key}.") for other in comments)
        if not (isinstance(value, dict) and (inner or (value and key not in comments))):
            yield key, _cell(value)
            continue
        if key in comments:
            yield key, ""
        yield from _rows(value, f"{key}.", comments)


def _cell(default: Any) -> str:
    text = json.dumps(default)
    return f"`{text}`" if len(text) <= MAX_DEFAULT_CHARS else "see values.yaml"


if __name__ == "__main__":
    main()

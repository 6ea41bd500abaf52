"""The guide is whole and true: its pages hang together, and its tables are those of the code."""

from __future__ import annotations

import json
import re
from itertools import islice
from pathlib import Path
from typing import get_args

import msgspec
import pytest
import yaml

from monitor import columns, reference, state
from monitor.backtest import backtest
from monitor.config import Config
from monitor.config_errors import KNOWN_KEYS
from monitor.config_file import load
from monitor.demo.traffic import traffic
from monitor.events import Change
from monitor.kafka import DAY_MS, Topics
from monitor.metrics import Metrics, registry
from monitor.records import RecordWithMetadata, Refusal
from tests.test_documents import DOCUMENTS, ROOT, blocks

DOCS = ROOT / "docs"
CONFIGURED = ("quickstart.md", "connect.md", "windows-and-references.md")


def links(path: Path) -> list[tuple[Path, str]]:
    """The files of ours that a page links to, each with the heading meant, if any."""
    found = re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", path.read_text())
    return [
        ((path.parent / target).resolve() if target else path, heading)
        for target, heading in found
        if "://" not in target
    ]


def headings(path: Path) -> set[str]:
    """The names that links give to the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def table(page: str, first: str) -> list[list[str]]:
    """The rows of the table of a page whose head begins with this cell."""
    _, _, rest = (DOCS / page).read_text().partition(f"\n| {first} |")
    assert rest, f"{page} has no table that begins with {first}"
    lines = rest.split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_page_is_reachable() -> None:
    """Whoever begins at docs/README.md can get to every page of docs/ by links."""
    reached, waiting = set[Path](), {DOCS / "README.md"}
    while waiting:
        page = waiting.pop()
        reached.add(page)
        if page.suffix == ".md" and page.exists():
            waiting |= {target for target, _ in links(page)} - reached
    assert sorted(set(DOCS.glob("**/*.md")) - reached) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_find_their_headings(path: Path) -> None:
    """A link to a heading of a page names one that it has."""
    for target, heading in links(path):
        if heading and target.exists():
            assert heading in headings(target), f"{target.name}#{heading}"


@pytest.mark.parametrize("page", CONFIGURED)
def test_shown_configurations_are_good(page: str, tmp_path: Path) -> None:
    """Every configuration that the guide shows is accepted as it stands."""
    shown = blocks(DOCS / page, "yaml")
    assert shown
    for text in shown:
        file = tmp_path / "shown.yaml"
        file.write_text(text)
        load(file, {})


def test_the_quick_start_finds_what_it_promises(tmp_path: Path) -> None:
    """Its short file shows a drift by its small configuration, and none by the defaults."""
    file = tmp_path / "logs.jsonl"
    lines = traffic(9_000, change_at=6_000, seed=1, rate=50.0, start=1.7e9)
    file.write_bytes(b"\n".join(islice(lines, 9_000)) + b"\n")
    small = next(text for text in blocks(DOCS / "quickstart.md", "yaml") if "small.yaml" in text)
    found = backtest([file], Config.model_validate(yaml.safe_load(small))).events
    assert "latency_ms" in {event.feature for event in found}
    assert backtest([file], Config()).events == []


def test_every_field_of_a_record_is_told() -> None:
    """The table of fields has those that are read, and no other."""
    told = {name for row in table("connect.md", "field") for name in re.findall(r"`(\w+)`", row[0])}
    assert told == {field.name for field in msgspec.structs.fields(RecordWithMetadata)}


def test_every_reason_of_a_refusal_is_told() -> None:
    """The table of reasons has those that are given, and no other."""
    told = [n for row in table("connect.md", "reason") for n in re.findall(r"`(\w+)`", row[0])]
    assert sorted(told) == sorted(Refusal)


def test_the_formats_are_those_of_the_code() -> None:
    """The versions that decide how to upgrade are the ones that are written."""
    told = {row[0]: int(row[2]) for row in table("upgrading.md", "what")}
    written = {"chunk": columns, "checkpoint": state, "reference": reference}
    assert told == {name: module.VERSION for name, module in written.items()}


def test_retention_is_as_told() -> None:
    """Topics are made to be kept for as long as the guide says."""
    kept = {row[0].strip("`"): row[2] for row in table("security.md", "where")}
    for topic, settings in Topics("plumbline").settings().items():
        days = int(settings.get("retention.ms", 0)) // DAY_MS
        assert kept[topic].startswith(f"{days} days" if days else "compacted")


def test_the_delays_are_those_measured() -> None:
    """The table of delays by window is the committed result."""
    result = json.loads((ROOT / "benchmarks" / "results" / "windows.json").read_text())
    measured = [
        [f"{int(window):,}"]
        + ["none" if row["median"] is None else f"{row['median']:,}" for row in rows]
        for window, rows in result["delays"].items()
    ]
    assert table("windows-and-references.md", "window") == measured


def test_symptoms_are_named_as_they_are_seen() -> None:
    """What the troubleshooting tells to look for is a metric, a setting, a topic, or is said."""
    families = [family.name for family in registry(Metrics()).collect()]
    metrics = {name.removeprefix("plumbline_") for name in families}
    settings = {".".join(map(str, key)) for key in KNOWN_KEYS}
    topics = {
        f"plumbline.{name}" for name in ("*", *(t.split(".")[1] for t in Topics("p").settings()))
    }
    other = {"grep", "/metrics", "/healthz", "other", "event", "exception", "error", "reason"}
    other |= {f"drift {change}" for change in get_args(Change)}
    said = "\n".join(path.read_text() for path in (ROOT / "monitor").glob("**/*.py"))
    text = (DOCS / "troubleshooting.md").read_text()
    unknown = [
        span
        for span in re.findall(r"`([^`]+)`", text)
        if span.removesuffix("_total") not in metrics
        and span not in settings | topics | other
        and f'"{span}' not in said
        and f" {span}" not in said
    ]
    assert unknown == []

"""The guide is complete: all pages are linked, and its tables agree with the code."""

from __future__ import annotations

import json
import re
from itertools import islice
from pathlib import Path
from typing import get_args

import pytest
import yaml

from benchmarks.refusals.__main__ import HELD_OUT, RESPONSES, labelled, measure
from detectors.registry import DETECTORS
from detectors.window import Window
from detectors.window_test import WindowTest
from judges.calls import UnscoredReason
from monitor.cli.backtest import backtest
from monitor.cli.demo.traffic import traffic
from monitor.config.keys import KNOWN_KEYS
from monitor.config.load import load
from monitor.config.schema import Config
from monitor.detect.checkpoint import state_topic
from monitor.detect.reference import profile, sources
from monitor.events.types import Transition
from monitor.experiments.assignment.assign import (
    Reason,
    fnv1a32,
    namespace_position,
    position,
)
from monitor.experiments.assignment.lookup import Assignments
from monitor.ingest.chunks.chunk import LOG_VERSION, SOURCE_VERSION
from monitor.ingest.style import markers
from monitor.ingest.style.sample import (
    FIRST_SAMPLES,
    MAX_FIRST_SAMPLES,
    MAX_SAMPLES,
    SAMPLE_ONE_IN,
)
from monitor.ingest.style.texts import HEAD_CHARS, MAX_PROMPT_CHARS, TAIL_CHARS
from monitor.kafka.topics import DAY_MS, Topics
from monitor.records import RecordWithMetadata, RejectReason, WholeRecord
from monitor.telemetry.counters.joins import JoinMetrics
from monitor.telemetry.counters.judging import JudgeMetrics
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.counters.replay import ReplayMetrics
from monitor.telemetry.counters.web import WebMetrics
from monitor.telemetry.exporter import registry
from monitor.telemetry.http.assignments import OPENFEATURE, assignments
from tests.test_documents import DOCUMENTS, ROOT, blocks

DOCS = ROOT / "docs"
CONFIGURED = (
    *("quickstart.md", "connect.md", "formats/mapping.md", "replay.md"),
    "windows-and-references.md",
)


def links(path: Path) -> list[tuple[Path, str]]:
    """Return the relative links of a page as (file, heading or empty)."""
    found = re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", path.read_text())
    return [
        ((path.parent / target).resolve() if target else path, heading)
        for target, heading in found
        if "://" not in target
    ]


def headings(path: Path) -> set[str]:
    """Return the anchors of the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def table(page: str, first: str) -> list[list[str]]:
    """Return the rows of the table of a page whose first header cell is `first`."""
    _, _, rest = (DOCS / page).read_text().partition(f"\n| {first} |")
    assert rest, f"{page} has no table that begins with {first}"
    lines = rest.split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_page_is_reachable() -> None:
    """Every page of docs/ can be reached from docs/README.md by links."""
    reached, pending = set[Path](), {DOCS / "README.md"}
    while pending:
        page = pending.pop()
        reached.add(page)
        if page.suffix == ".md" and page.exists():
            pending |= {target for target, _ in links(page)} - reached
    assert sorted(set(DOCS.glob("**/*.md")) - reached) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_linked_headings_exist(path: Path) -> None:
    """A link to a heading leads to an existing heading."""
    for target, heading in links(path):
        if heading and target.exists():
            assert heading in headings(target), f"{target.name}#{heading}"


@pytest.mark.parametrize("page", CONFIGURED)
def test_configurations_are_valid(page: str, tmp_path: Path) -> None:
    """Every configuration in the guide is accepted unchanged."""
    found = blocks(DOCS / page, "yaml")
    assert found
    for text in found:
        file = tmp_path / "plumbline.yaml"
        file.write_text(text)
        load(file, {}, secrets=False)


def test_configuration_of_judges_is_valid(tmp_path: Path) -> None:
    """The configuration in docs/judged-quality.md is accepted unchanged, and judges."""
    [text] = blocks(DOCS / "judged-quality.md", "yaml")
    file = tmp_path / "plumbline.yaml"
    file.write_text(text)
    config = load(file, {}, secrets=False).judges
    assert config.enabled
    page = (DOCS / "judged-quality.md").read_text()
    assert f"A window has {config.windows.records} scored samples" in page
    assert f"a reference {config.reference.records:,} " in page


def test_every_reason_without_a_score_is_documented() -> None:
    """The tables of the guide and of the runbook list the reasons of the code."""
    reasons = [reason.value for reason in UnscoredReason]
    rows = table("judged-quality.md", "reason")
    assert sorted(row[0].strip("`") for row in rows) == sorted(reasons)
    cells = " ".join(row[0] for row in table("runbooks/plumblinejudgeunscored.md", "reason"))
    assert set(re.findall(r"`(\w+)`", cells)) == set(reasons) - {
        UnscoredReason.NO_BUDGET,
        UnscoredReason.NOT_APPLICABLE,
    }


def test_shipped_rubrics_are_documented() -> None:
    """docs/judged-quality.md names each rubric that is shipped."""
    page = (DOCS / "judged-quality.md").read_text()
    shipped = [path.stem for path in (ROOT / "judges" / "rubrics" / "shipped").glob("*.yaml")]
    assert len(shipped) > 5
    assert [name for name in shipped if not re.search(rf"\b{name}\b", page)] == []


def test_quick_start_finds_the_documented_drift(tmp_path: Path) -> None:
    """Its short log has a drift with the small configuration, and none with the defaults."""
    file = tmp_path / "logs.jsonl"
    lines = traffic(9_000, change_at=6_000, seed=1, rate=50.0, start=1.7e9)
    file.write_bytes(b"\n".join(islice(lines, 9_000)) + b"\n")
    small = next(text for text in blocks(DOCS / "quickstart.md", "yaml") if "small.yaml" in text)
    found = backtest([file], Config.model_validate(yaml.safe_load(small))).events
    assert "latency_ms" in {event.feature for event in found}
    assert backtest([file], Config()).events == []


def test_every_field_of_a_record_is_documented() -> None:
    """The table of fields has all fields that are decoded and no others."""
    documented = {
        name for row in table("connect.md", "field") for name in re.findall(r"`(\w+)`", row[0])
    }
    decoded = {*RecordWithMetadata.__struct_fields__, *WholeRecord.__struct_fields__}
    assert documented == decoded


def test_every_reject_reason_is_documented() -> None:
    """The table of reasons has all reject reasons and no others."""
    documented = [
        n for row in table("connect.md", "reason") for n in re.findall(r"`(\w+)`", row[0])
    ]
    assert sorted(documented) == sorted(RejectReason)


def test_format_versions_are_documented() -> None:
    """The versions in the table of formats are those that this version writes."""
    documented = {row[0]: int(row[2]) for row in table("upgrading.md", "what")}
    written = {
        "chunk of the log": LOG_VERSION,
        "chunk of another source": SOURCE_VERSION,
        "checkpoint of the log": state_topic.LOG_VERSION,
        "checkpoint of several sources": state_topic.SOURCES_VERSION,
        "reference": profile.VERSION,
        "state of the windows": Window.state_version,
    } | {
        f"state of `{name}`": detector.state_version
        for name, detector in DETECTORS.items()
        if not issubclass(detector, WindowTest)
    }
    assert documented == written


def test_retention_is_documented() -> None:
    """Topics are created with the retention in the guide."""
    kept = {row[0].strip("`"): row[2] for row in table("security.md", "where")}
    for topic, settings in Topics("plumbline").settings(judged=True).items():
        days = int(settings.get("retention.ms", 0)) // DAY_MS
        assert kept[topic].startswith(f"{days} days" if days else "compacted")


def test_delays_are_those_measured() -> None:
    """The table of delays by window agrees with the committed result."""
    result = json.loads((ROOT / "benchmarks" / "results" / "windows.json").read_text())
    measured = [
        [f"{int(window):,}"]
        + ["none" if row["median"] is None else f"{row['median']:,}" for row in rows]
        for window, rows in result["delays"].items()
    ]
    assert table("windows-and-references.md", "window") == measured


def test_figures_of_judged_samples_are_those_measured() -> None:
    """Delay, trials and samples in the text agree with the committed result."""
    result = json.loads((ROOT / "benchmarks" / "results" / "judged.json").read_text())
    text = " ".join((DOCS / "windows-and-references.md").read_text().split())
    assert (result["trials"], result["false_pages"]) == (30, 0)
    delay = result["delay"]
    assert f"page after {int(delay['median'])} judged samples in the median of thirty" in text
    assert f"and after {delay['largest']} at most" in text
    assert f"Thirty times {result['samples']:,} judged samples without a change" in text
    recorded = result["recorded"]
    assert (recorded["trials"], recorded["false_pages"], recorded["samples"]) == (30, 0, 100_000)
    delay = recorded["delay"]
    assert f"came after {int(delay['median'])} samples in the median of thirty trials" in text
    assert f"and after {delay['largest']} at most, and 100,000 samples without a change" in text


def test_symptoms_exist() -> None:
    """Each term in troubleshooting.md is a metric, a setting, a topic or a text of the program."""
    judged = Metrics(
        judging=JudgeMetrics(remaining=1.0),
        replay=ReplayMetrics(),
        joins=JoinMetrics(),
        web=WebMetrics(),
    )
    families = [family.name for family in registry(judged).collect()]
    metrics = {name.removeprefix("plumbline_") for name in families}
    settings = {".".join(map(str, key)) for key in KNOWN_KEYS}
    topics = {
        f"plumbline.{name}"
        for name in (
            "*",
            *(t.split(".")[1] for t in Topics("p").settings(judged=True, experiments=True)),
        )
    }
    other = {
        "grep",
        "/metrics",
        "/healthz",
        "/api/v1/quality",
        "other",
        "event",
        "exception",
        "error",
        "reason",
    }
    other |= {f"drift {change}" for change in get_args(Transition)}
    files = [path for folder in ("monitor", "judges") for path in (ROOT / folder).glob("**/*.py")]
    source = "\n".join(path.read_text() for path in files)
    text = (DOCS / "troubleshooting.md").read_text()
    unknown = [
        span
        for span in re.findall(r"`([^`]+)`", text)
        if span.removesuffix("_total") not in metrics
        and span not in settings | topics | other
        and f'"{span}' not in source
        and f" {span}" not in source
    ]
    assert unknown == []


def test_accuracy_of_refusals_is_measured() -> None:
    """The table of precision and recall is that of `python -m benchmarks.refusals`."""
    rows = measure([*labelled(RESPONSES), *labelled(HELD_OUT)])
    assert table("detectors.md", "language") == [row.cells() for row in rows]


def test_vectors_of_the_assignment_are_those_of_the_code() -> None:
    """Hashes and positions in the tables are correct."""
    rows = [[cell.strip("`") for cell in row] for row in table("assignment.md", "seed")]
    assert len(rows) >= 6
    for seed, unit, number, place in rows:
        assert (int(number), float(place)) == (fnv1a32(seed + unit), position(seed, unit))
    for name, unit, place in table("assignment.md", "namespace"):
        assert float(place) == namespace_position(name.strip("`"), unit.strip("`"))


def test_answers_and_reasons_of_the_assignment_are_those_of_the_code() -> None:
    """The JSON is what the page returns for the configuration shown, and all reasons are there."""
    page = DOCS / "assignment.md"
    [configuration] = blocks(page, "yaml")
    experiments = Config.model_validate(yaml.safe_load(configuration)).experiments
    assign = Assignments(experiments)
    listed, evaluation = map(json.loads, blocks(page, "json"))
    assert listed == assignments(assign, "new-prompt", "unit=user-1")
    assert evaluation == assignments(assign, "new-prompt", "targetingKey=tester-1")
    text = page.read_text()
    explained = re.findall(r"^\| `(\w+)` \| (?:yes|no) \|", text, re.MULTILINE)
    assert explained == [*get_args(Reason)]
    mapped = re.findall(r"^\| `(\w+)` \| `([A-Z_]+)` \|", text, re.MULTILINE)
    assert dict(mapped) == OPENFEATURE


def test_markers_of_style_exist() -> None:
    """The page names markers that are measured, and states the numbers of the code."""
    text = " ".join((DOCS / "style.md").read_text().split())
    named = set(re.findall(r"`((?:style|prompt)\.\w+)`", text)) - {"style.enabled"}
    assert len(named) > 20
    assert named <= {*markers.NUMERIC, *markers.BINARY}
    windows = sources.STYLE_WINDOWS
    for number in (windows.records, windows.stride, f"{sources.STYLE_REFERENCE:,}"):
        assert f" {number}" in text
    records = sources.STYLE_REFERENCE * SAMPLE_ONE_IN
    assert f"{records:,} records" in text
    assert f"first {HEAD_CHARS} and the last {TAIL_CHARS}" in text
    assert f"last {MAX_PROMPT_CHARS} of the prompt" in text
    assert f"about {MAX_SAMPLES} of those" in text
    assert f"first {FIRST_SAMPLES:,} samples of a model ({MAX_FIRST_SAMPLES:,} of all)" in text


def test_measured_swaps_are_those_of_the_benchmark() -> None:
    """The page and the README of the benchmarks state what `benchmarks.style` has measured."""
    result = json.loads((ROOT / "benchmarks" / "results" / "style.json").read_text())
    assert f"{result['found']} of 12 swaps" in (DOCS / "style.md").read_text()
    rows = {row[0]: row[1] for row in table("../benchmarks/README.md", "what")}
    swaps = len(result["swaps"]) // 2
    tilts = result["tilts"]
    pages = sum(result["unchanged"]["pages"].values()), sum(result["bursts"]["pages"].values())
    assert rows == {
        "swaps found": f"{result['found']} of {swaps}",
        "swaps found, lengths alike": f"{result['found_length_matched']} of {swaps}",
        "pages of unchanged models": f"{pages[0]} in"
        f" {9 * result['unchanged']['answers_by_model']:,} answers",
        "tilts in which answers page": f"{tilts['answers_paged']} of {tilts['tilts']}",
        "tilts in which prompts page": f"{tilts['prompts_paged']} of {tilts['tilts']}",
        "tilts in which prompts alarm": f"{tilts['prompts_alarmed']} of {tilts['tilts']}",
        "pages of bursts": f"{pages[1]} in {9 * result['bursts']['answers_by_model']:,} answers",
    }

"""Tests of the console output on a terminal, in a file and in a pipe."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec import structs
from rich.console import Console

from monitor.cli import report
from monitor.cli.console import tables
from monitor.config.schema import Config
from monitor.config.sections.detection import WarmupReference
from monitor.detect.reference import builder
from monitor.detect.reference.store import Version
from monitor.events.types import DriftEvent, Explanation
from monitor.ingest.files import Rejection
from tests.monitor import synthetic

STREAM = synthetic.joined(
    synthetic.stream(synthetic.WARMUP + 400, seed=1), synthetic.stream(600, seed=2, factor=3.0)
)
EVENT = synthetic.watcher().feed(STREAM)[0]
HOSTILE = "m\x1b[31m[bold]\x9b2J\r:bug:\u202e[/]\\"
PLAIN = "m\N{REPLACEMENT CHARACTER}[31m[bold]\N{REPLACEMENT CHARACTER}2J\N{REPLACEMENT CHARACTER}"
CONTROL = set("\x1b\x9b\r\u202e")


def event_text(event: DriftEvent, *, width: int, terminal: bool) -> str:
    """Return the text of an event on a console of this width."""
    file = io.StringIO()
    console = Console(
        file=file, width=width, force_terminal=terminal, color_system=None, highlight=False,
        emoji=False,
    )  # fmt: skip
    tables.print_event(console, event)
    return file.getvalue()


def build_report(events: list[DriftEvent], **rejections: int) -> report.Report:
    """Build a report of these events."""
    counts = [Rejection(reason, count) for reason, count in rejections.items()]
    return report.build(models={"m": 3000}, rejections=counts, seconds=0.5, events=events)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_event_is_one_line_in_a_pipe(width: int) -> None:
    """In a pipe every event is one line, for any width."""
    text = event_text(EVENT, width=width, terminal=False)
    assert text.count("\n") == 1
    assert text.startswith("2023-11-14 ")
    assert "latency_ms of m has drifted (" in text
    assert text.endswith(f", record {EVENT.position:,}\n")


def test_event_is_a_paragraph_on_a_terminal() -> None:
    """On a narrow terminal the text is wrapped beside its time, without losing words."""
    lines = event_text(EVENT, width=60, terminal=True).splitlines()
    assert len(lines) > 1
    assert all(len(line) <= 60 for line in lines)
    assert all(line.startswith(" " * 23) for line in lines[1:])
    piped = event_text(EVENT, width=60, terminal=False).split()
    assert " ".join(lines).split() == ["●", *piped]


def test_event_names_two_example_requests() -> None:
    """The line ends with at most two request ids, unchanged."""
    explanation = Explanation(examples=("a-1", "[red]b", "c"))
    text = event_text(structs.replace(EVENT, explanation=explanation), width=400, terminal=False)
    assert text.endswith(f", record {EVENT.position:,}; see a-1, [red]b\n")


@pytest.mark.parametrize("terminal", [False, True])
def test_names_cannot_control_the_terminal(terminal: bool) -> None:
    """Escape sequences, markup and emoji in the name of a model are printed as text."""
    explanation = Explanation(examples=(HOSTILE,), together={HOSTILE: 1.0})
    event = structs.replace(EVENT, model=HOSTILE, segment=HOSTILE, explanation=explanation)
    text = event_text(event, width=400, terminal=terminal)
    assert not CONTROL & set(text)
    assert f"{PLAIN}:bug:\N{REPLACEMENT CHARACTER}[/]\\" in text


def test_report_cannot_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Names in the table of events are printed as text."""
    tables.print_report(build_report([structs.replace(EVENT, model=HOSTILE, segment=HOSTILE)]))
    text = capsys.readouterr().out
    assert not CONTROL & set(text)
    assert "[31m[bold]" in text
    assert ":bug:" in text


def test_references_cannot_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Names of references, files, models, segments and categories are printed as text."""
    reasons = [HOSTILE] * 300
    columns = synthetic.with_categories(
        synthetic.stream(300, model=HOSTILE), "finish_reason", reasons
    )
    profile = builder.build([columns], segment=HOSTILE, window=100, categories=10)
    version = Version(HOSTILE, 1, "id", True, 0.0, HOSTILE, (profile,))
    tables.print_versions([version])
    tables.print_profiles(version)
    text = capsys.readouterr().out
    assert not CONTROL & set(text)
    assert text.count(PLAIN[:8]) >= 5


def test_report_has_counts_and_events(capsys: pytest.CaptureFixture[str]) -> None:
    """The report has records, rate and rejected records, then one row per event."""
    tables.print_report(build_report([EVENT], not_json=2, empty=1))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "3,000 records of 1 model in 0.5 s (6,000 per second), 3 rejected"
    assert lines[1:3] == ["  2 not_json", "  1 empty"]
    assert lines[3] == "3 of 3,003 (0.1 %) could not be read and are not checked"
    assert lines[4].split() == [
        "record",
        "PSI",
        "detector",
        "statistic",
        "threshold",
        "p",
        "feature",
    ]
    row = lines[5].split()
    assert row[:3] == [f"{EVENT.position:,}", f"{EVENT.psi:.2f}", EVENT.detector]
    assert row[-3:] == ["latency_ms", "of", "m"]
    assert len(lines) == 6


def test_empty_report(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is said about drift without a record; a duration of zero has a rate of zero."""
    tables.print_report(report.build(models={}, rejections=[], seconds=0.0, events=[]))
    assert capsys.readouterr().out == (
        "0 records of 0 models in 0.0 s (0 per second), 0 rejected\n"
    )


def test_small_changes_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """They are counted, not listed, and are no drift; the report contains them."""
    small = structs.replace(EVENT, severity="info")
    built = build_report([small, small, structs.replace(small, change="resolved")])
    tables.print_report(built)
    printed = capsys.readouterr().out
    assert "no drift" in printed
    assert "2 small changes (info)" in printed
    assert len(built.events) == 2
    assert event_text(small, width=80, terminal=False) == ""


def test_models_in_their_warm_up_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """If no model was watched, "no drift" is not printed; at most five models are named."""
    models = {HOSTILE: 900} | {f"m{i}": i for i in range(1, 8)}
    warming_up = dict.fromkeys(models, 1000)
    tables.print_report(
        report.build(models=models, rejections=[], seconds=1.0, events=[], warming_up=warming_up)
    )
    text = capsys.readouterr().out
    assert "no drift" not in text
    assert not CONTROL & set(text)
    assert f"{PLAIN[:8]}" in text.splitlines()[1]
    assert text.splitlines()[2:6] == [
        f"m{i}: not watched, still warming up: {i} of 1,000 records" for i in (7, 6, 5, 4)
    ]
    assert text.splitlines()[6] == "3 more models warming up"
    assert text.splitlines()[7:] == [
        "no model has enough records to be watched: use a log with at least 2,000 records of a"
        " model, of which the first half is the reference"
    ]


@pytest.mark.parametrize("records", [2_000, 2_019, 7_777, 19_999, 49_999, 400_000])
def test_settings_that_fit_the_log_are_suggested(
    capsys: pytest.CaptureFixture[str], records: int
) -> None:
    """The settings are valid, and leave about half of the records of the largest model to watch."""
    result = report.build(
        models={"a": 12, "b": records},
        rejections=[],
        seconds=1.0,
        events=[],
        warming_up={"a": 1, "b": 1},
    )
    tables.print_report(result)
    lines = capsys.readouterr().out.splitlines()
    config = Config.model_validate(yaml.safe_load("\n".join(line[2:] for line in lines[-2:])))
    assert isinstance(config.reference, WarmupReference)
    assert config.reference.records <= records / 2
    assert config.windows.records == 1000 or config.reference.records > records / 2 - 110


@pytest.mark.parametrize("needed", [1_001, 50_000])
def test_a_log_that_is_too_short_gets_one_hint_that_suffices(
    capsys: pytest.CaptureFixture[str], needed: int
) -> None:
    """The hint has the number of records and the settings with which so many are enough."""
    result = report.build(
        models={"a": 300}, rejections=[], seconds=1.0, events=[], warming_up={"a": needed}
    )
    tables.print_report(result)
    *_, hint, reference, windows = capsys.readouterr().out.splitlines()
    assert "at least 2,000 records of a model" in hint
    config = Config.model_validate(yaml.safe_load(f"{reference[2:]}\n{windows[2:]}"))
    assert isinstance(config.reference, WarmupReference)
    assert config.reference.records == 1000


def test_event_without_a_p_value_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """A detector without a p-value, such as ADWIN, has an empty cell."""
    tables.print_report(build_report([structs.replace(EVENT, p_value=None, detector="adwin")]))
    assert "adwin" in capsys.readouterr().out


def test_empty_list_of_references(capsys: pytest.CaptureFixture[str]) -> None:
    """An empty list is a sentence, not a table without rows."""
    tables.print_versions([])
    assert capsys.readouterr().out == "no references\n"


def test_profiles_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """The table has one row per feature, with quantiles or categories."""
    profile = builder.build([synthetic.stream(300)], segment="", window=100, categories=10)
    tables.print_profiles(Version("chat", 1, "id", True, 0.0, "logs", (profile,)))
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.split()}
    assert {"latency_ms", "input_tokens", "error", "finish_reason", "metadata.route"} <= set(rows)
    assert "stop 86.0%, length 14.0%" in rows["finish_reason"]
    assert "numeric" in rows["latency_ms"]


@pytest.mark.parametrize("suffix", [".jsonl", ".gz"])
def test_progress_is_not_shown_in_a_pipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    """In a pipe only events are printed, one line each, on standard error."""
    path = tmp_path / f"logs{suffix}"
    path.write_bytes(b"x" * 100)
    with tables.read_progress([path]) as (progress, print_event):
        progress(60)
        print_event(EVENT)
        progress(40)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == event_text(EVENT, width=80, terminal=False)


def test_table_in_a_pipe_is_not_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    """In a pipe rows are not wrapped at 80 columns."""
    event: Any = structs.replace(EVENT, model="a-model-with-quite-a-long-name" * 3)
    tables.print_report(build_report([event]))
    assert len(capsys.readouterr().out.splitlines()) == 3

"""What reaches a terminal, a file or a pipe."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from rich.console import Console

from monitor import console, reference, report
from monitor.events import DriftEvent
from monitor.explanation import Explanation
from monitor.references import Version
from tests.monitor import made

STREAM = made.joined(made.stream(made.WARMUP + 400, seed=1), made.stream(600, seed=2, factor=3.0))
EVENT = made.watcher().feed(STREAM)[0]
HOSTILE = "m\x1b[31m[bold]\x9b2J\r:bug:\u202e[/]\\"
PLAIN = "m\N{REPLACEMENT CHARACTER}[31m[bold]\N{REPLACEMENT CHARACTER}2J\N{REPLACEMENT CHARACTER}"
STEERING = set("\x1b\x9b\r\u202e")


def shown(event: DriftEvent, *, width: int, terminal: bool) -> str:
    """An event as a console of this width shows it."""
    file = io.StringIO()
    made_console = Console(
        file=file, width=width, force_terminal=terminal, color_system=None, highlight=False,
        emoji=False,
    )  # fmt: skip
    console.print_event(made_console, event)
    return file.getvalue()


def summary(events: list[DriftEvent], **rejections: int) -> report.Report:
    """A report of these events."""
    return report.build(models={"m": 3000}, rejections=rejections, seconds=0.5, events=events)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_event_is_one_line_in_a_pipe(width: int) -> None:
    """What greps for events finds each on a line of its own, whatever the width."""
    text = shown(EVENT, width=width, terminal=False)
    assert text.count("\n") == 1
    assert text.startswith("2023-11-14 ")
    assert "latency_ms of m has drifted (" in text
    assert text.endswith(f", record {EVENT.position:,}\n")


def test_event_is_a_paragraph_on_a_terminal() -> None:
    """On a narrow terminal the text is wrapped beside its time, and nothing is lost."""
    lines = shown(EVENT, width=60, terminal=True).splitlines()
    assert len(lines) > 1
    assert all(len(line) <= 60 for line in lines)
    assert all(line.startswith(" " * 23) for line in lines[1:])
    piped = shown(EVENT, width=60, terminal=False).split()
    assert " ".join(lines).split() == ["●", *piped]


def test_event_names_requests_to_look_at() -> None:
    """Two request ids follow, as they are; of more than that a line has no room."""
    told = Explanation(examples=("a-1", "[red]b", "c"))
    text = shown(structs.replace(EVENT, explanation=told), width=400, terminal=False)
    assert text.endswith(f", record {EVENT.position:,}; see a-1, [red]b\n")


@pytest.mark.parametrize("terminal", [False, True])
def test_names_cannot_steer_the_terminal(terminal: bool) -> None:
    """Escape sequences, markup and emoji in a model's name come out as the text they are."""
    told = Explanation(examples=(HOSTILE,), together={HOSTILE: 1.0})
    event = structs.replace(EVENT, model=HOSTILE, segment=HOSTILE, explanation=told)
    text = shown(event, width=400, terminal=terminal)
    assert not STEERING & set(text)
    assert f"{PLAIN}:bug:\N{REPLACEMENT CHARACTER}[/]\\" in text


def test_report_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Nor can what the report's table says."""
    console.print_report(summary([structs.replace(EVENT, model=HOSTILE, segment=HOSTILE)]))
    text = capsys.readouterr().out
    assert not STEERING & set(text)
    assert "[31m[bold]" in text
    assert ":bug:" in text


def test_references_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Nor names of folders and files, nor models, segments and categories of a reference."""
    reasons = [HOSTILE] * 300
    columns = made.with_categories(made.stream(300, model=HOSTILE), "finish_reason", reasons)
    profile = reference.build([columns], segment=HOSTILE, window=100, categories=10)
    version = Version(HOSTILE, 1, "id", True, 0.0, HOSTILE, (profile,))
    console.print_versions([version])
    console.print_profiles(version)
    text = capsys.readouterr().out
    assert not STEERING & set(text)
    assert text.count(PLAIN[:8]) >= 5


def test_report_counts_and_lists(capsys: pytest.CaptureFixture[str]) -> None:
    """Records, rate and refusals first, then a row an event with its numbers."""
    console.print_report(summary([EVENT], not_json=2, empty=1))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "3,000 records of 1 model in 0.5 s (6,000 a second), 3 refused"
    assert lines[1:3] == ["  1 empty", "  2 not_json"]
    assert lines[3].split() == ["record", "PSI", "by", "statistic", "needed", "p", "feature"]
    row = lines[4].split()
    assert row[:3] == [f"{EVENT.position:,}", f"{EVENT.psi:.2f}", EVENT.detector]
    assert row[-3:] == ["latency_ms", "of", "m"]
    assert len(lines) == 5


def test_report_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """No drift is said, and a run of no time has no rate that could not be told."""
    console.print_report(report.build(models={}, rejections={}, seconds=0.0, events=[]))
    assert capsys.readouterr().out == (
        "0 records of 0 models in 0.0 s (0 a second), 0 refused\nno drift\n"
    )


def test_a_warm_up_is_no_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing was watched "no drift" is not said; of many models the nearest are named."""
    models = {HOSTILE: 900} | {f"m{i}": i for i in range(1, 8)}
    warming_up = dict.fromkeys(models, 1000)
    console.print_report(
        report.build(models=models, rejections={}, seconds=1.0, events=[], warming_up=warming_up)
    )
    text = capsys.readouterr().out
    assert "no drift" not in text
    assert not STEERING & set(text)
    assert f"{PLAIN[:8]}" in text.splitlines()[1]
    assert text.splitlines()[2:6] == [
        f"m{i}: not watched, still warming up: {i} of 1,000 records" for i in (7, 6, 5, 4)
    ]
    assert text.splitlines()[6:] == ["3 more models warming up"]


def test_event_without_a_p_value_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """ADWIN has none; its row has a gap and no more."""
    console.print_report(summary([structs.replace(EVENT, p_value=None, detector="adwin")]))
    assert "adwin" in capsys.readouterr().out


def test_no_references_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    """An empty list is a sentence, not a heading above nothing."""
    console.print_versions([])
    assert capsys.readouterr().out == "no references\n"


def test_profiles_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """A row a feature, with quantiles or categories."""
    profile = reference.build([made.stream(300)], segment="", window=100, categories=10)
    console.print_profiles(Version("chat", 1, "id", True, 0.0, "logs", (profile,)))
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.split()}
    assert {"latency_ms", "input_tokens", "error", "finish_reason", "metadata.route"} <= set(rows)
    assert "stop 86.0%, length 14.0%" in rows["finish_reason"]
    assert "numeric" in rows["latency_ms"]


@pytest.mark.parametrize("suffix", [".jsonl", ".gz"])
def test_progress_says_nothing_in_a_pipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    """Only events reach a file or a pipe, on standard error, each on its line."""
    path = tmp_path / f"logs{suffix}"
    path.write_bytes(b"x" * 100)
    with console.reading([path]) as (progress, show):
        progress(60)
        show(EVENT)
        progress(40)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == shown(EVENT, width=80, terminal=False)


def test_table_in_a_pipe_is_not_squeezed(capsys: pytest.CaptureFixture[str]) -> None:
    """A file has no width of its own: rows are not broken at 80 columns."""
    event: Any = structs.replace(EVENT, model="a-model-with-quite-a-long-name" * 3)
    console.print_report(summary([event]))
    assert len(capsys.readouterr().out.splitlines()) == 3

"""The report as Markdown, for terminals, chats and pull requests.

Texts of logs, models and configuration are hostile. Short ones stand in code spans and long ones in
fenced blocks, where neither markup, HTML, links nor mentions have an effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final

from monitor.events.wording.drift import printable
from replay.report import wording
from replay.report.sentence import sentence
from replay.report.summary import Report
from replay.verdict.decision import Flip, TaskDecision

MAX_NAME: Final = 120
"""Characters of a short text."""
_MARKUP: Final = frozenset("\\`*_{}[]<>#|~&!")


def markdown(report: Report) -> str:
    """Return the report. It contains prompts and responses if the report does."""
    run, decision = report.run, report.decision
    lines = [f"# Replay of {code(run.model)}", "", f"**{_escaped(sentence(run, decision))}**", ""]
    for text in wording.meaning(report):
        lines += [_escaped(text), ""]
    tasks = decision.tasks if decision else ()
    if tasks:
        lines += ["## Tasks", "", *_table(wording.TASK_HEADINGS, map(wording.task_row, tasks))]
    for task in tasks:
        lines += [*_slices(task), *_flips(task, report)]
    if report.drifted:
        rows = map(wording.drifted_row, report.drifted)
        lines += ["## Drifted traffic: absolute scores, no verdict", "", wording.DRIFTED_NOTE, ""]
        lines += _table(wording.DRIFTED_HEADINGS, rows)
    lines += ["## Run", ""]
    lines += [f"- {_escaped(name)}: {code(text)}" for name, text in wording.facts(report).items()]
    return "\n".join(lines) + "\n"


def code(text: str) -> str:
    """Return a short text as a code span."""
    shown = printable(text).replace("`", "'")
    if len(shown) > MAX_NAME:
        shown = f"{shown[: MAX_NAME - 3]}..."
    return f"`{shown}`" if shown.strip() else "-"


def fenced(text: str) -> list[str]:
    """Return a long text as lines of a fenced block, whose fence does not occur in the text."""
    lines = [printable(line) for line in text.expandtabs(4).splitlines()] or [""]
    longest = max(
        (len(list(run)) for line in lines for char, run in groupby(line) if char == "`"), default=0
    )
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", *lines, fence]


def _escaped(text: str) -> str:
    """Return a sentence in which hostile names have no effect.

    A word joiner keeps GitHub from making links and mentions.
    """
    shown = "".join(f"\\{char}" if char in _MARKUP else char for char in printable(text))
    for start, end in (("@", ""), ("www", "."), (":", "//")):
        shown = shown.replace(start + end, f"{start}\N{WORD JOINER}{end}")
    return shown


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [
        "| " + " | ".join(headings) + " |",
        "|" + "---|" * len(headings),
    ]
    for row in rows:
        cells = [code(cell).replace("|", "\\|") if cell else "" for cell in row]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def _slices(task: TaskDecision) -> list[str]:
    if not task.slices:
        return []
    rows = [wording.slice_row(each, task.bounded) for each in task.slices]
    lines = [f"## Slices of {code(task.task)}", "", wording.SLICE_NOTE, ""]
    lines += _table(wording.SLICE_HEADINGS, rows)
    if task.slices_left_out:
        lines += [f"{task.slices_left_out:,} smaller slices are not shown.", ""]
    return lines


def _flips(task: TaskDecision, report: Report) -> list[str]:
    if not task.flips:
        return []
    lines = [f"## Items of {code(task.task)} that changed", ""]
    for flip in task.flips:
        lines += _flip(flip, report.prompts.get(flip.item, ""))
    left_out = wording.flips_left_out(task)
    return [*lines, "", *([left_out, ""] if left_out else [])]


def _flip(flip: Flip, prompt: str) -> list[str]:
    slices = ", ".join(f"{name}: {value}" for name, value in sorted(flip.slices.items()))
    head = f"- {code(flip.item)} {wording.flip_title(flip)}" + (
        f", {code(slices)}" if slices else ""
    )
    texts = {
        "prompt": prompt,
        "baseline": flip.baseline_response,
        "candidate": flip.candidate_response,
    }
    if not any(texts.values()):
        return [head]
    lines = [head, ""]
    for name, text in texts.items():
        if text:
            lines += [f"  {name}:", "", *(f"  {line}" for line in fenced(text)), ""]
    return lines

"""Annotations of GitHub Actions: workflow commands on standard output.

GitHub shows ten annotations of each kind for a step, so there is one for a check, and the last one
counts the others. The step summary has all of them.
https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from typing import Final

from replay.gate.outcome import Check, GateResult
from replay.gate.reports.texts import finding, headline, plain

MAX_ANNOTATIONS: Final = 10
_LEVELS: Final = {"regressed": "error", "error": "error", "inconclusive": "warning"}


def commands(result: GateResult) -> list[str]:
    """Return the workflow commands, one line each; one notice if the gate passed."""
    if result.outcome == "passed":
        return [command("notice", "plumbline gate", headline(result))]
    found: dict[str, list[tuple[str, str]]] = {"error": [], "warning": []}
    for stage in result.stages:
        text = ": ".join(plain(part) for part in (stage.reason, stage.detail) if part)
        if text and stage.outcome in _LEVELS:
            level = _LEVELS[stage.outcome]
            found[level].append((f"{stage.name}: {stage.outcome}", text))
        for check in stage.checks:
            if check.required and check.outcome in _LEVELS and stage.outcome != "passed":
                found[_LEVELS[check.outcome]].append(_annotation(stage.name, check))
    return [line for level, entries in found.items() for line in _limited(level, entries)]


def command(level: str, title: str, message: str) -> str:
    """Return one workflow command, escaped as GitHub's toolkit does it."""
    return f"::{level} title={_property(title)}::{_data(message)}"


def defused(text: str) -> str:
    """Return text for standard output in which GitHub finds no workflow command.

    `::` counts at the beginning of a line, `##[` anywhere.
    """
    lines = (
        f"\N{ZERO WIDTH SPACE}{line}" if line.lstrip().startswith("::") else line
        for line in text.replace("##[", "## [").splitlines()
    )
    return "\n".join(lines)


def _annotation(stage: str, check: Check) -> tuple[str, str]:
    text = f"{finding(check)}; rule: {plain(check.rule)}"
    return f"{stage} {plain(check.name)}: {check.outcome}", text


def _limited(level: str, entries: list[tuple[str, str]]) -> list[str]:
    shown = entries if len(entries) <= MAX_ANNOTATIONS else entries[: MAX_ANNOTATIONS - 1]
    lines = [command(level, title, text) for title, text in shown]
    if len(shown) < len(entries):
        more = f"{len(entries) - len(shown)} more; the step summary has all"
        lines.append(command(level, "plumbline gate", more))
    return lines


def _data(text: str) -> str:
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return escaped.replace("##[", "## [")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")

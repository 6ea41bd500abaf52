"""The result of a gate in Markdown: step summary, and the text of a pull-request comment.

Names and details are in code spans, in which Markdown, HTML and mentions have no meaning.
"""

from __future__ import annotations

from typing import Final

from replay.gate.outcome import Check, GateResult, Stage
from replay.gate.reports.texts import WORDS, finding, headline, number, plain

MAX_ROWS: Final = 200
"""Checks of a stage in the summary; GitHub accepts 1 MiB."""
COMMENT_ROWS: Final = 20
MARKER: Final = "<!-- plumbline gate: {} -->"
"""First line of a comment: a workflow finds the earlier comment of this gate by it."""


def summary(result: GateResult) -> str:
    """Return all stages with their checks."""
    lines = [f"## {code(headline(result))}", "", *_facts(result), ""]
    for stage in result.stages:
        lines += [*_stage(stage, MAX_ROWS), ""]
    return "\n".join(lines)


def comment(result: GateResult) -> str:
    """Return the text of a comment: the stage that decided, and only what did not pass."""
    name = "".join(c if c.isalnum() else "-" for c in result.name)
    lines = [MARKER.format(name), f"**{code(headline(result))}**", "", *_facts(result)]
    for stage in result.stages:
        if stage.outcome == "passed":
            lines += ["", f"{stage.name}: passed, {len(stage.checks)} checks"]
        else:
            open_checks = tuple(c for c in stage.checks if c.outcome != "passed")
            lines += ["", *_stage(stage, COMMENT_ROWS, open_checks)]
    return "\n".join(lines) + "\n"


def code(text: str) -> str:
    """Return text in a code span that also works in a table."""
    return f"`{plain(text).replace('`', chr(39)).replace('|', chr(92) + '|')}`" if text else ""


def _facts(result: GateResult) -> list[str]:
    compared = f"candidate {code(result.candidate)}"
    if result.baseline:
        compared += f", baseline {code(result.baseline)}"
    criteria = f"criteria {code(result.criteria_sha256[:12])}"
    commit = f", commit {code(result.origin.commit[:12])}" if result.origin.commit else ""
    return [f"{compared}; {criteria}{commit}; exit status {result.exit_status}"]


def _stage(stage: Stage, rows: int, checks: tuple[Check, ...] | None = None) -> list[str]:
    shown = stage.checks if checks is None else checks
    lines = [f"### {stage.name}: {WORDS[stage.outcome]}"]
    if stage.reason or stage.detail:
        parts = [part for part in (stage.reason, stage.detail) if part]
        lines += ["", code(": ".join(parts))]
    if shown:
        lines += [
            "",
            "| check | outcome | candidate | baseline | effect | bounds | items | rule |",
            "|---|---|---|---|---|---|---|---|",
            *(_row(check) for check in shown[:rows]),
        ]
    if len(shown) > rows:
        lines += ["", f"{len(shown) - rows} more checks are in the JSON result."]
    details = [c for c in shown[:rows] if c.outcome != "passed"]
    lines += [line for c in details for line in ("", f"- {code(c.name)}: {code(finding(c))}")]
    return lines


def _row(check: Check) -> str:
    bounds = ""
    if check.lower is not None or check.upper is not None:
        bounds = f"{number(check.lower)} to {number(check.upper)}"
    outcome = WORDS[check.outcome] + ("" if check.required else " (balance only)")
    cells = (
        code(check.name),
        outcome,
        number(check.value),
        number(check.baseline),
        number(check.effect),
        bounds,
        str(check.items or ""),
        code(check.rule),
    )
    return f"| {' | '.join(cells)} |"

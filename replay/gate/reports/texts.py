"""Numbers and names in reports. Names and details may come from strangers."""

from __future__ import annotations

from typing import Final

from monitor.events.wording.drift import printable
from replay.gate.outcome import Check, GateResult, Stage

MAX_CHARS: Final = 300
"""Longest name or detail in a report."""

WORDS: Final = {
    "passed": "passed",
    "regressed": "regressed",
    "error": "error",
    "inconclusive": "inconclusive",
    "not_run": "not run",
}
"""Outcome -> its words in a text."""


def plain(text: str) -> str:
    """Return text on one line, without control characters, shortened."""
    cleaned = printable(text)
    return cleaned if len(cleaned) <= MAX_CHARS else f"{cleaned[: MAX_CHARS - 3]}..."


def number(value: float | None) -> str:
    """Return a number with four significant digits; "-" if it does not exist."""
    if value is None:
        return "-"
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def finding(check: Check) -> str:
    """Return what was found for a check, such as "0.71, baseline 0.8, effect -0.09 (...)"."""
    parts = []
    if check.value is not None:
        parts.append(number(check.value))
    if check.baseline is not None:
        parts.append(f"baseline {number(check.baseline)}")
    if check.effect is not None:
        parts.append(f"effect {number(check.effect)}")
    if check.lower is not None or check.upper is not None:
        parts.append(f"bounds {number(check.lower)} to {number(check.upper)}")
    if check.items:
        parts.append(f"{check.items} items")
    if check.outcome == "inconclusive" and check.required_items:
        parts.append(f"about {check.required_items:,} items are needed")
    parts += [flag.replace("_", " ") for flag in check.flags]
    if check.detail:
        parts.append(plain(check.detail))
    return ", ".join(parts)


def headline(result: GateResult) -> str:
    """Return the result in one line, such as "gate support: regressed in L1 (quality)"."""
    deciding = next((s for s in reversed(result.stages) if s.outcome == result.outcome), None)
    text = f"gate {plain(result.name)}: {WORDS[result.outcome]}"
    if result.outcome == "passed" or deciding is None:
        return text
    names = [plain(c.name) for c in deciding.checks if c.required and c.outcome == result.outcome]
    causes = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "") or plain(deciding.reason)
    return f"{text} in {deciding.name}" + (f" ({causes})" if causes else "")


def stage_line(stage: Stage) -> str:
    """Return a stage in one line, such as "L0: passed, 3 checks, 12.3 s"."""
    if stage.outcome == "not_run":
        return f"{stage.name}: not run"
    checks = f"{len(stage.checks)} check{'s' if len(stage.checks) != 1 else ''}"
    line = f"{stage.name}: {WORDS[stage.outcome]}, {checks}, {stage.seconds:.1f} s"
    reason = ": ".join(plain(part) for part in (stage.reason, stage.detail) if part)
    return f"{line}: {reason}" if reason else line

"""The results of the simulation as tables in Markdown and as a plot in SVG."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any, Final

PEERS: Final = ("t-test", "GrowthBook")
BURNED_IN: Final = ", burned in"
COLOURS: Final = {"Plumbline": "#1b7837", "GrowthBook": "#d95f02", "t-test": "#7570b3"}
ROW: Final = 22
LEFT: Final = 250
WIDTH: Final = 560


def write(result: dict[str, Any], out: Path) -> None:
    """Write the tables and the plot beside `out`, with its name."""
    out.with_suffix(".md").write_text(tables(result))
    out.with_suffix(".svg").write_text(plot(result["false_winners"]))


def tables(result: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    lines = ["# Simulated experiments", ""]
    lines += _false_winners(result["false_winners"])
    lines += _decisions(result["decisions"])
    lines += _mismatches(result["mismatches"])
    lines += _further(result["further"])
    return "\n".join(lines) + "\n"


def worst(cell: dict[str, Any]) -> float:
    """Return the largest share of false winners of Plumbline, over the smallest effects."""
    shares: dict[str, float] = cell["false_winners"]
    return max(share for name, share in shares.items() if name.startswith("Plumbline"))


def _false_winners(cells: list[dict[str, Any]]) -> list[str]:
    """Return the table of false winners."""
    ours = [name for name in cells[0]["false_winners"] if name.startswith("Plumbline")]
    theirs = [peer + suffix for peer in reversed(PEERS) for suffix in ("", BURNED_IN)]
    heads = [name.replace("Plumbline, ", "") for name in ours] + theirs
    runs, looks = cells[0]["runs"], cells[0]["looks"]
    lines = [
        "## False winners",
        "",
        "Share of experiments without a difference that ever have a winner at level .05, in"
        f" percent. {runs:,} runs, {looks} looks, one after every 100 users, to {looks * 100:,}"
        f" users. The first columns are Plumbline, by smallest effect"
        " that matters (MDE). `burned in` counts only looks at which both arms have 100 effective"
        " users, as Plumbline does. ![Plot](experiments.svg)",
        "",
        "| stream | split | " + " | ".join(heads) + " |",
        "|---|---|" + "---|" * len(heads),
    ]
    for cell in cells:
        shares = (100 * cell["false_winners"][name] for name in ours + theirs)
        numbers = " | ".join(f"{share:.1f}" for share in shares)
        lines.append(f"| {cell['stream']} | {cell['split']} | {numbers} |")
    return [*lines, ""]


def _decisions(cells: list[dict[str, Any]]) -> list[str]:
    """Return the table of times to a decision."""
    lines = [
        "## Time to a decision",
        "",
        "Users until E reaches 20, in those of a fixed two-sided test with 80 % power that knows"
        " the effect. The true effect is in smallest effects (MDE, 5 %)."
        " Runs are cut at 4 times the fixed n and counted as 4. `integrated` is the mean at the"
        " same looks by numerical integration, as in `plumbline experiment plan`.",
        "",
        "| values | effect | runs | fixed n | mean | integrated | median | 80 % decided |"
        " decided at 1 | at 4 |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {cell['population']} | {cell['effect']:g} MDE | {cell['runs']:,} |"
        f" {cell['fixed_users']:,} | {cell['mean']:.3f} | {cell['integrated']:.3f} |"
        f" {cell['median']:.2f} | {cell['percentile_80']:.2f} |"
        f" {cell['decided_at_fixed']:.0%} | {cell['decided']:.1%} |"
        for cell in cells
    ]
    return [*lines, ""]


def _mismatches(cells: list[dict[str, Any]]) -> list[str]:
    """Return the table of sample ratio mismatches."""
    lines = [
        "## Sample ratio mismatch",
        "",
        "A look after every 100 users. Warnings at level .01, blocked verdicts at .001.",
        "",
        "| planned | actual | runs | users | warned | blocked | median | 90 % found |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for cell in cells:
        found = (cell["median_users"], cell["percentile_90_users"])
        median, late = ("-" if users is None else f"{users:,.0f}" for users in found)
        lines.append(
            f"| {cell['planned']} | {cell['actual']} | {cell['runs']:,} | {cell['users']:,} |"
            f" {cell['warned']:.1%} | {cell['blocked']:.1%} | {median} | {late} |"
        )
    return lines


def _further(cells: list[dict[str, Any]]) -> list[str]:
    """Return the tables of CUPED, of quantiles and of several metrics."""
    single = [cell for cell in cells if "plumbline" in cell]
    several = [cell for cell in cells if "goal" in cell]
    lines = [
        "",
        "## CUPED and quantiles",
        "",
        "False winners without a difference, in percent, at a look after every 100 users. `fixed"
        " test` is a test at level .05 of the same estimates at each look, after the same burn-in."
        " CUPED: correlation .7 with the pre-period, 30 % new users, worst of the smallest effects"
        " 2, 5 and 20 %; `variance` is that of the difference, relative to no CUPED. Quantiles: as"
        " many visits of earlier users as of new ones, 1 to 50 requests each (Pareto 1.3).",
        "",
        "| case | split | runs | looks | Plumbline | fixed test | variance |",
        "|---|---|---|---|---|---|---|",
    ]
    for cell in single:
        ratio = f"{cell['variance_ratio']:.2f}" if "variance_ratio" in cell else "-"
        lines.append(
            f"| {cell['case']} | {cell['split']} | {cell['runs']:,} | {cell['looks']} |"
            f" {100 * cell['plumbline']:.1f} | {100 * cell['fixed']:.1f} | {ratio} |"
        )
    lines += [
        "",
        "## Several metrics and arms",
        "",
        "Three arms against the control, a goal and four secondary metrics of any kind, correlated"
        " (.5). Runs with a false finding at any look, in percent: of the goal, of e-BH over the"
        " secondary metrics, of any metric with the sequence at .05 uncorrected, and with a fixed"
        " test at .05. At the last look: false discovery rate of e-BH, and the share of real"
        " effects (.06 standard deviations on two secondary metrics of each arm) that e-BH and"
        " Bonferroni find.",
        "",
        "| case | runs | looks | goal | e-BH | uncorrected | fixed test | false discoveries |"
        " found by e-BH | by Bonferroni |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for cell in several:
        names = ("goal", "secondary", "each", "fixed", "false_discovery_rate")
        wrong = " | ".join(f"{100 * cell[name]:.1f}" for name in names)
        found = " | ".join(
            f"{100 * cell[name]:.1f}" if cell["power"] else "-"
            for name in ("power", "power_bonferroni")
        )
        lines.append(f"| {cell['case']} | {cell['runs']:,} | {cell['looks']} | {wrong} | {found} |")
    return lines


def plot(cells: list[dict[str, Any]]) -> str:
    """Return the false winners as an SVG: a row for each stream and split, a dot for each test."""
    height = ROW * len(cells) + 90
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 40}" height="{height}"'
        ' font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-size="14">Experiments without a difference that have a'
        " winner, percent, while peeking</text>",
    ]
    for index, (name, colour) in enumerate(COLOURS.items()):
        left = LEFT + 110 * index
        parts.append(f'<circle cx="{left + 5}" cy="34" r="5" fill="{colour}"/>')
        parts.append(f'<text x="{left + 14}" y="38">{name}</text>')
    bottom = 50 + ROW * len(cells)
    for percent in (0, 5, 20, 40, 60, 80, 100):
        x = _x(percent / 100)
        style = 'stroke="#c00" stroke-dasharray="4 3"' if percent == 5 else 'stroke="#ddd"'
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="48" y2="{bottom}" {style}/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{percent}</text>')
    for index, cell in enumerate(cells):
        y = 50 + ROW * index + ROW / 2
        label = escape(f"{cell['stream']}, {cell['split']}")
        parts.append(f'<text x="{LEFT - 12}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
        shares = {"Plumbline": worst(cell)} | {peer: cell["false_winners"][peer] for peer in PEERS}
        for name in ("t-test", "GrowthBook", "Plumbline"):
            circle = f'cx="{_x(shares[name]):.1f}" cy="{y:.1f}" r="5" fill="{COLOURS[name]}"'
            parts.append(f"<circle {circle}><title>{name} {shares[name]:.1%}</title></circle>")
    return "\n".join([*parts, "</svg>"]) + "\n"


def _x(share: float) -> float:
    """Return the position of a share."""
    return LEFT + share * WIDTH

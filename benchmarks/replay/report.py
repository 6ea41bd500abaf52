"""The results of the simulation as tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

KIND_TEXT: Final = {
    "binary": "right or wrong",
    "shrunk": "graded, all a little worse",
    "failing": "graded, a few lose everything",
    "clusters": "graded, in clusters of 4",
}


def tables(result: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    cells, runs = result["cells"], result["cells"][0]["runs"]
    error = 100 * (0.05 * 0.95 / runs) ** 0.5
    lines = [
        "# Simulated replays",
        "",
        f"`make bench-replay`. Alpha is 5 % in each direction; a look after every"
        f" {result['chunk']} items; {runs:,} runs a row, so that a share of 5 % has a standard"
        f" error of {error:.2f} points. *False regressed*: runs without a drop that end in"
        " `regressed`. *False not regressed*: runs whose drop is exactly the margin that end in"
        " `not_regressed`. *Items*: mean number of items until the verdict or the planned end. The"
        " columns with *single look* have no look before the end and no correction for one, and"
        " *peeking* is the same test after every chunk, which is what must not be done; these four"
        " are shares of at most 1,000 runs. In percent."
        f" `look` and `decide` gave the same verdict after the same number of items on"
        f" {result['checked']:,} of {result['checked']:,} runs.",
        "",
        *worst(cells),
    ]
    for (kind, margin, accuracy), part in _groups(cells).items():
        title = KIND_TEXT[kind] + (f", baseline {accuracy:.0%}" if kind == "binary" else "")
        lines += [f"## Scores: {title}; margin {100 * margin:g} points", "", *_table(part), ""]
    lines += _families(result["families"])
    return "\n".join(lines) + "\n"


def _groups(cells: Sequence[dict[str, Any]]) -> dict[tuple[str, float, float], list[Any]]:
    found: dict[tuple[str, float, float], list[Any]] = {}
    for cell in cells:
        found.setdefault((cell["kind"], cell["margin"], cell["accuracy"]), []).append(cell)
    return found


def worst(cells: Sequence[dict[str, Any]]) -> list[str]:
    """Return the table of the worst cases."""
    false_regressed = max(cells, key=lambda cell: cell["no_drop"]["regressed"])
    false_not = max(cells, key=lambda cell: cell["at_margin"]["not_regressed"])
    main = [cell for cell in cells if cell["kind"] == "binary" and cell["margin"] == 0.05]
    planned = max(cell["items"] for cell in main)
    items = max(
        cell["at_harm"]["mean_items"]
        for cell in main
        if cell["accuracy"] == 0.8 and cell["items"] == planned
    )
    return [
        "| over all rows | worst |",
        "|---|---|",
        f"| false regressed | {false_regressed['no_drop']['regressed']:.1%} |",
        f"| false not regressed | {false_not['at_margin']['not_regressed']:.1%} |",
        f"| mean items at a drop of 10 points, of {planned:,} planned, baseline 80 % |"
        f" {items:.0f} |",
        "",
    ]


def _table(cells: Sequence[dict[str, Any]]) -> list[str]:
    lines = [
        "| correlation | planned | false regressed | false not regressed | no drop: not regressed |"
        " items | drop of 10: regressed | items | single look: false regressed |"
        " single look: false not regressed | peeking: false regressed |"
        " peeking: false not regressed |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for cell in cells:
        none, margin, harm, single = (
            cell[n] for n in ("no_drop", "at_margin", "at_harm", "single")
        )
        shares = [none["regressed"], margin["not_regressed"], none["not_regressed"]]
        lines.append(
            f"| {cell['correlation'] or '-'} | {cell['items']:,} | "
            + " | ".join(f"{100 * share:.1f}" for share in shares)
            + f" | {none['mean_items']:.0f} | {100 * harm['regressed']:.1f} |"
            f" {harm['mean_items']:.0f} | "
            + " | ".join(f"{100 * share:.1f}" for share in single.values())
            + " |"
        )
    return lines


def _families(families: Sequence[dict[str, Any]]) -> list[str]:
    lines = [
        "## Several tasks",
        "",
        f"Three binary tasks of {families[0]['items']} items, a look after every 100 of each, by"
        " `look` and `decide`. In percent of runs.",
        "",
        "| drops | runs | regressed | not regressed | inconclusive |",
        "|---|---|---|---|---|",
    ]
    for each in families:
        drops = ", ".join(f"{100 * drop:g}" for drop in each["drops"])
        shares = (
            each["shares"].get(name, 0.0) for name in ("regressed", "not_regressed", "inconclusive")
        )
        numbers = " | ".join(f"{100 * share:.1f}" for share in shares)
        lines.append(f"| {drops} | {each['runs']:,} | {numbers} |")
    return lines

"""The result as Markdown, for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.detectors.plan import RACE_TIMES
from benchmarks.detectors.rows import Row
from benchmarks.detectors.verdicts import (
    RACERS,
    cost_words,
    delay_words,
    number,
    promise_words,
    promises,
    title,
    unfair_words,
    worst_words,
)

Table = tuple[Sequence[str], list[Sequence[str]]]


def markdown(result: dict[str, Any]) -> str:
    """Everything: what holds, then the tables behind it."""
    parts = [
        "# Detectors against each other",
        _about(result),
        "## What holds",
        *[_bullets(words) for words in _claims(result)],
        "## Promised and measured: Plumbline",
        "False pages in a million records of a quiet stream, with a 95 % Poisson interval.",
        _table(promised(result)),
        "## False alarms at the defaults",
        "In a million records (95 % interval); `-`: cannot read it, or too slow for 40 features.",
        _table(false_alarms(result, "default")),
    ]
    for rate in result["protocol"]["rates"]:
        parts += [
            f"## Tuned to {rate:g} in a million",
            "False alarms on seeds that were not tuned on. Where nobody is tuned on a stream, the"
            " knob is that of N(0, 1): so does a detector that was tuned on other traffic.",
            _table(false_alarms(result, f"at_{rate:g}")),
            f"Delay in records at {rate:g} false alarms in a million: median / 90th percentile"
            " (missed). †: the knob is extrapolated.",
            _table(delays(result, f"at_{rate:g}")),
        ]
    parts += [
        "## Delays at the defaults",
        "Not at equal rates: read them with the false alarms above.",
        _table(delays(result, "default")),
        "## Cost",
        _table(costs(result)),
        "## Knobs",
        _table(knobs(result)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _claims(result: dict[str, Any]) -> Iterator[list[str]]:
    yield promise_words(result)
    for rate in result["protocol"]["rates"]:
        for racer in RACERS:
            if racer in result["peers"]:
                yield delay_words(result, rate, racer)
        yield worst_words(result, rate)
        yield unfair_words(result, rate)
    yield cost_words(result)


def _about(result: dict[str, Any]) -> str:
    plan = result["plan"]
    versions = ", ".join(
        f"{title(result, name)} {peer['version']}"
        for name, peer in result["peers"].items()
        if peer["version"]
    )
    text = (
        f"Form: {plan['form']}. Null streams of {plan['records']:,} records, {plan['seeds']} trials"
        f" of each change after {' and '.join(f'{a:,}' for a in plan['afters'])} records; slow"
        f" contestants have {plan['seconds']:g} s for each quiet stream, {RACE_TIMES} times as much"
        f" for each tuning and change. Versions: {versions}. Written by"
        " `benchmarks/detectors/tables.py` from `detectors.json`; what it means is in"
        " [the README](../detectors/README.md)."
    )
    if result["left_out"]:
        text += " **Left out for want of the data: " + "; ".join(result["left_out"]) + ".**"
    return text


def _bullets(words: Sequence[str]) -> str:
    first, *others = words or [""]
    return "\n\n".join(filter(None, [first, "\n".join(f"- {word}" for word in others)]))


def _table(table: Table) -> str:
    head, rows = table
    ruler = ["---", *["---:"] * (len(head) - 1)]
    return (
        "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ruler, *rows)) if rows else ""
    )


def promised(result: dict[str, Any]) -> Table:
    """Our promises and what came of them, a row for each stream and contestant of ours."""
    found = list(promises(result))
    levels = sorted({row["promised"] for row in found})
    rows: dict[tuple[str, str], dict[float, str]] = {}
    for row in found:
        text = f"{_interval(row)}{' **broken**' if row['broken'] else ''}"
        rows.setdefault((row["stream"], row["peer"]), {})[row["promised"]] = text
    head = ["stream", "", *(f"promised {level:.3g}" for level in levels), "records"]
    records = {(row["stream"], row["peer"]): row["records"] for row in found}
    return head, [
        [
            result["streams"][s],
            title(result, p),
            *(cells.get(x, "-") for x in levels),
            f"{records[s, p]:,}",
        ]
        for (s, p), cells in rows.items()
    ]


def false_alarms(result: dict[str, Any], setting: str) -> Table:
    """Streams by contestants."""
    cells = {
        (row["stream"], row["peer"]): _interval(row)
        for row in result["nulls"]
        if row["setting"] == setting
    }
    return _grid(result, result["streams"].items(), cells)


def delays(result: dict[str, Any], setting: str) -> Table:
    """Changes by contestants."""
    rows = [row for row in result["changes"] if row["setting"] == setting]
    places = [
        ((change, after), f"{about['text']}, after {after:,}")
        for change, about in result["change_streams"].items()
        for after in result["plan"]["afters"]
    ]
    cells = {((row["change"], row["after"]), row["peer"]): _delay(result, row) for row in rows}
    for (change, after), _ in places:  # what forgets is measured after the fewest records only
        for name in result["peers"]:
            first = cells.get(((change, min(result["plan"]["afters"])), name))
            if first is not None:
                cells.setdefault(((change, after), name), first)
    return _grid(result, places, cells)


def costs(result: dict[str, Any]) -> Table:
    """Time and memory of every contestant."""
    head = ["", "us per record and feature", "bytes per feature", "remark"]
    return head, [
        [title(result, row["peer"]), f"{row['us']:.3f}", f"{row['bytes']:,}", _remark(row)]
        for row in result["costs"]
        if result["peers"][row["peer"]]["role"] != "baseline"
    ]


def knobs(result: dict[str, Any]) -> Table:
    """What everybody was tuned to, and on how much."""
    rates = [f"{rate:g}" for rate in result["protocol"]["rates"]]
    head = ["", "knob", "default", "tuned on", "records", *(f"at {rate}" for rate in rates)]
    rows: list[Sequence[str]] = []
    for name, bases in result["knobs"].items():
        knob = result["peers"][name]["knob"]
        for base, tuned in bases.items():
            values = [_tuned(tuned[rate]) for rate in rates]
            records = f"{tuned[rates[0]]['records']:,}"
            start = [title(result, name), knob["name"], f"{knob['default']:.3g}"]
            rows.append([*start, result["streams"][base], records, *values])
    return head, rows


def _tuned(tuned: Row) -> str:
    if tuned["value"] is None:
        return str(tuned["reason"])
    return f"{tuned['value']:.3g}{'†' if tuned['extrapolated'] else ''} ({tuned['count']} counted)"


def _grid(
    result: dict[str, Any], rows: Iterable[tuple[Any, str]], cells: dict[tuple[Any, str], str]
) -> Table:
    head = ["", *(title(result, name) for name in result["peers"])]
    return head, [
        [text, *(cells.get((key, name), "-") for name in result["peers"])]
        for key, text in rows
        if any((key, name) in cells for name in result["peers"])
    ]


def _interval(row: Row) -> str:
    rate, low, high = (_short(x) for x in row["per_million"])
    return f"{rate} ({low} to {high})"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}"


def _delay(result: dict[str, Any], row: Row) -> str:
    base = result["change_streams"][row["change"]]["base"]
    rate = row["setting"].removeprefix("at_")
    tuned = result["knobs"].get(row["peer"], {}).get(base, {}).get(rate, {})
    mark = "†" if tuned.get("extrapolated") else ""
    missed = f" ({row['missed']:.0%})" if row["missed"] else ""
    fewer = f" n={row['seeds']}" if row["seeds"] < result["plan"]["seeds"] else ""
    return f"{number(row['median'])} / {number(row['p90'])}{missed}{fewer}{mark}"


def _remark(row: Row) -> str:
    features = f"{row['features']} features together" if row["features"] > 1 else ""
    if "report" not in row:
        return features
    report = row["report"]
    whole = f"{report['features']} features takes {report['seconds']:.1f} s"
    return f"its bare test; a whole report of {whole}"


def main() -> None:
    """The tables of a result file, to standard output."""
    sys.stdout.write(markdown(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()

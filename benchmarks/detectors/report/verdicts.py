"""Conclusions from the result in words. All changes on which Plumbline is slower are listed.

A verdict is a list of texts, a heading and its items; it may be empty.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.detectors.report.rows import Row

COMPARED, WINDOW_TESTS = ("plumbline", "plumbline_closer"), "plumbline_windows"
MAX_COST_US = 0.06
"""Limit for the cost of all window tests, microseconds per record and feature."""
MIN_IMPROVEMENT = 0.25
"""Required average reduction of the median delay."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Median delays of Plumbline and the best peer on a change at one rate; infinite if missed."""

    change: str
    after: int
    plumbline: float
    best: float
    peer: str

    @property
    def ratio(self) -> float | None:
        """Plumbline's delay / the peer's: None if both missed it, 0 if only the peer missed it."""
        if math.isinf(self.plumbline):
            return None if math.isinf(self.best) else math.inf
        return self.plumbline / self.best


def title(result: dict[str, Any], name: str) -> str:
    """Return the displayed name of a contestant."""
    return str(result["peers"][name]["title"])


def budget_rows(result: dict[str, Any]) -> Iterator[Row]:
    """Yield every null row of Plumbline without tuning, with its budget; the knob is the budget."""
    for row in result["nulls"]:
        untuned = row["setting"] == "default" or row["setting"].startswith("promise")
        if untuned and result["peers"][row["peer"]]["role"] == "ours":
            yield row | {"budget": row["knob"], "exceeded": row["per_million"][1] > row["knob"]}


def exceeds_rate(result: dict[str, Any], name: str, base: str, rate: float) -> bool:
    """Return whether a tuned contestant certainly exceeds its rate on other seeds."""
    return any(
        row["per_million"][1] > rate
        for row in result["nulls"]
        if (row["peer"], row["stream"], row["setting"]) == (name, base, f"at_{rate:g}")
    )


def comparisons(result: dict[str, Any], rate: float, name: str) -> Iterator[Comparison]:
    """Compare a Plumbline contestant with the best peer on every change, at one rate.

    A change on which no peer could be tuned is left out.
    """
    for (change, after), delays in _median_delays(result, rate).items():
        peers = {peer: delay for peer, delay in delays.items() if peer not in COMPARED}
        if name in delays and peers:
            best = min(peers, key=lambda peer: peers[peer])
            yield Comparison(change, after, delays[name], peers[best], best)


def _median_delays(result: dict[str, Any], rate: float) -> dict[tuple[str, int], dict[str, float]]:
    """Return (change, records before it) -> contestant -> median delay at a rate.

    A peer that certainly exceeds the rate is left out. A contestant with a short memory is measured
    after the fewest records only; its delay is used for all.
    """
    afters = sorted(result["plan"]["afters"])
    by_change: dict[tuple[str, int], dict[str, float]] = {}
    for row in sorted(result["changes"], key=lambda row: int(row["after"])):
        change, name = row["change"], row["peer"]
        base = result["change_streams"][change]["base"]
        included = name in COMPARED or _is_comparable_peer(result, name, base, rate)
        if row["setting"] == f"at_{rate:g}" and included:
            for after in afters if row["after"] == afters[0] else [row["after"]]:
                by_change.setdefault((change, after), {})[name] = _delay(row)
    return by_change


def _is_comparable_peer(result: dict[str, Any], name: str, base: str, rate: float) -> bool:
    is_peer = result["peers"][name]["role"] == "peer"
    return is_peer and not exceeds_rate(result, name, base, rate)


def _delay(row: Row) -> float:
    return math.inf if row["median"] is None else float(row["median"])


def budget_verdict(result: dict[str, Any]) -> list[str]:
    """Claim 1: false pages stay within the budget."""
    rows = list(budget_rows(result))
    exceeded = [row for row in rows if row["exceeded"]]
    texts = [
        f"**False pages within the budget: {'no' if exceeded else 'yes'}.** The budget is kept on"
        f" {len(rows) - len(exceeded)} of {len(rows)} pairs of a null stream and a budget: the"
        " lower end of the 95 % interval is not above it."
    ]
    texts += [_proven(rows), *_pooled(result, rows)]
    for row in exceeded:
        low, high = row["per_million"][1:]
        stream = result["streams"][row["stream"]]
        texts.append(
            f"{title(result, row['peer'])} exceeds the budget on {stream}:"
            f" {row['per_million'][0]:.3g} ({low:.3g} to {high:.3g}) false pages per million"
            f" records, budget {row['budget']:.3g}."
        )
    return texts


def _proven(rows: list[Row]) -> str:
    """Return how many budgets are certainly kept, not only not refuted."""
    proven = sum(row["per_million"][2] <= row["budget"] for row in rows)
    return (
        f"On {proven} pairs, the upper end is within the budget too. On the others, the number of"
        " records is too small to prove it."
    )


def _pooled(result: dict[str, Any], rows: list[Row]) -> Iterator[str]:
    """Yield the sums over all streams, which are more precise than single streams."""
    for name, budget in sorted({(row["peer"], row["budget"]) for row in rows}):
        same = [row for row in rows if (row["peer"], row["budget"]) == (name, budget)]
        allowed = sum(row["records"] for row in same) * budget / 1e6
        alarms = sum(row["alarms"] for row in same)
        yield (
            f"{title(result, name)}, all streams, budget of {budget:.3g} per million records:"
            f" {alarms} false pages, {allowed:.3g} allowed."
        )


def delay_verdict(result: dict[str, Any], rate: float, name: str) -> list[str]:
    """Claim 2: never slower than the best peer, and MIN_IMPROVEMENT faster on average."""
    claim = (
        f"{title(result, name)}, at a false-alarm rate of {rate:g} per million, is never slower"
        f" than the best peer and {MIN_IMPROVEMENT:.0%} faster on average"
    )
    compared = list(comparisons(result, rate, name))
    slower = [comparison for comparison in compared if (comparison.ratio or 0) > 1]
    ratios = [comparison.ratio for comparison in compared if comparison.ratio is not None]
    if not ratios:
        return [f"**{claim}: no comparison is possible.**"]
    mean = sum(ratios) / len(ratios)
    changes = len(result["change_streams"]) * len(result["plan"]["afters"])
    answer = "yes" if len(compared) == changes else "not shown"
    if slower or mean > 1 - MIN_IMPROVEMENT:
        answer = "no"
    texts = [
        f"**{claim}: {answer}.** The median delay is at most that of the best peer on"
        f" {len(compared) - len(slower)} of {len(compared)} comparable changes ({changes} in"
        f" total). On average it is {_relative(mean)}."
    ]
    for lost in slower:
        change = result["change_streams"][lost.change]["text"]
        texts.append(
            f"Slower on {change} after {lost.after:,} records: {format_delay(lost.plumbline)}"
            f" against {format_delay(lost.best)} ({title(result, lost.peer)})."
        )
    return texts


def _relative(mean: float) -> str:
    if math.isinf(mean):
        return "infinite, because a change is missed that a peer detects"
    return f"{1 - mean:.0%} shorter" if mean <= 1 else f"{mean - 1:.0%} longer"


def worst_case_verdict(result: dict[str, Any], rate: float) -> list[str]:
    """Return how far each contestant is behind the fastest one, on its worst change.

    A contestant designed for one size of change is the fastest there and far behind elsewhere.
    """
    by_change = _median_delays(result, rate)
    fastest = {key: min(delays.values()) for key, delays in by_change.items()}
    worst = dict[str, tuple[float, str, int]]()
    for name in result["peers"]:
        ratios = {
            key: delays[name] / fastest[key]
            for key, delays in by_change.items()
            if name in delays and fastest[key] < math.inf
        }
        if ratios:
            key = max(ratios, key=lambda each: ratios[each])
            worst[name] = ratios[key], key[0], len(ratios)
    if not worst:
        return []
    texts = [
        f"**Median delay relative to the fastest contestant at {rate:g} per million, on the worst"
        " change of each:**"
    ]
    for name in sorted(worst, key=lambda each: worst[each][0]):
        ratio, change, count = worst[name]
        behind = f"{ratio:.1f}x" if ratio < math.inf else "missed"
        where = result["change_streams"][change]["text"]
        texts.append(f"{title(result, name)}: {behind} ({where}); {count} changes compared.")
    return texts


def exclusion_verdict(result: dict[str, Any], rate: float) -> list[str]:
    """Return which contestants do not have the rate, and the reasons."""
    streams: dict[tuple[str, str], list[str]] = {}
    for name, bases in result["knobs"].items():
        for base, rates in bases.items():
            reason = rates[f"{rate:g}"]["reason"]
            if not reason and exceeds_rate(result, name, base, rate):
                ours = result["peers"][name]["role"] == "ours"
                reason = "exceeds the rate that it was tuned to, "
                reason += "so its delays are flattered" if ours else "left out"
            if reason:
                streams.setdefault((name, reason), []).append(result["streams"][base])
    texts = [
        f"{title(result, name)}: {reason} ({'; '.join(names)})."
        for (name, reason), names in streams.items()
    ]
    return [f"**Not comparable at {rate:g} per million:**", *texts] if texts else []


def cost_verdict(result: dict[str, Any]) -> list[str]:
    """Claim 3: the window tests cost at most MAX_COST_US."""
    costs = {row["peer"]: row for row in result["costs"]}
    if WINDOW_TESTS not in costs:
        return []
    us = costs[WINDOW_TESTS]["us"]
    texts = [
        f"**Cost of the window tests within the limit: {'yes' if us <= MAX_COST_US else 'no'}.**"
        f" {us:.3f} us per record and feature; the limit is {MAX_COST_US} us."
    ]
    if "river_adwin" in costs:
        texts.append(f"ADWIN of river costs {costs['river_adwin']['us'] / us:.1f} times as much.")
    if "evidently" in costs:
        row, window = costs["evidently"], result["protocol"]["window"]
        report = 1e6 * row["report"]["seconds"] / row["report"]["features"] / window
        texts.append(
            f"evidently costs {report / us:,.0f} times as much with one report per window"
            f" ({report:.0f} us), and {row['us'] / us:,.0f} times as much with its test function"
            " at every stride."
        )
    return texts


def format_delay(value: float | None) -> str:
    """Format a delay."""
    return "missed" if value is None or math.isinf(value) else f"{value:,.0f}"

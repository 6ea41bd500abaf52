"""What the numbers say of the three claims, in words; where we lose they say that."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.detectors.rows import Row

RACERS, WINDOWS = ("plumbline", "plumbline_closer"), "plumbline_windows"
MOST_US = 0.06
"""What the window tests together may cost for each record and feature, microseconds."""
SHORTER = 0.25
"""By how much our delay has to be shorter on average."""


@dataclass(frozen=True, slots=True)
class Race:
    """One change at one rate: our median delay and that of the best peer; infinity if missed."""

    change: str
    after: int
    ours: float
    best: float
    peer: str

    @property
    def ratio(self) -> float | None:
        """Ours over the best peer's; None where neither saw it, 0 where we alone did."""
        if math.isinf(self.ours):
            return None if math.isinf(self.best) else math.inf
        return self.ours / self.best


def title(result: dict[str, Any], name: str) -> str:
    """A contestant's name for people."""
    return str(result["peers"][name]["title"])


def promises(result: dict[str, Any]) -> Iterator[Row]:
    """Every null row of ours at a promise, with what was promised; the knob is the promise."""
    for row in result["nulls"]:
        kept_by_itself = row["setting"] == "default" or row["setting"].startswith("promise")
        if kept_by_itself and result["peers"][row["peer"]]["role"] == "ours":
            yield row | {"promised": row["knob"], "broken": row["per_million"][1] > row["knob"]}


def too_loose(result: dict[str, Any], name: str, base: str, rate: float) -> bool:
    """Whether a tuned contestant, on seeds it was not tuned on, surely fires more than it may."""
    return any(
        row["per_million"][1] > rate
        for row in result["nulls"]
        if (row["peer"], row["stream"], row["setting"]) == (name, base, f"at_{rate:g}")
    )


def races(result: dict[str, Any], rate: float, racer: str) -> Iterator[Race]:
    """A contestant of ours against the best peer on every change, at one rate.

    Where no peer could be tuned there is no race.
    """
    for (change, after), delays in _field(result, rate).items():
        rivals = {name: delay for name, delay in delays.items() if name not in RACERS}
        if racer in delays and rivals:
            best = min(rivals, key=lambda name: rivals[name])
            yield Race(change, after, delays[racer], rivals[best], best)


def _field(result: dict[str, Any], rate: float) -> dict[tuple[str, int], dict[str, float]]:
    """(change, after so many records) -> contestant -> median delay at a rate.

    A peer whose rate is surely higher is left out. One that forgets is measured after the fewest
    records only, and takes part with that everywhere.
    """
    afters = sorted(result["plan"]["afters"])
    field: dict[tuple[str, int], dict[str, float]] = {}
    for row in sorted(result["changes"], key=lambda row: int(row["after"])):
        change, name = row["change"], row["peer"]
        base = result["change_streams"][change]["base"]
        takes_part = name in RACERS or _is_rival(result, name, base, rate)
        if row["setting"] == f"at_{rate:g}" and takes_part:
            for after in afters if row["after"] == afters[0] else [row["after"]]:
                field.setdefault((change, after), {})[name] = _delay(row)
    return field


def _is_rival(result: dict[str, Any], name: str, base: str, rate: float) -> bool:
    """Whether it is a peer that keeps to the rate on these quiet streams."""
    is_peer = result["peers"][name]["role"] == "peer"
    return is_peer and not too_loose(result, name, base, rate)


def _delay(row: Row) -> float:
    return math.inf if row["median"] is None else float(row["median"])


def promise_words(result: dict[str, Any]) -> list[str]:
    """The first claim: measured false pages at most as promised."""
    rows = list(promises(result))
    broken = [row for row in rows if row["broken"]]
    words = [
        f"**False pages as promised: {'no' if broken else 'yes'}.** Of {len(rows)} pairs of a"
        f" quiet stream and a promise {len(rows) - len(broken)} keep it (the lower end of the 95 %"
        " interval is not above it)."
    ]
    words += [_proven(rows), *_pooled(result, rows)]
    for row in broken:
        low, high = row["per_million"][1:]
        words.append(
            f"We break the promise on {result['streams'][row['stream']]}:"
            f" {title(result, row['peer'])} promised {row['promised']:.3g} in a million records and"
            f" gave {row['per_million'][0]:.3g} ({low:.3g} to {high:.3g})."
        )
    return words


def _proven(rows: list[Row]) -> str:
    """How many promises are kept for sure, and not merely not refuted."""
    proven = sum(row["per_million"][2] <= row["promised"] for row in rows)
    return (
        f"On {proven} pairs the upper end is within the promise as well; on the others so many"
        " records cannot prove it."
    )


def _pooled(result: dict[str, Any], rows: list[Row]) -> Iterator[str]:
    """All streams together, which can tell more than each."""
    for name, promised in sorted({(row["peer"], row["promised"]) for row in rows}):
        same = [row for row in rows if (row["peer"], row["promised"]) == (name, promised)]
        expected = sum(row["records"] for row in same) * promised / 1e6
        alarms = sum(row["alarms"] for row in same)
        yield (
            f"{title(result, name)}, all streams at a promise of {promised:.3g} in a million:"
            f" {alarms} false pages, {expected:.3g} were allowed."
        )


def delay_words(result: dict[str, Any], rate: float, racer: str) -> list[str]:
    """The second claim: no later than the best peer anywhere, and a quarter sooner on average."""
    where = f"{title(result, racer)}, at {rate:g} false alarms in a million"
    all_races = list(races(result, rate, racer))
    lost = [race for race in all_races if (race.ratio or 0) > 1]
    ratios = [race.ratio for race in all_races if race.ratio is not None]
    if not ratios:
        return [f"**{where}: nothing to compare.**"]
    mean = sum(ratios) / len(ratios)
    said = f"{1 - mean:.0%} shorter" if mean <= 1 else f"{mean - 1:.0%} longer"
    if math.isinf(mean):
        said = "endless (we miss what a peer sees)"
    all_of = len(result["change_streams"]) * len(result["plan"]["afters"])
    answer = "yes" if len(all_races) == all_of else "not shown"
    if lost or mean > 1 - SHORTER:
        answer = "no"
    won = len(all_races) - len(lost)
    words = [
        f"**{where}: {answer}.** Our median delay is no longer than the best peer's on {won} of"
        f" the {len(all_races)} changes (of {all_of}) that could be compared, and on average"
        f" {said}."
    ]
    for race in lost:
        about = result["change_streams"][race.change]["text"]
        words.append(
            f"We lose on {about} after {race.after:,} records: {number(race.ours)},"
            f" {title(result, race.peer)} {number(race.best)}."
        )
    return words


def worst_words(result: dict[str, Any], rate: float) -> list[str]:
    """How much later than the quickest each contestant is where it is worst.

    Who is made for one size of change is first there, and somewhere else far behind.
    """
    field, worst = _field(result, rate), dict[str, tuple[float, str, int]]()
    quickest = {place: min(delays.values()) for place, delays in field.items()}
    for name in result["peers"]:
        ratios = {
            place: delays[name] / quickest[place]
            for place, delays in field.items()
            if name in delays and quickest[place] < math.inf
        }
        if ratios:
            place = max(ratios, key=lambda each: ratios[each])
            worst[name] = ratios[place], place[0], len(ratios)
    if not worst:
        return []
    words = [f"**At worst, at {rate:g} in a million, so much later than whoever is quickest:**"]
    for name in sorted(worst, key=lambda each: worst[each][0]):
        ratio, change, raced = worst[name]
        late = f"{ratio:.1f} times" if ratio < math.inf else "missed"
        where = result["change_streams"][change]["text"]
        words.append(f"{title(result, name)}: {late} ({where}), of {raced} changes.")
    return words


def unfair_words(result: dict[str, Any], rate: float) -> list[str]:
    """Who could not be brought to the rate, and whether we were."""
    said: dict[tuple[str, str], list[str]] = {}
    for name, bases in result["knobs"].items():
        for base, rates in bases.items():
            reason = rates[f"{rate:g}"]["reason"]
            if not reason and too_loose(result, name, base, rate):
                ours = result["peers"][name]["role"] == "ours"
                reason = "fires more often than it was tuned to, "
                reason += "our delays are flattered" if ours else "left out"
            if reason:
                said.setdefault((name, reason), []).append(result["streams"][base])
    words = [
        f"{title(result, name)}: {reason} ({'; '.join(where)})."
        for (name, reason), where in said.items()
    ]
    return [f"**Not comparable at {rate:g} in a million:**", *words] if words else []


def cost_words(result: dict[str, Any]) -> list[str]:
    """The third claim: what the window tests cost."""
    costs = {row["peer"]: row for row in result["costs"]}
    if WINDOWS not in costs:
        return []
    ours = costs[WINDOWS]["us"]
    words = [
        f"**Cost of the window tests: {'yes' if ours <= MOST_US else 'no'}.** {ours:.3f} us for"
        f" each record and feature; at most {MOST_US} was asked for."
    ]
    if "river_adwin" in costs:
        words.append(f"river's ADWIN costs {costs['river_adwin']['us'] / ours:.1f} times as much.")
    if "evidently" in costs:
        row = costs["evidently"]
        report = (
            1e6
            * row["report"]["seconds"]
            / row["report"]["features"]
            / result["protocol"]["window"]
        )
        words.append(
            f"evidently costs {report / ours:,.0f} times as much for one report a window"
            f" ({report:.0f} us) and {row['us'] / ours:,.0f} times as much for its bare test at"
            " every stride."
        )
    return words


def number(value: float | None) -> str:
    """A delay for people."""
    return "missed" if value is None or math.isinf(value) else f"{value:,.0f}"

"""Print the report of a comparison."""

from __future__ import annotations

from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from monitor.cli.console.tables import new_console
from monitor.events.wording.drift import printable

VERDICTS: Final = {
    "better": "[green]better[/]",
    "worse": "[red]worse[/]",
    "no_difference": "no difference",
    "not_yet": "not decided",
}
LEAST_EFFECT_P: Final = 0.0001


def print_report(report: dict[str, Any]) -> None:
    """Print a report."""
    console = new_console()
    for name, each in report["answers"].items():
        rejected = "".join(f", {count:,} {why}" for why, count in each["rejected"].items())
        console.print(
            f"{_name(name)}: {each['answers']:,} answers, {each['unmatched']:,} without a"
            f" partner{rejected}"
        )
    by = report["matched_by"].replace("_", " ")
    control = _name(report["control"])
    for name, variant in report["variants"].items():
        console.print()
        console.print(
            f"[bold]{_name(name)}[/] against {control}: {variant['pairs']:,} pairs of"
            f" {variant['prompts']:,} prompts, matched by {by}"
        )
        console.print(_metrics(variant["metrics"]))
        _print_notes(console, variant["metrics"])
    console.print()
    console.print(
        f"no difference: none larger than {report['mde']:.1%}. Verdicts are wrong with a"
        f" probability of at most {report['alpha']:g} in all."
    )
    _print_judge(console, report["judge"])
    if report["ratings"] is not None:
        _print_ratings(console, report["ratings"], report["control"])


def _metrics(metrics: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("metric")
    for heading in ("control", "variant", "effect", "interval", "p", "win rate"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    for name, each in metrics.items():
        table.add_row(
            _name(name),
            _number(each["control_mean"]),
            _number(each["mean"]),
            _effect(each["effect"], each),
            _interval(each),
            _p_value(each["p_adjusted"]),
            "" if each["win_rate"] is None else f"{each['win_rate']:.1%}",
            VERDICTS[each["verdict"]],
        )
    return table


def _print_notes(console: Console, metrics: dict[str, Any]) -> None:
    for name, each in metrics.items():
        if each["unscored"]:
            reasons = ", ".join(f"{n:,} {why}" for why, n in each["unscored"].items())
            console.print(f"  {_name(name)}: {each['pairs']:,} pairs scored; unscored {reasons}")
        if each["contradiction"]:
            console.print(
                f"  {_name(name)}: a few prompts decide the mean; the variant"
                f" {'loses' if each['verdict'] == 'better' else 'wins'} most of the others"
            )


def _print_judge(console: Console, judge: dict[str, Any] | None) -> None:
    if judge is None:
        return
    console.print(
        f"judge {_name(judge['model'])}: {judge['pairs']:,} pairs, of which {judge['identical']:,}"
        f" have equal answers and {judge['inconsistent']:,} are ties because the order decided;"
        f" cost ${judge['cost_usd']:.4f}"
    )


def _print_ratings(console: Console, ratings: dict[str, Any], control: str) -> None:
    table = Table(box=None, pad_edge=False, title_justify="left")
    table.title = f"ratings by {_name(ratings['goal'])}, {_name(control)} is 0"
    table.add_column("model")
    for heading in ("rating", "interval", "win rate against the control", "comparisons"):
        table.add_column(heading, justify="right")
    rated = {name: each for name, each in ratings["models"].items() if each is not None}
    for name, each in sorted(rated.items(), key=lambda item: -item[1]["rating"]):
        low, high = each["lower"], each["upper"]
        table.add_row(
            _name(name),
            f"{each['rating']:+.0f}",
            "" if name == control else f"{_bound(low)} to {_bound(high)}",
            f"{each['win_rate']:.1%}",
            f"{each['comparisons']:,}",
        )
    console.print()
    console.print(table)
    for name in ratings["models"].keys() - rated.keys():
        console.print(f"{_name(name)}: not rated; no comparison connects it with {_name(control)}")


def _name(name: str) -> str:
    """Return a name from a file, which cannot control the terminal."""
    return escape(printable(name))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _bound(value: float | None) -> str:
    return "unlimited" if value is None else f"{value:+.0f}"


def _effect(value: float | None, metric: dict[str, Any]) -> str:
    """Return an effect: relative in percent; of rates and win rates in points."""
    if value is None:
        return ""
    if metric["effect_kind"] == "relative":
        return f"{value:+.1%}"
    if metric["scale"] in {"rate", "preference"}:
        return f"{100 * value:+.1f} points"
    return f"{value:+.4g}"


def _interval(metric: dict[str, Any]) -> str:
    if metric["effect"] is None:
        return ""
    low, high = metric["lower"], metric["upper"]
    if low is None and high is None:
        return "too few prompts"
    return " to ".join(
        "unlimited" if value is None else _effect(value, metric) for value in (low, high)
    )


def _p_value(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if value >= LEAST_EFFECT_P else f"<{LEAST_EFFECT_P:.4f}"

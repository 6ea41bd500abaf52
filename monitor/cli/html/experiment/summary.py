"""The experiments of a report of `backtest`: verdicts and figures, without charts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element

from monitor.cli.console import experiment_text
from monitor.cli.html.experiment.card import CLASSES
from monitor.events.wording.experiments import interval, p_text, percent
from monitor.events.wording.markup import Child, element, table
from monitor.experiments.report.wording import mean_text


def experiments_section(experiments: Mapping[str, Mapping[str, Any]]) -> Element | None:
    """Return the section, None without experiments. experiments: as in a report."""
    if not experiments:
        return None
    parts = [_experiment(name, found) for name, found in sorted(experiments.items())]
    return element("section", element("h2", "Experiments"), *parts)


def _experiment(name: str, found: Mapping[str, Any]) -> Element:
    doubts = experiment_text.doubts(found)
    return element(
        "article",
        element("h3", name),
        *(element("p", f"{text}.", class_="breach") for text in doubts),
        *(_verdict(found, variant) for variant in found["verdicts"]),
        table(["variant", "users", "effective users", "requests"], _arms(found), "numbers"),
        table(
            ["metric", "variant", "control", "here", "effect, interval", "p"],
            _metrics(found),
            "numbers",
        ),
        class_="card",
    )


def _verdict(found: Mapping[str, Any], variant: str) -> Element:
    verdict = "not_yet" if variant in found["in_doubt"] else found["verdicts"][variant]
    warned = experiment_text.breached(found, variant)
    return element(
        "p",
        f"{variant}: ",
        element(
            "span", experiment_text.verdict(found, variant), class_=f"badge {CLASSES[verdict]}"
        ),
        element("span", f" {warned}", class_="breach") if warned else None,
    )


def _arms(found: Mapping[str, Any]) -> list[list[Child]]:
    return [
        [
            variant,
            f"{arm['users']:,}",
            "-" if arm["n_eff"] is None else f"{arm['n_eff']:,.0f}",
            f"{arm['requests']:,}",
        ]
        for variant, arm in found["variants"].items()
    ]


def _metrics(found: Mapping[str, Any]) -> list[list[Child]]:
    return [
        [
            f"{metric} (goal)" if metric == found["goal"] else metric,
            variant,
            mean_text(each["control_mean"]),
            mean_text(each["mean"]),
            f"{percent(each['effect'])} ({interval(each['lower'], each['upper'])})",
            p_text(each["p_value"]).removeprefix("p "),
        ]
        for metric, variants in found["metrics"].items()
        for variant, each in variants.items()
    ]

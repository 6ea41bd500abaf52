"""The page of a run: verdict, tasks with intervals, slices, items that changed, drifted traffic."""

from __future__ import annotations

from importlib.resources import files
from typing import Final
from xml.etree.ElementTree import Element

from monitor import __version__
from monitor.events.wording.markup import Child, document, element, table, unordered
from replay.report import wording
from replay.report.html.chart import axis, interval_chart
from replay.report.sentence import difference_text, sentence
from replay.report.summary import Report
from replay.verdict.decision import Flip, SliceScores, TaskDecision

OPEN_FLIPS: Final = 5
"""Items of a task whose texts are visible at once; the others open by a click."""
_CLASSES: Final = {"regressed": "bad", "not_regressed": "good", "error": "bad"}


def page(report: Report) -> bytes:
    """Return the page as HTML. It contains prompts and responses if the report does."""
    style = (files("replay.report.html") / "report.css").read_text(encoding="utf-8")
    tasks = report.decision.tasks if report.decision else ()
    return document(
        wording.title(report.run),
        style,
        _header(report),
        element(
            "main",
            _tasks(tasks),
            *(_slices(task) for task in tasks),
            *(_flips(task, report) for task in tasks),
            _drifted(report),
            _facts(report),
        ),
        element("footer", f"Plumbline {__version__}"),
    )


def _header(report: Report) -> Element:
    run = report.run
    text = sentence(run, report.decision).removeprefix("replay: ")
    first, *rest = wording.meaning(report)
    return element(
        "header",
        element("h1", wording.title(run)),
        element("p", text, class_=f"verdict {_CLASSES.get(run.verdict, 'open')}"),
        element("p", first),
        unordered(rest, "notes") if rest else None,
        element("p", f"Started by: {run.alarm}", class_="muted") if run.alarm else None,
    )


def _tasks(tasks: tuple[TaskDecision, ...]) -> Element | None:
    if not tasks:
        return None
    rows: list[list[Child]] = []
    for task in tasks:
        cells = wording.task_row(task)
        bounds = (task.lower, task.upper)
        scale = (task.margin, task.higher_is_better)
        chart = interval_chart(task.difference, bounds, scale, difference_text(task))
        rows.append([*cells[:6], chart, *cells[6:]])
    rows.append([*[""] * 6, axis(), *[""] * 5])
    headings = [*wording.TASK_HEADINGS[:6], "", *wording.TASK_HEADINGS[6:]]
    return element("section", element("h2", "Tasks"), table(headings, rows, "numbers"))


def _slices(task: TaskDecision) -> Element | None:
    if not task.slices:
        return None
    rows = [_slice(each, task) for each in task.slices]
    left_out = task.slices_left_out
    return element(
        "section",
        element("h2", f"Slices of {task.task}"),
        element("p", wording.SLICE_NOTE, class_="muted"),
        table([*wording.SLICE_HEADINGS[:5], "", ""], rows, "numbers"),
        element("p", f"{left_out:,} smaller slices are not shown.") if left_out else None,
    )


def _slice(each: SliceScores, task: TaskDecision) -> list[Child]:
    cells = wording.slice_row(each, task.bounded)
    scale = (task.margin, task.higher_is_better)
    chart = interval_chart(each.difference, (each.lower, each.upper), scale, cells[4])
    return [*cells[:5], chart, cells[5]]


def _flips(task: TaskDecision, report: Report) -> Element | None:
    if not task.flips:
        return None
    left_out = wording.flips_left_out(task)
    return element(
        "section",
        element("h2", f"Items of {task.task} that changed"),
        element("p", f"{task.lost:,} became worse, {task.gained:,} became better."),
        *(
            _flip(flip, report.prompts.get(flip.item, ""), number < OPEN_FLIPS)
            for number, flip in enumerate(task.flips)
        ),
        element("p", left_out) if left_out else None,
    )


def _flip(flip: Flip, prompt: str, visible: bool) -> Element:
    slices = ", ".join(f"{name}: {value}" for name, value in sorted(flip.slices.items()))
    change = element("strong", wording.flip_title(flip), class_="bad" if flip.loss > 0 else "good")
    head: tuple[Child, ...] = (change, " ", element("code", flip.item), f" {slices}")
    texts = (
        ("baseline", flip.baseline_response),
        ("candidate", flip.candidate_response),
    )
    if not (prompt or any(text for _, text in texts)):
        return element("p", *head, class_="flip")
    found = element(
        "details",
        element("summary", *head),
        element("p", "prompt", class_="muted") if prompt else None,
        _text(prompt) if prompt else None,
        element(
            "div",
            *(
                element("div", element("p", name, class_="muted"), _text(text))
                for name, text in texts
            ),
            class_="columns",
        ),
        class_="flip",
    )
    if visible:
        found.set("open", "open")
    return found


def _text(text: str) -> Element:
    """Return a text of a log or a model, with its line breaks."""
    children: list[Child] = []
    for line in text.expandtabs(4).splitlines() or [""]:
        children += [element("br"), line] if children else [line]
    return element("pre", *children)


def _drifted(report: Report) -> Element | None:
    if not report.drifted:
        return None
    rows: list[list[Child]] = [list(wording.drifted_row(each)) for each in report.drifted]
    return element(
        "section",
        element("h2", "Drifted traffic: absolute scores, no verdict"),
        element("p", wording.DRIFTED_NOTE),
        table(wording.DRIFTED_HEADINGS, rows, "numbers"),
    )


def _facts(report: Report) -> Element:
    rows = [
        element("div", element("dt", name), element("dd", text))
        for name, text in wording.facts(report).items()
    ]
    return element("section", element("h2", "Run"), element("dl", *rows))

"""Reports in Markdown, JSON and HTML: complete, honest about what is no verdict, and harmless."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from itertools import filterfalse

import msgspec
import numpy as np
import pytest
from markdown_it import MarkdownIt

from replay.report import wording
from replay.report.document import decode_report, encode_report
from replay.report.html.page import page
from replay.report.markdown import fenced, markdown
from replay.report.sentence import sentence
from replay.report.summary import Report, absolute_scores, without_texts
from replay.verdict.decide import decide
from replay.verdict.sequential import look, start
from tests.replay.report.runs import hostile, regressed, several, summary
from tests.replay.verdict.scores import binary, first, scores


class Reader(HTMLParser):
    """Collects the tags, the attributes and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect a tag and its attributes."""
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        """Collect text."""
        self.text += data


def read(report: Report) -> Reader:
    """Return what a browser would see."""
    reader = Reader()
    reader.feed(page(report).decode())
    return reader


def renderings(report: Report) -> list[str]:
    """Return the texts of the page and of the Markdown without its escapes."""
    return [read(report).text, re.sub(r"\\(.)", r"\1", markdown(report))]


def test_all_forms_have_the_sentence_and_the_numbers() -> None:
    """Markdown, page and JSON have the same verdict."""
    report = Report(run=summary(alarm="latency has drifted"), decision=regressed())
    text = sentence(report.run, report.decision).removeprefix("replay: ")
    for rendered in renderings(report):
        assert text in rendered
        for part in ("36, 17", "McNemar", "latency has drifted", "answer 0", "run-1"):
            assert part in rendered
    assert json.loads(encode_report(report))["sentence"] == f"replay: {text}"


def test_the_json_can_be_read_again() -> None:
    """The report of the JSON is the same; other bytes are a ValueError."""
    for report in (hostile(), Report(run=summary("cancelled"))):
        assert decode_report(encode_report(report)) == report
    for content in (b"", b"{}", b"[" * 100_000, b'{"version": 2}', b"\xff"):
        with pytest.raises(ValueError, match="not a report"):
            decode_report(content)


def test_the_schema_of_the_json_is_stable() -> None:
    """Readers rely on these names; every field is present, also if it is empty."""
    found = json.loads(encode_report(Report(run=summary(), decision=regressed())))
    assert found["version"] == 1
    assert list(found) == ["run", "decision", "drifted", "prompts", "sentence", "version"]
    assert {"run_id", "model", "verdict", "reason", "set_digest", "alarm_id"} <= set(found["run"])
    assert {"verdict", "flags", "tasks", "criteria", "looks"} == set(found["decision"])
    assert {"task", "metric", "n", "difference", "lower", "upper", "p_adjusted", "required_n"} <= (
        set(found["decision"]["tasks"][0])
    )
    assert {"item", "doc_id", "baseline", "candidate", "loss"} <= (
        set(found["decision"]["tasks"][0]["flips"][0])
    )


def test_drifted_items_are_never_a_verdict() -> None:
    """Their scores are labelled as absolute, and change neither sentence nor verdict."""
    alone = Report(run=summary(), decision=regressed())
    drifted = scores(np.zeros(50), task="drifted", failed={0})
    both = msgspec.structs.replace(alone, drifted=absolute_scores([drifted]))
    assert both.drifted[0].mean == 0
    assert (both.drifted[0].n, both.drifted[0].failed) == (49, 1)
    assert sentence(both.run, both.decision) == sentence(alone.run, alone.decision)
    for rendered in renderings(both):
        heading = rendered.index("Drifted traffic: absolute scores, no verdict")
        part = rendered[heading : rendered.index("Run\n" if "\n## Run" in rendered else "run-1")]
        assert "no baseline has answered them" in part
        assert "regressed" not in part


def test_absolute_scores_have_intervals() -> None:
    """A share has Wilson's interval, a graded score that of t; nothing is nothing."""
    half = absolute_scores([scores([1, 0] * 50)])[0]
    assert (half.lower, half.upper) == pytest.approx((0.404, 0.596), abs=1e-3)
    graded = absolute_scores([scores([0.2, 0.4, 0.6], binary=False)])[0]
    assert (graded.lower, graded.upper) == pytest.approx((-0.097, 0.897), abs=1e-3)
    none = absolute_scores([scores([1], failed={0})])[0]
    assert (none.n, none.failed, none.mean, none.lower) == (0, 1, None, None)


@pytest.mark.parametrize("verdict", ["error", "cancelled"])
def test_a_run_without_a_decision_has_a_report(verdict: str) -> None:
    """An error says that it is no statement about the model, and what happened."""
    run = summary(verdict, detail="connection refused" if verdict == "error" else "")
    for rendered in renderings(Report(run=run)):
        if verdict == "error":
            assert "says nothing about the model" in rendered
            assert "connection refused" in rendered
        else:
            assert "was cancelled" in rendered


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    """No script, no address, a policy without exceptions but its style, for hostile texts too."""
    reader = read(hostile())
    assert not {"script", "img", "link", "iframe", "a", "form", "object"} & set(reader.tags)
    policies = [value for name, value in reader.attributes if name == "content"]
    assert any(value and value.startswith("default-src 'none'; style-src") for value in policies)
    for name, value in reader.attributes:
        assert not name.startswith("on")
        assert name not in {"src", "href", "style"}
        assert "url(" not in (value or "")
    assert "alert(1)" in reader.text
    assert "\x1b" not in reader.text
    assert "\u202e" not in reader.text


def test_markdown_of_hostile_texts_has_no_effect() -> None:
    """A parser of Markdown that allows HTML finds no HTML, link or heading of a hostile text."""
    text = markdown(hostile())
    assert text.isprintable() or set(filterfalse(str.isprintable, text)) <= {"\n", "\u2060"}
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    inline = [child for token in tokens for child in token.children or ()]
    kinds = {token.type for token in [*tokens, *inline]}
    assert not {kind for kind in kinds if kind.startswith(("html", "link", "image"))}
    assert sum(token.type == "heading_open" for token in tokens) == 6
    assert sum(token.type == "table_open" for token in tokens) == 3
    rows = {len(wording.TASK_HEADINGS), len(wording.SLICE_HEADINGS), len(wording.DRIFTED_HEADINGS)}
    lines = [line for line in text.split("\n") if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", line)) - 1 for line in lines} == rows
    plain = "".join(token.content for token in inline if token.type == "text")
    assert "alert(1)" in plain  # the sentence has the hostile name of the metric
    assert not re.search(r"://|@\w|www\.", plain)


def test_a_fence_is_longer_than_those_in_the_text() -> None:
    """A text cannot end its block."""
    assert fenced("a\n````\nb")[0] == "`````text"
    assert fenced("")[1:] == ["", "```"]


def test_texts_can_be_left_out() -> None:
    """A reader without permission sees scores and items, and no prompt or response."""
    assert "pre" in read(hostile()).tags
    report = without_texts(hostile())
    assert "pre" not in read(report).tags
    assert "```" not in markdown(report)
    found = json.loads(encode_report(report))
    assert found["prompts"] == {}
    assert {flip["candidate_response"] for flip in found["decision"]["tasks"][0]["flips"]} == {""}
    assert without_texts(Report(run=summary("cancelled"))).decision is None


def test_several_tasks_are_on_one_page() -> None:
    """Each task has a row and an interval; units that are no shares have no percent."""
    report = Report(run=summary(), decision=several())
    reader = read(report)
    assert reader.tags.count("circle") == 3
    assert "perplexity" in reader.text
    for rendered in renderings(report):
        assert "wiki" in rendered


def test_the_reader_learns_of_an_early_stop_and_of_what_is_missing() -> None:
    """Notes name early stops, unusable answers, clusters, few items and the items needed."""
    candidate, baseline = binary(400, 120, 5)
    process = start([baseline], regressed().criteria)
    for end in (25, 50, 75):
        process = look(process, [first(candidate, end)], [baseline])
    early = decide([first(candidate, 75)], [baseline], process=process)
    clusters = [f"c{index // 2}" for index in range(40)]
    values = np.tile([1, 0.9, 0.5, 0.6], 10)
    graded = scores(values, binary=False, clusters=clusters, failed={0})
    other = scores(values[::-1], binary=False, clusters=clusters)
    doubtful = binary(100, 9, 8)
    few = decide([scores(np.ones(20))], [scores(np.ones(20))])
    cases = {
        "stopped after 75 of 400 items. The intervals allow for the 3 looks": early,
        "39 items in 20 clusters": decide([graded], [other]),
        "unusable answers: 1 of the candidate, 0 of the baseline": decide([graded], [other]),
        "fewer than the 30": few,
        "items would decide": decide([doubtful[0]], [doubtful[1]]),
    }
    for part, decision in cases.items():
        report = Report(run=summary(decision.verdict), decision=decision)
        for rendered in renderings(report):
            assert part in rendered

"""Tests of the HTML report."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from monitor.cli import report
from monitor.cli.backtest import backtest
from monitor.cli.html import feature, page
from monitor.cli.report import Report
from monitor.config.schema import Config
from monitor.config.sections.detection import WarmupReference, WindowsConfig
from monitor.detect.explain.distribution import Distribution
from monitor.events.types import DriftEvent, Summary
from monitor.ingest.fields.limits import Dropped, Names
from monitor.ingest.files.rejections import FirstRejection, Rejection
from tests.monitor.cli.command_line import run
from tests.monitor.events.drift_events import EXPLANATION, event, numbers, shares

CONFIG = Config(
    windows=WindowsConfig(records=200, stride=20), reference=WarmupReference(records=2000)
)
WITHOUT_END = {"meta", "br", "link", "img", "input", "hr", "base"}
ALLOWED = {
    "article", "body", "code", "dd", "div", "dl", "dt", "figcaption", "figure", "footer", "h1",
    "h2", "h3", "head", "header", "html", "li", "line", "main", "meta", "p", "path", "rect",
    "polygon", "polyline", "section", "small", "span", "strong", "style", "svg", "table", "tbody",
    "td", "text", "th",
    "thead", "title", "tr", "ul",
}  # fmt: skip
HOSTILE = (
    "<script>alert(1)</script>",
    "\"'><img src=http://evil.example/x onerror=alert(1)>",
    "</style><style>@import url(//evil.example)</style>",
    "]]>--><svg onload=alert(1)>",
    "&lt;b&gt;&amp;\x1b[31m\u202egnp.exe\x00",
)
BINS = Distribution(("a", "b"), np.array([0.5, 0.5]), np.array([0.25, 0.75]))


class Page(HTMLParser):
    """The elements, attributes and texts of a page; fails where elements are not balanced."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.headings: list[str] = []
        self.open: list[str] = []
        self.feed(content.decode())
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record an element."""
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in WITHOUT_END:
            self.open.append(tag)
        if tag == "h3":
            self.headings.append("")

    def handle_endtag(self, tag: str) -> None:
        """Close an element."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Record a text."""
        self.texts.append(data)
        if "h3" in self.open:
            self.headings[-1] += data

    @property
    def text(self) -> str:
        """All texts of the page except the style sheet."""
        return " ".join(text for text in self.texts if "color-scheme" not in text).strip()


def check(content: bytes) -> Page:
    """Return the page, after checking that it loads nothing and runs nothing."""
    parsed = Page(content)
    assert set(parsed.tags) <= ALLOWED
    for tag, name, value in parsed.attributes:
        assert not name.startswith("on"), (tag, name)
        assert name not in {"href", "src", "srcset", "style", "action", "xlink:href"}
        assert "url(" not in value
    (style,) = [text for text in parsed.texts if "color-scheme" in text]
    assert not re.search(r"url\(|@import|@font-face|https?:", style)
    policies = [v for t, n, v in parsed.attributes if t == "meta" and n == "content"]
    (policy,) = [value for value in policies if "default-src" in value]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert parsed.text.isprintable()
    return parsed


def built(
    *events: DriftEvent, rejections: tuple[Rejection, ...] = (), dropped: Dropped | None = None
) -> Page:
    """Return the checked page of these events."""
    models = dict.fromkeys((each.model for each in events), 3000) or {"m": 3000}
    result = report.build(
        models=models, rejections=rejections, seconds=0.5, events=events, dropped=dropped
    )
    return check(page.build(result, {each.id: BINS for each in events}, [Path("logs.jsonl")]))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, dict[str, Distribution]]:
    """The report and the distributions of a log in which a number and a category change."""
    rng = np.random.default_rng(5)
    path = tmp_path_factory.mktemp("logs") / "logs.jsonl"
    lines = []
    for i in range(4000):
        reason = rng.choice(["stop", "length"], p=[0.9, 0.1] if i < 3000 else [0.5, 0.5])
        latency = rng.lognormal(6, 0.4) * (1 if i < 3000 else 2)
        lines.append(
            f'{{"request_id": "r{i}", "timestamp": {1.76e9 + i}, "model": "chat", '
            f'"latency_ms": {latency:.3f}, "finish_reason": "{reason}"}}\n'
        )
    path.write_text("".join(lines))
    distributions: dict[str, Distribution] = {}
    result = backtest(
        [path], CONFIG, observer=lambda event, each: distributions.update({event.id: each})
    )
    return result, distributions


def test_every_event_has_its_whole_distribution(
    whole: tuple[Report, dict[str, Distribution]],
) -> None:
    """The observer receives each event; the bins that changed most have the shares of the event."""
    result, distributions = whole
    events = [*result.events, *result.updated, *result.resolved]
    assert events
    assert {each.id for each in events} == set(distributions)
    for each in result.events:
        found = distributions[each.id]
        assert found.before.sum() == pytest.approx(1)
        assert found.after.sum() == pytest.approx(1)
        table = dict(zip(found.bins, zip(found.before, found.after, strict=True), strict=True))
        assert each.explanation.bins
        for shift in each.explanation.bins:
            assert table[shift.bin] == pytest.approx((shift.before, shift.after))


def test_the_page_is_deterministic(
    whole: tuple[Report, dict[str, Distribution]], tmp_path: Path
) -> None:
    """The same log gives the same page, whatever the time of the run."""
    result, distributions = whole
    first = page.build(result, distributions, [tmp_path])
    assert page.build(structs.replace(result, seconds=9.0), distributions, [tmp_path]) == first


def test_each_drifted_feature_has_one_section(
    whole: tuple[Report, dict[str, Distribution]],
) -> None:
    """Sections are those of the report's features, with all their bins and shares as text."""
    result, distributions = whole
    parsed = check(page.build(result, distributions, [Path("logs.jsonl")]))
    drifted = {each.feature for each in result.events}
    assert sorted(heading.split()[0] for heading in parsed.headings) == sorted(drifted)
    assert {"latency_ms", "finish_reason"} <= drifted
    for each in result.events:
        filled = distributions[each.id].before > 0
        if each.id == [e for e in result.events if e.feature == each.feature][-1].id:
            for name in np.array(distributions[each.id].bins)[filled]:
                assert str(name) in parsed.text


def test_alarms_of_a_feature_share_a_section() -> None:
    """Events of one alarm are one article, several alarms of a feature are in one section."""
    first = event(numbers(), numbers(p50=90.0), id="a", alarm="a", position=10)
    events = [
        first,
        structs.replace(first, id="b", change="updated", position=20),
        structs.replace(first, id="c", change="resolved", position=30),
        structs.replace(first, id="d", alarm="d", position=40),
        structs.replace(first, id="e", alarm="e", segment="region=eu", position=50),
    ]
    parsed = built(*events)
    assert parsed.tags.count("article") == 3
    assert [heading.split("  ")[0].strip() for heading in parsed.headings] == [
        "latency_ms ▲ critical open at the end of the log",
        "latency_ms [region=eu] ▲ critical open at the end of the log",
    ]
    assert "opened at line 10, updated at line 20, resolved at line 30" in parsed.text


@pytest.mark.parametrize("hostile", HOSTILE)
def test_texts_of_a_log_are_escaped(hostile: str) -> None:
    """A model, feature, segment, category, request id, file or detail is never markup."""
    explanation = structs.replace(
        EXPLANATION, examples=(hostile,), together={hostile: 0.4}, unmoved=(hostile,)
    )
    category = event(
        shares(0.0, **{hostile: 0.5, "stop": 0.5}),
        shares(0.0, **{hostile: 0.9, "stop": 0.1}),
        model=hostile,
        segment=hostile,
        feature=hostile,
        kind="categorical",
        explanation=explanation,
    )
    dropped = Dropped(categories={hostile: Names({hostile: 3})})
    dropped.models.add(hostile)
    dropped.scores.add(hostile)
    rejection = Rejection(hostile, 2, FirstRejection(hostile, 7, hostile))
    result = report.build(
        models={hostile: 10}, rejections=[rejection], seconds=1, events=[category], dropped=dropped
    )
    names = Distribution((hostile, "missing"), np.array([0.5, 0.5]), np.array([1.0, 0.0]))
    parsed = check(page.build(result, {category.id: names}, [Path(hostile.replace("\x00", ""))]))
    shown = re.sub(r"[\x00-\x1f\u202e]", "\N{REPLACEMENT CHARACTER}", hostile)
    assert sum(shown in text for text in parsed.texts) >= 8


@settings(max_examples=40, deadline=None)
@given(st.text(min_size=1, max_size=30), st.floats(allow_nan=False), st.floats(0, 1e300))
def test_any_text_and_number_gives_a_valid_page(name: str, time: float, value: float) -> None:
    """Names, times and numbers of any kind give a page that is balanced and loads nothing."""
    odd = numbers(p50=value, p95=value * 2, mean=-value)
    each = event(numbers(), odd, model=name, feature=name, time=time, explanation=EXPLANATION)
    built(each)


@pytest.mark.parametrize("kind", ["numeric", "binary", "categorical"])
@pytest.mark.parametrize("change", ["opened", "escalated", "updated", "resolved"])
def test_events_without_values_or_explanation_are_shown(kind: str, change: str) -> None:
    """An event of an earlier version, without an explanation or a distribution, has a section."""
    none = Summary(n=0, missing=1.0)
    each = event(none, none, kind=kind, change=change, statistic=None, threshold=None, p_value=None)
    result = report.build(models={"chat": 1}, rejections=[], seconds=0, events=[each])
    assert len(check(page.build(result, {}, [])).headings) == 1


def test_what_was_not_checked_is_told() -> None:
    """Rejections with the first line, and what the limits cut off, are on the page."""
    dropped = Dropped()
    dropped.scores.add("helpful")
    rejection = Rejection("not_json", 12, FirstRejection("a.jsonl", 7, "malformed"))
    text = built(rejections=(rejection,), dropped=dropped).text
    assert "12 of 3,012 records could not be read" in text
    assert "a.jsonl, line 7" in text
    assert "beyond limits.scores" in text
    assert "No drift" in text


def test_many_features_and_alarms_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sections and alarms beyond a bound are counted."""
    monkeypatch.setattr(page, "MAX_SECTIONS", 3)
    first = event(numbers(), numbers(p50=90.0))
    features = [structs.replace(first, id=f"f{i}", alarm=f"f{i}", feature=f"f{i}") for i in "1234"]
    parsed = built(*features)
    assert len(parsed.headings) == 3
    assert "1 more drifted feature" in parsed.text
    alarms = [structs.replace(first, id=f"a{i}", alarm=f"a{i}", position=i) for i in range(1, 9)]
    parsed = built(*alarms)
    assert parsed.tags.count("article") == feature.MAX_INCIDENTS
    assert "of 8 alarms" in parsed.text


@pytest.mark.parametrize(
    ("severity", "verdict"),
    [
        ("critical", "1 feature has drifted, 1 of them critically"),
        ("warning", "1 feature has drifted, 0 of them critically"),
        ("info", "No drift"),
    ],
)
def test_the_verdict_counts_alarms_that_page(severity: str, verdict: str) -> None:
    """Small changes have a section, and the severity is a word, not a colour only."""
    parsed = built(event(numbers(), numbers(p50=90.0), severity=severity))
    assert verdict in parsed.text
    assert severity in parsed.headings[0]


def test_the_command_writes_the_page(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, log: Path, config: Path
) -> None:
    """--html writes the page beside the other outputs; a path that cannot be written is refused."""
    path = tmp_path / "r.html"
    assert run("backtest", "-c", config, log, "--html", path) == 0
    assert check(path.read_bytes()).headings
    assert run("backtest", "-c", config, log, "--html", tmp_path) == 2
    assert "is a directory" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["treatment", *HOSTILE])
def test_experiments_have_verdicts_and_figures(name: str) -> None:
    """Their names are texts, and a wrong split and breached guardrails are named."""
    numbers = {"mean": 4.1, "control_mean": 3.9, "effect": 0.05, "lower": None, "upper": 0.08}
    found = {
        "verdicts": {name: "better"},
        "goal": name,
        "variants": {name: {"users": 1234, "n_eff": None, "requests": 5678}},
        "metrics": {name: {name: numbers | {"p_value": 0.01}}},
        "srm": {"e_value": 2000.0, "p_value": 0.0005, "status": "block"},
        "breached": {name: [name]},
        "in_doubt": [name],
    }
    empty = report.build(models={"m": 10}, rejections=[], seconds=1.0, events=[])
    shown = structs.replace(empty, experiments={name: found})
    parsed = check(page.build(shown, {}, [Path("logs.jsonl")]))
    assert "script" not in parsed.tags
    for part in (
        "better (in doubt)",
        "breached guardrails",
        "1,234",
        "+5.0 % (no bound to +8.0 %)",
    ):
        assert part in parsed.text, part
    assert "the split of users differs from the plan" in parsed.text
    assert "Experiments" not in check(page.build(empty, {}, [Path("logs.jsonl")])).text

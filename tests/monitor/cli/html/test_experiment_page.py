"""Tests of the page of an experiment: it shows the cards, and loads and runs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from monitor.cli.html.experiment.chart import effect_chart
from monitor.cli.html.experiment.page import experiment_page
from monitor.experiments.decisions.evaluation import evaluate
from monitor.experiments.decisions.result import Point, Result
from monitor.experiments.design import Metric, Scale
from monitor.experiments.report.terminal import card_text
from monitor.experiments.sums.look import BINS, HISTOGRAM_BUCKETS, LookData
from tests.browser import chromium
from tests.monitor.cli.html.test_page import HOSTILE, check
from tests.monitor.experiments.decisions.looks import COST, SCORE, Experiment, design, normal, run

if TYPE_CHECKING:
    from playwright.sync_api import Browser

P50 = Metric("latency_ms.p50", "latency_ms", Scale.P50, "lower", 0.05)
DRAW = {SCORE.name: normal((10.0, 11.0)), COST.name: normal((0.3, 0.4), 0.1)}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return Chromium."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def result() -> Result:
    """Return the result of an experiment with a verdict and a breached guardrail."""
    plan = design(guardrails=(COST,), secondary=(P50,))
    experiment = Experiment(plan, DRAW)
    *_, last = run(experiment, looks=8, users=250)
    return evaluate(plan, with_histograms(experiment.add(250)), last.state).result


def with_histograms(data: LookData) -> LookData:
    """Return a look with histograms of latency."""
    random = np.random.default_rng(1)
    counts = np.zeros((2, HISTOGRAM_BUCKETS, BINS), dtype=np.int64)
    for arm in range(2):
        bins = random.normal(300 + 5 * arm, 20, 2_000).astype(int)
        np.add.at(counts[arm], (random.integers(HISTOGRAM_BUCKETS, size=2_000), bins), 1)
    fields = {name: getattr(data, name) for name in data.__slots__}
    return LookData(**(fields | {"histograms": {P50.name: counts}}))


def test_the_page_has_a_card_for_each_variant(result: Result) -> None:
    """Verdict, evidence, guardrail, users, charts and distributions are on it."""
    parsed = check(experiment_page(result))
    assert parsed.tags.count("article") == 1
    for part in (
        "better than control",
        "the verdict stays",
        "Breached guardrails: cost_usd.capped",
        "Split of users as planned",
        "Distribution of latency_ms",
        "latency_ms.p50",
        "no traffic yet on Wed to Sun",
    ):
        assert part in parsed.text, part
    assert parsed.tags.count("svg") == 3  # two metrics over time, one distribution


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_names_are_escaped(result: Result, hostile: str) -> None:
    """Names of the experiment, of variants and of metrics stay texts."""
    arms = (result.arms[0], replace(result.arms[1], variant=hostile))
    compared = tuple(replace(c, variant=hostile, metric=hostile) for c in result.comparisons)
    changed = replace(
        result,
        experiment=hostile,
        goal=hostile,
        arms=arms,
        comparisons=compared,
        history={hostile: {hostile: result.history[SCORE.name]["treatment"]}},
        distributions=tuple(replace(d, feature=hostile) for d in result.distributions),
        srm=replace(result.srm, users={hostile: 3}, expected={hostile: 1.0}),
        ignored=(hostile,),
    )
    parsed = check(experiment_page(changed))
    assert parsed.tags.count("article") == 1
    assert "script" not in parsed.tags
    assert "img" not in parsed.tags
    text = card_text(changed)
    assert all(line.isprintable() for line in text.splitlines())


LONG_NAME = "a variant with a name as long as a name may be, " * 2


@pytest.mark.parametrize("width", [375, 768, 1440])
def test_the_page_fits_phones_and_screens(
    result: Result, browser: Browser, tmp_path: Path, width: int
) -> None:
    """Effect and finding of each metric are within the card, also beside long names."""
    name = LONG_NAME[:100].strip()
    arms = (result.arms[0], replace(result.arms[1], variant=name))
    compared = tuple(replace(each, variant=name) for each in result.comparisons)
    path = tmp_path / "page.html"
    path.write_bytes(experiment_page(replace(result, arms=arms, comparisons=compared)))
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    card = page.locator("article").bounding_box()
    assert card is not None
    for row in page.locator("article tbody tr").all():
        assert row.locator("th").inner_text().strip()
        heading = row.locator("th").bounding_box()
        assert heading is not None
        assert heading["width"] >= 120
        for cell in (4, 5):
            box = row.locator(f"td:nth-child({cell + 1})").bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= card["x"] + card["width"]
    page.close()


def test_a_page_without_any_data_is_complete() -> None:
    """Before the first exposure the page says why there is no verdict."""
    empty = LookData(time=5.0, first_time=None, users=(0, 0), requests=(0, 0))
    parsed = check(experiment_page(evaluate(design(), empty, None).result))
    assert "the goal has no values yet" in parsed.text
    assert "svg" not in parsed.tags


EFFECT = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(
    points=st.lists(
        st.builds(Point, st.floats(0, 1e12), st.integers(0, 2**50), EFFECT, EFFECT, EFFECT),
        max_size=8,
    ),
    mde=st.floats(0.001, 10),
)
def test_any_points_give_a_chart_within_its_frame(points: list[Point], mde: float) -> None:
    """Huge and missing effects do not leave the chart."""
    chart = effect_chart(sorted(points, key=lambda p: p.time), mde, None)
    if chart is None:
        return
    for line in chart.iter("polyline"):
        for place in line.get("points", "").split():
            x, y = map(float, place.split(","))
            assert 0 <= x <= 400
            assert 0 <= y <= 150


def test_a_margin_too_near_zero_is_neither_drawn_nor_named(result: Result) -> None:
    """The caption names the dashed lines only where there are some."""
    wide = tuple(Point(float(i), 100, 0.1, -40.0, 50.0) for i in range(5))
    for points, shown in ((wide, False), (result.history[SCORE.name]["treatment"], True)):
        history = {SCORE.name: {"treatment": points}}
        text = check(experiment_page(replace(result, history=history))).text
        assert ("dashed lines" in text) is shown


def test_what_puts_verdicts_in_doubt_is_at_the_top_once(result: Result) -> None:
    """A wrong split is in the header, the headline and in no other place."""
    arms = (result.arms[0], replace(result.arms[1], in_doubt=True))
    wrong = replace(result.srm, status="block", p_value=1e-5)
    text = check(experiment_page(replace(result, arms=arms, srm=wrong))).text
    assert text.count("Split of users differs from the plan") == 1
    assert "better than control, in doubt" in text

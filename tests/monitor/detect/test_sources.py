"""Sources of a model are watched apart: windows, warm-up, budget, events and checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config.schema import Config
from monitor.config.sections.detection import (
    AlarmsConfig,
    LimitsConfig,
    WarmupReference,
    WindowsConfig,
)
from monitor.config.sections.judging.section import JudgeReference, JudgesConfig, JudgeWindows
from monitor.detect.coalescer import Coalescer
from monitor.detect.monitor import DriftMonitor
from monitor.detect.reference import sources
from monitor.events.types import DriftEvent, pages
from monitor.events.wording.drift import sentence
from monitor.ingest.chunks.columns import Columns
from monitor.records import Source
from tests.monitor import judged, synthetic
from tests.monitor.detect.checkpoint.restarts import restarted
from tests.monitor.judged import LOCAL_JUDGE

ROUTES = ("metadata.route",)
CONFIG = judged.config(segments=ROUTES).model_copy(
    update={
        "windows": WindowsConfig(records=200, stride=20),
        "reference": WarmupReference(records=2_000),
    }
)
"""Both sources have short windows, so that a test can fill many of them."""
BEFORE = judged.REFERENCE + 2 * judged.WINDOW + 50


@cache
def log_records() -> Columns:
    """Return records whose latency doubles."""
    return synthetic.joined(
        synthetic.stream(3_000, seed=1), synthetic.stream(900, seed=2, factor=2.0)
    )


@cache
def judged_samples() -> Columns:
    """Return judged samples whose quality falls."""
    before = judged.samples(5_000, seed=3)
    after = judged.samples(900, seed=4, first=5_000, quality=judged.WORSE)
    return joined(before, after)


def joined(*parts: Columns) -> Columns:
    """Concatenate samples."""
    first = parts[0]
    return replace(
        first,
        positions=np.concatenate([part.positions for part in parts]),
        times=np.concatenate([part.times for part in parts]),
        values=np.concatenate([part.values for part in parts], axis=1),
        categories=tuple(
            replace(column, codes=np.concatenate([part.categories[i].codes for part in parts]))
            for i, column in enumerate(first.categories)
        ),
        examples=first.examples,
    )


def alone(columns: Columns) -> list[DriftEvent]:
    """Return the events of one source by itself."""
    return DriftMonitor(CONFIG, {}).process(columns)


def interleaved(
    log: Sequence[Columns], judge: Sequence[Columns], order: Iterable[bool]
) -> list[Columns]:
    """Return the chunks of two sources in one order; True takes the next one of the log."""
    rest, chunks = {True: list(log), False: list(judge)}, []
    for of_log in order:
        if rest[of_log]:
            chunks.append(rest[of_log].pop(0))
    return [*chunks, *rest[True], *rest[False]]


def by_source(events: Iterable[DriftEvent], source: Source) -> list[DriftEvent]:
    """Return the events of one source."""
    return [event for event in events if event.source is source]


@settings(synthetic.SLOW_PROPERTY, max_examples=8)
@given(
    log=synthetic.cuttings(3_900),
    judge=synthetic.cuttings(5_900),
    order=st.lists(st.booleans(), max_size=80),
    stops=st.lists(st.integers(0, 60), max_size=2),
)
def test_sources_do_not_influence_each_other(
    log: list[int], judge: list[int], order: list[bool], stops: list[int]
) -> None:
    """In any order and chunks, joined or not, with restarts: the events of each source by itself.

    The events are equal to the last field, with their ids.
    """
    expected = alone(log_records()), alone(judged_samples())
    assert {event.segment for event in expected[1]} == {
        "",
        "metadata.route=web",
        "metadata.route=api",
    }
    chunks = interleaved(
        list(synthetic.cut(log_records(), log)),
        list(synthetic.cut(judged_samples(), judge)),
        order,
    )
    monitor, coalescer, events = DriftMonitor(CONFIG, {}), Coalescer(), list[DriftEvent]()
    for number, chunk in enumerate(chunks):
        for due in coalescer.add(chunk):
            events += monitor.process(due)
        if number in stops:
            for due in coalescer.take():
                events += monitor.process(due)
            monitor = restarted(monitor, CONFIG)
    for due in coalescer.take():
        events += monitor.process(due)
    for source, own in zip((Source.LOG, Source.JUDGE), expected, strict=True):
        found = sorted(by_source(events, source), key=lambda event: (event.record, event.id))
        assert found == sorted(own, key=lambda event: (event.record, event.id))


def test_events_of_a_source_have_ids_of_their_own() -> None:
    """The same samples as another source have the same events, except for source and ids."""
    judge = alone(judged_samples())
    feedback = alone(replace(judged_samples(), source=Source.FEEDBACK))
    assert [event.record for event in judge] == [event.record for event in feedback]
    assert not {event.id for event in judge} & {event.id for event in feedback}
    assert {event.source for event in feedback} == {Source.FEEDBACK}


def test_windows_and_warm_up_follow_from_the_section_of_the_source() -> None:
    """Judges have their own windows and reference; feedback has their defaults."""
    section = JudgesConfig(
        **LOCAL_JUDGE,
        rubrics=("tone",),
        windows=JudgeWindows(records=100, stride=10),
        reference=JudgeReference(records=1_500),
    )
    found = sources.settings(Config(judges=section))
    assert {
        source: (each.config.windows.records, each.config.windows.stride, each.warmup_records)
        for source, each in found.items()
    } == {
        Source.LOG: (1_000, 100, 50_000),
        Source.JUDGE: (100, 10, 1_500),
        Source.FEEDBACK: (200, 20, 2_000),
        Source.STYLE: (500, 100, 5_000),
    }
    assert found[Source.JUDGE].required_records == 1_000
    assert found[Source.JUDGE].key("windows.records") == "judges.windows.records"
    assert found[Source.LOG].key("windows.records") == "windows.records"


def test_a_configured_source_takes_a_fifth_of_the_budget() -> None:
    """Without judges the log has the whole budget, bit for bit; with them four fifths."""
    without, with_judges = (
        sources.settings(judged.config(enabled=enabled)) for enabled in (False, True)
    )
    assert without[Source.LOG].share == 1.0
    assert with_judges[Source.LOG].share == 0.8
    assert with_judges[Source.JUDGE].share == 0.2


def test_levels_follow_from_the_share_and_the_rate_of_the_source() -> None:
    """A fifth of the budget, spread over the evaluations of the judged samples in the period."""
    monitor = DriftMonitor(judged.config(alarms=AlarmsConfig(per_days=7.0)), {})
    monitor.process(judged.samples(judged.REFERENCE))
    watch = monitor.of(Source.JUDGE).watches["m", ""]
    levels, streams = watch.main.levels, len(judged.FEATURES)
    evaluations = 7 * 86_400 * judged.RATE / judged.STRIDE
    spent = sum(level * streams for name, level in levels.items() if name not in {"adwin", "chi2"})
    assert spent == pytest.approx(0.2 / evaluations, rel=2e-3)


def test_log_features_select_the_segment_and_are_not_watched_again() -> None:
    """Names of features are those of one source only, in metrics too."""
    monitor = DriftMonitor(CONFIG, {})
    monitor.process(judged_samples())
    watches = monitor.of(Source.JUDGE).watches
    assert set(watches) == {("m", ""), ("m", "metadata.route=web"), ("m", "metadata.route=api")}
    profile = watches["m", ""].profile
    assert profile is not None
    assert {stream.name for stream in profile.baseline.streams} == set(judged.FEATURES)


def test_samples_without_the_key_of_a_segment_are_in_no_segment() -> None:
    """A judge that carries no categorical features has one watch per model."""
    monitor = DriftMonitor(CONFIG, {})
    monitor.process(replace(judged_samples(), categories=()))
    assert set(monitor.of(Source.JUDGE).watches) == {("m", "")}


def test_limits_apply_to_each_source() -> None:
    """Models that the log has used up the limit with do not displace judged ones."""
    limits = LimitsConfig(models=1, segments=1)
    monitor = DriftMonitor(CONFIG.model_copy(update={"limits": limits}), {})
    monitor.process(synthetic.stream(10, model="a"))
    monitor.process(judged.samples(10, model="b"))
    monitor.process(judged.samples(10, model="c"))
    assert {model for model, _ in monitor.log.watches} == {"a"}
    assert {model for model, _ in monitor.of(Source.JUDGE).watches} == {"b"}
    assert monitor.log.records == {"a": 10}
    assert monitor.segments_dropped > 0


def test_configured_references_are_those_of_the_log() -> None:
    """A reference from files does not end the warm-up of judged samples of the same model."""
    log = DriftMonitor(CONFIG, {})
    log.process(synthetic.stream(synthetic.WARMUP))
    profile = log.log.watches["m", ""].profile
    assert profile is not None
    monitor = DriftMonitor(CONFIG, {("m", ""): profile})
    monitor.process(judged.samples(10))
    monitor.process(synthetic.stream(10))
    assert monitor.log.watches["m", ""].profile is profile
    assert monitor.of(Source.JUDGE).watches["m", ""].profile is None


@pytest.mark.parametrize("seed", range(5))
def test_worse_scores_page_within_300_samples(seed: int) -> None:
    """Scores of 0 to 5 that fall from 4.2 +- 0.8 to 3.4 +- 1.1, anywhere between two strides."""
    monitor = DriftMonitor(judged.config(), {})
    before = BEFORE + 7 * seed
    assert not monitor.process(judged.samples(before, seed=seed))
    after = judged.samples(300, seed=100 + seed, first=before, quality=judged.WORSE)
    opened = [event for event in monitor.process(after) if pages(event.severity)]
    assert opened[0].feature == "judge.answer_quality"
    assert opened[0].drift_type == "concept"
    assert opened[0].change == "opened"
    assert " judged samples ago" in sentence(opened[0])
    assert opened[0].explanation.examples


@pytest.mark.parametrize("seed", range(3))
def test_unchanged_scores_do_not_page(seed: int) -> None:
    """100,000 judged samples, two days of them, open no alarm that pages."""
    monitor = DriftMonitor(judged.config(), {})
    found = monitor.process(judged.samples(judged.REFERENCE + 100_000, seed=seed))
    assert not [event for event in found if pages(event.severity)]


def test_judged_samples_keep_a_generous_budget() -> None:
    """At a budget of seven false pages in the run, the share of the source, there are no more."""
    alarms = AlarmsConfig(false_pages=500.0)
    monitor = DriftMonitor(judged.config(alarms=alarms), {})
    found = monitor.process(judged.samples(judged.REFERENCE + 100_000, seed=11))
    allowed = 500 * 0.2 / 30 * 100_000 / judged.RATE / 86_400
    assert allowed > 7
    assert len({event.alarm for event in found if pages(event.severity)}) <= allowed


@pytest.mark.parametrize("levels", [2, 3, 5, 6])
def test_tied_scores_keep_the_false_page_budget(levels: int) -> None:
    """Scores with few values, at a budget of some twenty pages in the run: no more than that.

    The levels of the tests are those of their exact or conservative p-values, ties included.
    """
    alarms = AlarmsConfig(false_pages=2_000.0, min_psi=0.001)
    monitor = DriftMonitor(judged.config(alarms=alarms), {})
    n = judged.REFERENCE + 20_000
    rng = np.random.default_rng(levels)
    scores = rng.integers(levels, size=(len(judged.FEATURES), n)).astype(float)
    found = monitor.process(replace(judged.samples(n, unscored=0.0), values=scores))
    allowed = 2_000 * 0.2 / 30 * 20_000 / judged.RATE / 86_400
    assert allowed > 5
    paged = {event.alarm for event in found if pages(event.severity)}
    assert len(paged) <= allowed


def test_a_sample_without_a_score_is_unscored() -> None:
    """The share of unscored samples is watched, and the sentence says unscored."""
    monitor = DriftMonitor(judged.config(), {})
    monitor.process(judged.samples(BEFORE, seed=1))
    found = monitor.process(judged.samples(300, seed=2, first=BEFORE, unscored=0.5))
    texts = [sentence(event) for event in found if event.feature == "judge.answer_quality"]
    assert texts
    assert "unscored in " in texts[0]
    assert "of judged samples" in texts[0]
    assert "of records" not in texts[0]

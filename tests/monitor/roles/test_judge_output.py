"""What a judge transaction writes about uniform samples."""

from __future__ import annotations

import pytest

from judges.live.partition import Pending
from judges.live.worker import Tiers
from monitor.events.evaluations import Evaluation
from monitor.experiments.exposures.columns import UNNAMED, decode_exposures, encode_exposures
from monitor.records import Inclusion, Sample, Source, UnitExposure
from monitor.roles.judge_output import score_columns, score_exposures
from monitor.roles.judge_setup import evaluators, load_rubrics
from tests.monitor import judged
from tests.monitor.judged import LOCAL_JUDGE


def pending(offset: int, *, uniform: bool, score: float | None) -> Pending:
    """Return a finished sample."""
    inclusion = Inclusion(True, 0.5) if uniform else Inclusion(False, 1.0, ("errors",))
    sample = Sample(f"r{offset}", 1.0 + offset, "m", inclusion)
    result = Evaluation(
        name="judge.tone", request_id=sample.request_id, model="m", time=1.0, score=score
    )
    return Pending(offset, sample, evaluations=[result])


def test_scores_of_uniform_samples_name_the_epoch() -> None:
    """Boosted samples never enter, and an unscored one is a record without a value."""
    finished = [
        pending(0, uniform=True, score=4.0),
        pending(1, uniform=False, score=1.0),
        pending(2, uniform=True, score=None),
    ]
    [columns] = score_columns(finished, (), "e1")
    assert (columns.source, columns.epoch) == (Source.JUDGE, "e1")
    assert columns.positions.tolist() == [1, 3]
    assert columns.row("judge.tone").tolist() == pytest.approx([4.0, float("nan")], nan_ok=True)
    assert score_columns(finished[1:2], (), "e1") == []


def test_scores_of_uniform_samples_are_exposures() -> None:
    """Each score is a value of its unit and variant, in the message of its shard."""
    units = [(3 << 60) + 1, (3 << 60) + 2, 9 << 60, 5]
    finished = [
        pending(0, uniform=True, score=4.0),
        pending(1, uniform=True, score=2.0),
        pending(2, uniform=True, score=1.0),
        pending(3, uniform=False, score=1.0),
        pending(4, uniform=True, score=None),
    ]
    for each, unit in zip(finished, [*units, 6], strict=True):
        assert each.sample is not None
        variant = None if unit == units[1] else "control"
        exposure = UnitExposure("p1", unit, variant)
        each.sample.exposures = {"exp": exposure, "other": exposure}
    messages = [encode_exposures(each) for each in score_exposures(finished, {"exp"})]
    found = {each.shard: each for each in map(decode_exposures, messages)}
    assert found.keys() == {3, 9}
    three = found[3]
    assert (three.experiment, three.phase, three.source) == ("exp", "p1", Source.JUDGE)
    assert (three.arms, three.variants.tolist()) == (("control",), [0, UNNAMED])
    assert (three.features, three.values.tolist()) == (("judge.tone",), [[4.0, 2.0]])
    assert (three.units.tolist(), three.times.tolist()) == (units[:2], [1.0, 2.0])


def test_the_epoch_follows_from_rubrics_and_pinned_judge() -> None:
    """Another rubric or judge is another epoch; order, panel and critical judge are not."""
    config = judged.config().judges

    def epoch(model: str, *rubrics: str, critical: str = "") -> str:
        chosen = config.model_copy(update={"rubrics": rubrics} | LOCAL_JUDGE)
        loaded = load_rubrics(chosen)
        best = evaluators(chosen, loaded, critical) if critical else {}
        return Tiers(evaluators(chosen, loaded, model), best).epoch

    same = epoch("judge", "tone", "safety")
    assert same == epoch("judge", "safety", "tone", critical="best")
    others = {epoch("cheap", "tone", "safety"), epoch("judge", "tone"), epoch("judge", "safety")}
    assert len(others | {same}) == 4

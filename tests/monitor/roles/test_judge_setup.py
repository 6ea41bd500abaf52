"""What the role judge requires, and what is missing is named before it starts."""

from __future__ import annotations

import pytest

from judges.budget.caps import Purpose
from judges.budget.metered import Meter
from judges.budget.prices import NANODOLLARS
from judges.live.check_evaluator import NoClient
from monitor.app import App
from monitor.config.schema import Config
from monitor.config.sections.judging.budget import ModelPrice
from monitor.config.sections.judging.client import JudgeClientConfig
from monitor.config.sections.judging.section import JudgesConfig
from monitor.config.sections.judging.trust import PanelConfig
from monitor.errors import UserError
from monitor.roles import judge_setup

LOCAL = JudgeClientConfig(base_url="http://127.0.0.1:1")
PRICES = {name: ModelPrice(input=1.0, output=5.0) for name in ("small", "large")}


def judges(**changed: object) -> JudgesConfig:
    """Return a section that judges on this machine."""
    fields: dict[str, object] = {
        "rubrics": ("answer_quality", "tone"),
        "model": "small",
        "client": LOCAL,
        "prices": PRICES,
    }
    return JudgesConfig(**(fields | changed))  # type: ignore[arg-type]  # fields of any type


def test_evaluators_are_those_of_the_configuration() -> None:
    """One for each rubric and metric; critical samples have a judge of their own."""
    judging = judge_setup.build_judging(
        judges(critical_model="large", ragas=("faithfulness",)), Meter()
    )
    names = {"judge.answer_quality", "judge.tone", "ragas.faithfulness"}
    assert judging.tiers.pinned.keys() == judging.tiers.critical.keys() == names
    versions = {name: each.version for name, each in judging.tiers.pinned.items()}
    assert all(judging.tiers.critical[name].version != versions[name] for name in names)


def test_the_panel_does_not_change_the_version() -> None:
    """The score is that of the pinned judge, so its reference stays."""
    alone = judge_setup.build_judging(judges(), Meter())
    panel = PanelConfig(models=("large", "small"), share=1.0)
    watched = judge_setup.build_judging(judges(panel=panel), Meter())
    assert {n: e.version for n, e in alone.tiers.pinned.items()} == {
        n: e.version for n, e in watched.tiers.pinned.items()
    }


def test_the_caps_are_those_of_the_configuration() -> None:
    """All purposes together have the whole cap of a day."""
    caps = judge_setup.budget_caps(judges())
    assert sum(caps.day.values()) == 20 * NANODOLLARS
    assert caps.day[Purpose.CRITICAL] == 2 * NANODOLLARS


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        (judges(client=JudgeClientConfig()), "judges.client.api_key: is missing"),
        (judges(rubrics=("answer_qualiti",)), "did you mean 'answer_quality'"),
        (judges(rubrics=("/none.yaml",)), "/none.yaml"),
        (judges(ragas=("faithful",)), "did you mean 'faithfulness'"),
    ],
    ids=["no key", "unknown rubric", "no file", "unknown metric"],
)
def test_what_is_missing_is_named_before_the_start(section: JudgesConfig, expected: str) -> None:
    """The app ends with an error of the user, and other roles do not need it."""
    with pytest.raises(UserError, match=expected):
        judge_setup.check(Config(judges=section))
    with pytest.raises(UserError, match=expected):
        App(Config(judges=section), ["judge"]).run()
    assert App(Config(judges=section), ["ingest", "detect"]).roles == ["ingest", "detect"]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain install has no aiohttp: the error names the extra."""

    def absent(*_: object) -> None:
        raise ImportError("no module", name="aiohttp")

    monkeypatch.setattr(judge_setup, "connect", absent)
    with pytest.raises(UserError, match=r"pip install '\.\[judges\]' in a checkout .aiohttp"):
        judge_setup.check(Config(judges=judges()))


def checked(**checks: dict[str, object]) -> JudgesConfig:
    """Return a section of checks only."""
    return Config.model_validate({"judges": {"checks": checks}}).judges


ALL_CHECKS: dict[str, dict[str, object]] = {
    "format": {"kind": "json_schema", "matches": {"type": "object"}},
    "language": {"kind": "language", "languages": ["en"]},
    "length": {"kind": "length", "max_chars": 30},
    "words": {"kind": "keywords", "forbidden": ["sorry"]},
    "trap": {"kind": "trap", "terms": ["Zorblax"]},
    "consistent": {"kind": "paraphrases", "key": "pair"},
}


def test_checks_need_neither_model_nor_key() -> None:
    """Each kind is built; no client of a provider is opened."""
    judging = judge_setup.build_judging(checked(**ALL_CHECKS), Meter())
    assert judging.tiers.pinned.keys() == {f"check.{name}" for name in ALL_CHECKS}
    assert isinstance(judging.client, NoClient)
    judge_setup.check(Config(judges=checked(**ALL_CHECKS)))


def test_the_command_line_needs_the_client_without_configured_rubrics() -> None:
    """A rubric of an option is judged although the configuration has checks only."""
    with pytest.raises(UserError, match="api_key: is missing"):
        judge_setup.client_settings(checked(**ALL_CHECKS))


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        ({"kind": "json_schema", "matches": {"type": 7}}, "not a JSON schema"),
        ({"kind": "json_schema", "matches": {"$ref": "http://x/y"}}, "http://x/y is not loaded"),
        ({"kind": "language", "languages": ["klingon"]}, "cannot recognise klingon"),
        ({"kind": "length"}, "needs a limit"),
        ({"kind": "length", "min_chars": 5, "max_chars": 4}, "no length is between"),
        ({"kind": "keywords"}, "needs required or forbidden"),
    ],
)
def test_a_check_that_cannot_work_is_named(check: dict[str, object], expected: str) -> None:
    """Before the role starts."""
    with pytest.raises(UserError, match=rf"judges\.checks\.mine: .*{expected}"):
        judge_setup.check(Config(judges=checked(mine=check)))

"""The section `judges`: what judging requires, and that its key is never shown."""

from __future__ import annotations

import json
from pathlib import Path

from monitor.config.load import load
from monitor.config.schema import describe
from monitor.config.sections.judging.budget import BudgetShares, ModelPrice
from monitor.config.sections.judging.client import JudgeClientConfig
from tests.monitor.config.config_files import JUDGE_KEY, PASSWORD, problems, write_config

ENABLED = """
judges:
  rubrics: [answer_quality]
  model: m
  prices: {m: {input: 1, output: 5}}
"""


def test_the_key_comes_from_the_environment_or_a_file_and_is_masked(tmp_path: Path) -> None:
    """The client gets the key; no output of the configuration shows it."""
    path = write_config(tmp_path, ENABLED)
    secret = tmp_path / "key"
    secret.write_text(PASSWORD + "\n", encoding="utf-8")
    for variables in ({JUDGE_KEY: PASSWORD}, {f"{JUDGE_KEY}__FILE": str(secret)}):
        config = load(path, variables)
        key = config.judges.client.api_key
        assert key is not None
        assert key.get_secret_value() == PASSWORD
        for shown in (repr(config), config.model_dump_json(), json.dumps(describe(config))):
            assert PASSWORD not in shown


def test_a_key_that_would_break_a_header_is_rejected(tmp_path: Path) -> None:
    """A line break in the key would begin another header; the error does not show it."""
    (line,) = problems(write_config(tmp_path, ENABLED), **{JUDGE_KEY: f"a\r\n{PASSWORD}"})
    assert "must be 1 to 1000 ASCII characters" in line
    assert PASSWORD not in line


def test_without_judging_nothing_is_required() -> None:
    """The defaults judge nothing, and need no model, price or key."""
    judges = load(None, {}).judges
    assert not judges.enabled
    assert judges.client.url == "https://api.anthropic.com"
    assert load(None, {}, secrets=False).judges.client.api_key is None


def test_a_key_is_needed_beyond_this_machine() -> None:
    """The provider's own URL needs a key, a loopback address does not."""
    assert JudgeClientConfig(provider="openai").needs_key
    assert not JudgeClientConfig(provider="compatible", base_url="http://[::1]:8000/v1").needs_key


def test_prices_of_the_cache_have_defaults_that_are_not_too_low() -> None:
    """Writing costs more than input, reading as much; given prices are used."""
    assert ModelPrice(input=4.0, output=20.0).by_kind() == (4.0, 20.0, 5.0, 8.0, 4.0)
    given = ModelPrice(input=4.0, output=20.0, cache_read=0.4)
    assert given.by_kind()[-1] == 0.4


def test_every_share_is_a_purpose() -> None:
    """The names of shares are the purposes of the budget, except live."""
    from judges.budget.caps import Purpose

    assert set(BudgetShares().by_purpose()) == {*map(str, Purpose)} - {"live"}


def test_checks_alone_enable_the_role(tmp_path: Path) -> None:
    """They need no model, price and key."""
    text = "judges: {checks: {short: {kind: length, max_chars: 100}}}"
    judges = load(write_config(tmp_path, text), {}).judges
    assert judges.enabled
    assert not judges.needs_judge


def test_checks_are_typed(tmp_path: Path) -> None:
    """An unknown kind, an unknown key, a missing key and a name that is no label are errors."""
    for check, expected in (
        ("{kind: lenght}", "checks.mine.kind: unknown name 'lenght'; did you mean 'length'"),
        ("{max_chars: 5}", "checks.mine.kind: is missing; it must be one of json_schema, "),
        ("{kind: length, max_char: 5}", "mine.max_char: unknown key; did you mean 'max_chars'"),
        ("{kind: length, terms: [a]}", "mine.terms: does not belong to this kind of check"),
        ("{kind: trap, terms: []}", "must list at least one"),
        ("{kind: json_schema}", "matches"),
        ("{kind: length, max_chars: -1}", "max_chars"),
    ):
        lines = problems(write_config(tmp_path, f"judges: {{checks: {{mine: {check}}}}}"))
        assert any(expected in line for line in lines), (check, lines)
    text = "judges: {checks: {'a b': {kind: length, max_chars: 5}}}"
    assert problems(write_config(tmp_path, text))

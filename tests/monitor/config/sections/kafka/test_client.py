"""Settings of librdkafka: which are secrets, and which Plumbline sets itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.config.load import load
from monitor.config.sections.kafka.client import LEAST_VALUES, OWNED_SETTINGS, is_secret
from tests.monitor.config.config_files import problems, write_config


@pytest.mark.parametrize(
    "setting",
    ["ssl.key.location", "sasl.username", "ssl.ca.pem", "sasl.oauthbearer.token.endpoint.url"],
)
def test_paths_and_names_are_not_secrets(setting: str) -> None:
    """Settings that only lead to a secret may be written in the file."""
    assert not is_secret(setting)


@pytest.mark.parametrize("setting", sorted(OWNED_SETTINGS))
def test_owned_setting_is_rejected(tmp_path: Path, setting: str) -> None:
    """Settings that Plumbline sets itself cannot be changed."""
    path = write_config(tmp_path, f"kafka: {{client: {{{setting}: x}}}}")
    assert problems(path) == [
        f"{path}:1: kafka.client.{setting}: is set by Plumbline and cannot be changed:"
        f" {OWNED_SETTINGS[setting]}"
    ]


@pytest.mark.parametrize("setting", sorted(LEAST_VALUES))
@pytest.mark.parametrize("quote", ["", "'"])
def test_limits_below_the_largest_message_are_rejected(
    tmp_path: Path, setting: str, quote: str
) -> None:
    """With a smaller limit no chunk could ever be produced."""
    least, reason = LEAST_VALUES[setting]
    path = write_config(tmp_path, f"kafka: {{client: {{{setting}: {quote}{least - 1}{quote}}}}}")
    (problem,) = problems(path)
    assert problem.startswith(f"{path}:1: kafka.client")
    assert problem.endswith(f"has {setting}: {least - 1}, which must be at least {least}: {reason}")
    load(write_config(tmp_path, f"kafka: {{client: {{{setting}: {least}}}}}"), {})

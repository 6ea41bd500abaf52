"""Secrets of the Kafka client: where they come from, and that they are never shown."""

from __future__ import annotations

import json
import pickle
import traceback
from pathlib import Path

import pytest
from pydantic import ValidationError

from monitor.config.draft import ConfigError
from monitor.config.load import load
from monitor.config.schema import Config, describe
from monitor.config.sections.kafka.section import KafkaConfig
from tests.monitor.config.config_files import (
    PASSWORD,
    USER_KEY,
    load_variables,
    problems,
    write_config,
)


def assert_hidden(config: Config) -> None:
    """Assert that the client gets the password, and that the configuration never shows it."""
    assert PASSWORD in config.kafka.client_settings().values()
    shown = [repr(config), str(config), f"{config.kafka.client}", str(config.model_dump())]
    shown += [config.model_dump_json(), json.dumps(describe(config))]
    assert not [text for text in shown if PASSWORD in text]
    assert "***" in describe(config)["kafka"]["client"].values()


@pytest.mark.parametrize("value", [PASSWORD, f"[{PASSWORD}", f"&{PASSWORD}: *x", "0123", "no", " "])
def test_secret_from_the_environment_is_not_parsed(value: str) -> None:
    """A password may look like YAML. Dots in the name of its setting are underscores."""
    config = load_variables(KAFKA__CLIENT__SASL_PASSWORD=value)
    assert config.kafka.client_settings() == {"sasl.password": value}
    assert describe(config)["kafka"]["client"] == {"sasl.password": "***"}


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    """Secrets from the environment or a file are masked in every output of the configuration."""
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD + "\n", encoding="utf-8")
    path = write_config(tmp_path, f"kafka: {{client: {{sasl.password: {{file: {secret}}}}}}}")
    assert_hidden(load_variables(KAFKA__CLIENT__SASL_PASSWORD=PASSWORD))
    assert_hidden(load(path, {}))
    assert_hidden(load_variables(KAFKA__CLIENT__SASL_PASSWORD__FILE=str(secret)))
    assert_hidden(Config(kafka=KafkaConfig(client={"ssl.key.password": PASSWORD})))
    assert_hidden(pickle.loads(pickle.dumps(load(path, {}))))


@pytest.mark.parametrize(
    ("content", "value"), [("a b\n", "a b"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a", " a")]
)
def test_last_line_break_of_a_secret_file_is_removed(
    tmp_path: Path, content: str, value: str
) -> None:
    """One line break at the end belongs to the file; all other characters belong to the secret."""
    secret = tmp_path / "secret"
    secret.write_bytes(content.encode())
    config = load_variables(KAFKA__CLIENT__CLIENT_ID__FILE=str(secret))
    assert config.kafka.client_settings() == {"client.id": value}
    assert describe(config)["kafka"]["client"] == {"client.id": "***"}


@pytest.mark.parametrize(
    ("content", "message"), [(b"\n", "is empty"), (b"\xff\xfe", "is not UTF-8 text")]
)
def test_secret_file_without_text_is_rejected(tmp_path: Path, content: bytes, message: str) -> None:
    """A secret file that is empty or binary is a problem of the key that names it."""
    secret = tmp_path / "secret"
    secret.write_bytes(content)
    name = "PLUMBLINE__KAFKA__CLIENT__SASL_PASSWORD__FILE"
    assert problems(None, **{name: str(secret)}) == [f"{name}: file {str(secret)!r} {message}"]


@pytest.mark.parametrize(
    "setting",
    [
        "sasl.password",
        "ssl.key.password",
        "ssl.keystore.password",
        "ssl.key.pem",
        "ssl_key",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.client.credentials.client.secret",
        "sasl.oauthbearer.assertion.private.key.pem",
        "sasl.oauthbearer.assertion.private.key.passphrase",
        "sasl.oauthbearer.config",
    ],
)
def test_literal_secret_in_the_file_is_rejected(tmp_path: Path, setting: str) -> None:
    """A secret in the file is rejected with its line and the two other ways to give it."""
    path = write_config(tmp_path, f"kafka:\n  client:\n    {setting}: {PASSWORD}\n")
    variable = f"PLUMBLINE__KAFKA__CLIENT__{setting.upper().replace('.', '_')}"
    assert problems(path) == [
        f"{path}:3: kafka.client.{setting}: is a secret and must not be written in this file;"
        f" give it in the environment as {variable}, or as {{file: PATH}}"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "sasl.password: {0}",
        "sasl.password: *{0}",
        "sasl.password: &{0} x",
        "sasl.password: !{0} x",
        "sasl.password: !{0}!x y",
        "sasl.password: '{0}",
        "sasl.password: [{0}]",
        "sasl.password: {{value: {0}}}",
        "sasl.password: {{file: x, {0}: y}}",
        "sasl: {{password: {0}}}",
        "sasl.password:{0}",
        "sasl.password:{0}: x",
        "SASL.PASSWORD: {0}",
        "'sasl.password={0}': [x]",
        "'sasl.password={0}': 1\n    'sasl.password={0}': 2",
    ],
)
def test_no_error_shows_a_value_of_the_client(tmp_path: Path, text: str) -> None:
    """Neither message nor traceback shows the value, however the client's settings are mistyped."""
    path = write_config(tmp_path, "kafka:\n  client:\n    " + text.format(PASSWORD) + "\nx: 1\n")
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    report = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert PASSWORD not in report


def test_error_of_pydantic_hides_its_input() -> None:
    """The error of pydantic, which load converts to ConfigError, does not show a secret either."""
    with pytest.raises(ValidationError) as caught:
        KafkaConfig.model_validate({"client": {"sasl.password": [PASSWORD]}})
    assert PASSWORD not in str(caught.value)


def test_secret_of_a_section_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    """The key of user ids is read from a variable or a file, is never shown, and is not empty."""
    file = tmp_path / "key"
    file.write_text(PASSWORD + "\n", encoding="utf-8")
    path = write_config(tmp_path, f"sampling: {{user_key: {{file: {file}}}}}")
    loaded = (
        load(path, {}),
        load_variables(SAMPLING__USER_KEY=PASSWORD),
        load_variables(SAMPLING__USER_KEY__FILE=str(file)),
    )
    for config in loaded:
        assert config.sampling.user_key is not None
        assert config.sampling.user_key.get_secret_value() == PASSWORD
        assert describe(config)["sampling"]["user_key"] == "***"
        assert PASSWORD not in repr(config) + str(config.model_dump()) + config.model_dump_json()
    assert problems(None, **{USER_KEY: " "}) == [f"{USER_KEY}: must not be empty"]


def test_secret_of_a_section_may_be_missing_where_it_is_not_used(tmp_path: Path) -> None:
    """A command that needs no secrets does not read the file of the key."""
    path = write_config(tmp_path, "sampling: {user_key: {file: /no/such/file}}")
    assert load(path, {}, secrets=False).sampling.user_key is not None
    with pytest.raises(ConfigError, match="cannot be read"):
        load(path, {})

"""Load configurations from test data, text and variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.config.draft import ConfigError
from monitor.config.load import load
from monitor.config.schema import Config

DATA = Path(__file__).parent / "data"
PASSWORD = "hunter2-Zq"
ROUTING_KEY = "PLUMBLINE__NOTIFICATIONS__TARGETS__PAGER__ROUTING_KEY"
FULL_FILE = DATA / "good_full.yaml"
USER_KEY = "PLUMBLINE__SAMPLING__USER_KEY"
JUDGE_KEY = "PLUMBLINE__JUDGES__CLIENT__API_KEY"
ACTIONS_SECRET = "PLUMBLINE__REPLAY__ACTIONS__SECRET"
STORE_PASSWORD = "PLUMBLINE__STORE__PASSWORD"
PROXY_SECRET = "PLUMBLINE__WEB__PROXY__SECRET"
REGISTRY_PASSWORD = "PLUMBLINE__KAFKA__SCHEMA_REGISTRY__PASSWORD"
FULL_SECRETS = dict.fromkeys(
    (
        ROUTING_KEY,
        USER_KEY,
        JUDGE_KEY,
        ACTIONS_SECRET,
        STORE_PASSWORD,
        PROXY_SECRET,
        REGISTRY_PASSWORD,
    ),
    "***",
)
"""Variables that good_full.yaml needs. Secrets are equal to their mask, so they read the same."""


def write_config(tmp_path: Path, text: str) -> Path:
    """Write a configuration file with this text."""
    path = tmp_path / "plumbline.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(path: Path | None, **environ: str) -> list[str]:
    """Return the lines of the error that loading raises."""
    with pytest.raises(ConfigError) as caught:
        load(path, environ)
    assert str(caught.value).splitlines() == [str(p) for p in caught.value.problems]
    return str(caught.value).splitlines()


def load_variables(**variables: str) -> Config:
    """Load the defaults with these variables, given without PLUMBLINE__."""
    return load(None, {f"PLUMBLINE__{name}": value for name, value in variables.items()})

"""The schema: immutable, closed, and with a description of every key."""

from __future__ import annotations

import json

import pytest
from pydantic import BaseModel, ValidationError

from monitor.config.keys import KNOWN_KEYS
from monitor.config.load import load
from monitor.config.schema import Config, schema


def test_configuration_cannot_be_changed() -> None:
    """A loaded configuration and its sections are immutable."""
    config = load(None, {})
    with pytest.raises(ValidationError):
        config.windows.records = 5
    with pytest.raises(ValidationError):
        config.format = "native"


def test_schema_is_closed_and_described() -> None:
    """Every object of the schema rejects unknown keys, and every key has a description."""
    whole = schema()
    json.dumps(whole)
    for part in (whole, *whole["$defs"].values()):
        assert part["additionalProperties"] is False
        for name, key in part["properties"].items():
            target = whole["$defs"].get(key.get("$ref", "").rpartition("/")[2], {})
            text = key.get("description") or target.get("description")
            assert text, name
            assert text.endswith("."), name


def test_every_field_has_a_description() -> None:
    """Every field of the configuration and of its sections has a description."""
    models = [Config, *(KNOWN_KEYS[key] for key in KNOWN_KEYS if len(key) == 1)]
    for model in models:
        if isinstance(model, type) and issubclass(model, BaseModel):
            for name, field in model.model_fields.items():
                assert field.description, name

"""Settings: the key stays secret, and is sent to safe places only."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field, SecretStr

from judges.client.schemas import supported_schema
from judges.client.settings import ClientSettings, same_origin


def test_the_key_is_in_no_representation() -> None:
    """Neither repr nor str shows the key."""
    settings = ClientSettings("https://api.example.com", SecretStr("sk-secret"))
    assert "sk-secret" not in repr(settings)
    assert "sk-secret" not in str(settings)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com",
        "https://api.example.com/base/",
        "http://127.0.0.1:8000/v1",
        "http://localhost:1234",
        "http://[::1]:80",
    ],
)
def test_safe_urls_are_accepted(url: str) -> None:
    """Encrypted ones, and those of this machine."""
    assert ClientSettings(url).base_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com",
        "ftp://localhost",
        "https://user:password@api.example.com",
        "https://api.example.com?key=1",
        "https://api.example.com#x",
        "https://",
        "https://api example.com",
        "https://api.example.com\n",
        "http://localhost.evil.com",
        "http://[::1",
        "https://host:0",
    ],
)
def test_unsafe_urls_are_refused(url: str) -> None:
    """The error repeats no part of the URL, which may contain a password."""
    with pytest.raises(ValueError, match=r"^base_url must") as caught:
        ClientSettings(url)
    assert "password@" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"concurrency": 0},
        {"retries": -1},
        {"timeout_seconds": 0.0},
        {"timeout_seconds": float("inf")},
        {"timeout_seconds": float("nan")},
        {"backoff_seconds": -1.0},
        {"backoff_seconds": float("nan")},
    ],
)
def test_limits_are_checked(changes: dict[str, Any]) -> None:
    """A limit that bounds nothing is an error."""
    with pytest.raises(ValueError, match="must"):
        ClientSettings("https://api.example.com", **changes)


def test_an_origin_is_scheme_host_and_port() -> None:
    """The default port counts; a prefix of a host does not."""
    assert same_origin("https://api.example.com:443/x", "https://api.example.com")
    assert not same_origin("https://api.example.com.evil.com", "https://api.example.com")
    assert not same_origin("http://api.example.com", "https://api.example.com")
    assert not same_origin("https://api.example.com:99999", "https://api.example.com")


class _Part(BaseModel):
    text: str = Field(min_length=1, max_length=50)


class _Whole(BaseModel, extra="forbid"):
    score: int = Field(ge=0, le=5, description="The score.")
    parts: list[_Part] = Field(max_length=3)
    note: str | None = None


def test_schemas_of_pydantic_become_supported_ones() -> None:
    """Ranges move into descriptions, objects are closed, and valid answers stay valid."""
    schema = supported_schema(_Whole.model_json_schema())
    text = json.dumps(schema)
    for keyword in ('"minimum"', '"maximum"', '"minLength"', '"maxItems"', '"default"'):
        assert keyword not in text
    assert schema["properties"]["score"]["description"] == "The score. (maximum: 5, minimum: 0)"
    assert schema["$defs"]["_Part"]["additionalProperties"] is False
    Draft202012Validator.check_schema(schema)
    answer = {"score": 4, "parts": [{"text": "a"}], "note": None}
    assert Draft202012Validator(schema).is_valid(answer)

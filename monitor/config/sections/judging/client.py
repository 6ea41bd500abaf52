"""The section `judges.client`: the provider of judges, and the limits of calls."""

from __future__ import annotations

from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from monitor.config.sections.base.fields import Positive, Secret
from monitor.config.sections.base.section import Section, invalid
from monitor.config.sections.notifications import check_token, check_url, is_loopback

_BASE_URLS: Final = {
    "anthropic": "https://api.anthropic.com",
    "openai": "https://api.openai.com/v1",
}


def _check_base_url(url: str) -> str:
    check_url(url)
    if "?" in url:
        raise invalid("must not contain a query")
    return url


class JudgeClientConfig(Section):
    """Provider of judges, and limits of its calls."""

    provider: Literal["anthropic", "openai", "compatible"] = Field(
        default="anthropic",
        description="Protocol: `anthropic` (Messages API), `openai`, or `compatible` for another"
        " endpoint with OpenAI's chat completions, such as vLLM or Ollama.",
    )
    base_url: Annotated[str, AfterValidator(_check_base_url)] | None = Field(
        default=None,
        description="Base URL of the API; required for `compatible`, such as"
        " http://127.0.0.1:8000/v1. https, except on this machine. Default: that of the provider.",
    )
    api_key: Annotated[Secret, AfterValidator(check_token)] | None = Field(
        default=None,
        description="Key, sent as `Authorization: Bearer`. A secret. Not required on this machine.",
    )
    concurrency: int = Field(
        default=32, ge=1, le=512, description="Highest number of requests at the same time."
    )
    timeout_seconds: Positive = Field(
        default=60.0,
        le=600,
        description="Deadline of a call, with its retries and the wait for a free request.",
    )
    retries: int = Field(
        default=2, ge=0, le=10, description="Highest number of retries of a request that failed."
    )
    backoff_seconds: Positive = Field(
        default=8.0,
        le=300,
        description="Longest pause before a retry, also if the provider requests a longer one.",
    )
    prompt_cache: Literal["none", "5m", "1h"] = Field(
        default="5m",
        description="How long the provider caches the instructions of a rubric: `none`, `5m` or"
        " `1h`. Only for `anthropic`; others cache by themselves.",
    )

    @field_validator("base_url")
    @classmethod
    def _check_given(cls, base_url: str | None, info: ValidationInfo) -> str | None:
        if base_url is None and info.data.get("provider") == "compatible":
            raise invalid(
                "is missing; give the URL of the endpoint, such as http://127.0.0.1:8000/v1",
                "judges.client.base_url",
            )
        return base_url

    @property
    def url(self) -> str:
        """The base URL: the given one, or that of the provider."""
        return self.base_url or _BASE_URLS[self.provider]

    @property
    def needs_key(self) -> bool:
        """Whether calls leave this machine, so that a key is required."""
        return not is_loopback(urlsplit(self.url).hostname)

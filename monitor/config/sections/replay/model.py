"""The sections `replay.model` and `replay.models`: how a model is reached or loaded."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from monitor.config.sections.base.fields import NonEmpty
from monitor.config.sections.base.section import Section, invalid

ENDPOINTS: Final = frozenset({"local-completions", "local-chat-completions"})
"""Kinds that send requests to an endpoint; the others load weights."""
_MAX_URL_CHARS = 2000


def _check_endpoint(url: str) -> str:
    """Check the URL of a serving endpoint; http is usual within a cluster."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or not url.isascii() or not url.isprintable() or " " in url:
        raise invalid("must be the URL of an endpoint, such as http://127.0.0.1:8000/v1")
    if parts.username is not None or parts.password is not None:
        raise invalid("must not contain a user or password; name a variable in api_key_env")
    if parts.query or parts.fragment or len(url) > _MAX_URL_CHARS:
        raise invalid("must have no query and no fragment, and at most 2000 characters")
    return url


def _check_variable(name: str) -> str:
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", name) is None:
        raise invalid("must be the name of an environment variable, such as OPENAI_API_KEY")
    return name


class ReplayModelConfig(Section):
    """The model that answers again: an endpoint, or weights that are loaded."""

    kind: Literal["local-completions", "local-chat-completions", "hf", "vllm"] = Field(
        default="local-chat-completions",
        description="Model of lm-eval: `local-chat-completions` or `local-completions`, an endpoint"
        " with OpenAI's API; `hf` or `vllm`, weights loaded by the worker.",
    )
    name: NonEmpty | None = Field(
        default=None,
        description="Name of the model in requests, or the path or id of weights. Default: the name"
        " of the drifted model.",
    )
    base_url: Annotated[str, AfterValidator(_check_endpoint)] | None = Field(
        default=None,
        description="URL of an endpoint, which requires it, such as http://127.0.0.1:8000/v1.",
    )
    revision: NonEmpty | None = Field(
        default=None, description="Revision of the weights of a `hf` model. Default: the main one."
    )
    device: NonEmpty | None = Field(
        default=None,
        description="Device of loaded weights: `cpu`, `cuda:0`, or `auto` to spread them. A GPU"
        " that is absent is an error. Default: the GPU that the run is given.",
    )
    dtype: NonEmpty | None = Field(
        default=None, description="Type of loaded weights, such as `bfloat16`."
    )
    batch_size: int = Field(
        default=8, ge=1, le=4096, description="Items in a batch. It is halved if memory runs out."
    )
    concurrency: int = Field(
        default=4,
        ge=1,
        le=256,
        description="Requests to the endpoint at the same time. The baseline is run with as many.",
    )
    api_key_env: Annotated[str, AfterValidator(_check_variable)] | None = Field(
        default=None,
        description="Name of the environment variable with the key of the endpoint. Default: no"
        " key. The key itself is never written down.",
    )
    max_new_tokens: int = Field(
        default=256, ge=1, le=32_768, description="Longest answer, in tokens."
    )
    gpus: int | None = Field(
        default=None,
        ge=0,
        le=64,
        description="GPUs that a run uses, which count for its slots and GPU-hours. Default: 0 for"
        " endpoints and for `device: cpu`, otherwise 1.",
    )

    @model_validator(mode="after")
    def _check_base_url(self) -> Self:
        if self.base_url is None and self.kind in ENDPOINTS:
            raise invalid(
                "has no base_url; give the URL of the endpoint, such as http://127.0.0.1:8000/v1"
            )
        return self

    @property
    def used_gpus(self) -> int:
        """Number of GPUs that a run uses."""
        if self.gpus is not None:
            return self.gpus
        return 0 if self.kind in ENDPOINTS or self.device == "cpu" else 1

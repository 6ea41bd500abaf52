"""Plan of a run: which model answers which tasks, and within which limits."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, get_args
from urllib.parse import urlsplit, urlunsplit

import msgspec
from msgspec.structs import replace

from monitor.errors import UserError

ModelKind = Literal["hf", "vllm", "local-completions", "local-chat-completions"]
MODEL_KINDS: Final[tuple[ModelKind, ...]] = get_args(ModelKind)
"""Models of lm-eval: weights through transformers or vLLM, or an OpenAI-compatible endpoint."""
ENDPOINT_PATHS: Final[dict[ModelKind, str]] = {
    "local-completions": "/completions",
    "local-chat-completions": "/chat/completions",
}


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The model that answers.

    name: directory of the weights, name on a hub, or the model's name at the endpoint.
    base_url: of an endpoint, such as "http://host:8000/v1"; without credentials.
    api_key_env: environment variable that holds the key; the key itself is never part of a plan.
    revision, dtype: of weights. device: such as "cpu" or "cuda:0"; "auto" spreads the weights
    over the GPUs there are.
    batch_size: of weights; halved when memory runs out. concurrency: of requests to an endpoint.
    max_new_tokens: longest response; None: as the task says.
    request_timeout_s, retries: of one request to an endpoint.
    tokenizer: directory of the tokenizer, for log probabilities from an endpoint without
    `/tokenize`.
    chat_template: applies the chat template of weights; endpoints for chat always do.
    options: further arguments of lm-eval's model, such as {"gpu_memory_utilization": 0.8}.
    """

    kind: ModelKind
    name: str
    base_url: str = ""
    revision: str = ""
    dtype: str = "auto"
    device: str = "cpu"
    batch_size: int = 8
    concurrency: int = 1
    api_key_env: str = ""
    max_new_tokens: int | None = None
    request_timeout_s: float = 60.0
    retries: int = 3
    tokenizer: str = ""
    chat_template: bool = False
    options: dict[str, str | int | float | bool] = {}

    @property
    def is_endpoint(self) -> bool:
        """Whether the model answers over HTTP."""
        return self.kind in ENDPOINT_PATHS

    @property
    def applies_chat_template(self) -> bool:
        """Whether prompts are sent as chat messages."""
        return self.kind == "local-chat-completions" or self.chat_template

    @property
    def url(self) -> str:
        """Address of requests: `base_url` with the path of the protocol."""
        path = ENDPOINT_PATHS[self.kind]
        base = self.base_url.rstrip("/")
        return base if base.endswith(path) else base + path

    @property
    def public_url(self) -> str:
        """The address without user, password and query, for results and logs."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path, "", ""))


class RunPlan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that a run depends on, except for the key of the endpoint.

    tasks: names of tasks, groups or suites (`replay.runner.suites`).
    include_paths: folders with task files. Their functions run: trusted folders only.
    cache_dir: keeps downloads and, with `cache`, answers. log_dir: folder of this run.
    metrics: metric that decides, by task, as lm-eval writes it: "exact_match" or, for one of
    several filters, "exact_match,strict-match"; else see `replay.runner.process.metric`.
    few_shot: examples in the prompt; None: as the task says.
    limit: number of items of each task, drawn by the seed. chunk_size: items of a chunk.
    deadline_s: of the whole run. silence_s: longest time without an answer.
    max_failed: share of items without a usable answer beyond which the run is an error.
    online: permits downloads of models and data. allow_code: permits tasks that run code which
    the model wrote. sandbox: command that runs the process isolated; such tasks require it.
    """

    model: ModelSpec
    tasks: tuple[str, ...]
    cache_dir: str
    log_dir: str
    include_paths: tuple[str, ...] = ()
    metrics: dict[str, str] = {}
    few_shot: int | None = None
    limit: int | None = None
    chunk_size: int = 50
    seed: int = 0
    deadline_s: float = 3600.0
    silence_s: float = 600.0
    max_failed: float = 0.05
    threads: int = 0
    cache: bool = False
    online: bool = False
    allow_code: bool = False
    sandbox: tuple[str, ...] = ()


def check_plan(plan: RunPlan) -> None:
    """Raise UserError if the plan contradicts itself."""
    model = plan.model
    if not plan.tasks:
        raise UserError("a run needs at least one task")
    if model.is_endpoint != bool(model.base_url):
        need = "needs base_url, the address of the endpoint" if model.is_endpoint else "has no URL"
        raise UserError(f"model {model.name}: kind {model.kind} {need}")
    if model.is_endpoint:
        _check_url(model)
    for field, value in _positive(plan).items():
        if value <= 0:
            raise UserError(f"{field} of a run must be above 0, and is {value:g}")
    if not 0 <= plan.max_failed < 1:
        raise UserError(f"max_failed of a run must be from 0 to below 1, and is {plan.max_failed}")


def absolute(plan: RunPlan) -> RunPlan:
    """Return the plan with absolute paths: the process has another working directory.

    The names of weights and of a tokenizer are paths if such a folder exists.
    """
    model = plan.model
    name = model.name if model.is_endpoint else _absolute_folder(model.name)
    return replace(
        plan,
        model=replace(model, name=name, tokenizer=_absolute_folder(model.tokenizer)),
        include_paths=tuple(str(Path(path).absolute()) for path in plan.include_paths),
        cache_dir=str(Path(plan.cache_dir).absolute()),
        log_dir=str(Path(plan.log_dir).absolute()),
    )


def _absolute_folder(name: str) -> str:
    return str(Path(name).absolute()) if name and Path(name).is_dir() else name


def _positive(plan: RunPlan) -> dict[str, float]:
    """Numbers of the plan that must be above 0."""
    model = plan.model
    numbers = {
        "chunk_size": plan.chunk_size,
        "deadline_s": plan.deadline_s,
        "silence_s": plan.silence_s,
        "batch_size": model.batch_size,
        "concurrency": model.concurrency,
        "request_timeout_s": model.request_timeout_s,
    }
    return numbers | ({} if plan.limit is None else {"limit": plan.limit})


def _check_url(model: ModelSpec) -> None:
    """Raise UserError for an address that is none, or that contains credentials."""
    parts = urlsplit(model.base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UserError(f"model {model.name}: base_url must begin with http:// or https://")
    if "@" in parts.netloc or parts.query:
        raise UserError(
            f"model {model.name}: base_url must not contain a user, a password or a query; "
            "name the environment variable of the key in api_key_env"
        )

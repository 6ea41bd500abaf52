"""Describe what scores depend on besides the model and the tasks."""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from replay.runner.chunk import RunEnvironment
from replay.runner.plan import RunPlan
from replay.runner.process.model import weights_hash


def describe(
    plan: RunPlan, model: Any, digests: Mapping[str, str], items: Mapping[str, int]
) -> RunEnvironment:
    """Return the environment of a run. digests, items: by task."""
    spec = plan.model
    return RunEnvironment(
        versions=_versions(),
        hardware=_hardware(),
        model=spec.name,
        kind=spec.kind,
        weights=weights_hash(spec) or _commit(model),
        endpoint=spec.public_url if spec.is_endpoint else "",
        chat_template=_template_hash(plan, model),
        device="" if spec.is_endpoint else spec.device,
        dtype="" if spec.is_endpoint else spec.dtype,
        batch_size=1 if spec.is_endpoint else spec.batch_size,
        concurrency=spec.concurrency if spec.is_endpoint else 0,
        few_shot=plan.few_shot,
        seed=plan.seed,
        task_digests=dict(digests),
        items=dict(items),
    )


def _versions() -> dict[str, str]:
    """Versions of the libraries that are loaded."""
    versions = {"python": platform.python_version()}
    for name, module in (
        ("lm-eval", "lm_eval"),
        ("torch", "torch"),
        ("transformers", "transformers"),
        ("vllm", "vllm"),
    ):
        if module in sys.modules:
            try:
                versions[name] = version(name)
            except PackageNotFoundError:
                versions[name] = "unknown"
    return versions


def _hardware() -> dict[str, str]:
    """Platform, CPU and, if torch is loaded, GPUs."""
    hardware = {"platform": f"{platform.system()} {platform.machine()}", "cpu": _cpu()}
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        hardware["gpu"] = ", ".join(names)
    return hardware


def _cpu(info: Path = Path("/proc/cpuinfo")) -> str:
    try:
        lines = info.read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or "unknown"


def _commit(model: Any) -> str:
    """The commit of weights that came from a hub."""
    config = getattr(getattr(model, "model", None), "config", None)
    return str(getattr(config, "_commit_hash", None) or "")


def _template_hash(plan: RunPlan, model: Any) -> str:
    """Hash of the chat template, if one is applied here; an endpoint applies its own."""
    if plan.model.is_endpoint or not plan.model.applies_chat_template:
        return ""
    template = str(model.chat_template(True) or "")
    return hashlib.sha256(template.encode()).hexdigest()[:16]

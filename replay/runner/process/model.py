"""Build the model of a plan once. Devices that are asked for must be there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from replay.results import RunError
from replay.runner.plan import ModelSpec

_WEIGHTS: Final = {".safetensors", ".bin", ".pt", ".pth", ".gguf", ".json", ".model", ".txt"}
_BLOCK: Final = 1 << 22


def build_model(spec: ModelSpec, generates: bool, answered: Callable[[], None]) -> Any:
    """Return lm-eval's model. answered: called after each answer or batch.

    generates: all tasks let the model write. Raises RunError: gpu_absent, out_of_memory, ...
    """
    if spec.is_endpoint:
        from replay.runner.process.endpoint import connect  # noqa: PLC0415 - not needed for weights

        return connect(spec, os.environ.get("OPENAI_API_KEY", ""), generates, answered)
    check_device(spec)
    return _transformers(spec, answered) if spec.kind == "hf" else _vllm(spec)


def check_device(spec: ModelSpec) -> None:
    """Raise RunError if a GPU is asked for and absent: lm-eval would use the CPU instead."""
    if spec.kind == "hf" and spec.device != "auto" and not spec.device.startswith("cuda"):
        return
    try:
        import torch  # noqa: PLC0415 - some gigabytes, only for weights
    except ImportError as error:
        raise RunError("failed", "weights need the extra replay-gpu: torch is absent") from error
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    number = spec.device.partition(":")[2]
    needed = int(number) + 1 if number.isdigit() else 1
    if count < needed:
        raise RunError("gpu_absent", f"device {spec.device}: this machine has {count} usable GPUs")


def _transformers(spec: ModelSpec, answered: Callable[[], None]) -> Any:
    """Return a model of transformers."""
    try:
        from lm_eval.models.huggingface import HFLM  # noqa: PLC0415 - imports torch
    except ImportError as error:
        raise RunError("failed", f"weights need the extra replay-gpu: {error}") from error

    options: dict[str, Any] = {"dtype": spec.dtype, "batch_size": spec.batch_size, **spec.options}
    if spec.revision:
        options["revision"] = spec.revision
    if spec.device == "auto":
        options["parallelize"] = True  # device_map=auto
    else:
        options["device"] = spec.device
    model: Any = HFLM(pretrained=spec.name, **options)
    for name in ("_model_call", "_model_generate"):
        setattr(model, name, _counted(getattr(model, name), answered))
    return model


def _counted(call: Callable[..., Any], answered: Callable[[], None]) -> Callable[..., Any]:
    """Return `call` with a call of `answered` after it."""

    def counted(*args: Any, **kwargs: Any) -> Any:
        result = call(*args, **kwargs)
        answered()
        return result

    return counted


def vllm_options(spec: ModelSpec) -> dict[str, Any]:
    """Return the arguments of lm-eval's model for vLLM."""
    options: dict[str, Any] = {
        "pretrained": spec.name,
        "dtype": spec.dtype,
        "batch_size": spec.batch_size,
        **spec.options,
    }
    return options | ({"revision": spec.revision} if spec.revision else {})


def _vllm(spec: ModelSpec) -> Any:
    from lm_eval.models.vllm_causallms import VLLM  # noqa: PLC0415 - imports torch and vLLM

    return VLLM(**vllm_options(spec))


def weights_hash(spec: ModelSpec) -> str:
    """Return a hash of the files of local weights, else an empty text.

    lm-eval's model_sha is empty for a directory.
    """
    folder = Path(spec.name)
    if spec.is_endpoint or not folder.is_dir():
        return ""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix in _WEIGHTS):
        digest.update(str(path.relative_to(folder)).encode())
        digest.update(_file_digest(path))
    return digest.hexdigest()[:16]


def _file_digest(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.digest()

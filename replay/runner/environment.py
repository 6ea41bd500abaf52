"""Environment variables of the process that runs lm-eval: only what it needs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from replay.runner.endpoint import api_key
from replay.runner.plan import RunPlan

_PASSED: Final = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "CUDA_HOME",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SYSTEMROOT",
    "COVERAGE_PROCESS_CONFIG",
    "COVERAGE_PROCESS_START",
)
_ONLINE: Final = ("HF_TOKEN", "HF_ENDPOINT")


def process_environment(plan: RunPlan) -> dict[str, str]:
    """Return the variables of the process. The key of the endpoint is the only secret.

    Downloads are off unless the plan permits them. Caches and temporary files are in the folders
    of the plan. `threads` limits the numeric libraries; 0 leaves them as they are.
    """
    log_dir, cache_dir = Path(plan.log_dir).absolute(), Path(plan.cache_dir).absolute()
    variables = {name: os.environ[name] for name in _PASSED if name in os.environ}
    variables |= {
        "HOME": str(log_dir),
        "TMPDIR": str(log_dir / "tmp"),
        "HF_HOME": str(cache_dir / "huggingface"),
        "LM_HARNESS_CACHE_PATH": str(log_dir / "lm-eval"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TQDM_DISABLE": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if plan.online:
        variables |= {name: os.environ[name] for name in _ONLINE if name in os.environ}
    else:
        variables |= dict.fromkeys(
            ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"), "1"
        )
    if plan.threads:
        limits = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        variables |= dict.fromkeys(limits, str(plan.threads))
    if plan.allow_code:
        variables["HF_ALLOW_CODE_EVAL"] = "1"
    if plan.model.is_endpoint and (key := api_key(plan.model)):
        variables["OPENAI_API_KEY"] = key
    return variables


def make_folders(plan: RunPlan) -> None:
    """Make the folders that the variables name."""
    for folder in (Path(plan.log_dir) / "tmp", Path(plan.log_dir) / "lm-eval"):
        folder.mkdir(parents=True, exist_ok=True)
    (Path(plan.cache_dir) / "huggingface").mkdir(parents=True, exist_ok=True)

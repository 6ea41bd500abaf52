"""Plans, suites, checkpoints, the environment of the process, and kills for memory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from monitor.errors import UserError
from replay.runner.checkpoints import checkpoint_models, find_checkpoints
from replay.runner.environment import process_environment
from replay.runner.plan import ModelSpec, absolute, check_plan
from replay.runner.process.model import vllm_options, weights_hash
from replay.runner.reasons import MemoryKills
from replay.runner.suites import STANDARD, check_code, expand
from tests.replay.runner.toy import plan

URL = "http://127.0.0.1:9/v1"


def test_suites_are_replaced_by_their_tasks() -> None:
    """The order is kept, duplicates go, other names stay; lm-eval has all of the tasks."""
    import lm_eval.tasks

    assert expand(("mine", "core", "gsm8k", "instructions")) == (
        *("mine", "mmlu", "hellaswag", "arc_challenge", "truthfulqa_mc2", "winogrande", "gsm8k"),
        "ifeval",
    )
    folder = Path(lm_eval.tasks.__file__).parent
    families = ("mmlu/default", "hellaswag", "arc", "truthfulqa", "winogrande", "gsm8k", "bbq")
    paths = [str(folder / family) for family in (*families, "humaneval", "ifeval")]
    known = lm_eval.tasks.TaskManager(include_path=paths, include_defaults=False).all_tasks
    assert set(known) >= STANDARD


def test_code_of_a_model_needs_consent_and_a_sandbox() -> None:
    """Either alone is not enough, also if the suite is named."""
    for allowed, sandbox in ((False, ()), (True, ()), (False, ("bwrap",))):
        with pytest.raises(UserError, match="sandbox"):
            check_code(("sums", "code"), allowed, sandbox)
    check_code(("code",), True, ("bwrap",))
    check_code(("core",), False, ())


def test_the_process_gets_few_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No secret but the key of the endpoint; no downloads; caches in the folders of the plan."""
    monkeypatch.setenv("OTHER_SECRET", "s3cret")
    monkeypatch.setenv("HF_TOKEN", "hf_s3cret")
    monkeypatch.setenv("TOY_KEY", "sk-1")
    variables = process_environment(plan(tmp_path, URL, model={"api_key_env": "TOY_KEY"}))
    assert "s3cret" not in str(variables)
    assert variables["OPENAI_API_KEY"] == "sk-1"
    assert variables["HF_HUB_OFFLINE"] == variables["HF_DATASETS_OFFLINE"] == "1"
    assert variables["HF_HOME"].startswith(str(tmp_path / "cache"))
    assert variables["LM_HARNESS_CACHE_PATH"].startswith(str(tmp_path / "run"))
    assert variables["OMP_NUM_THREADS"] == "1"
    online = process_environment(plan(tmp_path, URL, online=True))
    assert online["HF_TOKEN"] == "hf_s3cret"
    assert not {"HF_HUB_OFFLINE", "OPENAI_API_KEY", "HF_ALLOW_CODE_EVAL"} & online.keys()


def test_addresses_in_results_have_no_credentials() -> None:
    """User, password and query are removed; the path is that of the protocol."""
    spec = ModelSpec(kind="local-completions", name="m", base_url="https://u:p@host:8/v1?key=1")
    assert "p@" not in spec.public_url
    assert spec.public_url.startswith("https://host:8/v1")
    whole = ModelSpec(kind="local-completions", name="m", base_url="http://h/v1/completions/")
    assert whole.url == "http://h/v1/completions"


@pytest.mark.parametrize(
    "changes",
    [
        {"tasks": ()},
        {"chunk_size": 0},
        {"deadline_s": 0},
        {"limit": 0},
        {"max_failed": 1.0},
        {"model": {"concurrency": 0}},
        {"model": {"base_url": "ftp://host"}},
        {"model": {"base_url": ""}},
        {"model": {"base_url": "http://user:secret@host/v1"}},
        {"model": {"base_url": "http://host/v1?key=secret"}},
        {"model": {"kind": "hf"}},
    ],
)
def test_contradictions_are_errors_of_the_user(tmp_path: Path, changes: dict[str, object]) -> None:
    """Each is one line that does not repeat a secret."""
    with pytest.raises(UserError) as caught:
        check_plan(plan(tmp_path, URL, **changes))  # type: ignore[arg-type] # of any kind
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def write_checkpoint(folder: Path, weights: bytes = b"w") -> None:
    """Write files that look like a checkpoint."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(weights)


def test_checkpoints_are_found_in_order(tmp_path: Path) -> None:
    """By number, not by text; folders without weights and hidden ones are no checkpoints."""
    for name in ("checkpoint-1000", "checkpoint-900", "final", ".cache/x"):
        write_checkpoint(tmp_path / name)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "config.json").write_text("{}")
    found = find_checkpoints(tmp_path)
    assert [path.name for path in found] == ["checkpoint-900", "checkpoint-1000", "final"]
    models = checkpoint_models(ModelSpec(kind="hf", name="base", dtype="bfloat16"), tmp_path)
    assert [model.name for model in models] == [str(path) for path in found]
    assert {model.dtype for model in models} == {"bfloat16"}
    for bad in (tmp_path / "logs", tmp_path / "none"):
        with pytest.raises(UserError, match=str(bad)):
            find_checkpoints(bad)
    with pytest.raises(UserError, match="endpoint"):
        checkpoint_models(ModelSpec(kind="local-completions", name="m", base_url=URL), tmp_path)


def test_weights_have_a_hash(tmp_path: Path) -> None:
    """It changes with the weights and the configuration, and not with other files."""
    write_checkpoint(tmp_path / "a")
    write_checkpoint(tmp_path / "b")
    write_checkpoint(tmp_path / "c", b"v")
    (tmp_path / "b" / "notes.md").write_text("x")
    hashes = [weights_hash(ModelSpec(kind="hf", name=str(tmp_path / n))) for n in "abc"]
    assert hashes[0] == hashes[1] != hashes[2]
    (tmp_path / "b" / "config.json").write_text('{"a": 1}')
    assert weights_hash(ModelSpec(kind="hf", name=str(tmp_path / "b"))) != hashes[0]
    assert weights_hash(ModelSpec(kind="hf", name="gpt2-of-a-hub")) == ""


def test_arguments_of_vllm() -> None:
    """Options of the plan come last; a revision is passed only if there is one."""
    spec = ModelSpec(kind="vllm", name="m", revision="r1", options={"tensor_parallel_size": 2})
    assert vllm_options(spec) == {
        "pretrained": "m",
        "dtype": "auto",
        "batch_size": 8,
        "tensor_parallel_size": 2,
        "revision": "r1",
    }


def test_kills_for_memory_are_counted(tmp_path: Path) -> None:
    """Only those since the start count; without control groups nothing is known."""
    events = tmp_path / "memory.events"
    events.write_text("low 0\nhigh 3\nmax 9\noom 2\noom_kill 2\n")
    kills = MemoryKills(events)
    assert not kills.happened()
    events.write_text("low 0\nhigh 3\nmax 12\noom 3\noom_kill 3\n")
    assert kills.happened()
    assert not MemoryKills(tmp_path / "none").happened()
    assert not MemoryKills().happened()
    assert os.sep in str(MemoryKills()._events)


def test_names_of_weights_are_paths_where_there_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name of a hub stays as it is, and so does that of a model behind an endpoint."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "toy").mkdir(parents=True)

    def names(kind: str, name: str) -> tuple[str, str]:
        changed = {"kind": kind, "name": name, "tokenizer": name}
        model = absolute(plan(tmp_path, URL, model=changed)).model
        return model.name, model.tokenizer

    folder = str(tmp_path / "models" / "toy")
    assert names("hf", "models/toy") == (folder, folder)
    assert names("hf", "models/hub") == ("models/hub", "models/hub")
    assert names("local-completions", "models/toy") == ("models/toy", folder)

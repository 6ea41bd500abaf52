"""Loading: defaults, files, and variables that override them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from monitor.config.load import load
from monitor.config.schema import describe
from monitor.config.sections.detection import (
    DetectorName,
    FileReference,
    NamedReference,
    WarmupReference,
)
from tests.monitor.config.config_files import DATA, FULL_FILE, FULL_SECRETS, problems

GOOD = sorted(DATA.glob("good_*.yaml"))
BAD = sorted(DATA.glob("bad_*.yaml"))


def merged(below: Any, above: Any) -> Any:
    """Return a mapping overridden by another one, at every depth."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return below | {key: merged(below.get(key), value) for key, value in above.items()}


def test_defaults_need_no_file() -> None:
    """Without a file and without variables, the documented defaults apply."""
    assert describe(load(None, {"PATH": "/bin", "PLUMBLINE_HOME": "/x"})) == {
        "kafka": {
            "bootstrap_servers": "localhost:9092",
            "logs": ["inference-logs"],
            "feedback": "inference-feedback",
            "prefix": "plumbline",
            "partitions": 6,
            "group_protocol": "classic",
            "instance": None,
            "schema_registry": None,
            "client": {},
        },
        "format": "auto",
        "feedback": None,
        "decoding": {
            "model": "requested",
            "duplicates": "ignore",
            "join_seconds": 900,
            "fold_model": None,
        },
        "features": {"metadata": {}, "refusal_patterns": []},
        "limits": {"models": 500, "scores": 50, "categories": 1000, "segments": 20},
        "windows": {"records": 1000, "stride": 100},
        "reference": {"source": "warmup", "records": 50000},
        "detectors": ["psi", "ks", "zscore", "chi2", "e_detector", "adwin", "page_hinkley"],
        "alarms": {
            "false_pages": 1.0,
            "per_days": 30.0,
            "advisory": ["adwin"],
            "weights": {"e_detector": 20.0},
            "min_psi": 0.1,
            "critical_psi": 0.25,
            "min_rate_factor": 2.0,
            "min_rate_change": 0.005,
        },
        "segments": [],
        "sampling": {
            "rate": 0.01,
            "models": {},
            "segments": {},
            "experiments": {},
            "boost": {
                "errors": 0.05,
                "refusals": 0.05,
                "open_alarms": 0.05,
                "negative_feedback": {"rate": 0.05, "below": 0.0},
                "disagreement": {"rate": 0.05, "scores": [], "difference": 1.0},
            },
            "max_bytes": 100_000,
            "redact": True,
            "redact_patterns": {},
            "user_key": None,
        },
        "style": {"enabled": True},
        "judges": {
            "rubrics": [],
            "ragas": [],
            "checks": {},
            "kpis": {},
            "model": None,
            "critical_model": None,
            "panel": {"models": [], "share": 0.1},
            "client": {
                "provider": "anthropic",
                "base_url": None,
                "api_key": None,
                "concurrency": 32,
                "timeout_seconds": 60.0,
                "retries": 2,
                "backoff_seconds": 8.0,
                "prompt_cache": "5m",
            },
            "prices": {},
            "budget": {
                "usd_per_day": 20.0,
                "usd_per_month": None,
                "shares": {
                    "critical": 0.1,
                    "boosted": 0.1,
                    "golden": 0.05,
                    "canary": 0.02,
                    "batch": 0.1,
                    "command_line": 0.1,
                    "generation": 0.04,
                    "replay": 0.04,
                },
            },
            "golden": {"path": None, "every_hours": 24.0},
            "canaries": {"attacks": 0, "every_hours": 24.0},
            "windows": {"records": 200, "stride": 20},
            "reference": {"records": 2000},
        },
        "experiments": {},
        "replay": {
            "model": None,
            "models": {},
            "baseline_model": None,
            "tasks": [],
            "include_paths": [],
            "few_shot": None,
            "limit": None,
            "items": {
                "baseline": 400,
                "least": 50,
                "drifted": 50,
                "scoring": "auto",
            },
            "rubric": None,
            "on": {"severity": "critical", "models": [], "features": []},
            "schedule": {"every_hours": None},
            "cooldown_minutes": 60.0,
            "deadline_minutes": 60.0,
            "margin": 0.05,
            "alpha": 0.05,
            "chunk_size": 25,
            "workers": 1,
            "directory": None,
            "online": False,
            "allow_code": False,
            "sandbox": [],
            "budget": {"gpu_hours_per_day": None, "gpus_per_host": 1},
            "actions": {"secret": None, "promote": None, "roll_back": None, "retrain": None},
        },
        "store": {"url": "sqlite:///plumbline.db", "password": None},
        "state": {"checkpoint_seconds": 5.0, "unusable": "earliest"},
        "notifications": {
            "dashboard_url": None,
            "runbooks_url": None,
            "experiment_url": None,
            "replay_url": None,
            "targets": {},
        },
        "http": {"host": "127.0.0.1", "port": 9464},
        "web": {
            "enabled": False,
            "host": "127.0.0.1",
            "port": 9465,
            "allowed_hosts": [],
            "sign_in": "local",
            "evaluation_sets": None,
            "proxy": None,
            "queues": {},
        },
        "log": {"level": "info", "format": "auto"},
    }


def test_default_detectors_are_all_of_them() -> None:
    """By default all detectors run, in the order of DetectorName."""
    assert load(None, {}).detectors == get_args(DetectorName)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_good_file_sets_each_of_its_keys(path: Path) -> None:
    """Each key of a valid file is in the configuration with the given value."""
    given_keys = yaml.safe_load(path.read_text(encoding="utf-8"))
    described = describe(load(path, FULL_SECRETS if path == FULL_FILE else {}))
    assert merged(described, given_keys) == described


def test_full_file_changes_every_key() -> None:
    """good_full.yaml sets every key to a value that is not its default, so each key is tested."""
    full, default = describe(load(FULL_FILE, FULL_SECRETS)), describe(load(None, {}))
    for section, value in default.items():
        for key in value if isinstance(value, dict) and section != "reference" else ():
            assert full[section][key] != value[key], f"{section}.{key}"


def test_reference_has_the_type_of_its_source() -> None:
    """Each source has its own type, and warmup is the default source."""
    assert load(DATA / "good_file_reference.yaml", {}).reference == FileReference(
        source="file", path=Path("baselines/march.jsonl")
    )
    assert isinstance(load(DATA / "good_named_reference.yaml", {}).reference, NamedReference)
    assert load(DATA / "good_reference_without_source.yaml", {}).reference == WarmupReference(
        records=10000
    )


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_file_is_rejected_line_by_line(path: Path) -> None:
    """An invalid file gives exactly the problems in its `#!` comments, in order of lines."""
    expected = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if "#! " in line:
            expected.append(f"{path}:{number}: {line.split('#! ')[1]}")
    assert problems(path) == expected


def test_problems_of_file_and_environment_are_reported_together() -> None:
    """Problems of the file come first, by line, followed by those of the environment."""
    path = DATA / "bad_many.yaml"
    found = problems(path, PLUMBLINE__HTTP__HOTS="x", PLUMBLINE__ALARMS__MIN_PSI="low")
    assert len(found) == len(problems(path)) + 2
    assert found[:-2] == problems(path)
    assert found[-2:] == [
        "PLUMBLINE__HTTP__HOTS: unknown key; did you mean 'PLUMBLINE__HTTP__HOST'?",
        "PLUMBLINE__ALARMS__MIN_PSI: must be a number",
    ]


def test_environment_overrides_the_file() -> None:
    """A variable, in upper or lower case, overrides its key only."""
    config = load(
        FULL_FILE,
        FULL_SECRETS | {"PLUMBLINE__WINDOWS__STRIDE": "200", "plumbline__kafka__Partitions": "3"},
    )
    assert (config.windows.records, config.windows.stride) == (2000, 200)
    assert (config.kafka.partitions, config.kafka.feedback) == (3, "thumbs")


def test_problem_of_an_overridden_list_is_located_at_the_variable() -> None:
    """A problem in a list from the environment is not located at the file's list."""
    found = problems(FULL_FILE, **FULL_SECRETS, PLUMBLINE__DETECTORS="[ks, x]")
    assert [line.split(":")[0] for line in found] == ["PLUMBLINE__DETECTORS"]

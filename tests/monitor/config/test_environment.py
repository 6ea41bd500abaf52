"""Variables: values by the type of their key, unknown names, and invalid values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from monitor.config.keys import KNOWN_KEYS
from monitor.config.load import load
from monitor.config.schema import describe
from monitor.config.sections.detection import FileReference
from tests.monitor.config.config_files import (
    FULL_FILE,
    FULL_SECRETS,
    PASSWORD,
    load_variables,
    problems,
    write_config,
)


def test_values_have_the_type_of_their_key() -> None:
    """Numbers, lists and mappings are parsed as YAML, and text is used as it is."""
    config = load_variables(
        KAFKA__BOOTSTRAP_SERVERS="broker:9092",
        KAFKA__PREFIX="2025",
        KAFKA__LOGS="[a, b]",
        ALARMS__FALSE_PAGES="0.5",
        ALARMS__WEIGHTS__KS="2.5",
        DETECTORS="[ks]",
        SEGMENTS="[]",
        HTTP="{port: 0}",
        HTTP__HOST="::",
        LOG__LEVEL="error",
        FEATURES__METADATA__ROUTE="categorical",
        REFERENCE__SOURCE="file",
        REFERENCE__PATH="1.jsonl",
    )
    assert config.kafka.prefix == "2025"
    assert config.kafka.logs == ("a", "b")
    assert config.alarms.false_pages == 0.5
    assert config.alarms.weights["ks"] == 2.5
    assert config.detectors == ("ks",)
    assert (config.http.port, config.http.host) == (0, "::")
    assert config.log.level == "error"
    assert config.features.metadata == {"route": "categorical"}
    assert config.reference == FileReference(source="file", path=Path("1.jsonl"))


def test_every_key_can_be_set_by_a_variable() -> None:
    """The value of each key, given as a variable, results in the same configuration."""
    config = load(FULL_FILE, FULL_SECRETS)
    described = describe(config)
    environ = {}
    for key in (key for key in KNOWN_KEYS if len(key) == 2 and key[0] != "reference"):
        value = described[str(key[0])][key[1]]
        text = value if isinstance(value, str) else json.dumps(value)
        environ["PLUMBLINE__" + "__".join(map(str, key)).upper()] = text
    for name in ("format", "detectors", "segments", "reference", "experiments"):
        value = described[name]
        text = value if isinstance(value, str) else json.dumps(value)
        environ[f"PLUMBLINE__{name.upper()}"] = text
    assert load(None, environ) == config


EXPERIMENT = "{variants: {control: 1, treatment: 1}, goal: error}"


def test_keys_of_experiments_can_be_set_by_variables(tmp_path: Path) -> None:
    """A variable sets a key of a new experiment, or of one of the file with a similar name."""
    path = write_config(tmp_path, f"experiments: {{New-prompt.v2: {EXPERIMENT}}}")
    variables = {
        "NEW_PROMPT_V2__COVERAGE": "0.5",
        "NEW_PROMPT_V2__NAMESPACE__NAME": "ui",
        "NEW_PROMPT_V2__NAMESPACE__RANGE": "[0, 0.5]",
        "NEW_PROMPT_V2__GOAL": "latency_ms.p95",
        "OTHER__VARIANTS": "{a: 1, b: 1}",
        "OTHER__GOAL": "{metric: error, mde: 0.2}",
        "OTHER__SECONDARY": "[refusal]",
        "OTHER__START": "2026-11-01T00:00:00Z",
    }
    environ = {f"PLUMBLINE__EXPERIMENTS__{name}": text for name, text in variables.items()}
    experiments = load(path, environ).experiments
    assert [*experiments] == ["New-prompt.v2", "other"]
    first, other = experiments.values()
    assert (first.coverage, first.goal.metric) == (0.5, "latency_ms.p95")
    assert first.namespace is not None
    assert first.namespace.range == (0, 0.5)
    assert (other.goal.mde, other.secondary[0].metric) == (0.2, "refusal")
    assert other.start == 1793491200


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("X__COVERAG", "1", "unknown key"),
        ("X", "{}", "unknown key"),
        ("X__GOAL__MDE", "1", "unknown key"),
        ("X__GOAL", "latency", "unknown metric 'latency'; did you mean 'latency_ms'?"),
        ("X__COVERAGE", "2", "must be at most 1.0"),
    ],
)  # fmt: skip
def test_invalid_variable_of_an_experiment_is_rejected(
    tmp_path: Path, name: str, value: str, message: str
) -> None:
    """A variable that sets no key of an experiment, or an invalid value, is the place."""
    path = write_config(tmp_path, f"experiments: {{x: {EXPERIMENT}}}")
    [problem] = problems(path, **{f"PLUMBLINE__EXPERIMENTS__{name}": value})
    assert problem.startswith(f"PLUMBLINE__EXPERIMENTS__{name}: {message}")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("WINDOWS__STRID", "unknown key; did you mean 'PLUMBLINE__WINDOWS__STRIDE'?"),
        ("WINDOWS__STRIDE__X", "unknown key; did you mean 'PLUMBLINE__WINDOWS__STRIDE'?"),
        ("", "unknown key"),
        ("ALARMS__WEIGHTS__", "unknown key; did you mean 'PLUMBLINE__ALARMS__WEIGHTS'?"),
        ("FEATURES__METADATA__", "unknown key; did you mean 'PLUMBLINE__FEATURES__METADATA'?"),
        (
            "KAFKA__CLIENT__SASL__PASSWORD",
            "unknown key; write each dot of a client setting as one underscore",
        ),
    ],
)
def test_unknown_variable_is_rejected(name: str, message: str) -> None:
    """A variable that sets no key is rejected like an unknown key."""
    assert problems(None, **{f"PLUMBLINE__{name}": PASSWORD}) == [f"PLUMBLINE__{name}: {message}"]


@given(st.text(st.characters(categories=["L", "N"]) | st.just("_"), max_size=30))
def test_any_unknown_variable_is_rejected(name: str) -> None:
    """A variable that sets no key is reported by its name, whatever it is."""
    key = tuple(name.lower().split("__"))
    assume(key not in KNOWN_KEYS and key[:2] not in {("kafka", "client"), ("features", "metadata")})
    variable = f"PLUMBLINE__{name}"
    assert problems(None, **{variable: "1"})[0].startswith(f"{variable}: ")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("WINDOWS__STRIDE", "abc", "must be a whole number"),
        ("WINDOWS__STRIDE", "", "has no value; give it one or remove the key"),
        ("WINDOWS__RECORDS", "10000", "50000 records of reference are too few; at least 100000 are"
         " required, 10 times windows.records"),
        ("WINDOWS", "{stride: 100, stride: 50}", "stride: is given twice"),
        ("WINDOWS", "{stride: 1}", "windows.stride: must be at least 10"),
        ("DETECTORS", "[psi, kss]", "detectors[1]: unknown name 'kss'; did you mean 'ks'?"),
        ("DETECTORS", "psi", "must be a list"),
        ("DETECTORS", "[psi", "is not YAML: expected ',' or ']', but got '<stream end>'"),
        ("ALARMS__WEIGHTS", "{psi: 0}", "alarms.weights.psi: must be more than 0"),
        ("ALARMS__WEIGHTS", "{psy: 2}", "alarms.weights.psy: unknown name 'psy'; did you mean"
         " 'psi'?"),
        ("ALARMS__ADVISORY", "[e_detectr]", "alarms.advisory[0]: unknown name 'e_detectr'; did you"
         " mean 'e_detector'?"),
        ("DETECTORS", "[adwin]", "all detectors are advisory, so no alarm can open; remove one from"
         " alarms.advisory"),
        ("ALARMS__WEIGHTS", "[psi]", "must be a mapping of keys to values"),
        ("LOG__LEVEL", "loud", "unknown name 'loud', must be one of debug, info, warning, error"),
        ("REFERENCE__SOURCE", "file", "reference.path: is missing"),
        ("REFERENCE__PATH", "x", "does not belong to this kind of reference"),
        ("KAFKA__CLIENT__GROUP_ID", "x", "is set by Plumbline and cannot be changed: consumer"
         " groups are named after kafka.prefix"),
    ],
)  # fmt: skip
def test_invalid_variable_is_rejected(name: str, value: str, message: str) -> None:
    """A variable with an invalid value is reported as the place of the problem."""
    assert problems(None, **{f"PLUMBLINE__{name}": value}) == [f"PLUMBLINE__{name}: {message}"]


def test_two_variables_for_one_key_are_rejected() -> None:
    """Two spellings of one variable are a problem: neither overrides the other silently."""
    assert problems(None, PLUMBLINE__HTTP__PORT="1", plumbline__http__port="2") == [
        "plumbline__http__port: sets the same key as PLUMBLINE__HTTP__PORT"
    ]

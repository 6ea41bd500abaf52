"""Tests of `plumbline config`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.monitor.cli.command_line import error, one_line_error, read_json, run


def test_all_errors_of_a_configuration_are_printed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, log: Path
) -> None:
    """Every command that loads an invalid configuration prints all errors, one per line."""
    invalid = tmp_path / "invalid.yaml"
    invalid.write_text("windos: {records: 5}\nalarms: {false_pages: -1}\n")
    for words in (["config", "check"], ["run"], ["backtest", log]):
        lines = error(capsys, *words, "-c", invalid).splitlines()
        assert len(lines) == 2
        assert any("windos" in line for line in lines)
        assert any("false_pages" in line for line in lines)


def test_missing_configuration_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """A configuration file that does not exist is named in an error."""
    assert "none.yaml" in one_line_error(capsys, "config", "check", "-c", "none.yaml")


def test_check_of_a_valid_configuration(capsys: pytest.CaptureFixture[str], config: Path) -> None:
    """A valid configuration has no errors; --json prints the settings in effect."""
    assert run("config", "check", "-c", config) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{config}: no errors"
    assert lines[1] == "budget: 1 false page per model in 30 days without a change"
    assert read_json(capsys, "config", "check", "-c", config, "--json")["windows"] == {
        "records": 200,
        "stride": 20,
    }
    assert run("config", "check") == 0
    assert capsys.readouterr().out.startswith("the defaults: no errors\n")


def test_check_prints_a_forecast(capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON output contains the numbers of the text."""
    (model,) = read_json(capsys, "config", "check", "--json")["outlook"]["models"]
    assert sum(part["share"] for part in model["parts"]) == pytest.approx(1)
    feature = model["features"][0]
    assert run("config", "check") == 0
    start = f"{feature['name']}: a shift of 0.2 sd"
    (line,) = [line for line in capsys.readouterr().out.splitlines() if start in line]
    assert f"detected after about {feature['delays'][0]['seen']:,} records" in line


def test_plumbline_yaml_is_the_default(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Without -c, plumbline.yaml in the working directory is loaded."""
    (tmp_path / "plumbline.yaml").write_text("alarms: {min_psi: 0.2}\n")
    found = read_json(capsys, "config", "check", "--json")
    assert found["alarms"]["min_psi"] == 0.2
    assert run("config", "check") == 0
    assert capsys.readouterr().out.startswith("plumbline.yaml: ")


def test_secrets_are_masked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settings in effect are printed without the values of secrets."""
    monkeypatch.setenv("PLUMBLINE__KAFKA__CLIENT__SASL_PASSWORD", "hunter2-Zq")
    assert run("config", "check", "--json") == 0
    text = capsys.readouterr().out
    assert "hunter2" not in text
    assert "***" in text


def test_schema_allows_no_unknown_keys(capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON schema lists the keys and allows no others."""
    schema = read_json(capsys, "config", "schema")
    assert schema["additionalProperties"] is False
    assert "windows" in schema["properties"]


JUDGES = """
judges:
  rubrics: [tone]
  model: j
  prices: {j: {input: 0, output: 0}}
  client: {base_url: "http://127.0.0.1:9"}
"""
REFUSED: dict[str, tuple[str, list[str]]] = {
    "unknown_setting": ("kafka: {client: {nonsense.setting: 1}}", ["nonsense.setting"]),
    "value_of_a_setting": ("kafka: {client: {fetch.min.bytes: many}}", ["fetch.min.bytes"]),
    "missing_ca": (
        "kafka: {client: {security.protocol: ssl, ssl.ca.location: none.crt}}",
        ["kafka.client.ssl.ca.location", "'none.crt'", "no such file"],
    ),
    "unknown_mechanism": (
        "kafka: {client: {security.protocol: sasl_plaintext, sasl.mechanism: NONE}}",
        ["kafka.client", "NONE"],
    ),
    "missing_reference_file": (
        "reference: {source: file, path: none.jsonl}",
        ["reference", "none.jsonl"],
    ),
    "registry_ca": (
        "kafka: {schema_registry: {url: 'https://x', ca: none.pem}}",
        ["c.yaml:1: kafka.schema_registry.ca: 'none.pem' cannot be read: no such file"],
    ),
    "registry_ca_without_certificates": (
        "kafka: {schema_registry: {url: 'https://x', ca: c.yaml}}",
        ["c.yaml:1: kafka.schema_registry.ca: 'c.yaml' has no certificates in PEM"],
    ),
    "equal_ports": ("http: {port: 9}\nweb: {enabled: true, port: 9}", ["c.yaml:2: web.port"]),
    "no_address": ("http: {host: 999.1.1.1}", ["c.yaml:1: http.host"]),
    "all_at_once": (
        "windows: {recods: 1}\nkafka:\n  client:\n    security.protocol: ssl\n"
        "    nonsense.setting: 1\n    ssl.ca.location: none.crt\n"
        "  schema_registry: {url: 'https://x', ca: none.pem}\n"
        "reference: {source: file, path: none.jsonl}\n",
        [
            "c.yaml:1: windows.recods: unknown key",
            'c.yaml:3: kafka.client: No such configuration property: "nonsense.setting"',
            "c.yaml:6: kafka.client.ssl.ca.location: cannot read 'none.crt'",
            "c.yaml:7: kafka.schema_registry.ca: 'none.pem'",
            "c.yaml:8: reference: ",
        ],
    ),
    "unknown_reference": ("reference: {source: named, name: chat}", ["reference", "'chat'"]),
    "rubric": (JUDGES.replace("tone", "tome"), ["unknown rubric 'tome'"]),
    "metric": (JUDGES + "  ragas: [faithfullness]", ["did you mean 'faithfulness'"]),
    "golden_set": (JUDGES + "  golden: {path: none.jsonl}", ["judges.golden.path", "none.jsonl"]),
    "judge_key": (JUDGES.replace("http://127.0.0.1:9", "https://judge"), ["api_key: is missing"]),
    "several": (
        "kafka: {client: {nonsense.setting: 1}}\nreference: {source: named, name: chat}",
        ["nonsense.setting", "'chat'"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_check_finds_what_run_would_refuse(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, case: str
) -> None:
    """All problems are printed, each with the key and the value that is wrong; the status is 2."""
    text, parts = REFUSED[case]
    path = tmp_path / "c.yaml"
    path.write_text(text)
    found = error(capsys, "config", "check", "-c", path)
    assert all(part in found for part in parts)
    assert error(capsys, "run", "-c", path)


SECRETS = """
kafka:
  client:
    security.protocol: sasl_ssl
    sasl.mechanism: PLAIN
    sasl.username: plumbline
    sasl.password: {file: none/password}
notifications:
  targets:
    chat: {kind: slack}
    pager: {kind: pagerduty, routing_key: {file: none/key}}
    hook: {kind: webhook, token: {file: none/token}}
"""


def test_offline_commands_need_no_secrets(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, log: Path
) -> None:
    """A configuration of production works where its secrets are absent; run still requires them."""
    path = tmp_path / "c.yaml"
    path.write_text(SECRETS + "windows: {records: 200, stride: 20}\n")
    assert run("backtest", "-c", path, log) == 0
    assert run("reference", "build", "-c", path, "--name", "x", log) == 0
    assert run("config", "check", "-c", path, "--without-secrets") == 0
    capsys.readouterr()
    for words in (["run"], ["config", "check"], ["notify", "test"]):
        found = error(capsys, *words, "-c", path)
        assert len(found.splitlines()) == 5
        assert "chat.url: is missing" in found
        assert "none/password" in found


def test_other_problems_are_found_without_secrets(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Without secrets, unknown names of settings and of keys are found all the same."""
    path = tmp_path / "c.yaml"
    path.write_text(SECRETS.replace("sasl.username", "sasl.nonsense"))
    words = ["config", "check", "--without-secrets", "-c", path]
    assert "sasl.nonsense" in one_line_error(capsys, *words)
    path.write_text(SECRETS.replace("kind: slack", "kind: slak"))
    assert "slak" in one_line_error(capsys, *words)
    path.write_text(SECRETS.replace("{file: none/password}", "hunter2"))
    assert "is a secret" in one_line_error(capsys, *words)


def test_check_names_features_without_a_kpi(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """They are warnings: the configuration is valid."""
    path = tmp_path / "c.yaml"
    checks = "{short: {kind: length, max_chars: 9}, long: {kind: length, min_chars: 9}}"
    path.write_text(f"judges: {{checks: {checks}, kpis: {{style: [check.short]}}}}")
    assert run("config", "check", "-c", path) == 0
    assert "warning: judges.kpis: check.long measures no KPI" in capsys.readouterr().out
    [warning] = read_json(capsys, "config", "check", "-c", path, "--json")["warnings"]
    assert "check.long" in warning


def test_check_shows_the_phases_of_experiments(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A change that begins a new phase can be seen before it is deployed."""
    path = tmp_path / "plumbline.yaml"
    text = "experiments: {new: {variants: {a: 1, b: 1}, goal: error, phase: 2, coverage: %s}}"
    path.write_text(text % "1")
    found = read_json(capsys, "config", "check", "-c", path, "--json")
    assert found["warnings"] == []
    assert run("config", "check", "-c", path) == 0
    line = f"experiment new: phase {found['phases']['new']}, seed new.2\n"
    assert line in capsys.readouterr().out
    path.write_text(text % "0.5")
    assert read_json(capsys, "config", "check", "-c", path, "--json")["phases"] == found["phases"]


def test_check_names_metrics_of_rubrics_that_are_not_configured(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A misspelt rubric would give a metric without values."""
    path = tmp_path / "plumbline.yaml"
    path.write_text(
        "judges: {rubrics: [tone], model: m, prices: {m: {input: 0, output: 0}},"
        " client: {provider: compatible, base_url: 'http://127.0.0.1:1/v1'}}\n"
        "experiments: {new: {variants: {a: 1, b: 1}, goal: judge.tone, secondary: [judge.tune]}}\n"
    )
    [warning] = read_json(capsys, "config", "check", "-c", path, "--json")["warnings"]
    assert warning == (
        "experiments.new: judge.tune is not configured in judges, so it has no values"
    )

"""The configuration: what is read, what is refused and where, and that secrets stay hidden."""

from __future__ import annotations

import json
import pickle
import re
import traceback
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from monitor.config import (
    Config,
    DetectorName,
    FileReference,
    KafkaConfig,
    NamedReference,
    WarmupReference,
    describe,
    schema,
)
from monitor.config_client import OWNED_SETTINGS, is_secret
from monitor.config_errors import KNOWN_KEYS, NOT_YET
from monitor.config_file import ConfigError, Problem, load
from monitor.config_notify import PagerDutyTarget, SlackTarget, WebhookTarget

DATA = Path(__file__).parent / "data" / "config"
GOOD = sorted(DATA.glob("good_*.yaml"))
BAD = sorted(DATA.glob("bad_*.yaml"))
PASSWORD = "hunter2-Zq"
ROUTING_KEY = "PLUMBLINE__NOTIFICATIONS__TARGETS__PAGER__ROUTING_KEY"
FULL = {ROUTING_KEY: "***"}  # good_full.yaml needs it; shown or not, it reads the same


def written(tmp_path: Path, text: str) -> Path:
    """A configuration file with this text."""
    path = tmp_path / "plumbline.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(path: Path | None, **environ: str) -> list[str]:
    """The lines of the error that loading raises."""
    with pytest.raises(ConfigError) as caught:
        load(path, environ)
    assert str(caught.value).splitlines() == [str(p) for p in caught.value.problems]
    return str(caught.value).splitlines()


def with_environment(**environ: str) -> Config:
    """The defaults under these variables, named without their prefix."""
    return load(None, {f"PLUMBLINE__{name}": value for name, value in environ.items()})


def laid_over(below: Any, above: Any) -> Any:
    """Mappings with other mappings over them, at every depth."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return below | {key: laid_over(below.get(key), value) for key, value in above.items()}


# --- defaults and good files ------------------------------------------------------------------


def test_defaults_need_no_file() -> None:
    """With no file and no variable, the defaults of the design apply."""
    assert describe(load(None, {"PATH": "/bin", "PLUMBLINE_HOME": "/x"})) == {
        "kafka": {
            "bootstrap_servers": "localhost:9092",
            "logs": ["inference-logs"],
            "feedback": "inference-feedback",
            "prefix": "plumbline",
            "partitions": 6,
            "group_protocol": "classic",
            "instance": None,
            "client": {},
        },
        "format": "auto",
        "features": {"metadata": {}},
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
        },
        "segments": [],
        "state": {"checkpoint_seconds": 5.0, "unusable": "earliest"},
        "notifications": {"dashboard_url": None, "targets": {}},
        "http": {"host": "127.0.0.1", "port": 9464},
        "log": {"level": "info", "format": "auto"},
    }


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_good_file_is_read_as_written(path: Path) -> None:
    """Every key of a good file reaches the configuration with the value it was given."""
    given_keys = yaml.safe_load(path.read_text(encoding="utf-8"))
    described = describe(load(path, FULL if path.stem == "good_full" else {}))
    assert laid_over(described, given_keys) == described


def test_full_file_covers_every_key() -> None:
    """The full example changes every key from its default, so no key goes untested."""
    full, default = describe(load(DATA / "good_full.yaml", FULL)), describe(load(None, {}))
    for section, value in default.items():
        for key in value if isinstance(value, dict) and section != "reference" else ():
            assert full[section][key] != value[key], f"{section}.{key}"


def test_reference_is_typed_by_its_source() -> None:
    """Each source gives its own type, and warmup needs not be named."""
    assert load(DATA / "good_file_reference.yaml", {}).reference == FileReference(
        source="file", path=Path("baselines/march.jsonl")
    )
    assert isinstance(load(DATA / "good_named_reference.yaml", {}).reference, NamedReference)
    assert load(DATA / "good_reference_without_source.yaml", {}).reference == WarmupReference(
        records=10000
    )


def test_configuration_cannot_be_changed() -> None:
    """A loaded configuration is frozen, sections included."""
    config = load(None, {})
    with pytest.raises(ValidationError):
        config.windows.records = 5
    with pytest.raises(ValidationError):
        config.format = "native"


# --- bad files --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_file_is_refused_line_by_line(path: Path) -> None:
    """A bad file gives exactly the problems that its own comments foretell, in order of lines."""
    expected = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if "#! " in line:
            expected.append(f"{path}:{number}: {line.split('#! ')[1]}")
    assert problems(path) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; without a file the defaults apply"),
        ("# nothing\n", "is empty; without a file the defaults apply"),
        ("- a\n", "must be a mapping of keys to values"),
        ("windows\n", "must be a mapping of keys to values"),
        ("a: \x07\n", "is not YAML: it holds control characters"),
        ("[" * 5000, "is nested too deeply"),
    ],
)
def test_unusable_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    """A file that holds no mapping is refused as a whole."""
    path = written(tmp_path, text)
    assert problems(path) == [f"{path}: {message}"]


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    """A missing file, a directory and a binary file each say what they are."""
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    missing = tmp_path / "no.yaml"
    assert problems(missing) == [f"{missing}: cannot be read: no such file or directory"]
    assert problems(tmp_path) == [f"{tmp_path}: cannot be read: is a directory"]
    assert problems(binary) == [f"{binary}: is not YAML: it is not UTF-8 text"]


def test_dates_that_are_none_are_text(tmp_path: Path) -> None:
    """Text that YAML takes for a date but cannot read stays text."""
    path = written(tmp_path, "reference: {source: named, name: 2025-13-99}")
    assert describe(load(path, {}))["reference"]["name"] == "2025-13-99"


def test_file_and_environment_problems_come_together() -> None:
    """Problems of the file come first, by line, and those of the environment with them."""
    path = DATA / "bad_many.yaml"
    found = problems(path, PLUMBLINE__HTTP__HOTS="x", PLUMBLINE__ALARMS__MIN_PSI="low")
    assert len(found) == len(problems(path)) + 2
    assert found[:-2] == problems(path)
    assert found[-2:] == [
        "PLUMBLINE__HTTP__HOTS: unknown key; did you mean 'PLUMBLINE__HTTP__HOST'?",
        "PLUMBLINE__ALARMS__MIN_PSI: must be a number",
    ]


# --- the environment --------------------------------------------------------------------------


def test_environment_goes_over_the_file() -> None:
    """A variable wins over the file, in any case, and leaves the keys beside it alone."""
    config = load(
        DATA / "good_full.yaml",
        FULL | {"PLUMBLINE__WINDOWS__STRIDE": "200", "plumbline__kafka__Partitions": "3"},
    )
    assert (config.windows.records, config.windows.stride) == (2000, 200)
    assert (config.kafka.partitions, config.kafka.feedback) == (3, "thumbs")


def test_environment_values_take_the_type_of_their_key() -> None:
    """Numbers, lists and mappings are read as YAML, and text is taken as written."""
    config = with_environment(
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
    """The value of every key, written as a variable, gives the same configuration."""
    config = load(DATA / "good_full.yaml", FULL)
    described = describe(config)
    environ = {}
    for key in (key for key in KNOWN_KEYS if len(key) == 2 and key[0] != "reference"):
        value = described[str(key[0])][key[1]]
        text = value if isinstance(value, str) else json.dumps(value)
        environ["PLUMBLINE__" + "__".join(map(str, key)).upper()] = text
    for name in ("format", "detectors", "segments", "reference"):
        value = described[name]
        text = value if isinstance(value, str) else json.dumps(value)
        environ[f"PLUMBLINE__{name.upper()}"] = text
    assert load(None, environ) == config


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("WINDOWS__STRID", "unknown key; did you mean 'PLUMBLINE__WINDOWS__STRIDE'?"),
        ("WINDOWS__STRIDE__X", "unknown key; did you mean 'PLUMBLINE__WINDOWS__STRIDE'?"),
        ("JUDGES__MODEL", "is not available in this version"),
        ("", "unknown key"),
        ("ALARMS__WEIGHTS__", "unknown key; did you mean 'PLUMBLINE__ALARMS__WEIGHTS'?"),
        ("FEATURES__METADATA__", "unknown key; did you mean 'PLUMBLINE__FEATURES__METADATA'?"),
        (
            "KAFKA__CLIENT__SASL__PASSWORD",
            "unknown key; write each dot of a client setting as one underscore",
        ),
    ],
)
def test_unknown_variable_is_refused(name: str, message: str) -> None:
    """A variable that sets no key is refused as an unknown key is."""
    assert problems(None, **{f"PLUMBLINE__{name}": PASSWORD}) == [f"PLUMBLINE__{name}: {message}"]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("WINDOWS__STRIDE", "abc", "must be a whole number"),
        ("WINDOWS__STRIDE", "", "has no value; give it one or remove the key"),
        ("WINDOWS__RECORDS", "10000", "50000 records of reference are too few; 10 times"
         " windows.records is 100000"),
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
        ("DETECTORS", "[adwin]", "all detectors are advisory, so that nothing would ever raise an"
         " alarm"),
        ("ALARMS__WEIGHTS", "[psi]", "must be a mapping of keys to values"),
        ("LOG__LEVEL", "loud", "unknown name 'loud', must be one of debug, info, warning, error"),
        ("REFERENCE__SOURCE", "file", "reference.path: is missing"),
        ("REFERENCE__PATH", "x", "does not belong to this kind of reference"),
        ("KAFKA__CLIENT__GROUP_ID", "x", "is set by Plumbline alone: Plumbline names its consumer"
         " groups after kafka.prefix"),
    ],
)  # fmt: skip
def test_bad_variable_is_named(name: str, value: str, message: str) -> None:
    """A variable with a bad value is named as the place of the problem."""
    assert problems(None, **{f"PLUMBLINE__{name}": value}) == [f"PLUMBLINE__{name}: {message}"]


def test_two_variables_for_one_key_are_refused() -> None:
    """Two spellings of one variable do not silently win over each other."""
    assert problems(None, PLUMBLINE__HTTP__PORT="1", plumbline__http__port="2") == [
        "plumbline__http__port: sets the same key as PLUMBLINE__HTTP__PORT"
    ]


def test_variable_hides_the_lines_it_replaces() -> None:
    """A problem in a list from the environment is not placed at the file's list."""
    found = problems(DATA / "good_full.yaml", **FULL, PLUMBLINE__DETECTORS="[ks, x]")
    assert [line.split(":")[0] for line in found] == ["PLUMBLINE__DETECTORS"]


# --- secrets ----------------------------------------------------------------------------------


def assert_hidden(config: Config) -> None:
    """The password is in the client's settings and in no way of showing the configuration."""
    assert PASSWORD in config.kafka.client_settings().values()
    shown = [repr(config), str(config), f"{config.kafka.client}", str(config.model_dump())]
    shown += [config.model_dump_json(), json.dumps(describe(config))]
    assert not [text for text in shown if PASSWORD in text]
    assert "***" in describe(config)["kafka"]["client"].values()


@pytest.mark.parametrize("value", [PASSWORD, f"[{PASSWORD}", f"&{PASSWORD}: *x", "0123", "no", " "])
def test_secret_from_the_environment_is_taken_as_written(value: str) -> None:
    """A password may look like YAML, and dots in its name are written as underscores."""
    config = with_environment(KAFKA__CLIENT__SASL_PASSWORD=value)
    assert config.kafka.client_settings() == {"sasl.password": value}
    assert describe(config)["kafka"]["client"] == {"sasl.password": "***"}


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    """Secrets, from the environment or a file, are hidden wherever the configuration is shown."""
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD + "\n", encoding="utf-8")
    path = written(tmp_path, f"kafka: {{client: {{sasl.password: {{file: {secret}}}}}}}")
    assert_hidden(with_environment(KAFKA__CLIENT__SASL_PASSWORD=PASSWORD))
    assert_hidden(load(path, {}))
    assert_hidden(with_environment(KAFKA__CLIENT__SASL_PASSWORD__FILE=str(secret)))
    assert_hidden(Config(kafka=KafkaConfig(client={"ssl.key.password": PASSWORD})))
    assert_hidden(pickle.loads(pickle.dumps(load(path, {}))))


@pytest.mark.parametrize(
    ("content", "value"), [("a b\n", "a b"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a", " a")]
)
def test_secret_file_loses_only_its_last_line_break(
    tmp_path: Path, content: str, value: str
) -> None:
    """One trailing line break belongs to the file, everything else to the secret."""
    secret = tmp_path / "secret"
    secret.write_bytes(content.encode())
    config = with_environment(KAFKA__CLIENT__CLIENT_ID__FILE=str(secret))
    assert config.kafka.client_settings() == {"client.id": value}
    assert describe(config)["kafka"]["client"] == {"client.id": "***"}


@pytest.mark.parametrize(
    ("content", "message"), [(b"\n", "is empty"), (b"\xff\xfe", "is not UTF-8 text")]
)
def test_useless_secret_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """A secret file that holds no text is a problem of the key that names it."""
    secret = tmp_path / "secret"
    secret.write_bytes(content)
    name = "PLUMBLINE__KAFKA__CLIENT__SASL_PASSWORD__FILE"
    assert problems(None, **{name: str(secret)}) == [f"{name}: file {str(secret)!r} {message}"]


@pytest.mark.parametrize(
    "setting",
    [
        "sasl.password",
        "ssl.key.password",
        "ssl.keystore.password",
        "ssl.key.pem",
        "ssl_key",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.client.credentials.client.secret",
        "sasl.oauthbearer.assertion.private.key.pem",
        "sasl.oauthbearer.assertion.private.key.passphrase",
        "sasl.oauthbearer.config",
    ],
)
def test_literal_secret_in_the_file_is_refused(tmp_path: Path, setting: str) -> None:
    """A secret written in the file is refused with its line and the two ways to give it."""
    path = written(tmp_path, f"kafka:\n  client:\n    {setting}: {PASSWORD}\n")
    variable = f"PLUMBLINE__KAFKA__CLIENT__{setting.upper().replace('.', '_')}"
    assert problems(path) == [
        f"{path}:3: kafka.client.{setting}: is a secret and must not be written in this file;"
        f" give it in the environment as {variable}, or as {{file: PATH}}"
    ]


@pytest.mark.parametrize(
    "setting",
    ["ssl.key.location", "sasl.username", "ssl.ca.pem", "sasl.oauthbearer.token.endpoint.url"],
)
def test_paths_and_names_are_no_secrets(setting: str) -> None:
    """Settings that only lead to a secret may stand in the file."""
    assert not is_secret(setting)


@pytest.mark.parametrize(
    "text",
    [
        "sasl.password: {0}",
        "sasl.password: *{0}",
        "sasl.password: &{0} x",
        "sasl.password: !{0} x",
        "sasl.password: !{0}!x y",
        "sasl.password: '{0}",
        "sasl.password: [{0}]",
        "sasl.password: {{value: {0}}}",
        "sasl.password: {{file: x, {0}: y}}",
        "sasl: {{password: {0}}}",
        "sasl.password:{0}",
        "sasl.password:{0}: x",
        "SASL.PASSWORD: {0}",
        "'sasl.password={0}': [x]",
        "'sasl.password={0}': 1\n    'sasl.password={0}': 2",
    ],
)
def test_no_error_repeats_a_value_of_the_client(tmp_path: Path, text: str) -> None:
    """However the client's settings are mistyped, neither message nor traceback shows the value."""
    path = written(tmp_path, "kafka:\n  client:\n    " + text.format(PASSWORD) + "\nx: 1\n")
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    report = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert PASSWORD not in report


def test_error_of_the_model_itself_hides_its_input() -> None:
    """Even pydantic's own error, which load never lets out, does not print a secret."""
    with pytest.raises(ValidationError) as caught:
        KafkaConfig.model_validate({"client": {"sasl.password": [PASSWORD]}})
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("setting", sorted(OWNED_SETTINGS))
def test_settings_that_plumbline_owns_are_refused(tmp_path: Path, setting: str) -> None:
    """No setting that exactly-once delivery rests on can be changed."""
    path = written(tmp_path, f"kafka: {{client: {{{setting}: x}}}}")
    assert problems(path) == [
        f"{path}:1: kafka.client.{setting}: is set by Plumbline alone: {OWNED_SETTINGS[setting]}"
    ]


# --- targets of notifications ------------------------------------------------------------------

URL = f"https://hooks.example.com/services/{PASSWORD}"
TARGETS = "PLUMBLINE__NOTIFICATIONS__TARGETS__"


def assert_told_nothing(text: str) -> None:
    """A message about a target holds nothing of its secret."""
    assert PASSWORD not in text
    assert "hooks.example.com" not in text


def test_targets_take_their_secrets_from_outside(tmp_path: Path) -> None:
    """From the environment or a mounted file; nothing that shows the configuration shows them."""
    secret = tmp_path / "url"
    secret.write_text(URL + "\n", encoding="utf-8")
    path = written(
        tmp_path,
        "notifications:\n  targets:\n    team: {kind: slack}\n    pager: {kind: pagerduty}\n"
        f"    hook: {{kind: webhook, url: {{file: {secret}}}}}\n",
    )
    environ = {f"{TARGETS}TEAM__URL": URL, ROUTING_KEY: PASSWORD}
    config = load(path, environ | {f"{TARGETS}HOOK__TOKEN__FILE": str(secret)})
    targets = config.notifications.targets
    assert list(targets) == ["team", "pager", "hook"]
    team, pager, hook = targets.values()
    assert isinstance(team, SlackTarget)
    assert isinstance(pager, PagerDutyTarget)
    assert isinstance(hook, WebhookTarget)
    assert team.url.get_secret_value() == hook.url.get_secret_value() == URL
    assert pager.routing_key.get_secret_value() == PASSWORD
    assert hook.token is not None
    for text in (repr(config), str(config.model_dump()), json.dumps(describe(config))):
        assert_told_nothing(text)
    assert describe(config)["notifications"]["targets"]["hook"]["token"] == "***"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("http://hooks.example.com/x", "must begin with https://; http:// is for this machine"),
        ("ftp://hooks.example.com/x", "must begin with https://"),
        ("//hooks.example.com/x", "must begin with https://"),
        ("https://me:pw@hooks.example.com/", "must not hold a user or password"),
        ("https://hooks.example.com/#x", "must not hold a fragment"),
        ("https://hooks.example.com/a b", "must be a URL of at most 2000 ASCII"),
        ("https://hooks.example.com/a\nX: y", "must be a URL of at most 2000 ASCII"),
        ("https://hooks.example.com/ä", "must be a URL of at most 2000 ASCII"),
        ("https://hooks.example.com/" + "x" * 2000, "must be a URL of at most 2000 ASCII"),
        ("https://", "must be a URL, such as"),
        ("https://[::1", "must be a URL, such as"),
        ("https://hooks.example.com:99999/", "must be a URL, such as"),
        ("hooks", "must be a URL, such as"),
    ],
)
def test_address_that_would_betray_is_refused(value: str, message: str) -> None:
    """Only https, but to this machine; the message repeats nothing of the address."""
    name = f"{TARGETS}TEAM__URL"
    (found,) = problems(None, **{name: value, f"{TARGETS}TEAM__KIND": "slack"})
    assert found.startswith(f"{name}: {message}")
    assert_told_nothing(found.removeprefix(name).replace("hooks.example.com/services/...", ""))


@pytest.mark.parametrize("url", ["http://127.0.0.1:80/x", "http://localhost/", "http://[::1]:1/"])
def test_this_machine_may_be_told_in_clear(url: str) -> None:
    """A relay beside the daemon needs no TLS."""
    load(None, {f"{TARGETS}TEAM__URL": url, f"{TARGETS}TEAM__KIND": "slack"})


@pytest.mark.parametrize("value", ["", "a b", "a\r\nX-Evil: y", "ä", "x" * 1001])
def test_word_that_would_break_a_header_is_refused(value: str) -> None:
    """A routing key or token is one word."""
    (found,) = problems(None, **{ROUTING_KEY: value, f"{TARGETS}PAGER__KIND": "pagerduty"})
    assert found == f"{ROUTING_KEY}: must be 1 to 1000 ASCII characters without spaces"


@pytest.mark.parametrize(
    "text",
    [
        "team: {{kind: slack, url: {0}}}",
        "team: {{kind: slack, url:{0}}}",
        "team: {{kind: slack, url: [{0}]}}",
        "team: {{kind: slack, url: {{value: '{0}'}}}}",
        "team: {{kind: slack, '{0}': url}}",
        "'{0}': {{kind: slack}}",
        "team: '{0}'",
        "pager: {{kind: pagerduty, routing_key: {0}}}",
        "pager: {{kind: pagerduty, endpoint: 'http://{0}'}}",
        "hook: {{kind: webhook, token: {0}}}",
    ],
)
def test_no_error_repeats_a_secret_of_a_target(tmp_path: Path, text: str) -> None:
    """However a target is mistyped, neither message nor traceback shows its address or key."""
    path = written(tmp_path, "notifications:\n  targets:\n    " + text.format(URL))
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert_told_nothing("".join(traceback.format_exception(caught.value)) + repr(caught.value))


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("https://x/{modle}", "may hold {model}, {segment}"),
        ("https://x/{model!r}", "may hold {model}, {segment}"),
        ("https://x/{model:>9}", "may hold {model}, {segment}"),
        ("https://x/{}", "may hold {model}, {segment}"),
        ("https://x/{model", "has a brace without its fellow"),
        ("https://{model}.example.com/", "must not have a field in the host"),
        ("javascript:alert(1)", "must be a URL, such as"),
        ("ftp://x/y", "must be a URL that begins with"),
        ("https://x/" + "y" * 2000, "must be at most 2000 characters long"),
    ],
)
def test_link_that_cannot_be_built_is_refused(template: str, message: str) -> None:
    """A link's template has known fields, and none where the host stands."""
    (found,) = problems(None, PLUMBLINE__NOTIFICATIONS__DASHBOARD_URL=json.dumps(template))
    assert found.startswith(f"PLUMBLINE__NOTIFICATIONS__DASHBOARD_URL: {message}")


# --- unknown keys, at random ------------------------------------------------------------------

SECTIONS = sorted({str(key[0]) for key in KNOWN_KEYS if len(key) == 2})
KEYS = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(
    [str(key[-1]) for key in KNOWN_KEYS] + sorted(NOT_YET)
)


@given(st.none() | st.sampled_from(SECTIONS), KEYS, st.integers(0, 3))
def test_unknown_key_is_always_refused_with_its_line(
    tmp_path_factory: pytest.TempPathFactory, section: str | None, name: str, above: int
) -> None:
    """Whatever an unknown key is called and wherever it stands, its line is reported."""
    key = (name,) if section is None else (section, name)
    assume(key not in KNOWN_KEYS)
    document: dict[str, Any] = {name: 1} if section is None else {section: {name: 1}}
    text = "# \n" * above + ("" if section is None else f"{section}:\n  ")
    path = tmp_path_factory.getbasetemp() / "random.yaml"
    path.write_text(text + json.dumps(name) + ": 1\n", encoding="utf-8")
    assume(yaml.safe_load(path.read_text(encoding="utf-8")) == document)
    line = above + (1 if section is None else 2)
    shown = "".join(
        char if char.isprintable() else "?" for char in ".".join(k or "''" for k in key)
    )
    found = problems(path)
    assert any(problem.startswith(f"{path}:{line}: {shown}: ") for problem in found)


@given(st.text(st.characters(categories=["L", "N"]) | st.just("_"), max_size=30))
def test_unknown_variable_is_always_refused(name: str) -> None:
    """Whatever an unknown variable is called, it is named."""
    key = tuple(name.lower().split("__"))
    assume(key not in KNOWN_KEYS and key[:2] not in {("kafka", "client"), ("features", "metadata")})
    variable = f"PLUMBLINE__{name}"
    assert problems(None, **{variable: "1"})[0].startswith(f"{variable}: ")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@given(st.sampled_from(sorted(KNOWN_KEYS, key=str)), VALUES)
def test_any_value_is_accepted_or_refused_in_plain_words(
    tmp_path_factory: pytest.TempPathFactory, key: tuple[str, ...], value: object
) -> None:
    """No value makes loading fail in any way but a ConfigError, and none speaks of pydantic."""
    document = {key[0]: value} if len(key) == 1 else {key[0]: {key[1]: value}}
    path = tmp_path_factory.getbasetemp() / "values.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    found: tuple[Problem, ...] = ()
    try:
        json.dumps(describe(load(path, {})))
    except ConfigError as error:
        found = error.problems
    for problem in found:
        assert problem.line, problem
        assert not re.search(r"pydantic|https?://|Input should|is not valid", str(problem))


# --- schema -----------------------------------------------------------------------------------


def test_schema_is_closed_and_described() -> None:
    """Every object of the schema refuses unknown keys and every key has its sentence."""
    whole = schema()
    json.dumps(whole)
    for part in (whole, *whole["$defs"].values()):
        assert part["additionalProperties"] is False
        for name, key in part["properties"].items():
            target = whole["$defs"].get(key.get("$ref", "").rpartition("/")[2], {})
            text = key.get("description") or target.get("description")
            assert text, name
            assert text.endswith("."), name


def test_every_field_has_a_description() -> None:
    """The documentation's table is made from the fields, so each must describe itself."""
    models = [Config, *(KNOWN_KEYS[key] for key in KNOWN_KEYS if len(key) == 1)]
    for model in models:
        if isinstance(model, type) and issubclass(model, BaseModel):
            for name, field in model.model_fields.items():
                assert field.description, name


def test_default_detectors_are_all_of_them() -> None:
    """By default every detector that has a name runs, in the order of the names."""
    assert load(None, {}).detectors == get_args(DetectorName)

"""The documents are correct: commands run, links exist, and tables are complete."""

from __future__ import annotations

import json
import re
import shlex
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgspec
import pytest
import yaml

from grafana.alerts.rules import ALERTMANAGER
from monitor.cli.demo.traffic import traffic
from monitor.cli.main import parser
from monitor.config.keys import KNOWN_KEYS
from monitor.config.load import load
from monitor.events.types import DriftEvent, Explanation
from monitor.events.wording.drift import sentence
from monitor.notify.channels.registry import MAX_EVENTS
from monitor.notify.delivery import GAVE_UP
from monitor.notify.http_client import REASONS
from monitor.notify.queue import SUPPRESSED
from monitor.telemetry.counters.experiments import ExperimentMetrics
from monitor.telemetry.counters.joins import JoinMetrics
from monitor.telemetry.counters.judging import JudgeMetrics
from monitor.telemetry.counters.metrics import Metrics
from monitor.telemetry.counters.replay import QueueState, ReplayMetrics
from monitor.telemetry.counters.web import ReviewState, WebMetrics
from monitor.telemetry.exporter import registry
from tests.warm import WarmCommands

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/**/*.md"))
)
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


def blocks(path: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language in a document."""
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)


def commands(path: Path) -> list[list[str]]:
    """Return the commands in a document, in order."""
    lines = (line for block in blocks(path, "sh") for line in block.splitlines())
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


CONFIGURING = ("quickstart.md", "assignment.md", "experiments.md", "gate.md", "formats/mapping.md")
"""Pages of the guide whose configurations their commands use."""
COMMANDS = [(path, command) for path in DOCUMENTS for command in commands(path)]


@pytest.fixture(scope="module")
def reader_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create the folder of a reader: a log and the configurations in the documents."""
    folder = tmp_path_factory.mktemp("reader")
    records = traffic(9_000, change_at=9_000, seed=1, rate=50.0, start=1.7e9)
    (folder / "logs.jsonl").write_bytes(b"\n".join(islice(records, 9_000)) + b"\n")
    label = {"request_id": "r", "rubric": "tone", "score": 3, "judge_score": 4}
    for name, score in (("old", 3), ("new", 4), ("pipeline-a", 3), ("pipeline-b", 4)):
        answer = {"response": "30 days.", "scores": {"quality": score}}
        lines = [json.dumps({"prompt": f"question {i}"} | answer) for i in range(30)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    [event] = blocks(ROOT / "docs" / "formats" / "mapping.md", "json")
    (folder / "events.jsonl").write_text(event)
    (folder / "labels.jsonl").write_text(json.dumps(label))
    for page in (ROOT / "README.md", *(ROOT / "docs" / name for name in CONFIGURING)):
        for configuration in blocks(page, "yaml"):
            (folder / configuration.split()[1]).write_text(configuration)
    return folder


@pytest.fixture(scope="module")
def plumbline() -> Iterator[WarmCommands]:
    """Run commands of the command line."""
    with WarmCommands() as commands:
        yield commands


@pytest.mark.parametrize(
    "command", [command for _, command in COMMANDS if command[0] == "plumbline"], ids=" ".join
)
def test_command_runs(
    command: list[str],
    reader_folder: Path,
    plumbline: WarmCommands,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every `plumbline` command in a document succeeds; for `run`, its arguments are valid."""
    arguments = command[1:]
    if arguments[0] == "run":  # does not end; test_lifecycle runs it
        arguments = ["config", "check", *arguments[1:]]
    if arguments[0] == "feed":  # needs a broker: tests/integration/test_feed.py
        monkeypatch.chdir(reader_folder)
        parser().parse_args(arguments)
        return
    if arguments[:2] == ["judge", "run"]:  # needs a judge: tests/monitor/cli/commands/judge
        monkeypatch.chdir(reader_folder)
        parser().parse_args(arguments)
        return
    if arguments[0] == "demo":  # tests/monitor/cli/demo/test_runner.py runs it
        arguments = ["demo", "--help"]
    done = plumbline.run(arguments, reader_folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "command", [command for _, command in COMMANDS if command[0] == "make"], ids=" ".join
)
def test_make_target_exists(command: list[str]) -> None:
    """Every `make` target in a document is in the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    for target in [word for word in command[1:] if "=" not in word]:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_documents_have_no_other_commands() -> None:
    """Blocks of sh have only `plumbline` and `make`: other commands would not be tested."""
    assert {command[0] for _, command in COMMANDS} <= {"plumbline", "make"}
    assert ["plumbline", "reference", "promote", "accepted", "1"] in [c for _, c in COMMANDS]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_link_targets_exist(path: Path) -> None:
    """Every relative link in a document leads to a file or folder."""
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_configuration_in_the_readme_is_valid(reader_folder: Path) -> None:
    """The configuration that a reader copies is accepted."""
    load(reader_folder / "plumbline.yaml", {})


def test_notifications_are_documented() -> None:
    """The example is valid with its secrets, and each reason of the metrics is documented."""
    document = ROOT / "docs" / "notifications.md"
    (example,) = blocks(document, "yaml")
    prefix, url = "PLUMBLINE__NOTIFICATIONS__TARGETS__", "https://hooks.example.com/secret"
    secrets = {"TEAM__URL": url, "ON_CALL__ROUTING_KEY": "key", "OWN_PROGRAM__URL": url}
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(example)
        file.flush()
        config = load(Path(file.name), {prefix + key: value for key, value in secrets.items()})
    assert {target.kind for target in config.notifications.targets.values()} == set(MAX_EVENTS)
    documented = set(re.findall(r"`(\w+)`", document.read_text()))
    assert documented >= {*REASONS, *SUPPRESSED, GAVE_UP}


def test_the_routing_of_posted_alerts_is_that_of_the_example() -> None:
    """The routes and inhibition rules that the page shows are in alertmanager.yaml."""
    text = (ROOT / "docs" / "notifications.md").read_text().split("**A drift pages once.**")[1]
    shown = yaml.safe_load(text.split("```text\n")[1].split("```")[0])
    example = yaml.safe_load(ALERTMANAGER.read_text())
    assert all(rule in example["inhibit_rules"] for rule in shown["inhibit_rules"])
    routes = shown["route"]["routes"]
    known = [
        {key: value for key, value in route.items() if key != "repeat_interval"}
        for route in example["route"]["routes"]
    ]
    assert routes == [route for route in known if route in routes]


def test_every_setting_is_documented() -> None:
    """The table of settings has all keys and no others."""
    table = OPERATIONS.split("## Settings")[1].split("## Metrics")[0]
    documented = set(re.findall(r"^\| `([a-zA-Z_.]+)` \|", table, re.MULTILINE))
    leaves = {key for key in KNOWN_KEYS if not any(k[: len(key)] == key != k for k in KNOWN_KEYS)}
    assert documented == {".".join(map(str, key)) for key in leaves}


def test_every_metric_is_documented() -> None:
    """The table of metrics has all metrics of the registry and no others."""
    table = OPERATIONS.split("## Metrics\n")[1]
    rows = re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}
    metrics = Metrics(
        newest_event_time=1.0,
        checkpoint_seconds=1.0,
        last_checkpoint=1.0,
        judging=JudgeMetrics(remaining=1.0),
        experiments=ExperimentMetrics(),
        joins=JoinMetrics(),
        replay=ReplayMetrics(queue=QueueState({}, gpu_seconds_left=1.0)),
        web=WebMetrics(review=ReviewState({}, {}, 0, 0)),
    )
    exported = {
        family.name.removeprefix("plumbline_") + ("_total" if family.type == "counter" else "")
        for family in registry(metrics).collect()
    }
    process = {name for name in exported if name.startswith("process_")}
    assert documented == exported - process
    assert [name for name in process if f"`{name}`" not in OPERATIONS] == []


def test_event_in_the_documents_is_valid() -> None:
    """The sentence in docs/alarms.md is that of the event in JSON, and each key is explained."""
    (text,) = blocks(ROOT / "docs" / "alarms.md", "json")
    event = msgspec.json.decode(text, type=DriftEvent)
    assert blocks(ROOT / "docs" / "alarms.md", "text") == [f"{sentence(event)}\n"]
    keys = re.findall(
        r"^\| `(\w+)` \| .* \| .* \|$", (ROOT / "docs" / "alarms.md").read_text(), re.M
    )
    assert set(Explanation.__struct_fields__) <= set(keys)
    # of resolved events and escalations, of categorical features, and of style
    others = {"final", "further", "new_categories", "markers"}
    shown = set(Explanation.__struct_fields__) - others
    assert set(json.loads(text)["explanation"]) == shown

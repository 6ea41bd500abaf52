"""The documents tell the truth: commands run, links lead somewhere, tables are complete."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path

import msgspec
import pytest

from monitor.config_errors import KNOWN_KEYS
from monitor.config_file import load
from monitor.demo.traffic import traffic
from monitor.events import DriftEvent, sentence
from monitor.explanation import Explanation
from monitor.metrics import Metrics, registry
from monitor.notify import kinds
from monitor.notify.outbox import SUPPRESSED
from monitor.notify.post import REASONS
from monitor.notify.sender import GAVE_UP

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/**/*.md"))
)
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
PLUMBLINE = [sys.executable, "-c", "import sys; from monitor.cli import main; sys.exit(main())"]


def blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks of a language in a document."""
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)


def commands(path: Path) -> list[list[str]]:
    """The commands shown in a document, in their order."""
    lines = (line for block in blocks(path, "sh") for line in block.splitlines())
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


SHOWN = [(path, command) for path in DOCUMENTS for command in commands(path)]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a log and the configurations shown, as a reader would have them."""
    folder = tmp_path_factory.mktemp("reader")
    records = traffic(9_000, change_at=9_000, seed=1, rate=50.0, start=1.7e9)
    (folder / "logs.jsonl").write_bytes(b"\n".join(islice(records, 9_000)) + b"\n")
    for page in (ROOT / "README.md", ROOT / "docs" / "quickstart.md"):
        for configuration in blocks(page, "yaml"):
            (folder / configuration.split()[1]).write_text(configuration)
    return folder


@pytest.mark.parametrize(
    "command", [command for _, command in SHOWN if command[0] == "plumbline"], ids=" ".join
)
def test_a_shown_command_runs(command: list[str], workplace: Path) -> None:
    """Every `plumbline` command of a document succeeds; the daemon at least takes its arguments."""
    arguments = command[1:]
    if arguments[0] == "run":  # never ends; test_lifecycle runs it
        arguments = ["config", "check", *arguments[1:]]
    if arguments[0] == "demo":  # tests/monitor/demo/test_show.py runs it
        arguments = ["demo", "--help"]
    done = subprocess.run(
        [*PLUMBLINE, *arguments],
        cwd=workplace,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "command", [command for _, command in SHOWN if command[0] == "make"], ids=" ".join
)
def test_a_shown_target_is_there(command: list[str]) -> None:
    """Every `make` target of a document is in the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    for target in [word for word in command[1:] if "=" not in word]:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_documents_show_nothing_else() -> None:
    """A command of another kind would go untested."""
    assert {command[0] for _, command in SHOWN} <= {"plumbline", "make"}
    assert ["plumbline", "reference", "promote", "accepted", "1"] in [c for _, c in SHOWN]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    """Every relative link of a document names a file or folder."""
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_the_configuration_of_the_readme_is_good(workplace: Path) -> None:
    """What a reader copies is accepted."""
    load(workplace / "plumbline.yaml", {})


def test_notifications_are_documented_as_they_are() -> None:
    """The example is accepted once its secrets are there, and every reason of a metric is told."""
    document = ROOT / "docs" / "notifications.md"
    (example,) = blocks(document, "yaml")
    prefix, url = "PLUMBLINE__NOTIFICATIONS__TARGETS__", "https://hooks.example.com/secret"
    secrets = {"TEAM__URL": url, "ON_CALL__ROUTING_KEY": "key", "OWN_PROGRAM__URL": url}
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(example)
        file.flush()
        config = load(Path(file.name), {prefix + key: value for key, value in secrets.items()})
    assert {target.kind for target in config.notifications.targets.values()} == set(kinds.MOST)
    told = set(re.findall(r"`(\w+)`", document.read_text()))
    assert told >= {*REASONS, *SUPPRESSED, GAVE_UP}


def test_every_setting_is_documented() -> None:
    """The table of settings has every key, and no other."""
    table = OPERATIONS.split("## Settings")[1].split("## Metrics")[0]
    shown = set(re.findall(r"^\| `([a-zA-Z_.]+)` \|", table, re.MULTILINE))
    leaves = {key for key in KNOWN_KEYS if not any(k[: len(key)] == key != k for k in KNOWN_KEYS)}
    assert shown == {".".join(map(str, key)) for key in leaves}


def test_every_metric_is_documented() -> None:
    """The table of metrics has every family that the registry makes, and no other."""
    table = OPERATIONS.split("## Metrics\n")[1]
    rows = re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)
    shown = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}
    metrics = Metrics(newest_event_time=1.0, checkpoint_seconds=1.0, last_checkpoint=1.0)
    made = {
        family.name.removeprefix("plumbline_") + ("_total" if family.type == "counter" else "")
        for family in registry(metrics).collect()
    }
    process = {name for name in made if name.startswith("process_")}
    assert shown == made - process
    assert [name for name in process if f"`{name}`" not in OPERATIONS] == []


def test_the_shown_event_is_one() -> None:
    """The drift page that is explained is what the program would write of the event below it."""
    (shown,) = blocks(ROOT / "docs" / "alarms.md", "json")
    event = msgspec.json.decode(shown, type=DriftEvent)
    assert blocks(ROOT / "docs" / "alarms.md", "text") == [f"{sentence(event)}\n"]
    keys = re.findall(
        r"^\| `(\w+)` \| .* \| .* \|$", (ROOT / "docs" / "alarms.md").read_text(), re.M
    )
    assert set(Explanation.__struct_fields__) <= set(keys)
    assert set(json.loads(shown)["explanation"]) == set(Explanation.__struct_fields__)

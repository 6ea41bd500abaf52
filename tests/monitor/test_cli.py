"""The command line: help, errors that a user can mend, and output that programs read."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from monitor import __version__, cli
from monitor.demo.traffic import traffic

ROOT = Path(__file__).parents[2]
START = "import sys; from monitor.cli import main; sys.exit(main(sys.argv[1:]))"
PLUMBLINE = [sys.executable, "-c", START]
CONFIG = "windows: {records: 200, stride: 20}\nreference: {source: warmup, records: 2000}\n"


def leaves(parser: argparse.ArgumentParser) -> Iterator[list[str]]:
    """The words of every command."""
    groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not groups:
        yield []
    for group in groups:
        for name, sub in group.choices.items():
            for rest in leaves(sub):
                yield [name, *rest]


COMMANDS = list(leaves(cli._parser()))
DESIGNED = [
    ["run"],
    ["demo"],
    ["backtest"],
    ["reference", "build"],
    ["reference", "list"],
    ["reference", "show"],
    ["reference", "promote"],
    ["config", "check"],
    ["config", "schema"],
    ["dashboards", "build"],
    ["dashboards", "check"],
    ["version"],
]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and nothing of ours in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("PLUMBLINE")]:
        monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Made traffic that drifts past its half."""
    path = tmp_path / "logs.jsonl"
    lines = traffic(8000, change_at=5000, seed=7, rate=50.0, start=1.76e9)
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with windows so short that the log fills some."""
    path = tmp_path / "short.yaml"
    path.write_text(CONFIG)
    return path


def run(*words: object) -> int:
    """The exit status of a command."""
    try:
        return cli.main([str(word) for word in words])
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """What a refused command says: on standard error alone, with status 2 and no traceback."""
    assert run(*words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert captured.err.endswith("\n")
    return captured.err.removesuffix("\n")


def one_line(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The same, where it must be one line."""
    text = refused(capsys, *words)
    assert "\n" not in text
    assert text.isprintable()
    return text


def read_json(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    """What a command prints for programs."""
    assert run(*words) == 0
    return json.loads(capsys.readouterr().out)


# --- help -------------------------------------------------------------------------------------


def test_designed_commands_are_there() -> None:
    """What the design names and is built is a command; no other is undocumented here."""
    assert [command for command in DESIGNED if command not in COMMANDS] == []


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_has_an_example(capsys: pytest.CaptureFixture[str], words: Sequence[str]) -> None:
    """Every command explains itself, with an example that it would understand."""
    assert run(*words, "--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    example = text.rpartition("example: ")[2]
    assert example.startswith(" ".join(["plumbline", *words]))
    arguments = example.split(" > ")[0].split()[1:]
    Path("plumbline.yaml").touch()
    Path("logs.jsonl").touch()
    parsed = cli._parser().parse_args(arguments)
    assert callable(parsed.run)


@pytest.mark.parametrize("words", [[], ["reference"], ["config"]])
def test_group_lists_its_commands(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    """Help of a group names each of its commands; without one it is an error, not a traceback."""
    assert run(*words, "--help") == 0
    text = capsys.readouterr().out
    for command in COMMANDS:
        if command[: len(words)] == words:
            assert command[len(words)] in text
    assert "COMMAND" in one_line(capsys, *words)


# --- errors -----------------------------------------------------------------------------------


def test_unknown_command_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A slip of the hand gets an answer, not a page."""
    assert "'backtset'" in one_line(capsys, "backtset")


def test_unknown_option_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """So does an unknown option."""
    assert "--sedonds" in one_line(capsys, "demo", "--sedonds", "3")


@pytest.mark.parametrize("command", [["backtest"], ["reference", "build", "--name", "x"]])
def test_unreadable_logs_are_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, log: Path, command: list[str]
) -> None:
    """Missing files and directories are said before any work is done, by their names."""
    assert "none.jsonl: no such file" in one_line(capsys, *command, log, "none.jsonl")
    assert f"{tmp_path}: is a directory" in one_line(capsys, *command, tmp_path)
    assert "arguments are required" in one_line(capsys, *command)
    assert not (tmp_path / "references").exists()


def test_file_that_may_not_be_read_is_one_line(
    capsys: pytest.CaptureFixture[str], log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of somebody else's is said to be one."""
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.R_OK)
    assert f"{log}: may not be read" in one_line(capsys, "backtest", log)


def test_damaged_gzip_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, config: Path
) -> None:
    """What turns out to be unreadable half-way is one line too."""
    (tmp_path / "a.gz").write_bytes(b"no gzip")
    assert "a.gz" in one_line(capsys, "backtest", "-c", config, "a.gz")


def test_report_that_cannot_be_written_is_said_first(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for a backtest whose report then has no place to go."""
    monkeypatch.setattr("monitor.backtest.backtest", None)
    assert "none/r.json" in one_line(capsys, "backtest", log, "--report", "none/r.json")
    assert "is a directory" in one_line(capsys, "backtest", log, "--report", tmp_path)


@pytest.mark.parametrize(
    ("roles", "unknown"), [("ingest,dtect", "dtect"), ("", ""), ("ingest,", ""), ("all", "all")]
)
def test_unknown_role_is_one_line(
    capsys: pytest.CaptureFixture[str], roles: str, unknown: str
) -> None:
    """An unknown role is named, with those that there are."""
    text = one_line(capsys, "run", "--roles", roles)
    assert f"unknown role {unknown!r}; there are ingest, detect" in text


def test_roles_are_taken_once_each() -> None:
    """Blanks and repetitions do no harm."""
    assert cli._roles("detect, ingest,detect") == ("detect", "ingest")


@pytest.mark.parametrize("seconds", ["-5", "0", "nan", "inf", "ten", ""])
@pytest.mark.parametrize("option", ["--seconds", "--rate"])
def test_demo_takes_numbers_above_zero(
    capsys: pytest.CaptureFixture[str], option: str, seconds: str
) -> None:
    """Anything else is refused, with what was given."""
    text = one_line(capsys, "demo", f"{option}={seconds}")
    assert f"argument {option}: {seconds!r} is not a number above 0" in text


@pytest.mark.parametrize(
    ("seconds", "rate", "message"),
    [
        ("1", "1000", "1,000 records are too few to see anything"),
        ("5.9", "2000", "11,800 records are too few"),
        ("1e300", "1e300", "must be at most 100,000,000 records"),
    ],
)
def test_demo_of_too_few_or_too_many_records_is_one_line(
    capsys: pytest.CaptureFixture[str], seconds: str, rate: str, message: str
) -> None:
    """A demo that could show nothing, or never ended, does not start."""
    assert message in one_line(capsys, "demo", "--seconds", seconds, "--rate", rate)


def test_all_errors_of_a_configuration_are_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, log: Path
) -> None:
    """A bad configuration is told in full, a line an error, by whatever command reads it."""
    bad = tmp_path / "bad.yaml"
    bad.write_text("windos: {records: 5}\nalarms: {false_pages: -1}\n")
    for words in (["config", "check"], ["run"], ["backtest", log]):
        lines = refused(capsys, *words, "-c", bad).splitlines()
        assert len(lines) == 2
        assert any("windos" in line for line in lines)
        assert any("false_pages" in line for line in lines)


def test_missing_configuration_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A configuration that is not there is named."""
    assert "none.yaml" in one_line(capsys, "config", "check", "-c", "none.yaml")


def test_unknown_reference_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, log: Path
) -> None:
    """A reference that is not there is named, and how to build it."""
    assert "build it with" in one_line(capsys, "reference", "show", "chat")
    assert "no version 3" in one_line(capsys, "reference", "promote", "chat", "3")
    assert "no version 3" in one_line(capsys, "reference", "show", "chat", "--version", "3")
    named = tmp_path / "named.yaml"
    named.write_text("reference: {source: named, name: chat}\n")
    assert "build it with" in one_line(capsys, "backtest", "-c", named, log)


@pytest.mark.parametrize("name", ["../x", "/x", ".x", "", "a b", "a\x1b[31m"])
def test_hostile_name_is_one_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    log: Path,
    config: Path,
    name: str,
) -> None:
    """A name that would lead elsewhere is refused before any work, and nothing is written."""
    before = sorted(tmp_path.parent.rglob("*"))
    monkeypatch.setattr("monitor.references.from_files", None)  # hours of work, with a real log
    text = one_line(capsys, "reference", "build", "-c", config, f"--name={name}", log)
    assert "cannot name a reference" in text
    assert "cannot name" in one_line(capsys, "reference", "show", f"{name}")
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_error_cannot_steer_the_terminal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, config: Path
) -> None:
    """A file's name is text, in whatever error it appears."""
    name = "a\x1b[31m\x9b2Jb"
    assert "no such file" in one_line(capsys, "backtest", name)
    (tmp_path / f"{name}.gz").write_bytes(b"no gzip")
    assert "[31m" in one_line(capsys, "backtest", "-c", config, f"{name}.gz")


def test_interrupt_is_no_error(
    capsys: pytest.CaptureFixture[str], log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends a command at once, with the status that shells expect."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("monitor.backtest.backtest", interrupted)
    assert run("backtest", log) == 130
    assert "Traceback" not in capsys.readouterr().err


# --- output -----------------------------------------------------------------------------------


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """The version, for people and for programs."""
    assert run("version") == 0
    assert capsys.readouterr().out == f"plumbline {__version__}\n"
    assert read_json(capsys, "version", "--json") == {"version": __version__}


def test_version_does_not_wait_for_heavy_imports() -> None:
    """`plumbline version` imports neither scipy nor numpy nor Kafka."""
    code = (
        "import sys; from monitor.cli import main; main(['version']);"
        "print(sorted({'scipy', 'numpy', 'confluent_kafka', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_config_check(capsys: pytest.CaptureFixture[str], config: Path, tmp_path: Path) -> None:
    """Good configurations are called good; --json says what is in force, secrets masked."""
    assert run("config", "check", "-c", config) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"{config}: all is well"
    assert "false page in 30 days allowed to each model" in told[1]
    assert read_json(capsys, "config", "check", "-c", config, "--json")["windows"] == {
        "records": 200,
        "stride": 20,
    }
    assert run("config", "check") == 0
    assert capsys.readouterr().out.startswith("the defaults: all is well\n")


def test_config_check_says_what_follows(capsys: pytest.CaptureFixture[str]) -> None:
    """Programs get the numbers that people read."""
    (model,) = read_json(capsys, "config", "check", "--json")["outlook"]["models"]
    assert sum(part["share"] for part in model["parts"]) == pytest.approx(1)
    number = model["features"][0]
    assert run("config", "check") == 0
    seen = f"{number['name']}: a shift of 0.2 sd"
    (line,) = [line for line in capsys.readouterr().out.splitlines() if seen in line]
    assert f"seen after about {number['delays'][0]['seen']:,} records" in line


def test_plumbline_yaml_is_found(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The file of that name in the working directory counts where none is given."""
    (tmp_path / "plumbline.yaml").write_text("alarms: {min_psi: 0.2}\n")
    found = read_json(capsys, "config", "check", "--json")
    assert found["alarms"]["min_psi"] == 0.2
    assert run("config", "check") == 0
    assert capsys.readouterr().out.startswith("plumbline.yaml: ")


def test_secret_is_masked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in force is shown without what nobody may see."""
    monkeypatch.setenv("PLUMBLINE__KAFKA__CLIENT__SASL_PASSWORD", "hunter2-Zq")
    assert run("config", "check", "--json") == 0
    text = capsys.readouterr().out
    assert "hunter2" not in text
    assert "***" in text


def test_config_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """The schema is one, and closed."""
    schema = read_json(capsys, "config", "schema")
    assert schema["additionalProperties"] is False
    assert "windows" in schema["properties"]


def test_references_end_to_end(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, log: Path, config: Path
) -> None:
    """Built, listed, shown, promoted, used: one name, two versions."""
    build = ("reference", "build", "-c", config, "--name", "chat")
    [first] = read_json(capsys, *build, log, "--json")
    assert (first["version"], first["promoted"], first["source"]) == (1, True, "logs.jsonl")
    assert first["records"] == 8000
    assert first["models"] == ["chat-large", "code-small"]
    [second] = read_json(capsys, *build, log, "--json")
    assert (second["version"], second["promoted"], second["id"]) == (2, False, first["id"])
    assert [v["version"] for v in read_json(capsys, "reference", "list", "--json")] == [1, 2]

    shown = read_json(capsys, "reference", "show", "chat", "--json")
    assert shown["version"] == 1
    assert "latency_ms" in shown["profiles"][0]["features"]
    two = read_json(capsys, "reference", "show", "chat", "--version", "2", "--json")
    assert two["version"] == 2

    [promoted] = read_json(capsys, "reference", "promote", "chat", "2", "--json")
    assert (promoted["version"], promoted["promoted"]) == (2, True)
    assert [v["promoted"] for v in read_json(capsys, "reference", "list", "--json")] == [
        False,
        True,
    ]
    for words in (("list",), ("show", "chat"), ("promote", "chat", "1")):
        assert run("reference", *words) == 0
        assert "chat" in capsys.readouterr().out

    named = tmp_path / "named.yaml"
    named.write_text(
        "windows: {records: 200, stride: 20}\nreference: {source: named, name: chat}\n"
    )
    report = read_json(capsys, "backtest", "-c", named, log, "--json")
    assert report["records"] == 8000


def test_references_are_kept_where_one_says(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, log: Path, config: Path
) -> None:
    """--directory is heeded by all four commands."""
    there = ("--directory", tmp_path / "elsewhere", "--json")
    read_json(capsys, "reference", "build", "-c", config, "--name", "chat", log, *there)
    assert not (tmp_path / "references").exists()
    for words in (["list"], ["show", "chat"], ["promote", "chat", "1"]):
        assert read_json(capsys, "reference", *words, *there)
    assert read_json(capsys, "reference", "list", "--json") == []


def test_backtest_writes_and_prints_the_same_report(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, log: Path, config: Path
) -> None:
    """--report and --json hold one report; people get a table instead."""
    path = tmp_path / "report.json"
    printed = read_json(capsys, "backtest", "-c", config, log, "--report", path, "--json")
    assert json.loads(path.read_bytes()) == printed
    assert printed["records"] == 8000
    assert printed["events"]
    assert run("backtest", "-c", config, log) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("8,000 records of 2 models in ")
    assert "latency_ms of chat-large has drifted" in captured.err


def test_log_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Models are refused where their names could; what else a log says is shown without it."""
    lines = list(traffic(12_000, change_at=8000, seed=7, rate=50.0, start=1.76e9))
    routes = b"\n".join(lines).replace(b'"web"', b'"web\\u001b[31m\xc2\x9b2J\xe2\x80\xae"')
    path = tmp_path / "hostile.jsonl"
    path.write_bytes(routes.replace(b'"code-small"', b'"code\\u001b[31m"'))
    config = tmp_path / "segments.yaml"
    config.write_text(
        "windows: {records: 100, stride: 10}\nreference: {source: warmup, records: 1000}\n"
        "segments: [metadata.route]\n"
    )
    shown = ""
    for words in (
        ("backtest", "-c", config, path),
        ("reference", "build", "-c", config, "--name", "chat", path),
        ("reference", "show", "chat"),
    ):
        assert run(*words) == 0
        captured = capsys.readouterr()
        shown += captured.out + captured.err
    assert "[metadata.route=web\N{REPLACEMENT CHARACTER}[31m" in shown
    assert "bad_model" in shown
    assert not {"\x1b", "\x9b", "\u202e"} & set(shown)


@pytest.mark.parametrize(
    "words", [["config", "schema"], ["reference", "show", "chat"], ["version"]]
)
def test_reader_that_has_gone_is_no_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, log: Path, config: Path, words: list[str]
) -> None:
    """`plumbline ... | head` ends quietly: nothing on standard error, no traceback at exit."""
    assert run("reference", "build", "-c", config, "--name", "chat", log) == 0
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*PLUMBLINE, *words],
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""},
            cwd=tmp_path,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_output_that_cannot_be_encoded_is_no_error(tmp_path: Path) -> None:
    """A terminal that knows only ASCII gets question marks, not a traceback."""
    (tmp_path / "é.yaml").write_text("{}")
    done = subprocess.run(
        [*PLUMBLINE, "config", "check", "-c", "é.yaml"],
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "?.yaml: all is well")

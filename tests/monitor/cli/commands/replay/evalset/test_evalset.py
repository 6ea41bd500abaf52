"""Tests of `plumbline evalset`: from records to a frozen, checked and exported version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from monitor.cli.commands.replay.evalset.scores import read_run
from monitor.errors import UserError
from monitor.events.evaluations import encode_evaluation
from monitor.ingest.sampling.codec import encode_sample
from monitor.ingest.sampling.cut import MARKER
from replay.results import ItemScore, TaskScores
from replay.sets import versions
from tests.monitor.cli.command_line import one_line_error, read_json, run
from tests.replay.sets.items import evaluation, label, questions, sample

HOSTILE = "\x1b[2J<b>evil</b>"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, *rows: Any) -> Path:
    """Write JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def record(number: int, **fields: Any) -> dict[str, Any]:
    """Return a record as it is logged."""
    return {
        "request_id": f"r{number}",
        "timestamp": 1.76e9 + number,
        "model": "chat",
        "prompt": f"alpha{number} beta{number} gamma{number} delta{number}?",
        "response": f"answer{number} in four words",
    } | fields


def frozen(capsys: pytest.CaptureFixture[str], file: Path, *options: object) -> dict[str, Any]:
    """Build, approve and freeze the set `s` of a file; return the version."""
    assert run("evalset", "build", "s", "--file", file) == 0
    assert run("evalset", "approve", "s", "--by", "ann", "--all") == 0
    capsys.readouterr()
    found: dict[str, Any] = read_json(capsys, "evalset", "freeze", "s", "--json", *options)
    return found


@pytest.fixture
def prompts(folder: Path) -> Path:
    """A file of 20 prompts with targets of several words."""
    rows = [
        {"prompt": item.prompt, "target": f"a{n} b{n} c{n} d{n} e{n}"}
        for n, item in enumerate(questions(20))
    ]
    return write(folder / "prompts.jsonl", *rows)


def test_records_become_candidates(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Accepted answers are targets, disliked ones are open, others are counted; texts redacted."""
    write(
        folder / "logs.jsonl",
        record(1, metadata={"intent": "geo"}, session_id="secret-session"),
        record(2, prompt="alpha2 to ann@example.com", reference="x y z w v"),
        record(3, feedback=-1),
        record(4),
        record(5, response=f"half an answer{MARKER}"),
        record(6, model="other"),
        record(1),
    )
    (folder / "e.jsonl").write_bytes(
        b"\n".join(encode_evaluation(evaluation(f"r{n}")) for n in (1, 5))
    )
    words = ["evalset", "build", "s", "--samples", "logs.jsonl", "--evaluations", "e.jsonl"]
    words += ["--slice", "topic=intent", "--window", "drifted", "--model", "chat"]
    report = read_json(capsys, *words, "--json")
    assert (report["added"], report["approved"]) == (3, 0)
    assert report["skipped"] == {"not_accepted": 2}
    found = {
        item.provenance.request_id: item for item in versions.read_candidates(Path("evalsets"), "s")
    }
    assert found["r1"].target == "answer1 in four words"
    assert found["r1"].slices["topic"] == "geo"
    assert found["r1"].provenance.window == "drifted"
    assert found["r1"].provenance.accepted_by == "judge.quality 4.5"
    assert found["r3"].scoring == "judge"
    content = (folder / "evalsets" / "s" / "candidates.jsonl").read_text()
    assert "ann@example.com" not in content
    assert "secret-session" not in content
    again = read_json(capsys, *words, "--json")
    assert (again["added"], len(again["duplicates"])) == (0, 3)


def test_samples_of_the_topic_become_candidates(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Samples and evaluations of the topics are used in the range of time; other bytes are not."""
    samples = [
        sample(f"r{n}", prompt=f"alpha{n} beta{n} gamma{n}?", timestamp=1.76e9 + n)
        for n in range(4)
    ]
    values = [b"{", *map(encode_sample, samples), None, encode_sample(samples[0])]
    monkeypatch.setattr(
        "monitor.cli.commands.replay.evalset.sources.topic_values", lambda *_: iter(values)
    )
    monkeypatch.setattr(
        "monitor.roles.evaluation_publisher.evaluations", lambda _: map(label, ["r0", "r1", "r2"])
    )
    words = ("evalset", "build", "s", "--topic", "--judged", "--since", "2025-10-09T08:53:21Z")
    report = read_json(capsys, *words, "--json")
    assert (report["added"], report["skipped"]) == (2, {"not_accepted": 1})


def test_a_version_is_approved_frozen_and_shown(
    prompts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A person approves, rejects, and freezes; rejected items do not come back."""
    assert run("evalset", "build", "s", "--file", prompts, "--limit", 10) == 0
    assert "10 candidates added; 10 candidates, 0 approved" in capsys.readouterr().out
    assert "none of 10 candidates is approved" in one_line_error(capsys, "evalset", "freeze", "s")
    first, second, *_ = versions.read_candidates(Path("evalsets"), "s")
    approve = ("evalset", "approve", "s", "--by", f"ann{HOSTILE}", "--item")
    assert run(*approve, first.id, "--reject") == 0
    assert run(*approve, second.id) == 0
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert "9 candidates, 1 approved" in text
    assert "no candidate has the id" in one_line_error(capsys, *approve, first.id)
    report = read_json(capsys, "evalset", "build", "s", "--file", prompts, "--json")
    assert (report["candidates"], report["not_chosen"]) == (19, 1)
    version = read_json(capsys, "evalset", "freeze", "s", "--json")
    assert (version["version"], version["items"], version["hold_out"]) == (1, 1, None)
    shown = read_json(capsys, "evalset", "show", "s", "--json")
    assert [item["id"] for item in shown["items"]] == [second.id]
    assert len(read_json(capsys, "evalset", "show", "s", "--candidates", "--json")["items"]) == 19
    (listed,) = read_json(capsys, "evalset", "list", "--json")
    assert (listed["candidates"], listed["approved"]) == (19, 1)
    assert listed["versions"][0]["digest"] == version["digest"]
    assert run("evalset", "show", "s", "--candidates") == run("evalset", "list") == 0
    text = capsys.readouterr().out
    assert "s: 19 candidates, 1 approved" in text
    assert f"{second.id} file token_f1 (approved by ann" in text
    assert "\x1b" not in text


def test_held_out_items_are_exported_to_nobody(
    prompts: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exports leave them out unless they are asked for; tasks are files that lm-eval runs."""
    version = frozen(capsys, prompts, "--hold-out", 0.5)
    held = version["hold_out"]["items"]
    assert 0 < held < 20
    report = read_json(capsys, "evalset", "export", "s", "--jsonl", "out.jsonl", "--json")
    assert (report["items"], report["held_out"]) == (20 - held, held)
    exported = versions.decode_items((folder / "out.jsonl").read_bytes(), "out")
    item_set = versions.read_version(Path("evalsets"), "s")
    assert exported == item_set.visible()
    assert run("evalset", "export", "s", "--jsonl", "out.jsonl", "--held-out") == 0
    assert len((folder / "out.jsonl").read_text().splitlines()) == 20
    capsys.readouterr()
    report = read_json(capsys, "evalset", "export", "s", "--tasks", "t", "--json")
    assert report["tasks"] == ["s-token_f1"]
    rows = [json.loads(line) for line in (folder / "t" / "s-token_f1.jsonl").open()]
    assert {row["item_id"] for row in rows} == {item.id for item in item_set.visible()}


def test_a_check_says_what_a_set_can_show(
    prompts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sizes, small slices and waiting candidates are reported."""
    frozen(capsys, prompts)
    report = read_json(capsys, "evalset", "check", "s", "--json")
    assert report["independent"] == 20
    drops = list(report["detectable_drop"].values())
    assert drops == sorted(drops, reverse=True)
    assert report["contamination"] is None
    assert run("evalset", "build", "s", "--behaviour", "harmful") == 0
    capsys.readouterr()
    assert run("evalset", "check", "s") == 0
    text = capsys.readouterr().out
    assert "20 independent items show this drop from 80 %" in text
    assert "30 candidates wait for approval" in text


def test_contaminated_items_are_found(
    prompts: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 1, the places, and an excerpt that cannot control the terminal."""
    frozen(capsys, prompts)
    train = write(
        folder / "train.jsonl",
        {"text": f"Alpha3 beta3 gamma3 delta3\n{HOSTILE}"},
        {"text": "unrelated words of another text"},
    )
    assert run("evalset", "check", "s", "--against", train) == 1
    text = capsys.readouterr().out
    assert "contamination: 1 of 20 items are in 2 documents (exact 1" in text
    assert "train.jsonl:1" in text
    assert "\x1b" not in text
    clean = write(folder / "clean.jsonl", {"text": "unrelated words of another text"})
    report = read_json(capsys, "evalset", "check", "s", "--against", clean, "--json")
    assert report["contamination"]["contaminated"] == []
    assert report["contamination"]["documents"] == 1


def test_paraphrases_are_found_for_review(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The installed embedding finds a paraphrase, which is no contamination and no exit status."""
    rows = [{"prompt": "Which river flows through the city of Vienna?", "target": "Danube"}]
    frozen(capsys, write(folder / "p.jsonl", *rows))
    text = {"text": "Through the city of Vienna, which river is flowing?"}
    train = write(folder / "train.jsonl", text, {"text": "Bake the bread for forty minutes."})
    words = ("evalset", "check", "s", "--against", train, "--embeddings", "--json")
    found = read_json(capsys, *words)["contamination"]
    assert (found["contaminated"], len(found["review"])) == ([], 1)
    assert [hit["place"] for hit in found["hits"]] == ["train.jsonl:1"]


def scores(path: Path, right: dict[str, float]) -> Path:
    """Write the scores of a run."""
    task = TaskScores(
        task="t",
        metric="m",
        binary=True,
        scores=tuple(
            ItemScore(item=item, doc_id=n, prompt_hash="p", target_hash="t", metrics={"m": score})
            for n, (item, score) in enumerate(right.items())
        ),
    )
    path.write_bytes(msgspec.json.encode({"tasks": [task], "run": "x"}))
    return path


def test_past_runs_name_doubtful_items(
    prompts: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An item that better models fail is listed for review."""
    frozen(capsys, prompts)
    ids = [item.id for item in versions.read_version(Path("evalsets"), "s").items]
    options: list[object] = []
    for run_number in range(6):
        right = {item: float(at % 6 <= run_number) for at, item in enumerate(ids)}
        right[ids[0]] = float(run_number < 3)
        options += ["--scores", scores(folder / f"run{run_number}.json", right)]
    report = read_json(capsys, "evalset", "check", "s", "--json", *options)
    assert [each["item"] for each in report["statistics"] if each["doubtful"]] == [ids[0]]
    assert run("evalset", "check", "s", *options) == 0
    assert "negative of 1: review these\n" in capsys.readouterr().out


def test_known_failures_have_a_backlog(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Disliked answers become failures with their cause; runs fix them, and a run counts once."""
    write(folder / "logs.jsonl", record(1, feedback=-1), record(2, reference="a b c d"), record(3))
    (folder / "e.jsonl").write_bytes(encode_evaluation(evaluation("r3", passed=False)))
    words = ("evalset", "build", "k", "--samples", "logs.jsonl", "--evaluations", "e.jsonl")
    assert read_json(capsys, *words, "--known-failures", "--json")["added"] == 2
    backlog = read_json(capsys, "evalset", "failures", "k", "--json")["failures"]
    assert [each["cause"] for each in sorted(backlog, key=lambda each: str(each["cause"]))] == [
        "disliked by feedback",
        "disliked by judge.quality 1",
    ]
    item = backlog[0]["item"]
    changes: list[Any] = []
    for name in ("a", "a", "b", "c"):
        file = scores(folder / f"{name}.json", {item: float(name != "c")})
        update = ("--scores", file, "--run", name, "--json")
        changes += read_json(capsys, "evalset", "failures", "k", *update)["changes"]
    assert [each["after"] for each in changes] == ["fixed", "regressed"]
    assert run("evalset", "failures", "k") == 0
    assert "1 regressed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("build", "s"), "nothing to build from"),
        (("build", "../s", "--behaviour", "harmful"), "cannot name an evaluation set"),
        (("build", "s", "--file", "none.jsonl"), "no such file"),
        (("build", "s", "--file", "bad.jsonl"), "bad.jsonl:1: is not a JSON object"),
        (("build", "s", "--behaviour", "kind"), "invalid choice"),
        (("build", "s", "--behaviour", "harmful", "--by", "x"), "--by needs --limit"),
        (("build", "s", "--samples", "bad.jsonl", "--slice", "x"), "is not NAME=KEY"),
        (("build", "s", "--samples", "bad.jsonl", "--evaluations", "bad.jsonl"), "evaluation"),
        (("build", "s", "--file", "bad.jsonl", "--known-failures"), "needs traffic"),
        (("build", "s", "--topic", "--since", "1h", "--until", "2h"), "not before --until"),
        (("build", "s", "--generate", "law"), "no model is configured"),
        (("approve", "s", "--by", "ann", "--all"), "has no candidates"),
        (("approve", "s", "--by", "ann"), "one of the arguments --item --all is required"),
        (("freeze", "s"), "none of 0 candidates"),
        (("freeze", "s", "--hold-out", "0.6"), "at most half"),
        (("freeze", "s", "--period", "2"), "--period needs --hold-out"),
        (("show", "s"), "has no frozen version"),
        (("show", "s", "--candidates"), "has no candidates"),
        (("check", "s"), "has no frozen version"),
        (("export", "s", "--jsonl", "out"), "has no frozen version"),
        (("export", "s"), "one of the arguments --jsonl --tasks is required"),
        (("failures", "s"), "has no known failures"),
        (("failures", "s", "--run", "x"), "go together"),
        (("failures", "s", "--run", "x", "--scores", "bad.jsonl"), "has no scores of tasks"),
    ],
)
def test_an_error_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], problem: str
) -> None:
    """What a user can correct is one line and exit status 2."""
    (folder / "bad.jsonl").write_text(f"[{HOSTILE}\n")
    assert problem in one_line_error(capsys, "evalset", *words)


def test_an_exported_run_has_scores(tmp_path: Path) -> None:
    """The JSON lines of `plumbline replay export` are read; two runs in one file are an error."""
    task = {"type": "task", "run": "r", "task": "t", "metric": "m", "binary": True}
    hashes = {"prompt_hash": "p", "target_hash": "t", "doc_id": 0}
    row = {"type": "item", "run": "r", "task": "t", "item": "a", "metrics": {"m": 1.0}} | hashes
    failed = row | {"item": "b", "failed": "empty"}
    path = write(tmp_path / "run.jsonl", {"type": "run", "id": "r"}, task, row, failed)
    assert read_run(path) == {"a": 1.0}
    path = write(tmp_path / "run.jsonl", {"type": "run"}, task, row, task | {"run": "q"})
    with pytest.raises(UserError, match="several runs"):
        read_run(path)
    path = write(tmp_path / "run.jsonl", {"type": "run"}, {"run": "q"})
    with pytest.raises(UserError, match="has no scores of tasks"):
        read_run(path)

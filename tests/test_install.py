"""docs/install.md tells the truth about commands that cannot be run here: no engine, no cluster.

Blocks in `sh` are run by test_documents. Those in `console` need Docker or Kubernetes, or would
build an environment that test_image builds already; what can be wrong in them is checked.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from helm.build import CHART
from monitor import __version__
from tests.helm.render import manifests, merged, of_kind, render

ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / "docs" / "install.md").read_text()
STAGES = re.findall(r"(?m)^FROM .* AS (\S+)$", (ROOT / "Dockerfile").read_text())
SERVICES = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"]


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)


COMMANDS = [shlex.split(line) for block in blocks("console") for line in block.splitlines()]
[VALUES] = [yaml.safe_load(block) for block in blocks("yaml")]
LEAST = {"image": {"repository": "a"}, "config": {"kafka": {"bootstrap_servers": "a:1"}}}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]  # it raises all the same
        raise ValueError(message)


def helm(words: list[str]) -> None:
    """The chart is there, and takes the values; the release has the name that kubectl uses."""
    parser = _Parser()
    parser.add_argument("action", choices=["install", "upgrade"])
    parser.add_argument("release")
    parser.add_argument("chart")
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--create-namespace", action="store_true")
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--values")
    given = parser.parse_args(words)
    assert ROOT / given.chart == CHART
    values: dict[str, Any] = VALUES if given.values == "values.yaml" else {}
    for each in given.set:
        values = merged(values, helm_python.parse_set_string(each))
    assert of_kind(manifests(values), "Deployment")


def kubectl(words: list[str]) -> None:
    """What is waited for is what the chart makes; a Secret has the keys that the values name."""
    assert words[:2] == ["--namespace", "plumbline"]
    if words[2:4] == ["rollout", "status"]:
        with helm_python.Chart.load(CHART) as chart:
            text = chart.render(LEAST, name="plumbline")["plumbline/templates/workloads.yaml"]
        assert words[4] == f"deployment/{yaml.safe_load(text)['metadata']['name']}"
        return
    assert words[2:6] == ["create", "secret", "generic", VALUES["credentials"]["existingSecret"]]
    keys = {word.split("=")[1] for word in words[6:]}
    assert keys == set(VALUES["credentials"]["keys"].values())


def docker(words: list[str]) -> None:
    """Stages, services and the tag exist; a container gets arguments that it takes."""
    if words[0] == "compose":
        assert words[1] in {"up", "ps", "logs", "down"}
        assert [word for word in words[2:] if not word.startswith("-")] in ([], ["plumbline"])
        assert "plumbline" in SERVICES
        return
    [image] = [word for word in words if re.fullmatch(r"plumbline(-replay)?:.+", word)]
    assert image.endswith(f":{__version__}")
    if words[0] == "build":
        assert words[-1] == "."
        target = words[words.index("--target") + 1] if "--target" in words else "plumbline"
        assert target in STAGES
        return
    mounted = words[words.index("--volume") + 1].split(":")[1]
    assert words[words.index(image) + 1 :] == ["run", "-c", mounted]


def pip(words: list[str]) -> None:
    """Locks exist; the steps are those of the image, which test_image runs."""
    if "--requirement" in words:
        assert "--require-hashes" in words
        assert (ROOT / words[words.index("--requirement") + 1]).exists()
    else:
        assert words == ["install", "--no-deps", "--no-build-isolation", "."]


def curl(words: list[str]) -> None:
    """The daemon's default address, and a page that it has."""
    assert re.fullmatch(r"http://127\.0\.0\.1:9464/(metrics|readyz)", words[-1])


CHECKS: dict[str, Callable[[list[str]], None]] = {
    "helm": helm,
    "kubectl": kubectl,
    "docker": docker,
    "plumbline-env/bin/pip": pip,
    "curl": curl,
    "python3": lambda words: None if words[:2] == ["-m", "venv"] else pytest.fail(str(words)),
}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_shown_command_can_work(command: list[str]) -> None:
    """Each command names what exists, and gives what the other side takes."""
    CHECKS[command[0]](command[1:])


def test_shown_refusals_are_those_of_the_chart() -> None:
    """The sentences that a reader is promised are what Helm says."""
    wrong: list[dict[str, Any]] = [
        {"config": {"kafka": {"bootstrap_servers": ""}}},
        {"mode": "split", "pods": {"detect": {"replicas": 9}}},
        {"credentials": {"existingSecret": "a", "inline": {"sasl.password": "b"}}},
    ]
    [shown] = blocks("text")
    for values, sentence in zip(wrong, shown.splitlines(), strict=True):
        with pytest.raises(helm_python.HelmError) as refused:
            render(merged(LEAST, values))
        assert str(refused.value).endswith(sentence)


def test_laptop_addresses_are_those_of_compose() -> None:
    """Every address of the table is a published port."""
    ports = {port.rpartition(":")[2] for s in SERVICES.values() for port in s.get("ports", [])}
    table = DOCUMENT.split("| what | where |")[1].split("\n\n")[0]
    assert set(re.findall(r"127\.0\.0\.1:(\d+)", table)) == ports


def test_versions_are_this_one() -> None:
    """Image tags in documents and in compose are Plumbline's version."""
    assert SERVICES["plumbline"]["image"] == SERVICES["traffic"]["image"]
    assert SERVICES["plumbline"]["image"] == f"plumbline:{__version__}"

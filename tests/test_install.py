"""Tests of the commands in docs/install.md that require Docker or a cluster.

test_documents runs the `sh` blocks. The `console` blocks require Docker or Kubernetes, or build an
environment that test_image builds already; these tests check their arguments.
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
    """Return the fenced code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)


COMMANDS = [shlex.split(line) for block in blocks("console") for line in block.splitlines()]
VALUES, ADDITIONS, JUDGES, REPLAY, REPLAY_JOBS, NIGHTLY = (
    yaml.safe_load(block) for block in blocks("yaml")
)
MINIMAL = {"image": {"repository": "a"}, "config": {"kafka": {"bootstrap_servers": "a:1"}}}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]  # it raises all the same
        raise ValueError(message)


def helm(words: list[str]) -> None:
    """Check that the chart exists and renders with the given values."""
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
    """Check that the chart creates the workload, and that a Secret has the keys in the values."""
    assert words[:2] == ["--namespace", "plumbline"]
    if words[2:4] == ["rollout", "status"]:
        with helm_python.Chart.load(CHART) as chart:
            text = chart.render(MINIMAL, name="plumbline")["plumbline/templates/workloads.yaml"]
        assert words[4] == f"deployment/{yaml.safe_load(text)['metadata']['name']}"
        return
    assert words[2:6] == ["create", "secret", "generic", VALUES["credentials"]["existingSecret"]]
    keys = {word.split("=")[1] for word in words[6:]}
    assert keys == set(VALUES["credentials"]["keys"].values())


def docker(words: list[str]) -> None:
    """Check that stages, services and the tag exist, and that a container's arguments are valid."""
    if words[0] == "compose":
        assert words[1] in {"up", "ps", "logs", "down"}
        assert [word for word in words[2:] if not word.startswith("-")] in ([], ["plumbline"])
        assert "plumbline" in SERVICES
        return
    [image] = [word for word in words if word.startswith("plumbline:")]
    target = words[words.index("--target") + 1] if "--target" in words else "plumbline"
    suffix = "" if target == "plumbline" else f"-{target}"  # as the chart names these images
    assert image == f"plumbline:{__version__}{suffix}"
    if words[0] == "build":
        assert words[-1] == "."
        assert target in STAGES
        return
    mounted = words[words.index("--volume") + 1].split(":")[1]
    assert words[words.index(image) + 1 :] == ["run", "-c", mounted]


def pip(words: list[str]) -> None:
    """Check that locks exist, and that the steps equal those of the image."""
    if "--requirement" in words:
        assert "--require-hashes" in words
        assert (ROOT / words[words.index("--requirement") + 1]).exists()
    else:
        assert words == ["install", "--no-deps", "--no-build-isolation", "."]


def curl(words: list[str]) -> None:
    """Check that the URL is an endpoint at the daemon's default address."""
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
def test_shown_commands_are_valid(command: list[str]) -> None:
    """Each command refers to existing files, targets and options."""
    CHECKS[command[0]](command[1:])


def test_shown_errors_are_those_of_the_chart() -> None:
    """The shown error messages equal the messages of Helm."""
    wrong: list[dict[str, Any]] = [
        {"config": {"kafka": {"bootstrap_servers": ""}}},
        merged(REPLAY, {"pods": {"together": {"replicas": 2}}}),
        {"fullnameOverride": "drift.watch"},
        {"mode": "split", "pods": {"detect": {"replicas": 9}}},
        {"credentials": {"existingSecret": "a", "inline": {"sasl.password": "b"}}},
    ]
    [shown] = blocks("text")
    for values, sentence in zip(wrong, shown.splitlines(), strict=True):
        with pytest.raises(helm_python.HelmError) as raised:
            render(merged(MINIMAL, values))
        assert str(raised.value).endswith(sentence)


def test_additional_values_are_accepted() -> None:
    """The chart accepts the shown variables, volumes and rules beside the shown values."""
    [workload, *_] = of_kind(manifests(merged(VALUES, ADDITIONS)), "Deployment")
    [container] = workload["spec"]["template"]["spec"]["containers"]
    assert container["env"] == ADDITIONS["extraEnv"]


def test_values_of_judges_are_accepted() -> None:
    """The chart accepts the shown values of judges beside the others, and adds their pods."""
    found = of_kind(manifests(merged(VALUES, JUDGES)), "Deployment")
    names = [each["metadata"]["name"] for each in found]
    assert [name.rpartition("-")[2] for name in names] == ["ingest", "detect", "judge"]


def test_values_of_replays_are_accepted() -> None:
    """The chart accepts the shown values of replays: pods of the role, or jobs on the queue."""
    found = of_kind(manifests(merged(VALUES, REPLAY)), "Deployment")
    assert [each["metadata"]["name"].rpartition("-")[2] for each in found][-1] == "replay"
    [job] = of_kind(manifests(merged(MINIMAL, REPLAY_JOBS)), "ScaledJob")
    assert job["spec"]["maxReplicaCount"] == REPLAY_JOBS["pods"]["replayJob"]["replicas"]


def test_addresses_are_those_of_compose() -> None:
    """The table lists exactly the published ports."""
    ports = {port.rpartition(":")[2] for s in SERVICES.values() for port in s.get("ports", [])}
    table = DOCUMENT.split("| what | where |")[1].split("\n\n")[0]
    assert set(re.findall(r"127\.0\.0\.1:(\d+)", table)) == ports


def test_image_tags_equal_the_version() -> None:
    """Image tags in docker-compose.yaml equal Plumbline's version."""
    assert SERVICES["plumbline"]["image"] == SERVICES["traffic"]["image"]
    assert SERVICES["plumbline"]["image"] == f"plumbline:{__version__}"


def test_the_documented_nightly_judging_is_valid() -> None:
    """The job that judges again runs with the documented model and claim."""
    [job] = of_kind(manifests(merged(MINIMAL, NIGHTLY)), "CronJob")
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert f"--model={NIGHTLY['nightly']['model']}" in pod["containers"][0]["args"]
    claims = [each.get("persistentVolumeClaim", {}).get("claimName") for each in pod["volumes"]]
    assert NIGHTLY["nightly"]["claim"] in claims

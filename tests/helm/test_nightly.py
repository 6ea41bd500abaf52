"""Tests of the CronJob that judges the day before again, and of values that cannot work."""

from __future__ import annotations

from typing import Any

import helm_python
import pytest

from helm.build import CHART
from monitor.cli.main import parser
from tests.helm.render import Manifest, manifests, merged, of_kind, render, values_of

JUDGES = values_of(CHART / "ci" / "judges-values.yaml")


def nightly(**values: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the spec of the CronJob, and that of its pods."""
    [found] = of_kind(manifests(merged(JUDGES, values)), "CronJob")
    spec: dict[str, Any] = found["spec"]
    pod: dict[str, Any] = spec["jobTemplate"]["spec"]["template"]["spec"]
    return spec, pod


def policy(found: list[Manifest]) -> dict[str, Any]:
    """Return the selector of the policy that opens the port of the provider."""
    [judge] = [
        each
        for each in of_kind(found, "NetworkPolicy")
        if each["metadata"]["name"].endswith("-judge")
    ]
    selector: dict[str, Any] = judge["spec"]["podSelector"]
    return selector


def test_it_is_off_by_default() -> None:
    """Without `nightly` there is no CronJob, and the policy of judges is that of the role."""
    found = manifests(merged(JUDGES, {"nightly": {"enabled": False}}))
    assert of_kind(found, "CronJob") == []
    assert policy(found)["matchLabels"]["app.kubernetes.io/component"] == "judge"


def test_one_run_a_night_with_a_journal_that_is_kept() -> None:
    """Runs never overlap; a failed pod is followed by another one with the same volume."""
    spec, pod = nightly()
    assert (spec["schedule"], spec["timeZone"]) == ("0 2 * * *", "Etc/UTC")
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 3
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 24 * 3600
    assert pod["restartPolicy"] == "Never"
    volume = {"name": "nightly", "persistentVolumeClaim": {"claimName": "plumbline-nightly"}}
    assert volume in pod["volumes"]
    [container] = pod["containers"]
    assert {"name": "nightly", "mountPath": "/var/lib/plumbline/nightly"} in (
        container["volumeMounts"]
    )
    # so is the ledger of its budget
    assert {"name": "XDG_STATE_HOME", "value": "/var/lib/plumbline/nightly"} in container["env"]


def test_the_command_line_accepts_the_arguments() -> None:
    """The pod runs `judge nightly` for one day, with the work folder on the volume."""
    [container] = nightly()[1]["containers"]
    parsed = parser().parse_args(container["args"])
    assert (parsed.model, parsed.at) == ("claude-opus-4-5", None)
    assert str(parsed.work) == "/var/lib/plumbline/nightly"
    assert str(parsed.config) == "/etc/plumbline/plumbline.yaml"
    [container] = nightly(nightly={"model": ""})[1]["containers"]
    assert parser().parse_args(container["args"]).model is None


def test_its_pods_are_those_of_judges_in_image_resources_and_network() -> None:
    """They run the image with judges, have the resources of pods.judge, and reach the provider."""
    resources = {"limits": {"memory": "3Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}
    _, pod = nightly(pods={"judge": {"resources": resources}})
    [container] = pod["containers"]
    assert container["image"] == "registry.example.com/plumbline:2.1-judge"
    assert container["resources"] == resources
    assert "ports" not in container
    for mode, role in (("split", "judge"), ("together", "together")):
        [expression] = policy(manifests(merged(JUDGES, {"mode": mode})))["matchExpressions"]
        assert expression["values"] == [role, "nightly"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nightly": {"claim": ""}}, "nightly.claim is empty: set it to a PersistentVolumeClaim"),
        (
            {"config": {"judges": {"rubrics": []}}},
            "config.judges.rubrics is empty: set the rubrics",
        ),
        ({"nightly": {"model": "other"}}, "nightly.model is other, which has no price"),
        ({"nightly": {"schedule": "99 2 * * *"}}, 'whose minute is "99": use 0 to 59'),
        ({"nightly": {"schedule": "0 24 * * *"}}, 'whose hour is "24": use 0 to 23'),
        ({"nightly": {"schedule": "0 2 0 * *"}}, 'whose day is "0": use 1 to 31'),
        ({"nightly": {"schedule": "0 2 * 13 *"}}, 'whose month is "13": use 1 to 12'),
        ({"nightly": {"schedule": "0 2 * * 7"}}, 'whose weekday is "7": use 0 (Sunday) to 6'),
        ({"nightly": {"schedule": "*/0 2 * * *"}}, 'whose minute is "*/0"'),
        ({"nightly": {"schedule": "0,1, 2 * * *"}}, 'whose minute is "0,1,"'),
        ({"nightly": {"schedule": "02:00"}}, 'nightly.schedule is "02:00": write five fields'),
        ({"nightly": {"retries": -1}}, "retries"),
        ({"nightly": {"model": "x", "when": "now"}}, "when"),
    ],
)
def test_values_that_cannot_work_are_refused(values: dict[str, Any], message: str) -> None:
    """The message names the value and what to change."""
    with pytest.raises(helm_python.HelmError) as refused:
        render(merged(JUDGES, values))
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "schedule", ["@daily", "*/15 0-23/2 1,15,31 JAN-mar ?", "59 23 31 12 6", "05 02 * * mon-FRI,0"]
)
def test_schedules_of_kubernetes_are_accepted(schedule: str) -> None:
    """Ranges, steps, lists and names are in the CronJob as they are written."""
    spec, _ = nightly(nightly={"schedule": schedule})
    assert spec["schedule"] == schedule

"""The chart makes what Kubernetes accepts, from the files that are tested elsewhere."""

from __future__ import annotations

import importlib
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml

from helm import build
from helm.build import CHART
from monitor import __version__, app
from monitor.config import Config
from monitor.config_file import load
from monitor.kafka import Topics
from monitor.roles import detect
from tests.helm.render import CI, GOLDEN, Manifest, golden, manifests, of_kind, render, values_of

KUBERNETES = ("1.25", "1.37")
TRIAL = values_of(CHART / "ci" / "trial-values.yaml")
CUSTOM = {  # apiVersion -> where its own project's definitions are kept as types
    "monitoring.coreos.com/v1": "cloudcoil.models.prometheus_operator.v1",
    "keda.sh/v1alpha1": "cloudcoil.models.keda.v1alpha1",
}
HUSH = "https://hush.example/secret"
cases = pytest.mark.parametrize("path", CI, ids=lambda path: path.stem.removesuffix("-values"))


def check(manifest: Mapping[str, Any]) -> None:
    """Raises where a manifest is not what Kubernetes, or the custom resource's project, knows."""
    module = CUSTOM.get(manifest["apiVersion"])
    if module is None:
        for version in KUBERNETES:
            kubernetes_validate.validate(dict(manifest), version, strict=True)
        return
    model = getattr(importlib.import_module(module), manifest["kind"])
    kept = model.model_validate(manifest).model_dump(by_alias=True, exclude_unset=True, mode="json")
    assert kept == manifest  # an unknown key is dropped


def pods(found: list[Manifest]) -> list[Manifest]:
    """The pod specs of all workloads."""
    return [
        each["spec"]["template"]["spec"] for each in of_kind(found, "Deployment", "StatefulSet")
    ]


def test_made_files_are_up_to_date() -> None:
    """Copies, schema and README are what `make chart` would write, byte for byte."""
    wanted = build.outputs()
    late = [path.name for path, content in wanted.items() if path.read_bytes() != content]
    stale = [path.name for path in build.copies_present() - set(wanted)]
    assert (late, stale) == ([], []), "run make chart"


@pytest.mark.parametrize("pattern", build.COPIES)
def test_there_are_rules_and_dashboards(pattern: str) -> None:
    """The chart is not empty of what people look at."""
    assert list(build.ROOT.glob(pattern)), f"nothing matches {pattern}"


def test_lint_is_content() -> None:
    """`helm lint --strict` finds nothing but that there is no icon."""
    report = helm_python.lint(CHART, TRIAL, strict=True)
    assert report["errors"] == []
    assert [each["error"] for each in report["messages"]] == ["icon is recommended"]


def test_versions_agree() -> None:
    """The chart installs the Plumbline that it lies beside."""
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == __version__


@cases
def test_render_is_as_committed(path: Path) -> None:
    """A change of what is installed is seen in review; `make chart` renews the golden renders."""
    kept = (GOLDEN / path.name.replace("-values", "")).read_text()
    assert golden(values_of(path)) == kept, "see the difference, then run make chart"


@cases
def test_manifests_are_valid(path: Path) -> None:
    """Every manifest passes its strict schema, on the oldest and the newest Kubernetes meant."""
    found = manifests(values_of(path))
    assert of_kind(found, "Deployment", "StatefulSet")
    for manifest in found:
        check(manifest)


@pytest.mark.parametrize(
    ("path", "key"),
    [("trial", "ConfigMap"), ("production", "PodMonitor"), ("autoscaling", "ScaledObject")],
)
def test_check_finds_unknown_keys(path: str, key: str) -> None:
    """The check above is strict, for Kubernetes' own kinds and for custom ones."""
    [manifest, *_] = of_kind(manifests(values_of(CHART / "ci" / f"{path}-values.yaml")), key)
    manifest.setdefault("spec", manifest)["surprise"] = 1
    with pytest.raises((kubernetes_validate.ValidationError, AssertionError)):
        check(manifest)


@cases
def test_configuration_is_accepted(path: Path, tmp_path: Path) -> None:
    """The daemon takes the plumbline.yaml of the ConfigMap, with secrets from mounted files."""
    [found] = [
        each["data"]["plumbline.yaml"]
        for each in of_kind(manifests(values_of(path)), "ConfigMap")
        if "plumbline.yaml" in each["data"]
    ]
    credentials = values_of(path).get("credentials", {})
    for key in {"slack", *credentials.get("keys", {}).values(), *credentials.get("inline", {})}:
        (tmp_path / key).write_text(HUSH)
    file = tmp_path / "plumbline.yaml"
    file.write_text(found.replace("/etc/plumbline/credentials", str(tmp_path)))
    client = load(file, {}).kafka.client_settings()
    assert client.get("sasl.password", HUSH) == HUSH
    given = {*credentials.get("keys", {}), *credentials.get("inline", {})}
    assert ("sasl.password" in given) == ("sasl.password" in client)


@cases
def test_pods_are_confined(path: Path) -> None:
    """Every pod runs without root, privileges, a writable root or a token, whatever the values."""
    for pod in pods(manifests(values_of(path))):
        [container] = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not pod["automountServiceAccountToken"]
        assert {mount["mountPath"] for mount in container["volumeMounts"]} >= {"/tmp"}


def test_no_secret_outside_secrets() -> None:
    """A value given inline is in the Secret alone."""
    texts = render(values_of(CHART / "ci" / "inline-values.yaml"))
    [secret] = yaml.safe_load_all(texts.pop("secret.yaml"))
    assert secret["data"] == {"sasl.password": "b25seSBmb3IgYSB0cmlhbA=="}
    assert not [
        name for name, text in texts.items() if "only for a trial" in text or "b25s" in text
    ]


def test_grace_is_longer_than_leaving_takes() -> None:
    """A pod is killed only after it has had the time that its roles allow themselves."""
    budget = max(detect.REVOKE_SECONDS, len(app.ROLES) * app.DRAIN_SECONDS)
    [pod] = pods(manifests(TRIAL))
    assert pod["terminationGracePeriodSeconds"] > budget
    with pytest.raises(helm_python.HelmError, match="set 150 or more"):
        render(TRIAL | {"terminationGracePeriodSeconds": int(budget)})


def test_split_runs_every_role() -> None:
    """A workload for each role: no part of the daemon is left out, and notify has its way out."""
    found = manifests(values_of(CHART / "ci" / "production-values.yaml"))
    roles = [pod["containers"][0]["args"][-1].removeprefix("--roles=") for pod in pods(found)]
    assert roles == list(app.ROLES)
    [policy] = of_kind(found, "NetworkPolicy")
    assert {"protocol": "TCP", "port": 443} in [
        port for rule in policy["spec"]["egress"] for port in rule["ports"]
    ]


def test_nobody_is_told_by_nobody() -> None:
    """Without targets there is no notify: the role would not start, and none is let out for it."""
    found = manifests(TRIAL | {"mode": "split"})
    assert [pod["containers"][0]["args"][-1] for pod in pods(found)] == [
        "--roles=ingest",
        "--roles=detect",
    ]
    [policy] = of_kind(found, "NetworkPolicy")
    assert "443" not in str(policy)


def test_defaults_are_those_of_the_daemon() -> None:
    """What the chart repeats of the configuration, it repeats rightly."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())["config"]
    default = Config()
    assert values["kafka"]["partitions"] == default.kafka.partitions
    assert values["http"]["port"] == default.http.port
    [scaled] = of_kind(manifests(TRIAL | {"autoscaling": {"enabled": True}}), "ScaledObject")
    prefix, topics = (
        default.kafka.prefix,
        [*default.kafka.logs, Topics(default.kafka.prefix).features],
    )
    assert [
        (trigger["metadata"]["consumerGroup"], trigger["metadata"]["topic"])
        for trigger in scaled["spec"]["triggers"]
    ] == list(zip([f"{prefix}-ingest", f"{prefix}-detect"], topics, strict=True))


def test_changed_configuration_rolls_the_pods() -> None:
    """The pod template changes with the configuration, and with nothing beside it."""

    def annotations(values: dict[str, Any]) -> object:
        [workload] = of_kind(manifests(values), "Deployment")
        return workload["spec"]["template"]["metadata"]["annotations"]

    other = TRIAL | {"config": TRIAL["config"] | {"alarms": {"false_pages": 2}}}
    assert annotations(TRIAL) != annotations(other)
    assert annotations(TRIAL) == annotations(TRIAL | {"podDisruptionBudget": {"enabled": False}})


def test_network_policy_follows_the_brokers() -> None:
    """Out go DNS, the brokers' ports (9092 where none is written), messages; in comes nobody."""
    [policy] = of_kind(
        manifests(values_of(CHART / "ci" / "autoscaling-values.yaml")), "NetworkPolicy"
    )
    assert policy["spec"]["ingress"] == []
    assert [[port["port"] for port in rule["ports"]] for rule in policy["spec"]["egress"]] == [
        [53, 53],
        [9092, 9094],
        [443],
    ]


def test_scaling_ends_at_the_partitions() -> None:
    """KEDA starts no pod that would find no work, and takes pods away slowly."""
    found = of_kind(manifests(values_of(CHART / "ci" / "autoscaling-values.yaml")), "ScaledObject")
    assert {each["metadata"]["name"]: each["spec"]["maxReplicaCount"] for each in found} == {
        "demo-plumbline-ingest": 24,
        "demo-plumbline-detect": 12,
    }
    workloads = of_kind(
        manifests(values_of(CHART / "ci" / "autoscaling-values.yaml")), "Deployment"
    )
    fixed = {each["metadata"]["name"]: each["spec"].get("replicas") for each in workloads}
    assert fixed == {
        "demo-plumbline-ingest": None,  # else each upgrade would set back what KEDA has scaled
        "demo-plumbline-detect": None,
        "demo-plumbline-notify": 1,
    }
    groups = [t["metadata"]["consumerGroup"] for each in found for t in each["spec"]["triggers"]]
    assert groups == ["drift-ingest", "drift-detect"]
    for each in found:
        behavior = each["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        assert behavior["scaleDown"]["stabilizationWindowSeconds"] >= 1800


def test_embedded_files_arrive_whole() -> None:
    """Grafana and Prometheus get the very files that are tested elsewhere."""
    found = manifests(values_of(CHART / "ci" / "production-values.yaml"))
    dashboards: dict[str, str] = {}
    for each in of_kind(found, "ConfigMap"):
        if each["metadata"]["labels"].get("grafana_dashboard") == "1":
            dashboards |= each["data"]
    sources = build.ROOT.glob("grafana/dashboards/*.json")
    assert dashboards == {path.name: path.read_text() for path in sources}
    rules = [each["spec"] for each in of_kind(found, "PrometheusRule")]
    files = sorted(build.ROOT.glob("grafana/alerts/*.rules.yaml"))
    assert rules == [yaml.safe_load(path.read_text()) for path in files]


def test_there_is_room_for_a_role_on_a_gpu(tmp_path: Path) -> None:
    """A role to come needs its name in one line, and its pods in the values and their schema."""
    chart = tmp_path / "plumbline"
    shutil.copytree(CHART, chart)
    helpers = chart / "templates" / "_helpers.tpl"
    helpers.write_text(helpers.read_text().replace("[ingest, detect]", "[ingest, detect, replay]"))
    schema = chart / "values.schema.json"
    detect_pods = '"detect": {\n          "$ref": "#/$defs/pods"\n        }'
    text = schema.read_text()
    assert detect_pods in text
    schema.write_text(
        text.replace(detect_pods, detect_pods + ", " + detect_pods.replace("detect", "replay"))
    )
    replay = yaml.safe_load((chart / "values.yaml").read_text())["pods"]["detect"] | {
        "resources": {"limits": {"nvidia.com/gpu": 1}},
        "runtimeClassName": "nvidia",
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
    }
    found = manifests(TRIAL | {"mode": "split", "pods": {"replay": replay}}, chart)
    for manifest in found:
        check(manifest)
    pod = pods(found)[-1]
    assert pod["containers"][0]["args"][-1] == "--roles=replay"
    assert pod["containers"][0]["resources"] == {"limits": {"nvidia.com/gpu": 1}}


def test_notes_say_what_to_look_at() -> None:
    """After an install the user reads what to run next, and what is still missing."""
    notes = render(TRIAL)["NOTES.txt"]
    for text in ("get pods", "port-forward deployment/demo-plumbline 9464", "Nothing pages yet"):
        assert text in notes
    assert "Nothing" not in render(values_of(CHART / "ci" / "production-values.yaml"))["NOTES.txt"]


def test_links_of_its_documents_lead_somewhere() -> None:
    """What the chart's pages point to is there."""
    for page in CHART.glob("*.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert (CHART / target).exists(), f"{page.name}: {target}"


def test_silent_values_are_found() -> None:
    """A value without a comment does not get into the README unseen."""
    with pytest.raises(ValueError, match=r"no comment above a\.c$"):
        build.documented("a:\n  # What b is.\n  b: 1\n  c: 2\n")

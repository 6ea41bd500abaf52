"""Tests that the chart renders manifests that Kubernetes accepts, and embeds the right files."""

from __future__ import annotations

import copy
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
from monitor.config.load import load
from monitor.config.schema import Config
from monitor.kafka.topics import Topics
from monitor.roles import detect, names
from tests.helm.render import (
    CI,
    GOLDEN,
    Manifest,
    golden,
    manifests,
    merged,
    of_kind,
    render,
    values_of,
)

KUBERNETES = ("1.25", "1.37")
TRIAL = values_of(CHART / "ci" / "trial-values.yaml")
# without the CronJob, which tests/helm/test_nightly.py tests
JUDGES = values_of(CHART / "ci" / "judges-values.yaml") | {"nightly": {"enabled": False}}
TARGETS = {
    "targets": {"team": {"kind": "slack", "url": {"file": "/etc/plumbline/credentials/slack"}}}
}
CUSTOM = {  # apiVersion -> module with the types of the custom resources
    "monitoring.coreos.com/v1": "cloudcoil.models.prometheus_operator.v1",
    "keda.sh/v1alpha1": "cloudcoil.models.keda.v1alpha1",
}
HUSH = "https://hush.example/secret"
cases = pytest.mark.parametrize("path", CI, ids=lambda path: path.stem.removesuffix("-values"))


def check(manifest: Mapping[str, Any]) -> None:
    """Raise an error if a manifest does not match the schema of Kubernetes or of its project."""
    module = CUSTOM.get(manifest["apiVersion"])
    if module is None:
        for version in KUBERNETES:
            kubernetes_validate.validate(dict(manifest), version, strict=True)
        return
    if manifest["kind"] == "ScaledJob":
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": manifest["metadata"]}
        check(job | {"spec": manifest["spec"]["jobTargetRef"]})
        manifest = without_resources(manifest)  # they are checked with the job
    model = getattr(importlib.import_module(module), manifest["kind"])
    kept = model.model_validate(manifest).model_dump(by_alias=True, exclude_unset=True, mode="json")
    assert kept == manifest  # an unknown key is dropped


def without_resources(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a ScaledJob without resources, whose whole numbers the model refuses."""
    copied = copy.deepcopy(dict(manifest))
    for container in copied["spec"]["jobTargetRef"]["template"]["spec"]["containers"]:
        del container["resources"]
    return copied


def pods(found: list[Manifest]) -> list[Manifest]:
    """Return the pod specs of all workloads, those of jobs last."""
    jobs = [each["spec"]["jobTargetRef"] for each in of_kind(found, "ScaledJob")]
    jobs += [each["spec"]["jobTemplate"]["spec"] for each in of_kind(found, "CronJob")]
    specs = [each["spec"] for each in of_kind(found, "Deployment", "StatefulSet")]
    return [spec["template"]["spec"] for spec in (*specs, *jobs)]


def test_generated_files_are_up_to_date() -> None:
    """Copies, schema and README equal the output of `make chart`, byte for byte."""
    expected = build.outputs()
    outdated = [path.name for path, content in expected.items() if path.read_bytes() != content]
    stale = [path.name for path in build.copies_present() - set(expected)]
    assert (outdated, stale) == ([], []), "run make chart"


@pytest.mark.parametrize("pattern", build.COPIES)
def test_chart_contains_rules_and_dashboards(pattern: str) -> None:
    """Each pattern of copied files matches at least one file."""
    assert list(build.ROOT.glob(pattern)), f"nothing matches {pattern}"


def test_lint_passes() -> None:
    """`helm lint --strict` reports only the missing icon."""
    report = helm_python.lint(CHART, TRIAL, strict=True)
    assert report["errors"] == []
    assert [each["error"] for each in report["messages"]] == ["icon is recommended"]


def test_app_version_is_the_version_of_plumbline() -> None:
    """The chart installs the version of Plumbline in this repository."""
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == __version__


@cases
def test_render_equals_the_golden_file(path: Path) -> None:
    """A change of the manifests is visible in review; `make chart` updates the golden files."""
    committed = (GOLDEN / path.name.replace("-values", "")).read_text()
    assert golden(values_of(path)) == committed, "check the difference, then run make chart"


@cases
def test_manifests_are_valid(path: Path) -> None:
    """Every manifest passes its strict schema for the oldest and newest supported Kubernetes."""
    found = manifests(values_of(path))
    assert of_kind(found, "Deployment", "StatefulSet")
    for manifest in found:
        check(manifest)


@pytest.mark.parametrize(
    ("path", "key"),
    [("trial", "ConfigMap"), ("production", "PodMonitor"), ("autoscaling", "ScaledObject")],
)
def test_check_finds_unknown_keys(path: str, key: str) -> None:
    """`check` is strict, for kinds of Kubernetes and for custom kinds."""
    [manifest, *_] = of_kind(manifests(values_of(CHART / "ci" / f"{path}-values.yaml")), key)
    manifest.setdefault("spec", manifest)["surprise"] = 1
    with pytest.raises((kubernetes_validate.ValidationError, AssertionError)):
        check(manifest)


@cases
def test_configuration_is_accepted(path: Path, tmp_path: Path) -> None:
    """The daemon accepts plumbline.yaml of the ConfigMap, with secrets from mounted files."""
    [found] = [
        each["data"]["plumbline.yaml"]
        for each in of_kind(manifests(values_of(path)), "ConfigMap")
        if "plumbline.yaml" in each["data"]
    ]
    credentials = values_of(path).get("credentials", {})
    mounted = re.findall(r"/etc/plumbline/credentials/([\w.-]+)", found)
    for key in {
        *mounted,
        *credentials.get("keys", {}).values(),
        *credentials.get("inline", {}),
    }:
        (tmp_path / key).write_text(HUSH)
    file = tmp_path / "plumbline.yaml"
    file.write_text(found.replace("/etc/plumbline/credentials", str(tmp_path)))
    client = load(file, {}).kafka.client_settings()
    assert client.get("sasl.password", HUSH) == HUSH
    given = {*credentials.get("keys", {}), *credentials.get("inline", {})}
    assert ("sasl.password" in given) == ("sasl.password" in client)


@cases
def test_pods_are_confined(path: Path) -> None:
    """With any values, pods run without root, privileges, a writable root and a token."""
    for pod in pods(manifests(values_of(path))):
        for container in (*pod["containers"], *pod.get("initContainers", [])):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            }
            assert {mount["mountPath"] for mount in container["volumeMounts"]} >= {"/tmp"}
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not pod["automountServiceAccountToken"]


def test_inline_credentials_are_only_in_the_secret() -> None:
    """No manifest but the Secret contains an inline credential."""
    texts = render(values_of(CHART / "ci" / "inline-values.yaml"))
    [secret] = yaml.safe_load_all(texts.pop("secret.yaml"))
    assert secret["data"] == {"sasl.password": "b25seSBmb3IgYSB0cmlhbA=="}
    assert not [
        name for name, text in texts.items() if "only for a trial" in text or "b25s" in text
    ]


def test_grace_period_is_longer_than_a_shutdown() -> None:
    """A pod is killed only after the time limits of its roles' shutdown."""
    budget = max(detect.REVOKE_SECONDS, len(names.ROLES) * app.DRAIN_SECONDS)
    [pod] = pods(manifests(TRIAL))
    assert pod["terminationGracePeriodSeconds"] > budget
    with pytest.raises(helm_python.HelmError, match="set 420 or more"):
        render(TRIAL | {"terminationGracePeriodSeconds": int(budget)})


def test_split_runs_every_role() -> None:
    """Mode split has a workload for each role, and notify can reach port 443."""
    found = manifests(values_of(CHART / "ci" / "production-values.yaml"))
    roles = [pod["containers"][0]["args"][-1].removeprefix("--roles=") for pod in pods(found)]
    assert roles == [name for name in names.ROLES if name not in {"judge", "replay", "web"}]
    [policy] = of_kind(found, "NetworkPolicy")
    assert {"protocol": "TCP", "port": 443} in [
        port for rule in policy["spec"]["egress"] for port in rule["ports"]
    ]


def test_without_targets_there_is_no_notify_workload() -> None:
    """Without targets there is no notify workload, and port 443 stays closed."""
    found = manifests(TRIAL | {"mode": "split"})
    assert [pod["containers"][0]["args"][-1] for pod in pods(found)] == [
        "--roles=ingest",
        "--roles=detect",
    ]
    [policy] = of_kind(found, "NetworkPolicy")
    assert "443" not in str(policy)


def judging(**values: Any) -> list[Manifest]:
    """Return the manifests of the values with judges, overridden by others."""
    return manifests(merged(JUDGES, values))


def test_judges_run_in_a_workload_of_their_own() -> None:
    """Only its pods run the larger image, and only they can reach the provider, at its port."""
    found = judging(config={"notifications": TARGETS})
    images = {
        pod["containers"][0]["args"][-1]: pod["containers"][0]["image"] for pod in pods(found)
    }
    plain = "registry.example.com/plumbline:2.1"
    assert images == {
        "--roles=ingest": plain,
        "--roles=detect": plain,
        "--roles=judge": f"{plain}-judge",
        "--roles=experiment": plain,
        "--roles=notify": plain,
    }
    every, own = (each["spec"] for each in of_kind(found, "NetworkPolicy"))
    assert own["podSelector"]["matchLabels"].pop("app.kubernetes.io/component") == "judge"
    assert own["podSelector"] == every["podSelector"]
    assert own["policyTypes"] == ["Egress"]
    [rule] = own["egress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8443}]
    assert rule["to"] == JUDGES["networkPolicy"]["judgeTo"]
    assert "8443" not in str(every)


def test_judges_of_one_workload_have_the_same_image_and_egress() -> None:
    """In mode together, all pods judge; the provider's own address has port 443."""
    client = {"base_url": None, "api_key": {"file": "/etc/plumbline/credentials/judge"}}
    found = judging(mode="together", config={"judges": {"client": client}})
    [pod] = pods(found)
    assert pod["containers"][0]["image"] == "registry.example.com/plumbline:2.1-judge"
    _, own = of_kind(found, "NetworkPolicy")
    labels = own["spec"]["podSelector"]["matchLabels"]
    assert labels["app.kubernetes.io/component"] == "together"
    assert own["spec"]["egress"][0]["ports"] == [{"protocol": "TCP", "port": 443}]
    [scaled] = of_kind(found, "ScaledObject")
    groups = [trigger["metadata"]["consumerGroup"] for trigger in scaled["spec"]["triggers"]]
    assert groups == [f"plumbline-{name}" for name in ("ingest", "detect", "judge", "experiment")]


def test_images_of_judges_have_a_digest_of_their_own() -> None:
    """With digests, a tag with a suffix would name nothing."""
    ours, theirs = (f"sha256:{digit * 64}" for digit in "12")
    found = judging(image={"digest": ours, "judgeDigest": theirs})
    images = [pod["containers"][0]["image"] for pod in pods(found)]
    assert images == [
        f"registry.example.com/plumbline@{each}" for each in (ours, ours, theirs, ours)
    ]


def test_judges_are_scaled_by_waiting_samples() -> None:
    """The trigger is the lag of the judge group on the samples topic, at most one pod each."""
    found = {each["metadata"]["name"]: each["spec"] for each in of_kind(judging(), "ScaledObject")}
    scaled = found["demo-plumbline-judge"]
    [trigger] = scaled["triggers"]
    assert trigger["metadata"]["topic"] == Topics("plumbline").samples
    assert trigger["metadata"]["consumerGroup"] == "plumbline-judge"
    assert trigger["metadata"]["lagThreshold"] == "200"
    assert scaled["maxReplicaCount"] == 6
    for role, topic in (("ingest", "inference-logs"), ("detect", "plumbline.features")):
        [other] = found[f"demo-plumbline-{role}"]["triggers"]
        assert other["metadata"]["topic"] == topic


def test_the_key_of_judges_is_read_from_a_mounted_file() -> None:
    """No manifest has the key: the configuration names a file of the mounted Secret."""
    found = judging()
    [text] = [
        each["data"]["plumbline.yaml"]
        for each in of_kind(found, "ConfigMap")
        if "plumbline.yaml" in each["data"]
    ]
    client = yaml.safe_load(text)["judges"]["client"]
    assert client["api_key"] == {"file": "/etc/plumbline/credentials/judge"}
    for pod in pods(found):
        [mount] = [m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "credentials"]
        assert mount == {
            "name": "credentials",
            "mountPath": "/etc/plumbline/credentials",
            "readOnly": True,
        }


def test_checks_alone_need_no_provider() -> None:
    """The role judge runs; no key is required, and no port is opened."""
    checks = {"checks": {"short": {"kind": "length", "max_chars": 100}}}
    found = manifests(JUDGES | {"config": JUDGES["config"] | {"judges": checks}})
    assert "--roles=judge" in [pod["containers"][0]["args"][-1] for pod in pods(found)]
    assert len(of_kind(found, "NetworkPolicy")) == 1


def test_without_judges_nothing_changes() -> None:
    """An empty section judges starts no pods, and opens no port."""
    found = manifests(TRIAL | {"mode": "split", "config": TRIAL["config"] | {"judges": {}}})
    assert len(pods(found)) == 2
    assert len(of_kind(found, "NetworkPolicy")) == 1
    assert "-judge" not in str(found)


def test_defaults_equal_those_of_the_daemon() -> None:
    """Defaults that the chart repeats equal the defaults of the configuration."""
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
    """The pod template changes with the configuration, but not with unrelated values."""

    def annotations(values: dict[str, Any]) -> object:
        [workload] = of_kind(manifests(values), "Deployment")
        return workload["spec"]["template"]["metadata"]["annotations"]

    other = TRIAL | {"config": TRIAL["config"] | {"alarms": {"false_pages": 2}}}
    assert annotations(TRIAL) != annotations(other)
    assert annotations(TRIAL) == annotations(TRIAL | {"podDisruptionBudget": {"enabled": False}})


def test_network_policy_follows_the_brokers() -> None:
    """Egress: DNS, the brokers' ports (9092 by default) and 443. Ingress: none without peers.

    The API server drops an empty list, so that a chart with one would change the policy at each
    apply.
    """
    [policy] = of_kind(
        manifests(values_of(CHART / "ci" / "autoscaling-values.yaml")), "NetworkPolicy"
    )
    assert "ingress" not in policy["spec"]
    assert "Ingress" in policy["spec"]["policyTypes"]
    assert [[port["port"] for port in rule["ports"]] for rule in policy["spec"]["egress"]] == [
        [53, 53],
        [5353, 5353],
        [9092, 9094],
        [443],
    ]


def test_scaling_is_limited_by_the_partitions() -> None:
    """KEDA starts at most one pod for each partition, and removes pods slowly."""
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
        "demo-plumbline-ingest": None,  # otherwise each upgrade would reset the number set by KEDA
        "demo-plumbline-detect": None,
        "demo-plumbline-notify": 1,
    }
    groups = [t["metadata"]["consumerGroup"] for each in found for t in each["spec"]["triggers"]]
    assert groups == ["drift-ingest", "drift-detect"]
    for each in found:
        behavior = each["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        assert behavior["scaleDown"]["stabilizationWindowSeconds"] >= 1800


def test_embedded_files_are_unchanged() -> None:
    """The manifests contain the dashboards and rules byte for byte."""
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


def test_a_role_can_be_added(tmp_path: Path) -> None:
    """A new role (here with a GPU) requires a name in one line, and pods in values and schema."""
    chart = tmp_path / "plumbline"
    shutil.copytree(CHART, chart)
    helpers = chart / "templates" / "_helpers.tpl"
    names = 'list "ingest" "detect"'
    assert names in helpers.read_text()
    helpers.write_text(helpers.read_text().replace(names, f'{names} "other"'))
    schema = chart / "values.schema.json"
    detect_pods = '"detect": {\n          "$ref": "#/$defs/pods"\n        }'
    text = schema.read_text()
    assert detect_pods in text
    schema.write_text(
        text.replace(detect_pods, detect_pods + ", " + detect_pods.replace("detect", "other"))
    )
    other = yaml.safe_load((chart / "values.yaml").read_text())["pods"]["detect"] | {
        "resources": {"limits": {"nvidia.com/gpu": 1}},
        "runtimeClassName": "nvidia",
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
    }
    found = manifests(TRIAL | {"mode": "split", "pods": {"other": other}}, chart)
    for manifest in found:
        check(manifest)
    pod = pods(found)[-1]
    assert pod["containers"][0]["args"][-1] == "--roles=other"
    assert pod["containers"][0]["resources"] == {"limits": {"nvidia.com/gpu": 1}}


def test_notes_list_the_next_steps() -> None:
    """The notes after an installation contain checks to run and warnings of missing parts."""
    notes = render(TRIAL)["NOTES.txt"]
    for text in ("get pods", "port-forward deployment/demo-plumbline 9464", "no alert rules"):
        assert text in notes
    assert "Warning" not in render(values_of(CHART / "ci" / "production-values.yaml"))["NOTES.txt"]


def test_links_in_documents_exist() -> None:
    """The targets of links in the chart's pages exist."""
    for page in CHART.glob("*.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert (CHART / target).exists(), f"{page.name}: {target}"


def test_values_without_a_comment_are_reported() -> None:
    """A value without a comment is an error."""
    with pytest.raises(ValueError, match=r"add a comment above a\.c$"):
        build.documented("a:\n  # Comment of b.\n  b: 1\n  c: 2\n")

"""Tests that wrong values cause an error that says how to fix them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import helm_python
import pytest

from helm.build import CHART
from monitor.config.sections.kafka.client import is_secret
from tests.helm.render import merged, render, values_of

TRIAL = values_of(CHART / "ci" / "trial-values.yaml")
BROKERS = TRIAL["config"]["kafka"]
KEY = {"file": "/etc/plumbline/credentials/judge"}
FREE_FORM = {"global", "matches", "queues"}
"""Objects whose keys Helm defines, the JSON schema of a check, and queues by their names."""


def error(values: Mapping[str, Any]) -> str:
    """Return the error of a render with these values."""
    with pytest.raises(helm_python.HelmError) as raised:
        render(merged(TRIAL, values))
    return str(raised.value)


def client(**settings: Any) -> dict[str, Any]:
    """Return values with settings of the Kafka client; a double underscore stands for a dot."""
    return {"config": {"kafka": {"client": {k.replace("__", "."): v for k, v in settings.items()}}}}


def judges(api_key: Any = KEY, **values: Any) -> dict[str, Any]:
    """Return values with a rubric, the key of the provider, and other values."""
    section = {
        "rubrics": ["tone"],
        "model": "m",
        "client": {"api_key": api_key},
        "prices": {"m": {"input": 1, "output": 1}},
    }
    return merged({"config": {"judges": section}}, values)


def kafka(**keys: Any) -> dict[str, Any]:
    """Return values with keys of config.kafka."""
    return {"config": {"kafka": keys}}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"config": {"experiments": {"e": {"variants": {"b": 1, "a": 1}, "goal": "error"}}}},
            "config.experiments.e.variants is a mapping, whose order Helm does not keep",
        ),
        (
            {"podDisruptionBudget": {"maxUnavailable": 0}},
            "podDisruptionBudget.maxUnavailable is 0, so no pod may be evicted",
        ),
        (
            {"networkPolicy": {"kafkaPorts": [9092, 9093, 9092]}},
            'networkPolicy.kafkaPorts contains "9092" twice: remove one of them',
        ),
        ({"image": {"repository": ""}}, "image.repository is empty: build the image, push it to"),
        (kafka(bootstrap_servers=""), "bootstrap_servers is empty: give your brokers"),
        (
            judges(),
            "config.judges.client.api_key is in the file /etc/plumbline/credentials/judge, but no"
            " Secret is mounted: set credentials.existingSecret",
        ),
        (
            judges("sk-1", credentials={"existingSecret": "x"}),
            "config.judges.client.api_key is a secret and must not be in a ConfigMap: store it",
        ),
        (
            judges(None, credentials={"existingSecret": "x"}),
            "a judge is configured, but the key of the judges' provider is not",
        ),
        (
            judges(image={"digest": f"sha256:{64 * '1'}"}, credentials={"existingSecret": "x"}),
            "image.judgeDigest is not: pods that judge run another image",
        ),
        (
            judges(image={"judgeDigest": f"sha256:{64 * '1'}"}),
            "image.judgeDigest is set, but image.digest is not",
        ),
        (
            judges(config={"judges": {"client": {"base_url": "http://127.0.0.1:8000/v1"}}}),
            "base_url is http://127.0.0.1:8000/v1, which in a pod is the pod itself",
        ),
        (
            judges(
                mode="split", credentials={"existingSecret": "x"}, pods={"judge": {"replicas": 7}}
            ),
            "pods.judge.replicas is 7, but config.kafka.partitions is 6",
        ),
        (kafka(bootstrap_servers=" "), "bootstrap_servers is empty: give your brokers"),
        (kafka(bootstrap_servers="a:1,,b:2"), "remove the comma"),
        (kafka(bootstrap_servers="a:1,localhost:9092"), "in a pod is the pod itself"),
        (kafka(bootstrap_servers="[::1]:9092"), "in a pod is the pod itself"),
        (
            {"pods": {"together": {"replicas": 7}}},
            "pods.together.replicas is 7, but config.kafka.partitions is 6: more pods than"
            " partitions find no work, so lower the first or raise the second",
        ),
        (
            {"mode": "split", "pods": {"detect": {"replicas": 9}}},
            "pods.detect.replicas is 9, but config.kafka.partitions is 6",
        ),
        (
            {"mode": "split", "logPartitions": 3, "pods": {"ingest": {"replicas": 4}}},
            "pods.ingest.replicas is 4, but logPartitions is 3",
        ),
        (
            {"autoscaling": {"enabled": True, "minReplicas": 7}},
            "autoscaling.minReplicas is 7, but config.kafka.partitions is 6",
        ),
        (
            {"mode": "split", "autoscaling": {"enabled": True}},
            "logPartitions, the maximum number of pods, is not set: set it",
        ),
        (
            {"autoscaling": {"enabled": True}, **client(security__protocol="SASL_SSL")},
            "security.protocol SASL_SSL: set autoscaling.authenticationRef",
        ),
        (
            {"credentials": {"existingSecret": "a", "inline": {"sasl.password": "x"}}},
            "credentials.existingSecret and credentials.inline are both given: keep existingSecret",
        ),
        (
            {"credentials": {"keys": {"sasl.password": "password"}}},
            "credentials.keys is set, but credentials.existingSecret is not",
        ),
        (
            {
                "credentials": {"inline": {"sasl.username": "x"}},
                **client(sasl__username="y"),
            },
            "sasl.username is set both in config.kafka.client and in credentials",
        ),
        (
            {
                "config": {"reference": {"source": "named", "name": "a"}},
            },
            "no volume with references is mounted: set references.existingClaim",
        ),
        (
            {
                "config": {"reference": {"source": "file", "path": "logs.jsonl"}},
                "references": {"existingClaim": "a"},
            },
            "config.reference.path is outside the mounted volume: set a path that begins with",
        ),
        (
            {
                "config": {"reference": {"source": "named", "name": "a"}},
                "references": {"existingClaim": "a"},
            },
            "config.reference.directory is outside the mounted volume",
        ),
        (
            {"monitoring": {"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}}},
            "scraped twice: disable one of them",
        ),
        ({"config": {"http": {"host": "127.0.0.1"}}}, "set 0.0.0.0, or :: for IPv6"),
        ({"config": {"http": {"port": 0}}}, "set a fixed port, for instance 9464"),
        ({"terminationGracePeriodSeconds": 30}, "set 420 or more"),
        ({"podSecurity": {"runAsUser": 0}}, "which is root: set another user"),
    ],
    ids=lambda case: case[:40] if isinstance(case, str) else None,
)
def test_checks_report_values_that_cannot_work(values: dict[str, Any], message: str) -> None:
    """Values that pass the schema but cannot work cause an error with a fix."""
    assert message in error(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"replicaCount": 3}, "additional properties 'replicaCount' not allowed"),
        (
            {"pods": {"detect": {"replica": 3}}},
            "at '/pods/detect': additional properties 'replica'",
        ),
        ({"pods": {"wep": {}}}, "at '/pods': additional properties 'wep' not allowed"),
        (kafka(bootstrapServers="a:1"), "at '/config/kafka': additional properties"),
        ({"config": {"windows": {"records": 1}}}, "at '/config/windows/records': minimum"),
        ({"config": {"http": None}}, "at '/config': missing property 'http'"),
        (kafka(bootstrap_servers=None), "missing property 'bootstrap_servers'"),
        ({"mode": "both"}, "value must be one of 'together', 'split'"),
        ({"workload": "DaemonSet"}, "value must be one of 'Deployment', 'StatefulSet'"),
        ({"pods": {"together": {"replicas": "2"}}}, "got string, want integer"),
        ({"pods": {"together": {"replicas": 0}}}, "minimum: got 0, want 1"),
        ({"pods": {"together": {"replicas": -1}}}, "minimum: got -1, want 1"),
        ({"pods": {"together": {"replicas": 1.5}}}, "got number, want integer"),
        ({"pods": {"together": {"replicas": 2**31}}}, "maximum: got 2.147483648"),
        ({"autoscaling": {"minReplicas": 0}}, "minimum: got 0, want 1"),
        ({"podDisruptionBudget": {"minAvailable": 1}}, "properties 'minAvailable' not allowed"),
        ({"podDisruptionBudget": {"maxUnavailable": -1}}, "minimum: got -1, want 0"),
        ({"networkPolicy": {"kafkaPorts": [70000]}}, "maximum: got 70,000, want 65,535"),
        ({"networkPolicy": {"extraEgress": [{"ports": [{"port": 0}]}]}}, "minimum: got 0, want 1"),
        ({"networkPolicy": {"kafkaTo": [{"ipBlock": {}}]}}, "missing property 'cidr'"),
        ({"podSecurity": {"runAsUser": 2**31}}, "maximum: got 2.147483648"),
        ({"podLabels": {"release": 2}}, "at '/podLabels/release': got number, want string"),
        ({"topologySpread": {"keys": [""]}}, "at '/topologySpread/keys/0': minLength"),
        (
            {"pods": {"together": {"resources": {"claims": [{"name": "gpu"}]}}}},
            "properties 'claims' not allowed",
        ),
        (
            {"pods": {"together": {"affinity": {"nodeAffinity": {"required": {}}}}}},
            "properties 'required' not allowed",
        ),
    ],
    ids=lambda case: case[:40] if isinstance(case, str) else None,
)
def test_schema_rejects_unknown_keys_and_wrong_types(values: dict[str, Any], message: str) -> None:
    """The schema rejects unknown keys and invalid values, and the error has their location."""
    assert message in error(values)


@pytest.mark.parametrize(
    "setting",
    [
        "sasl.password",
        "ssl.key.password",
        "ssl.key.pem",
        "ssl.keystore.password",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.config",
        "sasl.jaas.config",
        "ssl_key",
        "sasl.username",
        "ssl.ca.location",
        "security.protocol",
        "client.id",
    ],
)
def test_secrets_stay_out_of_the_configmap(setting: str) -> None:
    """The chart treats the same settings as secrets as the daemon, and does not print values."""
    values = {"config": {"kafka": {"client": {setting: "hush-hush"}}}}
    if is_secret(setting):
        message = error(values)
        assert f"config.kafka.client.{setting} is a secret" in message
        assert "hush-hush" not in message
    else:
        render(merged(TRIAL, values))


def objects(schema: Any, name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every object of a schema with its key."""
    if isinstance(schema, list):
        for each in schema:
            yield from objects(each, name)
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield name, schema
        for key, each in schema.items():
            yield from objects(each, key)


def test_schema_is_closed() -> None:
    """No object accepts undefined keys, except the free-form ones."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    found = list(objects(schema))
    assert len(found) > 30
    open_ones = {name for name, each in found if each.get("additionalProperties", True) is True}
    assert open_ones == FREE_FORM
